"""The noise of a sample belongs to the volume, not to its tiles or slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.models.bundle import Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.synthesis.noise import tile_noise
from core.synthesis.request import Tile
from core.synthesis.tiles import Tiling

CONFIG = MHVAEConfig(tile=(32, 32), base_features=4, max_features=8, pools=2, final_blocks=1)
TILING = Tiling((70, 50), CONFIG.tile, 4)


@pytest.fixture(scope="module")
def model() -> MHVAE:
    return MHVAE(CONFIG)


def noise(model: MHVAE, tiles: list[Tile], sample: int = 0, seed: int = 3) -> list[torch.Tensor]:
    return tile_noise(model, Preprocessing((0.5, 0.5, 0.5)), TILING, tiles, seed, sample)


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_every_slice_has_unit_variance_whatever_its_place_between_planes(model: MHVAE) -> None:
    for index in (0, 1, 2, 17):
        finest = noise(model, [Tile(index, TILING.origins[0])])[-1]
        assert finest.shape == (1, *model.noise_shapes(1)[-1][1:])
        assert float(finest.std()) == pytest.approx(1, abs=0.05)
        assert float(finest.mean()) == pytest.approx(0, abs=0.05)


def test_neighbouring_slices_share_most_of_it_and_distant_ones_nothing(model: MHVAE) -> None:
    def slices(level: int, *indices: int) -> list[torch.Tensor]:
        return [noise(model, [Tile(n, TILING.origins[0])])[level] for n in indices]

    start, one, two, three = slices(-1, 30, 31, 32, 33)
    assert correlation(start, one) == pytest.approx(np.cos(np.pi / 6), abs=0.05)
    assert correlation(start, two) == pytest.approx(0.5, abs=0.05)
    assert correlation(start, three) == pytest.approx(0, abs=0.05)
    coarse = slices(-2, 30, 31, 36)  # its pixels are twice as large, and so is its reach
    assert correlation(coarse[0], coarse[1]) == pytest.approx(np.cos(np.pi / 12), abs=0.1)
    assert abs(correlation(coarse[0], coarse[2])) < 0.1


def test_tiles_agree_where_they_overlap(model: MHVAE) -> None:
    first, second = TILING.origins[:2]
    assert second[1] > first[1]
    a, b = noise(model, [Tile(5, first), Tile(5, second)])[-1]
    shift = second[1] - first[1]
    assert torch.equal(a[:, :, shift:], b[:, :, : 32 - shift])


def test_samples_and_seeds_differ(model: MHVAE) -> None:
    tile = [Tile(5, TILING.origins[0])]
    base, again, sample, seed = (
        noise(model, tile, *which)[-1] for which in ((0, 3), (0, 3), (1, 3), (0, 4))
    )
    assert torch.equal(base, again)
    assert abs(correlation(base, sample)) < 0.05
    assert abs(correlation(base, seed)) < 0.05


def test_a_plane_of_noise_is_drawn_once_for_all_tiles_and_slices_that_cut_from_it(
    model: MHVAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, ...]] = []
    real = torch.randn

    def counted(*shape: int, generator: torch.Generator) -> torch.Tensor:
        drawn.append(shape)
        return real(*shape, generator=generator)

    monkeypatch.setattr(torch, "randn", counted)
    noise(model, [Tile(n, o) for n in (30, 31, 32) for o in TILING.origins], seed=99)
    assert len(drawn) == 2 * (CONFIG.pools + 1)  # of every level the plane before and the one after


def test_factors_widen_their_own_level_alone(model: MHVAE) -> None:
    place = model, Preprocessing((0.5, 0.5, 0.5)), TILING, [Tile(5, TILING.origins[0])], 3, 0
    plain, wide = tile_noise(*place), tile_noise(*place, (1.0, 0.0, 2.0))
    assert torch.equal(wide[0], plain[0])
    assert not wide[1].any()
    assert torch.equal(wide[2], 2 * plain[2])
