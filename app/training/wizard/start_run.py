"""From a draft to a run: its folder with plan, cohort and locked split, then its process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from app.training.wizard.draft import Draft
from core.files import write_text
from trainer.errors import TrainerError
from trainer.run.folder import RunFolder, discard
from trainer.run.registry import add_folder
from trainer.run.state import default_folder


def start_run(draft: Draft, resume: Callable[[Path], object]) -> Path:
    """Make the run of a draft and start it; return its folder.

    Args:
        draft: with cohort, plan, name and place.
        resume: starts the process of a run that exists; a new run is resumed at step 0.

    Raises:
        TrainerError: the folder cannot be written, or nothing could be started. A folder that was
            begun is taken away again, so that the same name can be tried once more.
    """
    place = draft.place or default_folder()
    run = place / draft.name
    folder = RunFolder.create(run, draft.plan)
    try:
        plan = draft.write_cohort(folder.path)
        plan.save(run / "plan.json")
        write_text(run / "split.json", json.dumps(draft.split(), indent=1))
        resume(run)
        if place.resolve() != default_folder().resolve():
            add_folder(run)
    except OSError as error:
        discard(run)
        raise TrainerError(
            f"The run folder {run.name} cannot be written ({error.strerror}). Choose another place."
        ) from error
    except TrainerError:
        discard(run)
        raise
    return run
