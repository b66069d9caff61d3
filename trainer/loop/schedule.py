"""The plan's schedules: what counts how much at one point of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.loop.terms import Terms
from trainer.plan.schema import Plan


@dataclass(frozen=True)
class Weights:
    """The plan's schedules at one point of the run.

    Attributes:
        rate: learning rate.
        beta: weight of the KL.
        gan: λ_GAN.
        mean_path: part of the passes that follow the mean path.
        part: of the run that is done, 0…1.
    """

    rate: float
    beta: float
    gan: float
    mean_path: float = 0.0
    part: float = 1.0

    @property
    def told(self) -> Terms:
        """What the log says of them."""
        told = {"rate": self.rate, "beta": self.beta, "lambda_gan": self.gan}
        return {**told, "mean_path": self.mean_path}

    @classmethod
    def at(cls, plan: Plan, step: int, part: float) -> Weights:
        """Return learning rate, β, λ_GAN and share of the mean path after ``part`` of the run."""
        o, loss = plan.optimiser, plan.loss
        cosine = o.rate_end + (o.rate - o.rate_end) * 0.5 * (1 + math.cos(math.pi * min(part, 1)))
        return cls(
            rate=cosine * min(1.0, (step + 1) / max(1, o.warmup)),
            beta=loss.beta * min(1.0, part / loss.beta_ramp if loss.beta_ramp > 0 else 1.0),
            gan=loss.gan if part >= loss.gan_start else 0.0,
            mean_path=loss.mean_path if part >= loss.mean_path_first else 1.0,
            part=part,
        )
