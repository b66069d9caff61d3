"""One picture of an alignment: checkerboards of both volumes before and after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.grid import Grid
from core.registration.alignment import Matrix, moved
from core.registration.pair import swept_region, which_is_swept
from core.synthesis.overview import CELL, PLANES, TEXT, planes_of, radiological
from core.volume import Volume

FIELDS = 8
"""Fields of the checkerboard along a side."""
NOTICE = "Alignment check - research use only"


def checkerboards(fixed: Volume, moving: Volume, before: Matrix, after: Matrix) -> Image.Image:
    """Draw checkerboards of both volumes around the field of view: before left, after right.

    Args:
        fixed: stays where it is.
        moving: with its header's own place.
        before: (4, 4) RAS+ mm, moving → fixed, of the left column.
        after: the same for the right column.

    Returns:
        RGB picture: axial, coronal, sagittal from top to bottom, in radiological convention.
    """
    swept_fixed = which_is_swept(fixed, moving)
    swept = fixed if swept_fixed else moved(moving, after)
    view = view_around(swept)
    at = [int(v) for v in np.array(view.shape) // 2]
    sheet = Image.new("RGB", (2 * CELL, (CELL + TEXT) * len(PLANES) + TEXT), "black")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    still = planes_of(fixed, view, at)
    for column, (title, matrix) in enumerate((("before", before), ("after", after))):
        other = planes_of(moved(moving, matrix), view, at)
        for row, (plane, axis) in enumerate(PLANES):
            image = Image.fromarray(radiological(mixed(still[axis], other[axis])))
            left, top = column * CELL, row * (CELL + TEXT)
            sheet.paste(
                image,
                (left + (CELL - image.width) // 2, top + TEXT + (CELL - image.height) // 2),
            )
            names = f"{fixed.modality or 'fixed'} | {moving.modality or 'moving'}"
            draw.text((left + 6, top + 3), f"{title}, {plane}: {names}", fill="white", font=font)
            if axis != 0:
                draw.text((left + 6, top + TEXT + CELL // 2), "R", fill="white", font=font)
    draw.text((6, sheet.height - TEXT + 3), NOTICE, fill="white", font=font)
    return sheet


def view_around(swept: Volume) -> Grid:
    """Return an axis-aligned RAS grid around a field of view, at most ``CELL`` voxels a side."""
    box = np.argwhere(swept_region(swept))
    ends = np.stack([box.min(0) - 0.5, box.max(0) + 0.5])
    corners = swept.grid.to_world(np.array(np.meshgrid(*ends.T)).reshape(3, -1).T)
    low, high = corners.min(0), corners.max(0)
    step = float((high - low).max()) / CELL
    shape = np.maximum(np.floor((high - low) / step + 1e-6).astype(int), 1)
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = (low + high) / 2 - step * (shape - 1) / 2
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def mixed(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a checkerboard of two equal (height, width) images."""
    side = max(1, -(-max(a.shape) // FIELDS))
    rows, columns = np.indices(a.shape) // side
    return np.where((rows + columns) % 2 == 0, a, b)
