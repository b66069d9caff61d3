"""A whole volume through a small random network: nothing but the image may decide the result."""

from collections import Counter
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from app.processes.engine.focus import refocus
from core.case import Case, CaseError
from core.errors import Cancelled
from core.grid import Grid
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.slicing import ORIENTATIONS, Slicing
from core.models.weights import save
from core.synthesis.backends import choose_device
from core.synthesis.request import Request, Synthesis, SynthesisError, on_grid, prepare_input
from core.synthesis.synthesize import Engine, OutOfMemory, Progress
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
OBLIQUE = np.array(
    [[1.9, 0.3, 0.1, -30], [-0.3, 2.0, 0.2, 12], [0.0, -0.2, 2.4, 5], [0, 0, 0, 1]], float
)
REQUEST = Request(subset=("T2",), targets=("iUS",), fov="whole", batch=3)


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"))


def head(seed: int = 0) -> Volume:
    """A smooth blob with texture in a stated oblique place."""
    rng = np.random.default_rng(seed)
    voxels = ndimage.gaussian_filter(rng.normal(size=(22, 19, 7)), 1.5)
    voxels = np.clip(voxels - voxels.min(), 0, None) * 500
    return Volume(voxels.astype(np.float32), Grid((22, 19, 7), OBLIQUE), "T2", "head.nii")


def run(engine: Engine, case: Case, request: Request) -> Synthesis:
    return engine.run(case, prepare_input(case, engine.bundle, request), request)


def stored(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same volume in another of the 48 storage orders."""
    affine = volume.grid.affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (volume.grid.shape[axis] - 1)
            affine[:3, axis] *= -1
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    voxels = volume.voxels[steps].transpose(order)
    affine[:3, :3] = affine[:3, list(order)]
    a, b, c = voxels.shape
    return replace(volume, voxels=voxels, grid=Grid((a, b, c), affine))


def test_all_48_storage_orders_give_one_result_on_their_own_grid(engine: Engine) -> None:
    volume = head()
    wanted = run(engine, Case("a", {"T2": volume}), REQUEST)
    on_own = on_grid(wanted, volume.grid).volumes["iUS"]
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        other = stored(volume, order, flips)
        result = run(engine, Case("a", {"T2": other}), REQUEST)
        back = on_grid(result, other.grid).volumes["iUS"]
        assert back.grid is other.grid
        expected = stored(on_own, order, flips)
        np.testing.assert_allclose(back.voxels, expected.voxels, atol=255e-4)


def test_a_models_own_orientation_holds_in_all_48_storage_orders(engine: Engine) -> None:
    own = Preprocessing((2, 2, 2), "coronal", orientation="IRA")
    turned = Engine(engine.model, Bundle(CONFIG, own, "turned"))
    volume = head()
    on_own = on_grid(run(turned, Case("a", {"T2": volume}), REQUEST), volume.grid).volumes["iUS"]
    usual = on_grid(run(engine, Case("a", {"T2": volume}), REQUEST), volume.grid).volumes["iUS"]
    assert np.abs(on_own.voxels - usual.voxels).max() > 20  # the network sees something else
    for order, flips in product(permutations(range(3)), product((False, True), repeat=3)):
        other = stored(volume, order, flips)
        result = run(turned, Case("a", {"T2": other}), REQUEST)
        back = on_grid(result, other.grid).volumes["iUS"]
        np.testing.assert_allclose(back.voxels, stored(on_own, order, flips).voxels, atol=255e-4)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_network_sees_slices_as_the_orientation_says(engine: Engine, orientation: str) -> None:
    slicing = Slicing(orientation)
    turned = Engine(
        engine.model,
        Bundle(CONFIG, Preprocessing((2, 2, 2), slicing.plane, orientation=orientation), "turned"),
    )
    grid = Grid((22, 19, 7), np.diag([2.0, 2.0, 2.0, 1.0]))
    volume = replace(head(), grid=grid)
    # The same head laid out as that orientation stores it, for a network that takes it as it lies.
    laid = np.ascontiguousarray(np.moveaxis(slicing.slices(volume.voxels), 0, 2))
    a, b, c = laid.shape
    as_stored = replace(volume, voxels=laid, grid=Grid((a, b, c), grid.affine))
    request = replace(REQUEST, temperature=0.7, seed=3)
    wanted = run(engine, Case("a", {"T2": as_stored}), request).volumes["iUS"].voxels
    made = run(turned, Case("a", {"T2": volume}), request).volumes["iUS"].voxels
    back = np.moveaxis(slicing.slices(made), 0, 2)
    np.testing.assert_allclose(back, wanted, atol=255e-5)
    shares = turned.shares(
        prepare_input(Case("a", {"T2": volume}), turned.bundle, request), request, 3
    )
    like = engine.shares(
        prepare_input(Case("a", {"T2": as_stored}), engine.bundle, request), request, 3
    )
    for level, maps in shares.maps.items():
        whole = np.expand_dims(maps, 1 + slicing.axis)
        np.testing.assert_allclose(slicing.slices(whole)[:, 0], like.maps[level], atol=1e-5)


def test_focus_and_regions_follow_the_orientation(engine: Engine) -> None:
    slicing = Slicing("ILA")
    own = Preprocessing((2, 2, 2), slicing.plane, orientation="ILA")
    bundle = Bundle(CONFIG, own, "turned")
    grid = Grid((40, 7, 44), np.diag([2.0, 2.0, 2.0, 1.0]))
    rng = np.random.default_rng(0)
    volume = Volume(rng.uniform(1, 9, grid.shape).astype(np.float32), grid, "T2", "head.nii")
    case = Case("a", {"T2": volume})
    layout = prepare_input(case, bundle, REQUEST)
    assert len(layout.tiling.origins) > 4
    for corner in ((2, 4, 3), (37, 1, 3), (2, 6, 41)):
        x, y, z = (float(v) for v in layout.grid.to_world(corner))
        focused = prepare_input(case, bundle, replace(REQUEST, focus=(x, y, z)))
        first = focused.tiles[0]
        assert refocus(layout, (x, y, z)).tiles[0] == first
        _, area = layout.tiling.overlap(first.origin)
        block = slicing.block(first.index, area, layout.grid.shape)
        assert all(s.start <= n < s.stop for s, n in zip(block, corner, strict=True))
        seen = slicing.slices(volume.voxels)[first.index][area]
        assert np.array_equal(np.sort(seen.ravel()), np.sort(volume.voxels[block].ravel()))


def test_batch_size_and_order_do_not_matter(engine: Engine) -> None:
    case = Case("a", {"T2": head()})
    for base in (REQUEST, replace(REQUEST, temperature=0.8, samples=2, seed=5)):
        results = [
            run(engine, case, replace(base, batch=batch, focus=focus))
            for batch, focus in ((1, None), (7, (0.0, 20.0, 9.0)), (4, (-30.0, 12.0, 5.0)))
        ]
        for other in results[1:]:
            np.testing.assert_allclose(
                results[0].volumes["iUS"].voxels, other.volumes["iUS"].voxels, atol=255e-5
            )
        if base.samples > 1:
            sigma = results[0].spread["iUS"].voxels
            assert sigma.max() > 0
            np.testing.assert_allclose(sigma, results[1].spread["iUS"].voxels, atol=255e-5)


def test_another_seed_gives_another_sample(engine: Engine) -> None:
    case = Case("a", {"T2": head()})
    a, b, again = (
        run(engine, case, replace(REQUEST, temperature=1.0, seed=seed)).volumes["iUS"].voxels
        for seed in (1, 2, 1)
    )
    assert np.array_equal(a, again)
    assert not np.allclose(a, b, atol=1)


def test_the_focused_tile_comes_first_then_its_slice(engine: Engine) -> None:
    case = Case("a", {"T2": head()})
    layout = prepare_input(case, engine.bundle, REQUEST)
    focus = layout.grid.to_world((3, 15, 5))
    request = replace(REQUEST, focus=(float(focus[0]), float(focus[1]), float(focus[2])))
    tiles = prepare_input(case, engine.bundle, request).tiles
    _, outer = layout.tiling.overlap(tiles[0].origin)
    assert tiles[0].index == 5
    assert outer[0].start <= 3 < outer[0].stop
    assert outer[1].start <= 15 < outer[1].stop
    in_slice = len(layout.tiling.origins)
    assert {t.index for t in tiles[:in_slice]} == {5}
    assert [abs(t.index - 5) for t in tiles] == sorted(abs(t.index - 5) for t in tiles)
    seen: list[Progress] = []
    engine.run(case, prepare_input(case, engine.bundle, request), request, progress=seen.append)
    assert seen[0].done == 1
    assert seen[0].regions[0][2] == slice(5, 6)
    assert seen[-1].done == seen[-1].total == len(tiles)


def test_a_partial_field_of_view_limits_work_and_image(engine: Engine) -> None:
    volume = head()
    fan = np.zeros(volume.grid.shape, np.float32)
    fan[4:12, 5:14, 2:5] = 100 + np.arange(9, dtype=np.float32)[None, :, None]
    case = Case("a", {"T2": volume, "iUS": Volume(fan, volume.grid, "iUS", "fan.nii")})
    request = replace(REQUEST, fov="auto")
    result = run(engine, case, request)
    made = result.volumes["iUS"].voxels
    assert result.fov.any()
    assert not result.fov.all()
    assert not made[~result.fov].any()
    assert made.max() <= fan.max() + 1e-3  # back in the real ultrasound's own units
    everywhere = prepare_input(case, engine.bundle, replace(request, fov="whole"))
    assert len(prepare_input(case, engine.bundle, request).tiles) < len(everywhere.tiles)


def test_cancel_stops_between_batches(engine: Engine) -> None:
    case = Case("a", {"T2": head()})
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        engine.run(
            case,
            prepare_input(case, engine.bundle, REQUEST),
            REQUEST,
            cancelled=lambda: next(calls),
        )


def test_out_of_memory_is_a_sentence(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1e12 bytes")

    case = Case("a", {"T2": head()})
    monkeypatch.setattr(engine, "network", full)
    with pytest.raises(OutOfMemory, match="smaller batch"):
        run(engine, case, REQUEST)


def test_shares_of_a_slice_sum_to_one(engine: Engine) -> None:
    case = Case("a", {"T2": head()})
    shares = engine.shares(prepare_input(case, engine.bundle, REQUEST), REQUEST, 3)
    assert shares.experts == ("prior", "T2")
    assert sorted(shares.maps) == [1, 2, 3]
    for share in shares.maps.values():
        np.testing.assert_allclose(share.sum(axis=0), 1, atol=1e-5)
    with pytest.raises(SynthesisError, match="outside the field of view"):
        engine.shares(prepare_input(case, engine.bundle, REQUEST), REQUEST, 999)


def test_provenance_names_no_file(engine: Engine) -> None:
    result = run(engine, Case("Anna", {"T2": head()}), REQUEST)
    text = repr(result.provenance)
    assert "head.nii" not in text
    assert "Anna" not in text
    assert "Research use only" in text
    assert result.volumes["iUS"].synthetic


def test_volumes_that_do_not_overlap_are_refused_with_the_distance(engine: Engine) -> None:
    volume = head()
    far = np.array(volume.grid.affine)
    far[0, 3] -= 900
    other = Volume(volume.voxels, Grid(volume.grid.shape, far), "iUS", "us.nii")
    with pytest.raises(CaseError, match=r"head.nii.*us.nii|us.nii.*head.nii"):
        prepare_input(Case("a", {"T2": volume, "iUS": other}), engine.bundle, REQUEST)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"subset": ("iUS",)}, "no iUS volume"),
        ({"samples": 3}, "all be the same"),
        ({"temperature": -1}, "between 0 and 10"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_impossible_requests_are_refused(
    engine: Engine, change: dict[str, object], sentence: str
) -> None:
    def attempt() -> None:
        request = replace(REQUEST, **change)  # type: ignore[arg-type]
        prepare_input(Case("a", {"T2": head()}), engine.bundle, request)

    with pytest.raises(SynthesisError, match=sentence):
        attempt()


def test_an_absent_device_is_refused() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(SynthesisError, match="not available"):
        choose_device("abacus")


def test_the_accelerated_back_end_agrees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path)
    torch.manual_seed(0)
    model, bundle = MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small")
    bundle = save(bundle, model, tmp_path / "small.safetensors")
    exact = Engine(model, bundle)
    case = Case("a", {"T2": head()})
    for request in (REQUEST, replace(REQUEST, temperature=0.5, samples=2)):
        wanted = run(exact, case, request).volumes["iUS"].voxels
        for _ in range(2):  # converted, then from the cache
            got = run(Engine(model, bundle, "openvino"), case, request).volumes["iUS"].voxels
            np.testing.assert_allclose(got, wanted, atol=255 * 5e-3)


def test_a_request_is_one_image_on_the_mean_path_unless_it_says_more() -> None:
    plain = Request(("T2",), ("iUS",))
    assert (plain.temperature, plain.samples, plain.seed, plain.fov) == (0.0, 1, 0, "auto")
    assert (plain.batch, plain.focus) == (4, None)


def test_the_spread_is_nothing_outside_the_field_of_view(engine: Engine) -> None:
    request = replace(REQUEST, temperature=1.0, samples=2, fov="auto")
    result = run(engine, Case("a", {"T2": head()}), request)
    spread = result.spread["iUS"].voxels
    assert (~result.fov).any()
    assert (spread[~result.fov] == 0).all()
    assert (spread[result.fov] > 0).any()


def test_without_a_focus_work_begins_in_the_middle_of_the_grid(engine: Engine) -> None:
    layout = prepare_input(Case("a", {"T2": head()}), engine.bundle, REQUEST)
    counts = [n for n, _ in Counter(t.index for t in layout.tiles).items()]
    assert counts[0] == round((layout.grid.shape[layout.axis] - 1) / 2)
    middle = np.round((np.array(layout.tiling.plane) - 1) / 2)
    away = [
        float(np.hypot(*(np.array(t.origin) + np.array(CONFIG.tile) / 2 - middle)))
        for t in layout.tiles
        if t.index == counts[0]
    ]
    assert away[0] == min(away)


def test_tiles_of_a_slice_come_by_their_distance_from_the_focus(engine: Engine) -> None:
    grid = Grid((20, 44, 2), np.diag([2.0, 2.0, 2.0, 1.0]))
    voxels = np.random.default_rng(0).uniform(1, 90, grid.shape).astype(np.float32)
    case = Case("a", {"T2": Volume(voxels, grid, "T2")})
    focus = (4.0, 80.0, 0.0)
    prepared = prepare_input(case, engine.bundle, replace(REQUEST, focus=focus))
    row, column = prepared.grid.to_voxel(focus)[:2]
    first = [t.origin for t in prepared.tiles if t.index == prepared.tiles[0].index]
    away = [np.hypot(r + 7.5 - row, c + 7.5 - column) for r, c in first]
    assert len(away) > 3
    assert away == sorted(away)


def test_what_layouts_share_cannot_be_written_to(engine: Engine) -> None:
    prepared = prepare_input(Case("a", {"T2": head()}), engine.bundle, REQUEST)
    image = prepared.images["T2"]
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 0
