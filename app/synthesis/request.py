"""The request to the engine: what the model is asked, on which device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.processes.protocol import Message
from app.shared.context import Context
from app.state.synthesis import SynthesisChoices
from core.modalities import SWEPT


def device(context: Context) -> str:
    """Return the device a run is asked to use; which one is ``auto`` the engine finds out."""
    return context.session.synthesis.form.device


def task(context: Context) -> Message:
    """Return the request as the engine reads it."""
    asked = context.session.synthesis
    form = asked.form
    return {
        "model": form.model,
        "subset": list(asked.subset()),
        "targets": list(asked.targets()),
        "device": device(context),
        "temperature": form.temperature,
        "samples": form.samples,
        "seed": form.seed,
        "batch": form.batch,
        "fov": "whole" if form.whole else "auto",
        "focus": [float(x) for x in context.session.cursor],
    }


def sweep_roles(asked: SynthesisChoices) -> tuple[tuple[str, ...], str]:
    """Return what a virtual sweep is made from, and the ultrasound it makes; empty without one."""
    made = next((m for m in SWEPT if m in asked.modalities), "")
    return tuple(m for m in asked.subset() if m != made), made


def sweep_obstacle(asked: SynthesisChoices) -> str:
    """Return why there can be no virtual sweep, in a sentence; empty when there can be one."""
    subset, made = sweep_roles(asked)
    blind = asked.blind()
    if blind:
        return blind
    if not made:
        return f"{', '.join(asked.modalities)}: this model makes no ultrasound. Choose another."
    if not subset:
        return f"A sweep makes {made} of other volumes. Open a T2, and tick its Input."
    assert asked.bundle is not None
    config = asked.bundle.config
    return "" if config.serves(subset, made) else config.refusal(subset, made)


def sweep_task(context: Context, about: Mapping[str, Any]) -> Message:
    """Return the request for a virtual probe; ``about`` as in ``app.processes.engine.sweep``."""
    subset, made = sweep_roles(context.session.synthesis)
    return {
        **task(context),
        "subset": list(subset),
        "targets": [made],
        "samples": 1,
        "fov": "auto",
        "sweep": dict(about),
    }
