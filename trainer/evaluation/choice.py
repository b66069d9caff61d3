"""Which cases of a cohort models are scored on: those a run held out, unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.cohort.split import PARTS, read_split
from trainer.errors import TrainerError
from trainer.plan.schema import load_plan
from trainer.run.folder import is_run

ALL = "all"
CHOICES = (*PARTS, ALL)
MODEL = "model.safetensors"


@dataclass(frozen=True)
class Chosen:
    """What is scored on what.

    Attributes:
        models: files.
        cohort: folder or CSV.
        part: ``"test"``, ``"validation"``, ``"training"`` or ``"all"``.
        ids: the cases; ``None`` for all.
        told: the choice in a sentence, for the report; empty where there was none to make.
    """

    models: tuple[Path, ...]
    cohort: Path
    part: str = ALL
    ids: frozenset[str] | None = None
    told: str = ""


def choose(
    models: Sequence[Path],
    cohort: Path | None = None,
    *,
    test_of: Path | None = None,
    part: str | None = None,
) -> Chosen:
    """Choose the cases that tell something of models.

    A model of a run was fitted to the run's training cases, and its best step was chosen by the
    validation cases: on its own cohort only the test cases are scored. Of several runs on one
    cohort only what all of them held out is scored.

    Args:
        models: model files or run folders.
        cohort: folder or CSV; without it, the one of the first run among the models.
        test_of: a run whose split counts, whatever the models and the cohort are.
        part: another part of the split, or ``"all"`` cases.

    Raises:
        TrainerError: no cohort is known, a run has no model or no split yet, there is no split of
            which to take a part, or the runs have no such case in common.
    """
    runs = [run for run in map(_run_of, models) if run]
    if cohort is None:
        if not runs:
            raise TrainerError(
                f"{models[0].name} is no run, so it knows no cases; give a cohort to score it on."
            )
        cohort = _cohort_of(runs[0])
        if not cohort.exists():
            name = runs[0].name
            raise TrainerError(
                f"The cases of {name} are no longer where its plan says; say where they are with "
                f"--cohort FOLDER --test-of {name}."
            )
    files = tuple(_file_of(model) for model in models)
    own = [test_of] if test_of else [run for run in runs if _same(_cohort_of(run), cohort)]
    own = list(dict.fromkeys(run for run in own if run))
    if not own:
        if part not in (None, ALL):
            raise TrainerError(
                f"None of the models is of a run on {cohort.name}, so it has no {part} cases; name "
                "the run with --test-of, or score all cases."
            )
        return Chosen(files, cohort)
    whose = " and ".join(run.name for run in own)
    if part == ALL:
        return Chosen(files, cohort, ALL, None, f"All cases, also those {whose} was trained on.")
    part = part or "test"
    splits = [_split_of(run)[part] for run in own]
    ids = frozenset(splits[0]).intersection(*splits[1:])
    if not ids:
        raise TrainerError(
            f"{whose}: there is no {part} case"
            + (" that all of these runs have in common" if len(own) > 1 else " in its split")
            + "; nothing to evaluate. Choose other cases with --cases, or all."
        )
    told = f"Only the {part} cases of {whose}."
    if part != "test":
        told += " The training looked at them: this says nothing of other patients."
    return Chosen(files, cohort, part, ids, told)


def _run_of(model: Path) -> Path | None:
    """Return the run folder a model is, or lies in."""
    return next((p for p in (model, model.parent) if is_run(p)), None)


def _file_of(model: Path) -> Path:
    if not model.is_dir():
        return model
    if not (model / MODEL).is_file():
        raise TrainerError(
            f"{model.name} has no {MODEL} yet; train the run until its first checkpoint."
        )
    return model / MODEL


def _cohort_of(run: Path) -> Path:
    return Path(load_plan(run / "plan.json").cohort)


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _split_of(run: Path) -> dict[str, list[str]]:
    path = run / "split.json"
    if not path.is_file():
        raise TrainerError(f"{run.name} has no split.json; give the folder of a run.")
    return read_split(path)
