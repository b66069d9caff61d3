"""Watch, while a cohort is checked, for images of one patient under two names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.volume import Volume
from trainer.cohort.case import CohortCase
from trainer.cohort.likeness import Alike, Coarse, coarse, compare, content_hash


@dataclass(frozen=True, eq=False)
class _Seen:
    id: str
    patient: str
    hashes: Mapping[str, str]
    coarse: Mapping[str, Coarse]


@dataclass
class Copies:
    """What the cases so far look like."""

    _hashes: dict[str, tuple[str, str]] = field(default_factory=dict)
    _cases: list[_Seen] = field(default_factory=list)

    def same(self, case: CohortCase, volumes: Mapping[str, Volume]) -> list[str]:
        """Return a sentence for every image that has exactly the voxels of an earlier one."""
        told = []
        hashes = {m: content_hash(volume) for m, volume in volumes.items()}
        for m, digest in hashes.items():
            first, other = self._hashes.setdefault(digest, (case.id, m))
            if (first, other) != (case.id, m):
                told.append(f"{m} has exactly the voxels of {first}'s {other}.")
        small = {m: coarse(volume) for m, volume in volumes.items()}
        self._cases.append(_Seen(case.id, case.patient, hashes, small))
        return told

    def like(self) -> list[Alike]:
        """Return which earlier cases look like the last one's patient, though listed as others."""
        *before, last = self._cases
        others = [one for one in before if one.patient != last.patient]
        return [found for one in others if (found := compare(one, last))]
