"""How each family of models is trained: the losses of a step; all else is shared."""

from __future__ import annotations

from collections.abc import Mapping

from trainer.loop.direct_step import DirectStepper, ResViTStepper
from trainer.loop.step import Stepper
from trainer.loop.stepper import BaseStepper

STEPPERS: Mapping[str, type[BaseStepper]] = {
    "mhvae": Stepper,
    "mvae": Stepper,
    "pix2pix": DirectStepper,
    "spade": DirectStepper,
    "resvit": ResViTStepper,
    "unet": DirectStepper,
}
"""Name in :data:`core.models.family.FAMILIES` → what finds the gradients of its steps."""
