"""Training from Python, in two names; ``docs/python-api.md`` shows both in use.

The engine's are in ``core.api``. Everything else in ``trainer`` may change between versions without
notice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.plan.new import plan_for

if TYPE_CHECKING:
    from trainer.evaluation.evaluate import Evaluation
    from trainer.loop.loop import Outcome

__all__ = ["evaluate", "train"]

Where = str | os.PathLike[str]


def train(
    source: Where,
    out: Where,
    *,
    preset: str = "quick",
    start_from: Where | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train a model; returns when the run is finished, or somebody asked it to stop.

    Args:
        source: a cohort's folder, a CSV that lists its cases, or a plan file.
        out: the run's folder; new or empty, unless ``resume``.
        preset: ``"smoke"``, ``"quick"`` or ``"paper"``, where ``source`` is not a plan.
        start_from: a model to fine-tune.
        settings: changes to the plan, by dotted name, for example ``{"optimiser.rate": 5e-4}``.
        resume: go on where the run in ``out`` was; then its own plan counts.
        say: receives lines for people.

    Returns:
        How it ended: ``state``, ``step``, and the path of the ``model``.

    Raises:
        TrainerError: the cohort, a setting or the folder cannot be used, or the training diverged.
    """
    from trainer.loop.loop import train as run

    begin = None if start_from is None else os.fspath(start_from)
    plan = plan_for(Path(source), preset, begin, dict(settings or {}))
    return run(plan, Path(out), resume=resume, say=say)


def evaluate(
    models: Where | Iterable[Where],
    cohort: Where | None = None,
    *,
    out: Where | None = None,
    test_of: Where | None = None,
    cases: str | None = None,
    lpips_weights: Iterable[Where] = (),
    max_slices: int = 0,
    device: str = "auto",
    about: str = "",
) -> Evaluation:
    """Score one or several models on real images that they do not see.

    Args:
        models: model files or run folders.
        cohort: folder of the cases, or a CSV that lists them; a run's own without it.
        out: folder for the report (HTML, CSV, JSON, pictures); none is written without it.
        test_of: the run whose split says which are test cases, where it is not a model's own.
        cases: ``"test"``, ``"validation"``, ``"training"`` or ``"all"``; without it the test cases
            on a run's own cohort, else all.
        lpips_weights: local files with backbone and heads of LPIPS, one or two.
        max_slices: score at most so many slices of a case, evenly spaced; 0 for all.
        device: as for ``core.api.load_model``.
        about: one sentence about the cases, for the report.

    Returns:
        ``rows``: per model, case, inputs and target, PSNR (dB), SSIM (0…1), MAE (of -1…1) …

    Raises:
        TrainerError: there is nothing to evaluate on, or the report cannot be written.
        ModelError: a model cannot be read.
    """
    from trainer.evaluation.choice import choose
    from trainer.evaluation.evaluate import evaluate as score
    from trainer.evaluation.report import write_report

    given = [models] if isinstance(models, str | os.PathLike) else list(models)
    chosen = choose(
        [Path(m) for m in given],
        None if cohort is None else Path(cohort),
        test_of=None if test_of is None else Path(test_of),
        part=cases,
    )
    weights = [Path(w) for w in lpips_weights]
    result = score(
        chosen.models,
        chosen.cohort,
        only=chosen,
        max_slices=max_slices,
        lpips=weights,
        device=device,
    )
    if out is not None:
        write_report(result, Path(out), data=about)
    return result
