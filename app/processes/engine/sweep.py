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
    ``box`` (first and last + 1 of i, j, k on the grid of the frame before, outside of which all is
    known).

    Raises:
        SweepError: the probe sees nothing of the brain, or cannot be where it was put.
    """
    about = task.get("sweep")
    if about is None:
        return request
    brain = brain_on_grid(case, bundle)
    if "slide" in about:  # every frame on the same part of the grid
        return replace(request, fov=brain)
    return replace(request, fov=field_of(SweepPlan.from_dict(about["plan"]).laid(), brain))


def shown_whole(
    task: Message, case: Case, bundle: Bundle, prepared: PreparedInput
) -> PreparedInput:
    """Return a layout with the tiles of one frame alone, shown whole inside the brain.

    The probe may be moved on within them without another pass.

    Raises:
        SweepError: the frame sees nothing of the brain.
    """
    about = task.get("sweep", {})
    if "slide" not in about:
        return prepared
    brain = brain_on_grid(case, bundle)
    first = SweepPlan.from_dict(about["plan"]).laid()[0]
    frame = replace(first, offsets=np.array([float(about["slide"])]))
    wanted = None
    if about.get("box"):
        wanted = np.zeros(brain.grid.shape, bool)
        box = tuple(slice(int(a), int(b)) for a, b in about["box"])
        part_of(wanted, brain.grid, prepared.grid)[box] = True
    margin = float(max(brain.grid.spacing))  # what the frame is interpolated from
    field = field_of((frame,), brain, margin=margin, wanted=wanted)
    seen = prepared.slices(part_of(field.voxels, brain.grid, prepared.grid) > 0)
    tiles = tuple(
        tile
        for tile in prepared.tiles
        if seen[tile.index][prepared.tiling.overlap(tile.origin)[1]].any()
    )
    shown = part_of(brain.voxels, brain.grid, prepared.grid) > 0
    return replace(prepared, tiles=tiles, fov=shown)


def marked(task: Message, synthesis: Synthesis) -> Synthesis:
    """Return a synthesis whose marks tell of the probe; unchanged without one."""
    if "sweep" not in task:
        return synthesis
    about: dict[str, Any] = {"field_of_view": "virtual sweep", "probe": task["sweep"]["plan"]}
    told = dict(synthesis.provenance)
    told["targets"] = {m: {**marks, **about} for m, marks in told["targets"].items()}
    return replace(synthesis, provenance={**told, **about})
