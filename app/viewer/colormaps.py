"""Colour maps: 256 colours each, perceptually even, black or dark at rest."""

from __future__ import annotations

import colorsys
from functools import cache

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.uint32]
"""(256,) premultiplied 0xAARRGGBB, what a QImage of format ARGB32_Premultiplied holds."""

# Sixteen evenly spaced colours of the maps by S. van der Walt, N. Smith and E. Firing (CC0) and of
# cividis by Nuñez, Anderton and Renslow (CC0); straight lines between them are within 5 %.
_ANCHORS = {
    "viridis": "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e "
    "1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725",
    "cividis": "00204d 002c6a 0f386e 31446b 46506b 575c6d 666970 757575 "
    "848279 958f78 a69d75 b8ab70 cbba69 ddc95f f1d951 ffea46",
    "inferno": "000004 0c0826 240c4f 420a68 5d126e 781c6d 932667 ae305c "
    "c73e4c dd513a ed6925 f8850f fca50a fac62d f2e661 fcffa4",
    "magma": "000004 0b0924 20114b 3b0f70 57157e 721f81 8c2981 a8327d "
    "c43c75 de4968 f1605d fa7f5e fe9f6d febf84 fddea0 fcfdbf",
    "gray": "000000 ffffff",
    "gray inverted": "ffffff 000000",
}

NAMES = (*_ANCHORS, "diverging", "labels")
"""Every map's name; ``"diverging"`` suits differences, ``"labels"`` label maps."""


@cache
def table(name: str) -> Table:
    """Return a map's colours.

    Raises:
        KeyError: no map has this name.
    """
    if name == "labels":
        rgb = _labels()
    elif name == "diverging":
        rgb = _diverging()
    else:
        anchors = np.array([list(bytes.fromhex(c)) for c in _ANCHORS[name].split()], float)
        x = np.linspace(0, len(anchors) - 1, 256)
        rgb = np.stack([np.interp(x, range(len(anchors)), anchors[:, k]) for k in range(3)], 1)
    channels = np.rint(rgb).astype(np.uint32)
    colours = (channels[:, 0] << 16) | (channels[:, 1] << 8) | channels[:, 2] | 0xFF000000
    if name == "labels":
        colours[0] = 0
    colours.setflags(write=False)
    return np.asarray(colours, np.uint32)


def label_colour(name: str, label: int) -> str:
    """Return the colour of a label above 0 in a map, as ``"#rrggbb"``."""
    return f"#{int(table(name)[(label - 1) % 255 + 1]) & 0xFFFFFF:06x}"


def _diverging() -> NDArray[np.float64]:
    """Blue – dark – red with equal, evenly rising CIE lightness on both sides (dark at zero)."""
    # Zero falls between two of the 256 colours: both are grey, so that no difference has no hue.
    t = np.maximum(np.abs(np.linspace(-255, 255, 256)) - 1, 0) / 254
    lightness = 8 + 67 * t
    chroma = 62 * np.sqrt(t)
    hue = np.radians(np.where(np.linspace(-1, 1, 256) < 0, 265.0, 45.0))
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    fy = (lightness + 16) / 116
    f = np.stack([fy + a / 500, fy, fy - b / 200], 1)
    white = (0.9505, 1.0, 1.089)  # D65
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * white
    to_rgb = np.array(
        [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
    )
    linear = np.clip(xyz @ to_rgb.T, 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(srgb * 255)


def _labels() -> NDArray[np.float64]:
    """Strong colours whose hues are a golden angle apart, so neighbours in number look unlike."""
    rows = [(0.0, 0.0, 0.0)]
    rows += [colorsys.hsv_to_rgb(n * 0.61803 % 1, (0.85, 0.6)[n % 2], 1.0) for n in range(1, 256)]
    return np.array(rows) * 255
