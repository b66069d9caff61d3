"""``check``: read every case of a cohort and list what would spoil a training."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.files import replacing
from core.modalities import PAPER
from trainer.cohort.pairs import FEWEST_TO_TRAIN
from trainer.errors import TrainerError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("cohort", type=Path, help="folder or CSV of the cases")
    parser.add_argument(
        "--modalities", default=",".join(PAPER), metavar="A,B", help="what the model is to know"
    )
    parser.add_argument("--spacing", type=float, default=0.5, metavar="MM", help="of the model")
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR", help="write the middle slices of every case there"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--events", action="store_true", help="print one JSON object per case as it is checked"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Returns:
        2 when a case cannot be used or there is no pair, for scripts; 0 for the window, which reads
        every line.
    """
    from trainer.cohort.check import check_cases
    from trainer.cohort.pairs import fewest_tests, no_pairs
    from trainer.cohort.scan import scan
    from trainer.plan.schema import DataPlan

    modalities = tuple(filter(None, (m.strip() for m in args.modalities.split(","))))
    if not modalities:
        raise TrainerError("Give the modalities the model is to know, for example iUS,T2.")
    plan = DataPlan(spacing=(args.spacing,) * 3)
    cases = scan(args.cohort, modalities)
    if args.pictures:
        _make(args.pictures)
    found = []
    checks = check_cases(cases, modalities, plan, pictures=args.pictures is not None)
    for done, checked in enumerate(checks, start=1):
        facts: dict[str, Any] = {
            "case": checked.case,
            "usable": checked.usable,
            "sources": dict(checked.sources),
            "problems": [asdict(p) for p in checked.problems],
            "alike": list(checked.alike),
            "fits": {m: asdict(one) for m, one in checked.fits.items()},
        }
        if args.pictures and checked.picture is not None:
            facts["picture"] = _picture(args.pictures, checked.case, checked.picture)
        found.append(facts)
        if args.events:
            event = {"event": "case", "done": done, "total": len(cases), **facts}
            print(json.dumps(event), flush=True)
        elif not args.json:
            sys.stdout.write(_told(facts))
            sys.stdout.flush()
    usable = sum(facts["usable"] for facts in found)
    files = {case.id: len(case.files) for case in cases}
    pairs = sum(facts["usable"] and files[facts["case"]] > 1 for facts in found)
    trouble = "" if pairs or not usable else no_pairs(modalities, usable)
    counts = {"usable": usable, "pairs": pairs, "trouble": trouble}
    if args.json:
        print(json.dumps({"cases": found, **counts}))
    elif args.events:
        print(json.dumps({"event": "done", "cases": len(found), **counts}), flush=True)
        return 0
    else:
        print(f"{usable} of {len(found)} cases can be used, {pairs} of them with a pair.")
        print(trouble or _worth(pairs, fewest_tests(len(modalities))))
    return 0 if pairs and usable == len(found) else 2


def _worth(pairs: int, needed: int) -> str:
    """Say what that many pairs can teach and show."""
    if pairs < FEWEST_TO_TRAIN:
        return (
            f"That is few: with under {FEWEST_TO_TRAIN} pairs fine-tune the built-in model "
            f"(--from). A report needs {needed} test pairs to show any difference."
        )
    return f"A report needs {needed} test pairs to show any difference (data.test)."


def _told(facts: dict[str, Any]) -> str:
    fits = [
        f"{m} explains {one['similarity']:.0%} of the ultrasound, {one['moved']:.0%} when moved"
        for m, one in facts["fits"].items()
    ]
    lines = [f"{facts['case']}: {'; '.join(fits) or 'no pair to compare'}"]
    lines += [f"  {m}: {name}" for m, name in facts["sources"].items()]
    lines += [f"  {p['severity']}: {p['text'].rstrip('.')}. {p['fix']}" for p in facts["problems"]]
    return "\n".join(lines) + "\n"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainerError(
            f"The pictures cannot be written to {folder.name} ({error.strerror}). Choose another "
            "folder."
        ) from error


def _picture(folder: Path, case: str, pixels: Any) -> str:
    """Write a case's picture and return its name."""
    from PIL import Image

    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in case)
    path = folder / f"{safe}.png"
    try:
        with replacing(path) as part:
            Image.fromarray(pixels).save(part)
    except OSError as error:
        raise TrainerError(
            f"The picture {path.name} cannot be written ({error.strerror}). Make room, or choose "
            "another folder."
        ) from error
    return path.name
