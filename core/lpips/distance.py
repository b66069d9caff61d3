"""The distance itself: features of two images, compared layer by layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.lpips.layouts import Compare, Convolution, Fire, Layout, Pool, head

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and sd of ImageNet's red, green and blue on [-1, 1], which the backbones expect."""
_NOT_ZERO = 1e-10


class Distance:
    """LPIPS with a network's weights (Zhang et al. 2018, Eq. 1, version 0.1).

    d(x, y) = Σ_l 1/(H_l W_l) Σ_hw w_l · (x̂_l - ŷ_l)², where x̂_l is the features of layer l,
    scaled at every place to length one over the channels.

    Args:
        layout: the network.
        weights: backbone and heads by name, float32.
    """

    def __init__(self, layout: Layout, weights: Mapping[str, Tensor]) -> None:
        self.layout = layout
        self.weights = weights

    def images(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of every pair.

        Args:
            first: (b, 3, H, W) red, green, blue in [-1, 1]; sides of at least
                ``layout.smallest`` pixels.
            second: same shape.

        Returns:
            (b,), 0 or more; the same either way round.
        """
        total = torch.zeros(len(first))
        pairs = zip(self._features(first), self._features(second), strict=True)
        for number, (x, y) in enumerate(pairs):
            weight = self.weights[head(number)]
            total = total + F.conv2d((_unit(x) - _unit(y)) ** 2, weight).mean(dim=(1, 2, 3))
        return total

    def volumes(self, real: NDArray[np.floating], made: NDArray[np.floating]) -> float:
        """Return the mean distance of the slices of two grey volumes.

        Args:
            real: (i, j, k) in [-1, 1], slices along the last axis.
            made: same shape.

        Returns:
            0 or more; NaN without a slice, or when slices are smaller than the network can see.
        """
        if min(real.shape) == 0 or min(real.shape[:2]) < self.layout.smallest:
            return float("nan")
        values = []
        with torch.inference_mode():
            for k in range(real.shape[2]):
                x, y = (_colours(v[:, :, k]) for v in (real, made))
                values.append(float(self.images(x, y)))
        return float(np.mean(values))

    def _features(self, image: Tensor) -> Iterator[Tensor]:
        """Yield what is compared, (b, channels, h, w), the shallowest first."""
        shift, scale = (image.new_tensor(v).view(1, 3, 1, 1) for v in (SHIFT, SCALE))
        x = (image - shift) / scale
        for step in self.layout.steps:
            if isinstance(step, Convolution):
                x = self._convolve(x, step)
            elif isinstance(step, Fire):
                squeezed = self._convolve(x, step.squeeze)
                x = torch.cat([self._convolve(squeezed, c) for c in step.expand], dim=1)
            elif isinstance(step, Pool):
                x = F.max_pool2d(x, step.side, stride=2, ceil_mode=step.ceil)
            elif isinstance(step, Compare):
                yield x

    def _convolve(self, x: Tensor, layer: Convolution) -> Tensor:
        weight, bias = (self.weights[f"{layer.name}.{kind}"] for kind in ("weight", "bias"))
        return F.relu(F.conv2d(x, weight, bias, layer.stride, layer.padding))


def _colours(plane: NDArray[np.floating]) -> Tensor:
    """Return a grey (i, j) plane as red, green and blue, (1, 3, i, j)."""
    grey = torch.from_numpy(np.ascontiguousarray(plane, dtype=np.float32))
    return grey[None, None].expand(1, 3, -1, -1)


def _unit(features: Tensor) -> Tensor:
    """Scale every place's channels to length one; a place without features stays zero."""
    return features / (features.pow(2).sum(dim=1, keepdim=True).sqrt() + _NOT_ZERO)
