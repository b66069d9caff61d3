"""The status strip: where the cursor is, and every layer's value there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from app.state.levels import unnamed
from app.state.session import Session
from app.state.values import Kind, Layer, Vector
from core.grid import Grid

ORDER = (Kind.REAL, Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA, Kind.SHARE, Kind.LABEL)


@dataclass(frozen=True)
class Value:
    """One layer under the cursor; ``value`` is None outside the volume."""

    layer: Layer
    value: float | None

    @property
    def text(self) -> str:
        """Name and value, for example ``"T2 142.0"``; a dash outside the volume."""
        kind = self.layer.kind
        name = self.layer.modality or self.layer.name
        if kind is Kind.LABEL and self.value:
            names = {x.value: x.name for x in self.layer.labels}
            number = round(self.value)
            known = names.get(number, "")
            if known and known != unnamed(number):
                return f"label {number} {known}"
        if kind is not Kind.REAL:
            name = f"{'σ' if kind is Kind.SIGMA else kind} {name}"
        if self.value is None:
            return f"{name} –"
        return f"{name} {self.value:.0f}" if kind is Kind.LABEL else f"{name} {self.value:.4g}"


@dataclass(frozen=True)
class Readout:
    """What the status strip says.

    Attributes:
        position: for example ``"R 12.3  A 4.0  S 55.1 mm"``.
        voxel: (i, j, k) of the active volume in storage order, None outside it.
        values: every visible layer, reals first, then synthetic, difference, σ, share, labels.
    """

    position: str
    voxel: tuple[int, int, int] | None
    values: tuple[Value, ...]

    @property
    def text(self) -> str:
        """All of it in one line."""
        parts = [self.position]
        if self.voxel is not None:
            parts.append("voxel {} {} {}".format(*self.voxel))
        return "   ".join(parts + [v.text for v in self.values])


def position_text(world: Vector) -> str:
    """Return a (3,) RAS mm position in patient directions."""
    pairs = zip(("LR", "PA", "IS"), world, strict=True)
    return "  ".join(f"{names[int(x >= 0)]} {abs(x):.1f}" for names, x in pairs) + " mm"


def read(session: Session) -> Readout | None:
    """Return what lies under the session's cursor; None without an active image."""
    active = session.active
    if active is None:
        return None
    cursor = session.cursor
    shown = [x for x in session.layers if x.visible]
    shown.sort(key=lambda x: ORDER.index(x.kind))
    values = []
    for layer in shown:
        at = voxel_at(layer, session.shown_grid(layer), cursor)
        values.append(Value(layer, None if at is None else float(layer.volume.voxels[at])))
    voxel = voxel_at(active, session.shown_grid(active), cursor)
    return Readout(position_text(cursor), voxel, tuple(values))


def voxel_at(layer: Layer, grid: Grid, world: Vector) -> tuple[int, int, int] | None:
    """Return the (i, j, k) of the voxel that holds a (3,) world position, None outside."""
    index = np.rint(grid.to_voxel(world)).astype(int)
    if (index < 0).any() or (index >= grid.shape).any():
        return None
    i, j, k = index.tolist()
    return i, j, k
