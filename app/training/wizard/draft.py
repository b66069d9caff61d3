"""What the user has decided so far, as one JSON that can be gone on with later; no Qt."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.training.wizard.cases import Table
from core.errors import UserError
from core.files import write_text
from core.modalities import PAPER
from core.schema import plain, rebuilt
from trainer.cohort.case import CohortCase
from trainer.cohort.likeness import joined
from trainer.cohort.scan import write_csv
from trainer.cohort.split import Split, draw
from trainer.plan.presets import preset
from trainer.plan.schema import Plan, plan_from_dict
from trainer.run.state import default_folder

SCHEMA = 2


class DraftError(UserError):
    """A draft that cannot be kept or read."""


@dataclass
class Draft:
    """The wizard's state.

    Attributes:
        id: names its folder.
        page: the step it is at, 0…6.
        source: folder or CSV of the cohort.
        modalities: what the model is to know, in its order.
        table: the cases as corrected.
        scanned: the cases as the last scan found them.
        checks: case → what the check said of it.
        checked: fingerprint of the cohort that was checked.
        decisions: case → accepted by the user or not; others follow the check.
        placed: patient → part of the split, for those placed by hand.
        plan: the plan so far; its cohort is filled in when it is written.
        custom: whether settings beside the preset's were chosen.
        estimate: what the last estimate said; empty before.
        estimated: fingerprint of the plan and cohort it was about.
        name, place: of the run.
        changed: when it was last saved, s since 1970.
    """

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    page: int = 0
    source: Path | None = None
    modalities: tuple[str, ...] = PAPER
    table: Table = field(default_factory=Table)
    scanned: Table = field(default_factory=Table)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    checked: str = ""
    decisions: dict[str, bool] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: preset("quick"))
    custom: bool = False
    estimate: dict[str, Any] = field(default_factory=dict)
    estimated: str = ""
    name: str = ""
    place: Path | None = None
    changed: float = 0.0

    @property
    def title(self) -> str:
        """What the list of drafts shows."""
        return self.source.name if self.source else "no folder yet"

    @property
    def edited(self) -> bool:
        """Whether the cohort differs from what the folder or CSV alone says."""
        return self.table.rows != self.scanned.rows

    def used(self) -> list[CohortCase]:
        """Return the cases to check."""
        return [row.case() for row in self.table.rows if row.used]

    def usable(self, case: str) -> bool:
        """Tell whether the check found that the training can use a case."""
        return bool(self.checks.get(case, {}).get("usable", True))

    def accepts(self, case: str) -> bool:
        """Tell whether a case takes part: the training can use it and the user did not say no."""
        return self.usable(case) and self.decisions.get(case, True)

    def accepted(self) -> list[CohortCase]:
        """Return the cases that take part; those that look like one patient's have one patient."""
        taken = [case for case in self.used() if self.accepts(case.id)]
        if not self.plan.data.join_alike:
            return taken
        pairs = [(a, b) for b, facts in self.checks.items() for a in facts.get("alike", ())]
        return joined(taken, pairs)

    def split(self) -> Split:
        """Return the split: drawn, but for patients placed by hand."""
        return draw(self.accepted(), self.plan.data, self.placed)

    def cohort_fingerprint(self) -> str:
        """Name what a check depends on: which files, and what is in them as far as dates tell."""
        rows = [(row.id, sorted((k, str(p), _stamp(p)) for k, p in row.files.items())) for row in
                self.table.rows if row.used]  # fmt: skip
        return _fingerprint([self.modalities, rows])

    def plan_fingerprint(self) -> str:
        """Name what an estimate depends on."""
        accepted = [(c.id, c.patient) for c in self.accepted()]
        return _fingerprint([self.plan.to_dict(), self.cohort_fingerprint(), accepted])

    def write_cohort(self, folder: Path) -> Plan:
        """Return the plan with its cohort; write ``cohort.csv`` to ``folder`` if it takes one.

        Raises:
            OSError: the CSV cannot be written.
        """
        assert self.source is not None
        if not self.edited:
            out = tuple(c.id for c in self.used() if not self.accepts(c.id))
            return replace(self.plan, cohort=str(self.source), exclude=out)
        path = folder / "cohort.csv"
        write_csv(self.accepted(), path, self.modalities)
        return replace(self.plan, cohort=str(path), exclude=())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values."""
        return {"schema": SCHEMA, **plain(self), "plan": self.plan.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Draft:
        """Rebuild a draft.

        Raises:
            DraftError: of another schema, or damaged.
        """
        if values.get("schema") != SCHEMA:
            raise DraftError("The draft was written by another version of the program.")
        try:
            plan = plan_from_dict(values["plan"], "The draft")
            return replace(rebuilt(cls, {**values, "plan": {}}), plan=plan)
        except (TypeError, KeyError, ValueError) as error:
            raise DraftError(f"The draft is damaged ({error}).") from error


def _stamp(path: Path) -> int:
    """Return when a file was last written, ns; 0 where it is gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _fingerprint(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


class DraftStore:
    """Keeps drafts, each in a folder of its own.

    Args:
        folder: default ``drafts`` in the user's data folder, beside the runs.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.root = folder or default_folder().with_name("drafts")

    def folder(self, draft: Draft) -> Path:
        """Return a draft's folder, made if need be.

        Raises:
            DraftError: it cannot be made.
        """
        path = self.root / draft.id
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DraftError(
                f"The draft cannot be kept ({error.strerror}). Make room in your user folder."
            ) from error
        return path

    def save(self, draft: Draft) -> None:
        """Write a draft whole or not at all.

        Raises:
            DraftError: it cannot be written.
        """
        folder = self.folder(draft)
        draft.changed = time.time()
        try:
            write_text(folder / "draft.json", json.dumps(draft.to_dict()))
        except OSError as error:
            raise DraftError(
                f"The draft cannot be kept ({error.strerror}). Make room in your user folder."
            ) from error

    def load(self, name: str) -> Draft:
        """Read a draft.

        Raises:
            DraftError: it is missing or damaged.
        """
        try:
            values = json.loads((self.root / name / "draft.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DraftError(f"The draft cannot be read ({error}).") from error
        if not isinstance(values, dict):
            raise DraftError("The draft is damaged.")
        return Draft.from_dict(values)

    def all(self) -> list[Draft]:
        """Return the drafts that can be gone on with, newest first; damaged ones are left out."""
        found = []
        for path in self.root.glob("*/draft.json"):
            try:
                found.append(self.load(path.parent.name))
            except UserError:
                continue
        return sorted(found, key=lambda draft: -draft.changed)

    def remove(self, draft: Draft) -> None:
        """Delete a draft and its pictures."""
        shutil.rmtree(self.root / draft.id, ignore_errors=True)
