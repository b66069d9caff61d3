"""The check of inputs: few tiles, the same whatever the focus; what it finds is told everywhere."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from core.case import Case
from core.errors import Cancelled
from core.grid import Grid
from core.models.bundle import Bundle, Preprocessing, find
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.typical import Typical
from core.models.weights import load
from core.synthesis.input_check import TILES, check_inputs, looked_at, quantities
from core.synthesis.input_warning import SHORT, told
from core.synthesis.request import PreparedInput, Request, prepare_input
from core.synthesis.synthesize import Engine
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
REQUEST = Request(subset=("T2",), targets=("iUS",), fov="whole", batch=3)


def volume(seed: int, *, noise: bool = False) -> Volume:
    rng = np.random.default_rng(seed)
    voxels = rng.normal(size=(32, 28, 12))
    if not noise:
        voxels = ndimage.gaussian_filter(voxels, 2.0)
    voxels = (voxels - voxels.min()) * 500
    return Volume(voxels.astype(np.float32), Grid((32, 28, 12), np.diag([2, 2, 2, 1])), "T2", "t")


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A model that was calibrated on smooth volumes."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, bundle = MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((2, 2, 2)), "small")
    right, wrong = (
        [quantities(model, prepared(bundle, volume(n, noise=noise)), "T2") for n in range(16)]
        for noise in (False, True)
    )
    typical = Typical.fit(right, wrong, (list(range(16)), list(range(20, 36))))
    return Engine(model, replace(bundle, typical={"T2": typical}))


def prepared(bundle: Bundle, image: Volume, request: Request = REQUEST) -> PreparedInput:
    return prepare_input(Case("a", {"T2": image}), bundle, request)


def test_noise_is_warned_of_and_a_familiar_image_is_not(engine: Engine) -> None:
    familiar = engine.check(prepared(engine.bundle, volume(99)))
    strange = engine.check(prepared(engine.bundle, volume(99, noise=True)))
    assert familiar.checked["T2"]["unlike_training"] is False
    assert not any("look like" in text for text in familiar.warnings)
    assert strange.checked["T2"]["score"] > strange.checked["T2"]["limit"]
    assert "does not look like the T2 images" in strange.warnings[-1]
    assert "no warning is no proof" in strange.warnings[-1]


def test_it_stands_in_the_provenance_of_every_target(engine: Engine) -> None:
    request = replace(REQUEST, targets=("iUS", "T2"))
    case = Case("a", {"T2": volume(99, noise=True)})
    layout = prepare_input(case, engine.bundle, request)
    early = engine.run(case, engine.check(layout), request)
    late = engine.run(case, layout, request, check=engine.check)
    for result in (early, late):
        for marks in (result.provenance, *result.provenance["targets"].values()):
            assert marks["input_check"]["T2"]["unlike_training"] is True
            assert told(marks).startswith(SHORT.capitalize())
    assert "input_check" not in engine.run(case, layout, request).provenance


def test_the_first_slice_does_not_wait_for_it(engine: Engine) -> None:
    case = Case("a", {"T2": volume(1)})
    layout = prepare_input(case, engine.bundle, REQUEST)
    first = sum(t.index == layout.tiles[0].index for t in layout.tiles)
    order: list[str] = []

    def check(given: PreparedInput) -> PreparedInput:
        order.append("check")
        return given

    engine.run(
        case, layout, REQUEST, check=check, progress=lambda p: order.append(f"tile {p.done}")
    )
    before = order[: order.index("check")]
    assert order.count("check") == 1
    assert first <= int(before[-1].split()[1]) < len(layout.tiles)


def test_a_layout_of_one_slice_is_checked_too(engine: Engine) -> None:
    case = Case("a", {"T2": volume(1, noise=True)})
    layout = prepare_input(case, engine.bundle, REQUEST)
    one = replace(layout, tiles=tuple(t for t in layout.tiles if t.index == 5))
    result = engine.run(case, one, REQUEST, check=engine.check)
    assert "input_check" in result.provenance


def test_the_same_tiles_are_looked_at_whatever_the_focus(engine: Engine) -> None:
    here = prepared(engine.bundle, volume(3))
    there = prepared(engine.bundle, volume(3), replace(REQUEST, focus=(0.0, 0.0, 0.0)))
    image = here.slices(here.images["T2"])
    tiles = looked_at(here, image)
    assert here.tiles != there.tiles
    assert tiles == looked_at(there, image)
    assert len(tiles) == TILES
    assert len({t.index for t in tiles}) == TILES


def test_a_model_that_was_never_calibrated_judges_nothing(engine: Engine) -> None:
    layout = prepared(engine.bundle, volume(0, noise=True))
    bare = replace(engine.bundle, typical={})
    foreign = Typical(("colour",), (0.0,), (1.0,), (1.0,), (0.0,), 1.0, 0.97, 30)
    other = replace(engine.bundle, typical={"T2": foreign})
    assert check_inputs(engine.model, bare, layout) == ()
    assert check_inputs(engine.model, other, layout) == ()


def test_it_can_be_cancelled(engine: Engine) -> None:
    with pytest.raises(Cancelled):
        engine.check(prepared(engine.bundle, volume(0)), lambda: True)


@pytest.mark.parametrize(
    "marks", [{}, {"input_check": 3}, {"input_check": {"T2": 1}}, {"input_check": {"T2": {}}}]
)
def test_a_foreign_provenance_is_no_error(marks: dict[str, object]) -> None:
    assert told(marks) == ""


@pytest.mark.parametrize("name", ["simulated-0.5mm", "simulated-1mm"])
def test_the_built_in_models_know_noise_from_a_head(name: str, real_data: Path) -> None:
    """A real T2's middle, and the same voxels in another order."""
    from core.io import read

    whole = read(real_data / "remind-022" / "T2.nii.gz").canonical()
    start, size = [n // 2 - 30 for n in whole.grid.shape], (60, 60, 24)
    cut = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
    head = Volume(whole.voxels[cut], whole.grid.crop(start, size), "T2", "cut")
    mixed = np.random.default_rng(0).permutation(head.voxels.ravel()).reshape(size)
    bundle = find(name)
    assert bundle.path is not None
    assert set(bundle.typical) == {"iUS", "T2"}
    model = load(bundle.path)[1]
    found = [
        check_inputs(model, bundle, prepared(bundle, v))[0]
        for v in (head, replace(head, voxels=mixed))
    ]
    assert found[1].unlike
    assert found[1].score > found[0].score
