"""Voxels appear where they lie: every storage order, oblique grids, both conventions."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import oblique_affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot
from viewer_stage import ORIENTATIONS, bare_area, brightest, marked, pixels, stored

from app.state.session import Session
from app.state.values import Convention, Kind, Layout, Plane
from app.viewer.geometry import Frame, edge_letters, plane_axes
from app.viewer.pane import Pane
from app.viewer.sampling import Sampler
from core.grid import Grid
from core.volume import Volume

VOXEL = (5, 17, 11)
EVERY_PLANE = list(Plane)


def shot(session: Session, area: object) -> list[np.ndarray]:
    out = []
    for plane in EVERY_PLANE:
        session.set_display(plane=plane)
        out.append(pixels(area.render_image(1.0)))  # type: ignore[attr-defined]
    return out


def test_all_48_storage_orders_give_the_same_picture(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session)
    session.set_display(layout=Layout.SINGLE)
    volume = marked(VOXEL)
    cursor = volume.grid.to_world(VOXEL)
    expected: list[np.ndarray] = []
    for order, signs in ORIENTATIONS:
        session.clear()
        session.add_layer(stored(volume, order, signs), window=(0, 255))
        session.set_cursor(cursor)
        found = shot(session, area)
        expected = expected or found
        for plane, a, b in zip(EVERY_PLANE, expected, found, strict=True):
            assert (a == b).all(), f"{plane} of {order} {signs}"


@pytest.mark.parametrize("convention", list(Convention))
def test_the_marked_voxel_is_where_its_millimetres_say(
    qtbot: QtBot, convention: Convention
) -> None:
    """Worked out by hand: the fitted scale, R or L to the left, A or S up."""
    session = Session()
    area = bare_area(qtbot, session)
    session.set_display(layout=Layout.SINGLE, convention=convention)
    volume = marked(VOXEL)
    session.add_layer(volume, window=(0, 255))
    session.set_cursor(volume.grid.to_world(VOXEL))
    off = volume.grid.to_world(VOXEL) - volume.grid.centre
    extent = np.array(volume.grid.shape) * volume.grid.spacing
    side = -1 if convention is Convention.RADIOLOGICAL else 1
    for plane, (across, up, sign) in {
        Plane.AXIAL: (0, 1, side),
        Plane.CORONAL: (0, 2, side),
        Plane.SAGITTAL: (1, 2, -1),
    }.items():
        session.set_display(plane=plane)
        scale = 0.94 * min(600 / extent[across], 480 / extent[up])
        x, y = brightest(area)
        assert x == pytest.approx(300 + sign * off[across] * scale, abs=1)
        assert y == pytest.approx(240 - off[up] * scale, abs=1)


@given(st.sampled_from(ORIENTATIONS), st.sampled_from(EVERY_PLANE), st.booleans())
@settings(max_examples=40, deadline=None)
def test_slicing_agrees_with_resampling(
    orientation: tuple[tuple[int, ...], tuple[int, ...]], plane: Plane, linear: bool
) -> None:
    """The fast path and the general one are two ways to the same numbers."""
    volume = stored(marked(), *orientation)
    frame = Frame.of(marked().grid)
    sampler = Sampler(volume.voxels, volume.grid, frame)
    axes = plane_axes(plane, Convention.RADIOLOGICAL)
    assert sampler.aligned
    depth = 3.3 if linear else 2.9
    cut = sampler.cut(axes, depth, linear)
    assert cut is not None
    other = sampler._resample(axes, depth, linear, cut.raster)
    assert other is not None
    assert other.inside is None
    np.testing.assert_allclose(other.values, cut.values, atol=2e-3)


@given(
    st.tuples(*[st.floats(-44, 44)] * 3),
    st.sampled_from(ORIENTATIONS),
    st.sampled_from(EVERY_PLANE),
)
@settings(max_examples=40, deadline=None)
def test_an_oblique_grid_is_its_own_frame_and_its_letters_are_right(
    degrees: tuple[float, float, float],
    orientation: tuple[tuple[int, ...], tuple[int, ...]],
    plane: Plane,
) -> None:
    grid = Grid((6, 7, 5), oblique_affine(degrees=degrees))
    volume = stored(Volume(np.zeros(grid.shape, np.float32), grid), *orientation)
    frame = Frame.of(volume.grid)
    assert np.linalg.det(frame.axes) == pytest.approx(1)
    assert Sampler(volume.voxels, volume.grid, frame).aligned
    canonical = frame.axes
    assert (np.abs(np.diagonal(canonical)) > 0.3).all()
    axes = plane_axes(plane, Convention.RADIOLOGICAL)
    left, right, top, bottom = edge_letters(frame, axes)
    opposite = dict(zip("LRPAIS", "RLAPSI", strict=True))
    assert (right, bottom) == (opposite[left], opposite[top])
    toward = frame.axes[:, axes.up]
    assert ("LPI", "RAS")[int(toward[np.abs(toward).argmax()] > 0)][
        int(np.abs(toward).argmax())
    ] == top


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(degrees=st.tuples(*[st.floats(-40, 40)] * 3), orientation=st.sampled_from(ORIENTATIONS))
def test_an_oblique_volume_lies_right_over_a_straight_one(
    qtbot: QtBot,
    degrees: tuple[float, float, float],
    orientation: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    """A bright ball of the oblique volume is under the crosshair put at its world position."""
    session = Session()
    area = bare_area(qtbot, session)
    session.set_display(layout=Layout.SINGLE)
    straight = marked()
    session.add_layer(straight)
    affine = oblique_affine((1.0, 1.0, 1.0), degrees, (0, 0, 0))
    shape = (40, 44, 36)
    affine[:3, 3] = straight.grid.centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid(shape, affine)
    at = np.array((22, 20, 19))
    index = np.moveaxis(np.indices(shape), 0, -1)
    ball = (np.linalg.norm(index - at, axis=-1) < 2.2) * np.float32(255)
    tilted = stored(Volume(ball.astype(np.float32), grid, "iUS"), *orientation)
    tilted_id = session.add_layer(tilted, window=(0, 255))
    session.set_active(tilted_id)
    session.set_cursor(grid.to_world(at))
    for plane in EVERY_PLANE:
        session.set_display(plane=plane)
        pane: Pane = area.panes[0]
        projection, cursor = pane.projection(), pane.cursor()
        x, y = brightest(area, 200)
        reach = 0.75 * projection.scale
        assert x == pytest.approx(projection.x(cursor[projection.axes.across]), abs=reach)
        assert y == pytest.approx(projection.y(cursor[projection.axes.up]), abs=reach)


def test_neurological_mirrors_axial_and_coronal_only(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session, (601, 481))
    session.set_display(layout=Layout.SINGLE)
    session.add_layer(marked(VOXEL), window=(0, 255))
    session.set_cursor(marked().grid.to_world(VOXEL))
    frame = area.scene.frame
    assert frame is not None
    seen = {}
    for convention in Convention:
        session.set_display(convention=convention)
        for plane in EVERY_PLANE:
            session.set_display(plane=plane)
            seen[convention, plane] = brightest(area)
    a, b = Convention
    for plane in EVERY_PLANE:
        one, two = seen[a, plane], seen[b, plane]
        mirrored = 601 - two[0] if plane is not Plane.SAGITTAL else two[0]
        assert one == pytest.approx((mirrored, two[1]), abs=1)
    assert edge_letters(frame, plane_axes(Plane.AXIAL, a)) == ("R", "L", "A", "P")
    assert edge_letters(frame, plane_axes(Plane.AXIAL, b)) == ("L", "R", "A", "P")
    assert edge_letters(frame, plane_axes(Plane.CORONAL, a)) == ("R", "L", "S", "I")
    assert edge_letters(frame, plane_axes(Plane.SAGITTAL, b)) == ("A", "P", "S", "I")


def test_a_sheared_grid_is_resampled_not_assumed() -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.4
    grid = Grid((12, 14, 10), affine)
    voxels = np.zeros(grid.shape, np.float32)
    voxels[4, 9, 5] = 1
    frame = Frame.of(grid)
    sampler = Sampler(voxels, grid, frame)
    assert not frame.native
    assert not sampler.aligned
    axes = plane_axes(Plane.AXIAL, Convention.NEUROLOGICAL)
    position = frame.to_frame(grid.to_world((4, 9, 5)))
    cut = sampler.cut(axes, float(position[2]), True)
    assert cut is not None
    row, column = np.unravel_index(cut.values.argmax(), cut.values.shape)
    r = cut.raster
    assert r.left + (column + 0.5) * r.width == pytest.approx(position[0], abs=0.6)
    assert r.top - (row + 0.5) * r.height == pytest.approx(position[1], abs=0.6)


def test_world_axes_turn_an_oblique_volume_upright(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session)
    grid = Grid((30, 30, 30), oblique_affine((1, 1, 1), (0, 0, 25), (0, 0, 0)))
    session.add_layer(Volume(np.ones(grid.shape, np.float32), grid, "T2"))
    assert area.scene.frame is not None
    assert area.scene.frame.oblique == pytest.approx(25)
    session.set_display(world_axes=True)
    assert area.scene.frame.oblique == 0
    area.render_image(1.0)


def test_between_two_slices_linear_mixes_and_nearest_does_not() -> None:
    voxels = np.zeros((3, 3, 2), np.float32)
    voxels[:, :, 1] = 10
    grid = Grid((3, 3, 2), np.eye(4))
    sampler = Sampler(voxels, grid, Frame.of(grid))
    axes = plane_axes(Plane.AXIAL, Convention.RADIOLOGICAL)
    frame_depth = -0.5 + 0.3
    linear = sampler.cut(axes, frame_depth, True)
    nearest = sampler.cut(axes, frame_depth, False)
    assert linear is not None
    assert nearest is not None
    np.testing.assert_allclose(linear.values, 3, atol=1e-5)
    np.testing.assert_allclose(nearest.values, 0)
    assert sampler.cut(axes, 5.0, True) is None


def test_volumes_beside_the_plane_leave_it_black(qtbot: QtBot) -> None:
    session = Session()
    area = bare_area(qtbot, session)
    first = session.add_layer(marked())
    session.add_layer(marked(), Kind.DIFFERENCE)
    session.set_cursor(session.layer(first).volume.grid.centre + 500)
    area.render_image(1.0)
    assert all(not p.compose(p.projection(), None, False)[0] for p in area.panes)
