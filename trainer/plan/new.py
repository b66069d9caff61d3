"""Makes the plan of a new run from a cohort or a plan, a preset, a model and some settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.errors import TrainerError
from trainer.plan.families import with_family
from trainer.plan.fine_tune import begin_from, grow_from
from trainer.plan.presets import preset
from trainer.plan.schema import Plan, load_plan

PRESETS = ("smoke", "quick", "paper")


def plan_for(
    source: Path | None,
    name: str,
    start_from: str | None = None,
    settings: dict[str, Any] | None = None,
    *,
    grow: bool = False,
    family: str = "",
    target: str = "",
) -> Plan:
    """Make the plan of a new run.

    Args:
        source: a plan file, a cohort folder or a CSV.
        name: preset for a cohort.
        start_from: model to fine-tune, by path or name; it decides architecture, spacing and plane.
        settings: changes, named with dots.
        grow: make a model one level finer than ``start_from``, which takes over its weights.
        family: kind of network; the plan's own when empty.
        target: what a network of one direction makes.

    Raises:
        TrainerError: no source, or an impossible setting.
        ModelError: the model cannot be read.
    """
    if source is None:
        raise TrainerError("Give a plan.json or the folder of a cohort, or --resume with --out.")
    if source.suffix == ".json" and source.is_file():
        plan = load_plan(source)
    else:
        plan = preset(name, str(source.resolve()))
    if family and family != plan.family:
        plan = with_family(plan, family, target)
    if start_from:
        from core.models.bundle import find

        plan = (grow_from if grow else begin_from)(plan, find(start_from))
    elif grow:
        raise TrainerError("--grow needs a model to grow from: give --from MODEL as well.")
    return plan.override(settings or {})
