"""A virtual probe's part of a run: its field of view, its tiles, its marks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from app.processes.protocol import Message
from core.case import Case
from core.models.bundle import Bundle
from core.synthesis.request import PreparedInput, Request, Synthesis
from core.synthesis.sweep_field import brain_on_grid, field_of
from core.synthesis.sweep_plan import SweepPlan
from core.synthesis.view import part_of


def with_field(task: Message, case: Case, bundle: Bundle, request: Request) -> Request:
    """Return a request for what the task's probe sees; unchanged without a probe.

    ``task["sweep"]``: ``plan``; of a single frame also ``slide`` (mm along the first sweep) and
    ``box`` (first and last + 1 of i, j, k on the model's grid, outside of which all is known).

    Raises:
        SweepError: the probe sees nothing of the brain, or cannot be where it was put.
    """
    about = task.get("sweep")
    if about is None:
        return request
    sweeps = SweepPlan.from_dict(about["plan"]).laid()
    brain = brain_on_grid(case, bundle)
    margin, wanted = 0.0, None
    if "slide" in about:
        sweeps = (replace(sweeps[0], offsets=np.array([float(about["slide"])])),)
        margin = float(max(brain.grid.spacing))  # what the frame is interpolated from
    if about.get("box"):
        wanted = np.zeros(brain.grid.shape, bool)
        wanted[tuple(slice(int(a), int(b)) for a, b in about["box"])] = True
    return replace(request, fov=field_of(sweeps, brain, margin=margin, wanted=wanted))


def shown_whole(
    task: Message, case: Case, bundle: Bundle, prepared: PreparedInput
) -> PreparedInput:
    """Return a layout of one frame that shows all of its tiles inside the brain.

    The probe may be moved on within them without another pass.
    """
    if "slide" not in task.get("sweep", ()):
        return prepared
    brain = brain_on_grid(case, bundle)
    return replace(prepared, fov=part_of(brain.voxels, brain.grid, prepared.grid) > 0)


def marked(task: Message, synthesis: Synthesis) -> Synthesis:
    """Return a synthesis whose marks tell of the probe; unchanged without one."""
    if "sweep" not in task:
        return synthesis
    about: dict[str, Any] = {"field_of_view": "virtual sweep", "probe": task["sweep"]["plan"]}
    told = dict(synthesis.provenance)
    told["targets"] = {m: {**marks, **about} for m, marks in told["targets"].items()}
    return replace(synthesis, provenance={**told, **about})
