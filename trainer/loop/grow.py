"""The weights a run begins with: a model's own, or a coarser model's as the inner levels.

Levels are matched by their size in millimetres: depth d of a model at 1 mm is depth d + 1 of one at
0.5 mm with twice the tile. So most of a training can be done on the coarse grid, for a quarter of
the price, and only the finest level and the last steps to the image begin anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

from core.models.base.network import Network
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE, ModalityEncoder
from core.models.weights import load
from trainer.errors import TrainerError
from trainer.plan.schema import Plan

INNER = re.compile(r"(levels\.|encoders\.|bottleneck_)")
"""How the tensors of inner levels begin; the others lead from the finest one to the images."""


def initialise(model: Network, plan: Plan, log: Callable[..., None]) -> None:
    """Give a new run's model the weights its plan starts from.

    Args:
        model: as the plan describes it, at its random start; changed in place.
        plan: with ``start_from``, which :func:`trainer.plan.fine_tune.check_start` has passed.
        log: receives the event ``grown`` with how many tensors were taken over, of how many.

    Raises:
        TrainerError: no inner level of a coarser model fits.
        ModelError: the file cannot be read.
    """
    given = load(plan.start_from)[1]
    if plan.grow:
        taken = take_over(cast(MHVAE, model), cast(MHVAE, given))
        log("grown", taken=taken, total=len(model.state_dict()))
    else:
        model.load_state_dict(given.state_dict())


def take_over(fine: MHVAE, coarse: MHVAE) -> int:
    """Copy every tensor of a coarser model that has a counterpart of its shape; count them.

    The first convolutions are then set so that the encoders begin near to the coarse ones.

    Raises:
        TrainerError: no inner level fits.
    """
    theirs, mine = coarse.state_dict(), fine.state_dict()
    pairs = {name: counterpart(name, coarse.config) for name in mine}
    taken = {
        name: theirs[other]
        for name, other in pairs.items()
        if other in theirs and theirs[other].shape == mine[name].shape
    }
    if not any(INNER.match(name) and tensor.dim() > 1 for name, tensor in taken.items()):
        raise TrainerError(
            f"Nothing of the model with {coarse.config.base_features} to "
            f"{coarse.config.max_features} features fits one with {fine.config.base_features} to "
            f"{fine.config.max_features}. Set model.base_features to "
            f"{coarse.config.base_features // 2} and model.max_features to "
            f"{coarse.config.max_features}."
        )
    fine.load_state_dict({**mine, **taken})
    fits = fine.config.features(1) == coarse.config.base_features
    if fits and fine.config.residual and fine.config.base_features >= len(BOXES) ** 2:
        for m in fine.config.modalities:
            first = coarse.encoders[m].first
            _begin_as(cast(ModalityEncoder, fine.encoders[m]), cast(nn.Conv2d, first))
    return len(taken)


def counterpart(name: str, coarse: MHVAEConfig) -> str:
    """Return what a fine model's tensor is called in the model one level coarser; empty if new."""
    found = re.match(r"(encoders\.[^.]+\.(?:cells|down)\.)(\d+)(\..*)", name)
    if found:
        depth = int(found[2]) - 1
        return f"{found[1]}{depth}{found[3]}" if depth >= 0 else ""
    if re.match(r"encoders\.[^.]+\.first\.", name):
        return ""
    found = re.match(r"levels\.(\d+)\.", name)  # counted from the coarsest, so the number stays
    return "" if found and int(found[1]) >= coarse.pools else name


BOXES = ((0.5, 0.5, 0.0), (0.0, 0.5, 0.5))
"""Means of two neighbouring pixels, as filters of three: this one and that before it, or after."""
TAPS = ((0, 0), (1, 1), (2, 1))
"""Tap of a coarse filter → where the strided filter has it, and the box that fits there best."""


@torch.no_grad()
def _begin_as(encoder: ModalityEncoder, coarse: nn.Conv2d) -> None:
    """Make an encoder's way to half resolution do what ``coarse`` does on means of 2x2 pixels.

    Four channels hold such means, the finest cell begins as the identity, and the strided
    convolution weighs the means as the coarse first one does. Exact but for one row and one
    column of taps that would reach a pixel further than two filters of three can.
    """
    down, cell = cast(Any, encoder.down[0]), cast(Any, encoder.cells[0])
    for channel, (rows, columns) in enumerate(product(BOXES, BOXES)):
        encoder.first.weight[channel, 0] = torch.outer(_row(rows), _row(columns))
        cast(Tensor, encoder.first.bias)[channel] = 0
    cell.conv1.weight.zero_()
    cell.conv1.bias.zero_()
    down.weight.zero_()
    for (t, (row, a)), (u, (column, b)) in product(enumerate(TAPS), enumerate(TAPS)):
        down.weight[:, a * len(BOXES) + b, row, column] += coarse.weight[:, 0, t, u]
    down.bias.copy_(coarse.bias)


def _row(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)
