"""Starts and resumes runs as processes that outlive the window."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.processes.jobs import detach, program_command
from trainer.errors import TrainerError
from trainer.plan.schema import Plan
from trainer.run.folder import RunFolder, is_run, lock_for, lock_owner


def start(plan: Plan, run: Path) -> int:
    """Make a run's folder and train it in a process of its own; return the process's id.

    The folder is made here, so that the run is in the list, and its errors have a place, from the
    first moment on.

    Raises:
        TrainerError: the folder holds something or cannot be written, or nothing could be started.
    """
    RunFolder.create(run, plan)
    return resume(run)


def resume(run: Path, settings: Mapping[str, Any] | None = None) -> int:
    """Continue a run in a process of its own; return the process's id.

    Args:
        run: the run's folder.
        settings: changes to its plan, as ``train --resume --set`` takes them.

    Raises:
        TrainerError: not a run, a process trains it already, or nothing could be started.
    """
    if not is_run(run):
        raise TrainerError(f"{run.name} is not a training run: it has no run.json.")
    owner = lock_owner(run)
    if owner is not None:
        raise TrainerError(f"The run {run.name} is being trained already, by process {owner}.")
    process = detach(program_command(arguments(run, settings)), run / ".stderr")
    if not process:
        raise TrainerError(
            f"The training of {run.name} could not be started. The installation is damaged; "
            "install it again. The run is kept."
        )
    lock_for(run, process)
    return process


def arguments(run: Path, settings: Mapping[str, Any] | None = None) -> list[str]:
    """Return the arguments of ``mhvae-studio`` that continue a run quietly."""
    changes = [part for name, value in (settings or {}).items() for part in _set(name, value)]
    return ["train", "--resume", "--quiet", "--out", str(run), *changes]


def _set(name: str, value: Any) -> tuple[str, str]:
    import json

    return "--set", f"{name}={json.dumps(value)}"
