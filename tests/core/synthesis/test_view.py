"""The working grid is cut to what the tiles see; what is synthesised does not change by it."""

import numpy as np
import pytest
import torch

from core.case import Case
from core.grid import Grid
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.slicing import Slicing
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine
from core.synthesis.view import block_of, reach, view_of, whole_view
from core.volume import Volume

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)
GRID = Grid((90, 80, 30), np.diag([1.0, 1.0, 1.0, 1.0]))


def test_a_mask_on_a_turned_grid_is_found_whole() -> None:
    affine = np.eye(4)
    affine[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    affine[:3, 3] = [40, 5, 3]
    source = Grid((40, 30, 12), affine)
    mask = np.zeros(source.shape, bool)
    mask[5:25, 4:20, 2:9] = True
    view = view_of(mask, source, GRID)
    whole = view_of(np.ones(GRID.shape, bool), GRID, GRID)
    assert whole.mask.all()
    assert whole.mask.shape == GRID.shape
    assert view.mask.sum() == pytest.approx(mask.sum(), rel=0.03)
    middle = source.to_world(np.argwhere(mask).mean(axis=0))
    found = GRID.to_world(np.argwhere(view.mask).mean(axis=0) + view.start)
    np.testing.assert_allclose(found, middle, atol=0.3)
    outer = np.array([(s.start, s.stop) for s in reach(view.mask)])
    assert (outer[:, 0] > 0).all()
    assert (outer[:, 1] < view.mask.shape).all()  # nothing of it was cut off


def test_what_is_empty_or_elsewhere_is_empty() -> None:
    mask = np.zeros((4, 4, 4), bool)
    far = Grid((4, 4, 4), np.array([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    assert not view_of(mask, GRID, GRID).mask.any()
    assert not view_of(~mask, far, GRID).mask.any()


@pytest.mark.parametrize(
    "box", [(30, 60, 20, 50, 5, 9), (0, 5, 70, 80, 0, 30), (0, 90, 0, 80, 3, 4)]
)
def test_tiles_lie_where_they_would_on_the_whole_grid(box: tuple[int, ...]) -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[box[0] : box[1], box[2] : box[3], box[4] : box[5]] = True
    block = block_of(view_of(mask, GRID, GRID), GRID, Slicing("RAS"), (16, 16), 2)
    start = np.rint(GRID.to_voxel(block.grid.to_world((0, 0, 0)))).astype(int)
    here = tuple(slice(a, a + n) for a, n in zip(start, block.grid.shape, strict=True))
    assert np.array_equal(block.fov, mask[here])
    assert block.fov.sum() == mask.sum()
    assert block.grid.shape[2] == box[5] - box[4]
    for origin in block.tiling.origins:
        inner, outer = block.tiling.overlap(origin)
        whole = [a + at for a, at in zip(origin, start[:2], strict=True)]
        clipped = [n for n, a in enumerate(whole) if a < 0 or a + 16 > GRID.shape[n]]
        # A tile is cut by the end of the whole grid alone, never by the end of the block.
        assert [n for n, s in enumerate(inner) if s != slice(0, 16)] == clipped
        assert outer[0].stop <= block.grid.shape[0]


def test_a_block_of_everything_is_the_grid() -> None:
    block = block_of(whole_view(GRID), GRID, Slicing("RAS"), (16, 16), 2)
    assert block.grid.same_as(GRID)
    assert block.fov.all()


def test_a_small_view_gives_the_same_image_as_when_it_is_cut_out_of_its_surroundings() -> None:
    """The tiles around a view see what lies beside it, whether or not the grid goes on there."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    engine = Engine(MHVAE(CONFIG), Bundle(CONFIG, Preprocessing((1, 1, 1)), "small"))
    voxels = np.random.default_rng(0).uniform(1, 90, GRID.shape).astype(np.float32)
    seen = np.zeros(GRID.shape, np.float32)
    seen[40:60, 30:50, 10:14] = 1
    request = Request(("T2",), ("iUS",), fov=Volume(seen, GRID, "mask"))
    case = Case("a", {"T2": Volume(voxels, GRID, "T2")})
    prepared = prepare_input(case, engine.bundle, request)
    assert prepared.grid.shape < (48, 48, 5)
    image = prepared.images["T2"]
    # All of the block is image: had the cut taken context away, its edges would be background.
    assert image.min() > -1
    made = engine.run(case, prepared, request).volumes["iUS"]
    assert (made.voxels[prepared.fov] != 0).all()
    assert (made.voxels[~prepared.fov] == 0).all()
