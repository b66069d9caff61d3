"""A case as a model looks at it, and whether the model has seen it before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from core.case import Case
from core.io import read
from core.models.bundle import Bundle
from core.synthesis import request
from core.synthesis.request import PreparedInput, Request
from core.volume import Volume
from trainer.cohort.case import CohortCase
from trainer.cohort.likeness import content_hash


@dataclass(frozen=True, eq=False)
class AlignedCase:
    """A case as a model looks at it: its volumes, their preparation, the field of view given."""

    case: Case
    prepared: PreparedInput
    fov: Literal["auto"] | Volume


def lay_out(case: CohortCase, bundle: Bundle) -> AlignedCase:
    """Read a case and put it on a model's grid.

    Raises:
        UserError: the case cannot be used.
    """
    case.refuse()
    names = bundle.config.modalities
    volumes = {m: replace(read(case.files[m]), modality=m) for m in names if m in case.files}
    loaded = Case(case.id, volumes)
    fov: Literal["auto"] | Volume = read(case.fov) if case.fov else "auto"
    present = tuple(volumes)
    return AlignedCase(
        loaded, request.lay_out(loaded, bundle, Request(present, present, fov=fov)), fov
    )


def seen_in_training(laid_out: AlignedCase, bundle: Bundle) -> str:
    """Say that a model was trained on images of a case; empty when it was not, as far as known."""
    data = bundle.card.get("data")
    images = set(data.get("images", ())) if isinstance(data, dict) else set()
    known = [
        m for m, v in laid_out.case.volumes.items() if images and content_hash(v)[:16] in images
    ]
    return f"was trained on its {' and '.join(known)}; its scores prove nothing" if known else ""
