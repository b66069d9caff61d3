"""The request to the engine: what the model is asked, on which device."""

from __future__ import annotations

from app.processes.protocol import Message
from app.shared.context import Context


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
