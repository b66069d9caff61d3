"""Named plans."""

from __future__ import annotations

from dataclasses import replace

from core.models.mhvae.config import MHVAEConfig
from trainer.errors import TrainerError
from trainer.plan.schema import Plan


def preset(name: str, cohort: str = "") -> Plan:
    """Return a named plan.

    ``smoke``: tiny, two minutes on two cores. ``quick``: a night on a CPU or an hour on a GPU.
    ``paper``: 192² tiles, batch 16, 1000 epochs, adversarial after 800 of them.

    Raises:
        TrainerError: no such preset.
    """
    base = Plan(cohort=cohort, preset=name)
    if name == "paper":
        return replace(base, loss=replace(base.loss, gan=1.0))
    if name == "quick":
        return replace(
            base,
            model=MHVAEConfig(tile=(96, 96), base_features=16, max_features=128, pools=5),
            data=replace(base.data, batch=8, min_fov=0.2),
            loss=replace(base.loss, mean_path=0.5, mean_path_first=0.6),
            optimiser=replace(base.optimiser, budget_seconds=8 * 3600.0, clip=500.0, patience=15),
        )
    if name == "smoke":
        return replace(
            base,
            model=MHVAEConfig(tile=(32, 32), base_features=4, max_features=16, pools=3),
            data=replace(base.data, batch=4),
            loss=replace(base.loss, gan=1.0, gan_start=0.5, gan_layers=2, gan_features=8),
            optimiser=replace(base.optimiser, steps=300, ema=0.98, warmup=10),
            log=replace(base.log, validate_steps=100, checkpoint_steps=50),
        )
    raise TrainerError(f"There is no preset called {name!r}; choose smoke, quick or paper.")
