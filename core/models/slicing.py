"""How a volume becomes a model's 2-D slices: their plane, and which way rows and columns run.

Three letters say it, as for the storage order of an image: the anatomical directions in which rows,
columns and slices count up. ``"LPS"`` are axial slices whose rows run from right to left and whose
columns run from front to back.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from core.models.base.config import ModelError

PLANES = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Plane name → the RAS axis its slices are stacked along."""
USUAL = {"sagittal": "ASR", "coronal": "RSA", "axial": "RAS"}
"""Plane name → the orientation of slices cut from a RAS+ volume as it lies."""
LETTERS = ("RL", "AP", "SI")
"""The directions of the axes of a RAS+ volume, upward and downward."""
ORIENTATIONS = tuple(
    LETTERS[rows][down] + LETTERS[columns][right] + LETTERS[along][0]
    for along, rows, columns in permutations((2, 1, 0))
    for down, right in product((0, 1), repeat=2)
)
"""All that a model can tell apart: a 2-D network does not see which way the slices count."""


@dataclass(frozen=True)
class Slicing:
    """One orientation of slices.

    Attributes:
        orientation: three letters of RLAPSI; the third is made R, A or S, as it changes nothing.

    Raises:
        ModelError: not three letters, or two of one axis.
    """

    orientation: str

    def __post_init__(self) -> None:
        code = self.orientation.upper()
        axes = [n for letter in code for n, pair in enumerate(LETTERS) if letter in pair]
        if len(code) != 3 or sorted(axes) != [0, 1, 2]:
            raise ModelError(
                "The orientation of slices must be three letters such as LPS: the directions (R or "
                "L, A or P, S or I) in which rows, columns and slices count up; found "
                f"{self.orientation!r}."
            )
        object.__setattr__(self, "orientation", code[:2] + LETTERS[axes[2]][0])

    @cached_property
    def _axes(self) -> tuple[int, int, int]:
        """RAS axes of slices, rows and columns."""
        rows, columns, along = (
            n for letter in self.orientation for n, pair in enumerate(LETTERS) if letter in pair
        )
        return along, rows, columns

    @cached_property
    def _turned(self) -> tuple[bool, bool, bool]:
        """Whether R, A and S are counted downward."""
        code = self.orientation
        return "L" in code, "P" in code, "I" in code

    @property
    def axis(self) -> int:
        """RAS axis along which slices are stacked."""
        return self._axes[0]

    @property
    def plane(self) -> str:
        """``"axial"``, ``"coronal"`` or ``"sagittal"``."""
        return next(name for name, axis in PLANES.items() if axis == self.axis)

    @property
    def usual(self) -> bool:
        """Whether slices are cut from a RAS+ volume as it lies."""
        return self.orientation == USUAL[self.plane]

    @property
    def left_right(self) -> int | None:
        """Axis of a slice (0 rows, 1 columns) along which left and right lie; None if neither."""
        return next((n for n, letter in enumerate(self.orientation[:2]) if letter in "RL"), None)

    @property
    def sentence(self) -> str:
        """Say it in words: ``"axial slices, rows towards left, columns towards posterior"``."""
        rows, columns, _ = (WORDS[letter] for letter in self.orientation)
        return f"{self.plane} slices, rows towards {rows}, columns towards {columns}"

    def slices(self, volume: NDArray[Any]) -> NDArray[Any]:
        """View (…, i, j, k) in RAS+ order as (…, slice, row, column)."""
        turned = self._turn(volume)
        before = tuple(range(volume.ndim - 3))
        return turned.transpose(*before, *(len(before) + n for n in self._axes))

    def volume(self, slices: NDArray[Any]) -> NDArray[Any]:
        """View (…, slice, row, column) as (…, i, j, k) in RAS+ order."""
        before = tuple(range(slices.ndim - 3))
        order = (len(before) + int(n) for n in np.argsort(self._axes))
        return self._turn(slices.transpose(*before, *order))

    def upright(self, image: NDArray[Any]) -> NDArray[Any]:
        """View (row, column) as the plane's usual orientation has it."""
        return Slicing(USUAL[self.plane]).slices(self.volume(image[None]))[0]

    def pixel(self, voxel: ArrayLike, shape: tuple[int, int, int]) -> tuple[float, float, float]:
        """Return slice, row and column of a voxel index of a RAS+ volume of a shape."""
        at = np.asarray(voxel, dtype=np.float64)
        seen = np.where(self._turned, np.array(shape) - 1 - at, at)
        along, rows, columns = self._axes
        return float(seen[along]), float(seen[rows]), float(seen[columns])

    def block(
        self, index: int, area: tuple[slice, slice], shape: tuple[int, int, int]
    ) -> tuple[slice, slice, slice]:
        """Return the voxels of a RAS+ volume of a shape that an area of a slice covers."""
        found = [slice(index, index + 1)] * 3
        for axis, part in zip(self._axes[1:], area, strict=True):
            low, high, _ = part.indices(shape[axis])
            if self._turned[axis]:
                low, high = shape[axis] - high, shape[axis] - low
            found[axis] = slice(low, high)
        return found[0], found[1], found[2]

    def _turn(self, volume: NDArray[Any]) -> NDArray[Any]:
        axes = tuple(n - 3 for n, turned in enumerate(self._turned) if turned)
        view: NDArray[Any] = np.flip(volume, axes)
        return view


WORDS = {
    "R": "right", "L": "left", "A": "anterior", "P": "posterior", "S": "superior", "I": "inferior",
}  # fmt: skip
