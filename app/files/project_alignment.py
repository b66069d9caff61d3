"""Alignments and landmarks as the JSON values of a project file. No Qt in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from app.state.values import Placement
from core.grid import Grid
from core.registration.alignment import Alignment
from core.registration.landmarks import Landmark

_SIMILARITY = ("before", "after")


def described(placement: Placement | None) -> dict[str, Any]:
    """Return an alignment as JSON values; empty for none."""
    if placement is None:
        return {}
    alignment = placement.alignment
    return {
        "matrix": alignment.matrix.tolist(),
        "kind": alignment.kind,
        "source": alignment.source,
        "before": placement.before,
        "after": placement.after,
        "doubtful": placement.doubtful,
    }


def placement_of(values: Mapping[str, Any], header: Grid) -> Placement | None:
    """Rebuild what :func:`described` gave, on a volume's grid.

    Raises:
        AlignError: the matrix cannot be used.
    """
    if not values:
        return None
    matrix = np.array(values["matrix"], dtype=np.float64)
    alignment = Alignment(matrix, str(values["kind"]), str(values.get("source", "")))
    before, after = (None if values.get(n) is None else float(values[n]) for n in _SIMILARITY)
    return Placement(header, alignment, before, after, str(values.get("doubtful", "")))


def described_pairs(moving: int, fixed: int, pairs: Sequence[Landmark]) -> dict[str, Any]:
    """Return landmarks between two entries as JSON values."""
    return {"moving": moving, "fixed": fixed, "pairs": [asdict(p) for p in pairs]}


def pairs_of(values: Mapping[str, Any]) -> tuple[Landmark, ...]:
    """Rebuild what :func:`described_pairs` gave."""
    found = []
    for pair in values["pairs"]:
        ends = [tuple(float(x) for x in pair[side]) for side in ("fixed", "moving")]
        (a, b, c), (d, e, f) = ends
        found.append(Landmark(str(pair["name"]), (a, b, c), (d, e, f)))
    return tuple(found)
