"""Makes the pictures of slices that the import of checkpoints asks with: ``assets/slices``.

``python docs/slice_pictures.py`` cuts three slices of the demo case's T2; rows and columns count up
towards right, anterior and superior, the usual orientations of :mod:`core.models.slicing`.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from core import assets
from core.io import read
from core.models.slicing import USUAL, Slicing
from core.synthesis.overview import planes_of

SIDE, MM = 96, 2.0
"""Pixels of a picture's side, and mm of a pixel."""


def main() -> None:
    """Write one picture per plane."""
    volume = read(assets.DEMO_CASE / "Demo-T2.nii.gz").canonical()
    view = volume.grid.with_spacing((MM, MM, MM))
    at = [round(0.44 * n) for n in view.shape]
    folder = assets.ROOT / "slices"
    folder.mkdir(exist_ok=True)
    for plane, code in USUAL.items():
        image = planes_of(volume, view, at)[Slicing(code).axis]
        square = np.zeros((SIDE, SIDE), np.uint8)
        into, out_of = [], []
        for n in image.shape:
            kept, spare = min(n, SIDE), max(0, n - SIDE) // 2
            begin = (SIDE - kept) // 2
            into.append(slice(begin, begin + kept))
            out_of.append(slice(spare, spare + kept))
        square[tuple(into)] = image[tuple(out_of)]
        Image.fromarray(square).save(folder / f"{plane}.png", optimize=True)


if __name__ == "__main__":
    main()
