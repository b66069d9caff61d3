"""Norms that the networks of other families choose from."""

from __future__ import annotations

from torch import nn

from core.models.base.config import BATCH


def norm(kind: str, channels: int, *, affine: bool = True) -> nn.Module:
    """Return a norm of (B, ``channels``, H, W).

    Args:
        kind: ``"instance"``, with the statistics of the tile, or ``"batch"``, with those of the
            batch and a running mean of them afterwards.
        channels: of the maps.
        affine: whether a batch norm learns a scale and a shift; an instance norm never does.
    """
    if kind == BATCH:
        return nn.BatchNorm2d(channels, affine=affine)
    # One channel per group is an instance norm, and several times as fast on a CPU.
    return nn.GroupNorm(channels, channels, affine=False)
