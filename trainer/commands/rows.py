"""Trains the rows of a table one after another, each a run of its own, resumed where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.models.family import FAMILIES
from trainer.cohort.split import read_split
from trainer.commands.train import say
from trainer.errors import TrainerError
from trainer.plan.new import plan_for
from trainer.plan.schema import Plan
from trainer.run.folder import is_run
from trainer.run.state import describe_run


@dataclass(frozen=True)
class TableRow:
    """One model of a table.

    Attributes:
        family: kind of network.
        target: what a network of one direction makes; empty for one that serves all.
        gan: λ of the GAN where the row sets it; the family's own otherwise.
    """

    family: str
    target: str = ""
    gan: float | None = None

    @property
    def name(self) -> str:
        """Name of its folder, and of the row on the command line."""
        gan = "" if self.gan is None else f"-gan{self.gan:g}"
        return f"{self.family}{gan}{'-' if self.target else ''}{self.target}"

    @property
    def title(self) -> str:
        """What the table calls it."""
        title = FAMILIES[self.family].title
        if self.target:
            return f"{title} → {self.target}"
        return title if self.gan is None else f"{title} (λ_GAN = {self.gan:g})"


def train_rows(
    rows: Sequence[TableRow],
    source: Path,
    preset: str,
    out: Path,
    settings: Mapping[str, Any],
) -> str:
    """Train every row that is not finished yet, all on the first one's split.

    Args:
        rows: what to train.
        source: a plan, a cohort folder or a CSV.
        preset: for a cohort.
        out: folder of the runs; made when missing.
        settings: of all plans, named with dots.

    Returns:
        ``"finished"``, or how the row that was stopped ended.
    """
    from trainer.loop.loop import train

    for number, row in enumerate(rows, 1):
        folder = out / row.name
        begun = is_run(folder)
        if begun and describe_run(folder).state == "finished":
            continue
        first = out / rows[0].name / "split.json"
        split = read_split(first) if first.is_file() and row != rows[0] else None
        say(f"{row.name} ({number} of {len(rows)}):")
        plan = plan_of(row, source, preset, settings)
        state = train(plan, folder, resume=begun, split=split, say=say).state
        if state != "finished":
            return state
    return "finished"


def plan_of(row: TableRow, source: Path, preset: str, settings: Mapping[str, Any]) -> Plan:
    """Return the plan of a row."""
    own = {} if row.gan is None else {"loss.gan": row.gan}
    values = {**settings, **own}
    return plan_for(source, preset, None, values, family=row.family, target=row.target)


def chosen(rows: Sequence[TableRow], names: str) -> list[TableRow]:
    """Return the rows of a comma-separated list of names, in the table's order; all for none.

    Raises:
        TrainerError: a name is not of a row.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [row.name for row in rows]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise TrainerError(
            f"The table has no row called {', '.join(unknown)}; choose from {', '.join(known)}."
        )
    return [row for row in rows if not wanted or row.name in wanted]
