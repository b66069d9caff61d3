"""``estimate``: run a few real steps of a plan and say what the whole run will take."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from trainer.commands.pace import Pace
from trainer.commands.settings import add_settings, setting
from trainer.plan.new import PRESETS, plan_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("source", type=Path, help="a plan.json, a cohort folder, or a CSV of cases")
    parser.add_argument(
        "--preset", choices=PRESETS, default="quick", help="plan for a cohort (default: quick)"
    )
    parser.add_argument(
        "--from", dest="start_from", metavar="MODEL", help="fine-tune: begin with a model's weights"
    )
    parser.add_argument(
        "--grow", action="store_true", help="a model one level finer than the one of --from"
    )
    parser.add_argument(
        "--rate-test",
        type=int,
        nargs="?",
        const=60,
        metavar="STEPS",
        help="test learning rates too, by so many real steps at a rising rate (60)",
    )
    add_settings(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--events", action="store_true", help="print progress and result as lines of JSON"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; a plan that cannot run is an answer, not an error."""
    from trainer.loop.estimate import estimate

    settings = dict(setting(text) for text in args.set)
    plan = plan_for(args.source, args.preset, args.start_from, settings, grow=args.grow)

    pace, shown = Pace(), {""}

    def tell(stage: str, done: int, total: int) -> None:
        left = pace.left(stage, done, total)
        if args.events:
            event = {"event": "progress", "stage": stage, "done": done, "total": total}
            print(json.dumps(event | ({} if left is None else {"seconds_left": left})), flush=True)
            return
        line = stage if left is None else f"{stage}, about {_duration(left)} left of this"
        # The first line of a stage, and the first that knows how long it takes.
        if (known := f"{stage}{left is None}") not in shown:
            shown.add(known)
            print(line, file=sys.stderr, flush=True)

    found = estimate(plan, tell=tell)
    if args.rate_test is not None and found.verdict != "impossible":
        from trainer.loop.estimate_verdict import with_rate
        from trainer.loop.rate_test import rate_test

        tested = rate_test(plan, args.rate_test, tell)
        found = with_rate(found, plan, tested.rate, tested.sentence)
    facts = {**asdict(found), "light": found.light}
    if args.events:
        print(json.dumps({"event": "done", **facts}), flush=True)
    elif args.json:
        print(json.dumps(facts))
    else:
        part = "" if found.measured else " (told from steps of one and two tiles)"
        print(f"{found.light}: {found.reason}")
        print(f"memory: {found.need_mb} of {found.there_mb} MiB, {found.free_mb} free now{part}")
        print(f"time: {_duration(found.total_seconds)}, {found.steps} steps of ", end="")
        print(f"{found.step_seconds:.2f} s, about {found.epochs:.1f} epochs, after ", end="")
        print(f"{_duration(found.preparing_seconds)} of preparing")
        print(f"disk: {found.disk_mb} MiB more, {found.disk_free_mb} free, in {found.cache}")
        if found.rate:
            print(f"rate: {found.rate}")
        for sentence in found.worth:
            print(f"worth: {sentence}")
        for fix in found.fixes:
            words = [
                f"--preset {value}" if name == "preset" else f"--set {name}={json.dumps(value)}"
                for name, value in fix.settings.items()
            ]
            print(f"or: {fix.label}: {' '.join(words)}")
    return 0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"
