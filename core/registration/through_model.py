"""Registration through the model: make one image from the other, then register like with like.

The paper's outlook (section 5). The model makes an iUS of the T2 around the field of view; that
picture lies on the T2's grid, looks like the real iUS, and stands in for the T2 in the search.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from core.case import Case
from core.grid import Grid
from core.image.brain_mask import brain_mask
from core.image.resample import resample_mask
from core.models.bundle import Bundle, find
from core.registration.alignment import (
    AlignError,
    Alignment,
    AlignProgress,
    Matrix,
    Registration,
    checked_matrix,
    moved,
)
from core.registration.methods import LC2, THROUGH_THE_MODEL
from core.registration.pair import MARGIN, swept_region, which_is_swept
from core.registration.register import check_overlap, register
from core.registration.similarity import similarity
from core.synthesis.open_engine import open_engine
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine
from core.volume import Volume


def through_model(name: str | None = None, device: str = "auto") -> Callable[..., Registration]:
    """Load a model once and return a search, called as ``core.registration.register.register``.

    Raises:
        ModelError: no such model.
    """
    bundle = find(name)
    engine = open_engine(bundle, device)

    def search(
        fixed: Volume,
        moving: Volume,
        *,
        kind: str = "rigid",
        start: Matrix | None = None,
        method: str = THROUGH_THE_MODEL,
        seed: int = 0,
        progress: Callable[[AlignProgress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Registration:
        del method
        began = time.perf_counter()
        matrix = np.eye(4) if start is None else checked_matrix(start)
        placed = moved(moving, matrix)
        check_overlap(fixed, placed)
        swept_is_fixed = which_is_swept(fixed, placed)
        swept, other = (fixed, placed) if swept_is_fixed else (placed, fixed)
        made = synthesise_swept(engine, bundle, swept, other, progress, cancelled)
        pair = (swept, made) if swept_is_fixed else (made, swept)
        found = register(
            *pair, kind=kind, method=LC2, seed=seed, progress=progress, cancelled=cancelled
        )
        whole = found.alignment.matrix @ matrix
        before, after = similarity(fixed, moving, matrix), similarity(fixed, moving, whole)
        reason = found.reason
        if not reason and after < before:
            reason = (
                "The made ultrasound fits, the real images agree less than before (mutual "
                f"information {after:.3f} against {before:.3f})."
            )
        return Registration(
            Alignment(whole, kind, THROUGH_THE_MODEL),
            before,
            after,
            bool(reason),
            reason,
            time.perf_counter() - began,
        )

    return search


def synthesise_swept(
    engine: Engine,
    bundle: Bundle,
    swept: Volume,
    other: Volume,
    progress: Callable[[AlignProgress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Volume:
    """Make the iUS of the other volume's brain, within 30 mm of the field of view.

    Raises:
        AlignError: the model does not make an iUS of this modality, or no brain is near.
        Cancelled: ``cancelled`` said so.
    """
    target = next((m for m in bundle.preprocessing.swept if m in bundle.config.modalities), "")
    source = other.modality
    if not target or source not in bundle.config.modalities or source == target:
        raise AlignError(
            f"{bundle.name} cannot make an ultrasound of {source or 'a volume without a modality'}"
            f"; it knows {', '.join(bundle.config.modalities)}. Register by another method, or "
            "name the modality."
        )
    region = region_near(swept, other)
    case = Case("registration", {source: other})
    request = Request((source,), (target,), fov=region, batch=4)
    prepared = prepare_input(case, bundle, request)

    def tell(step: object) -> None:
        if progress is not None:
            done, total = getattr(step, "done", 0), getattr(step, "total", 0)
            left = getattr(step, "seconds_left", None)
            progress(AlignProgress("making the ultrasound", done, total, left))

    result = engine.run(
        case, prepared, request, progress=tell, cancelled=cancelled or (lambda: False)
    )
    return result.volumes[target]


def region_near(swept: Volume, other: Volume) -> Volume:
    """Return a mask of the brain around the field of view, for the model to work in."""
    mask = swept_region(swept)
    box = np.argwhere(mask)
    low, high = box.min(0), box.max(0)
    ends = np.array([[low[0], high[0]], [low[1], high[1]], [low[2], high[2]]], dtype=float)
    corners = swept.grid.to_world(np.array(np.meshgrid(*ends)).reshape(3, -1).T)
    spacing = 2.0
    start, stop = corners.min(0) - MARGIN / 2, corners.max(0) + MARGIN / 2
    shape = np.maximum(np.ceil((stop - start) / spacing).astype(int), 1)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = start
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    brain = resample_mask(brain_mask(other), other.grid, grid)
    if not brain.any():
        raise AlignError(
            f"No brain is found in {other.source or 'the T2'} near the ultrasound, so the model "
            "has nothing to work on. Centre the volumes first (--centre), or use another method."
        )
    return Volume(brain.astype(np.float32), grid, "mask", "around the ultrasound")
