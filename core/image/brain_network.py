"""A small 3D U-Net that tells the inside of the skull in any contrast; computed by NumPy alone.

It looks at a head at 4 mm, where it needs a second and no library of networks: volumes are read and
shown without one. ``benchmarks/brain_mask.py`` trained it on label maps of heads drawn in random
contrasts; docs/method.md has what was measured.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from core.assets import MODELS
from core.volume import Voxels

SPACING = 4.0
"""mm; voxels the network looks at."""
FEATURES = (8, 16, 32, 32)
"""Channels of each level; every level has half the voxels of the one before along each axis."""
WEIGHTS = MODELS / "brain-mask.npz"

_Weights = dict[str, NDArray[np.float32]]


def scaled(image: Voxels) -> Voxels:
    """Bring an image to 0…1: air, or the darkest 1 %, is 0 and the brightest 0.5 % are 1."""
    low, high = np.percentile(image, (1.0, 99.5))
    result: Voxels = np.clip((image - low) / max(float(high - low), 1e-9), 0, 1).astype(np.float32)
    return result


def brain_probability(image: Voxels) -> Voxels:
    """Tell for every voxel of a head how likely it lies inside the skull.

    Args:
        image: (i, j, k) on a RAS+ grid of ``SPACING`` mm, as :func:`scaled` gives it.

    Returns:
        float32 0…1 on the same grid.
    """
    weights = _weights()
    size = 2 ** (len(FEATURES) - 1)
    x = np.pad(image, [(0, -n % size) for n in image.shape])[None]
    kept: list[Voxels] = []
    layer = 0
    for level in range(len(FEATURES)):
        if level:
            kept.append(x)
            x = _halved(x)
        x = _convolved(x, weights, layer)
        x = _convolved(x, weights, layer + 1)
        layer += 2
    while kept:
        for axis in (1, 2, 3):
            x = np.repeat(x, 2, axis=axis)
        x = np.concatenate([kept.pop(), x])
        x = _convolved(x, weights, layer)
        x = _convolved(x, weights, layer + 1)
        layer += 2
    last, bias = weights["last.weight"], weights["last.bias"]
    logits = np.tensordot(last.reshape(1, -1), x, 1)[0] + bias[0]
    i, j, k = image.shape
    return np.asarray(expit(logits[:i, :j, :k]), np.float32)


@cache
def _weights() -> _Weights:
    with np.load(WEIGHTS, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def _convolved(x: Voxels, weights: _Weights, layer: int) -> Voxels:
    """Convolve (channels, i, j, k) with 3x3x3 weights, zeros outside, and cut at 0."""
    weight = weights[f"convolutions.{layer}.weight"]
    out = np.empty((len(weight), *x.shape[1:]), np.float32)
    out[:] = weights[f"convolutions.{layer}.bias"][:, None, None, None]
    around = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1)))
    i, j, k = x.shape[1:]
    for a in range(3):
        for b in range(3):
            for c in range(3):
                near = around[:, a : a + i, b : b + j, c : c + k]
                out += np.tensordot(weight[:, :, a, b, c], near, 1)
    np.maximum(out, 0, out=out)
    return out


def _halved(x: Voxels) -> Voxels:
    """Keep the largest of every 2x2x2 voxels."""
    channels, i, j, k = x.shape
    blocks = x.reshape(channels, i // 2, 2, j // 2, 2, k // 2, 2)
    return np.asarray(blocks.max(axis=(2, 4, 6)))
