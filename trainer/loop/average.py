"""Averaged weights, which are validated and delivered."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Return the exponential moving average of a model's weights, which begins as they are.

    Its ``update_parameters(model)`` after a step moves it towards the model; faster at the start,
    when the weights are far from where they will be. The averaged network is its ``module``.

    Args:
        model: the network that is trained.
        decay: of the average, per step, 0…1.
    """

    def move(average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        now = min(decay, (1 + steps) / (10 + steps))
        get_ema_multi_avg_fn(now)(average, current, count)

    average = AveragedModel(model, multi_avg_fn=move)
    average.requires_grad_(False).eval()
    return average
