"""``train``: start, continue or fine-tune a run."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any

from core.files import replacing
from core.models.family import FAMILIES
from trainer.cohort.scan import scan
from trainer.cohort.split import Split, placed_by, read_split
from trainer.commands.settings import add_settings, setting
from trainer.errors import TrainerError
from trainer.plan.new import PRESETS, plan_for
from trainer.plan.schema import Plan
from trainer.run.folder import RunFolder
from trainer.run.registry import add_folder
from trainer.run.state import default_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "source", type=Path, nargs="?", help="a plan.json, a cohort folder, or a CSV of cases"
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default="quick", help="plan for a cohort (default: quick)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--from", dest="start_from", metavar="MODEL", help="fine-tune: begin with a model's weights"
    )
    parser.add_argument(
        "--grow", action="store_true", help="train a model one level finer than the one of --from"
    )
    parser.add_argument(
        "--split", type=Path, metavar="FILE", help="a split.json: cases placed by hand, not drawn"
    )
    parser.add_argument(
        "--family", choices=tuple(FAMILIES), help="network to train (default: the plan's, or mhvae)"
    )
    parser.add_argument(
        "--target", default="", metavar="MODALITY", help="what a network of one direction makes"
    )
    add_settings(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing while it trains")
    parser.add_argument(
        "--plan-only", action="store_true", help="write the plan as JSON to --out and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from trainer.loop.loop import train

    if args.resume:
        if args.source or args.start_from or args.family or args.grow or args.split:
            raise TrainerError(
                "A resumed run keeps its own plan and cohort: give --resume and --out only. For "
                "another cohort or model, start a new run with --from."
            )
        plan = change_run(args.out, dict(setting(text) for text in args.set))
    else:
        settings = dict(setting(text) for text in args.set)
        plan = plan_for(
            args.source,
            args.preset,
            args.start_from,
            settings,
            grow=args.grow,
            family=args.family or "",
            target=args.target,
        )
    if args.plan_only:
        plan.save(args.out)
        print(args.out)
        return 0
    if not args.plan_only and not args.resume:
        _remember(args.out)
    split = _split(args.split, plan) if args.split else None
    talk = _nothing if args.quiet else say
    outcome = train(plan, args.out, resume=args.resume, split=split, say=talk)
    if outcome.model is not None:
        print(outcome.model)
    # Stopped from outside, after its state was saved.
    return 130 if outcome.state == "terminated" else 0


def _remember(run: Path) -> None:
    """Let the window list a run that a terminal starts; no run fails for it."""
    if run.resolve().parent != default_folder().resolve():
        with contextlib.suppress(OSError):
            add_folder(run)


def _split(path: Path, plan: Plan) -> Split:
    """Read a split and see that it is one of this cohort's cases."""
    split = read_split(path)
    placed_by(split, scan(Path(plan.cohort), plan.model.modalities))
    return split


def say(line: str) -> None:
    """Print progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def _nothing(line: str) -> None:
    """Say nothing: the window reads the run's log."""


CHANGEABLE = (
    "log.",
    "optimiser.",
    "threads",
    "device",
    "data.micro_batch",
    "loss.beta",
    "loss.gan_start",
    "loss.mean_path",
    "loss.expert_dropout",
    "loss.subset_odds",
    "cohort",
)
"""Settings (or their beginnings) a checkpoint does not depend on."""


def change_run(path: Path, settings: dict[str, Any]) -> Plan:
    """Change the plan of a run nobody is training, before it is resumed.

    Such a run is no longer the one its plan began as; the log says when it was changed.

    Raises:
        TrainerError: not a run, a process owns it, or a setting its checkpoints depend on.
    """
    folder = RunFolder.open(path)
    plan = folder.plan()
    fixed = [name for name in settings if not name.startswith(CHANGEABLE)]
    weight = settings.get("loss.gan")
    if plan.loss.gan > 0 and isinstance(weight, int | float) and weight > 0:
        fixed.remove("loss.gan")  # its discriminators stay
    if fixed:
        raise TrainerError(
            f"{', '.join(fixed)} cannot change in a run that has begun. Start a new run with "
            "--from instead."
        )
    if settings:
        changed = plan.override(settings)
        with folder:
            with replacing(path / "plan.json") as part:
                changed.save(part)
            told = {k: v for k, v in settings.items() if k != "cohort"}
            folder.log("changed", settings=told)
        plan = changed
    return plan
