"""LPIPS (Zhang et al. 2018) with AlexNet features, from weights the user has.

The weights cannot ship with the program and are never downloaded; without a file the measure is
not computed, and no other network ever goes under its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trainer.errors import TrainerError

_CONVS = (  # key in the lpips package's state dict, stride, padding, pool before
    ("net.slice1.0", 4, 2, False),
    ("net.slice2.3", 1, 2, True),
    ("net.slice3.6", 1, 1, True),
    ("net.slice4.8", 1, 1, False),
    ("net.slice5.10", 1, 1, False),
)
_SHAPES = ((64, 3, 11, 11), (192, 64, 5, 5), (384, 192, 3, 3), (256, 384, 3, 3), (256, 256, 3, 3))
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class Perceptual:
    """The measure with its weights loaded.

    Attributes:
        sha256: hash of the weights' file, reported with every number.
    """

    def __init__(self, weights: Mapping[str, Tensor], sha256: str) -> None:
        self.weights = weights
        self.sha256 = sha256

    @classmethod
    def load(cls, path: Path) -> Perceptual:
        """Read ``LPIPS(net="alex").state_dict()`` saved with torch.

        Raises:
            TrainerError: the file cannot be read without running code, or is something else.
        """
        expected = (
            'Expected the state dict of LPIPS(net="alex"), saved with torch.save; give another '
            "file, or leave LPIPS out."
        )
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            shapes = [tuple(weights[f"{key}.weight"].shape) for key, *_ in _CONVS]
            lines = [tuple(weights[f"lin{n}.model.1.weight"].shape) for n in range(5)]
        except Exception as error:
            raise TrainerError(f"{path.name} has no LPIPS weights ({error}). {expected}") from error
        if tuple(shapes) != _SHAPES or lines != [(1, s[0], 1, 1) for s in _SHAPES]:
            raise TrainerError(f"{path.name} has weights of another network. {expected}")
        return cls(weights, digest)

    def distance(self, real: NDArray[np.floating], made: NDArray[np.floating]) -> float:
        """Return the mean distance over the slices of two (i, j, k) volumes in [-1, 1]."""
        values = []
        with torch.inference_mode():
            for k in range(real.shape[2]):
                pair = torch.from_numpy(np.stack([real[:, :, k], made[:, :, k]])).float()
                values.append(float(self._pair(pair[:, None].expand(-1, 3, -1, -1))))
        return float(np.mean(values)) if values else float("nan")

    def _pair(self, pair: Tensor) -> Tensor:
        shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
        x = (pair - shift) / scale
        total = torch.zeros(())
        for n, (key, stride, padding, pool) in enumerate(_CONVS):
            if pool:
                x = F.max_pool2d(x, 3, 2)
            weight, bias = self.weights[f"{key}.weight"], self.weights[f"{key}.bias"]
            x = F.relu(F.conv2d(x, weight, bias, stride, padding))
            unit = x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10)
            difference = (unit[:1] - unit[1:]) ** 2
            total = total + F.conv2d(difference, self.weights[f"lin{n}.model.1.weight"]).mean()
        return total
