"""Stands in for ``mhvae-studio check`` and ``estimate``: says what they would, by what it is given.

Cases are judged by their names: ``far`` cannot be used, ``odd`` has a warning. An estimate is red
while the whole batch is held in memory. A file ``FAKE`` beside the input changes how it ends.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path

RATE = {"label": "Take the learning rate 5.0e-04", "settings": {"optimiser.rate": 5e-4}}
FIX = {"label": "Work in parts of 2 tiles", "settings": {"data.micro_batch": 2}}


def tell(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


def check(source: Path) -> None:
    with source.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for done, row in enumerate(rows, start=1):
        name, problems = row["case"], []
        if "far" in name:
            text = "iUS and T2 do not overlap: they are 408 mm apart in space."
            problems.append({"case": name, "severity": "error", "text": text, "fix": "Register."})
        if "odd" in name:
            problems.append(
                {"case": name, "severity": "warning", "text": "coarse", "fix": "Look at it."}
            )
        fits = {"T2": {"similarity": 0.7, "moved": 0.1, "best": True}}
        tell("case", case=name, done=done, total=len(rows), usable="far" not in name,
             problems=problems, fits=fits,
             alike=[name.removesuffix("twin")] if name.endswith("twin") else [])  # fmt: skip
    tell("done", cases=len(rows), usable=len(rows), pairs=len(rows), trouble="")


def estimate(source: Path) -> None:
    plan = json.loads(source.read_text())
    tell("progress", stage="a step with 1 tile", done=1, total=4)
    tell("progress", stage="preparing cases", done=1, total=3, seconds_left=200.0)
    red = plan["data"]["micro_batch"] == 0 and plan["preset"] == "quick"
    yellow = plan["optimiser"]["epochs"] > 5000
    tested = "--rate-test" in sys.argv
    tell(
        "done", verdict="x", light="red" if red else "yellow" if yellow else "green",
        reason="It needs 40.0 GiB; this computer has 16.0 GiB." if red else "It fits.",
        step_seconds=2.0, steps=300, epochs=3.0, total_seconds=600.0, preparing_seconds=20.0,
        need_mb=4000, there_mb=16000, free_mb=12000, measured=True, device="cpu",
        fixes=[FIX] if red else [RATE] if tested else [],
        rate="Proposed: 5.0e-04." if tested else "", cache=os.environ.get("FAKE_CACHE", ""),
    )  # fmt: skip


def main() -> int:
    kind, source = sys.argv[1], Path(sys.argv[2])
    order = source.with_name("FAKE")
    word = order.read_text() if order.exists() else ""
    if word == "hang":
        time.sleep(60)
    if word == "killed":
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    if word == "wrong":
        sys.stderr.write("mhvae-studio: The cohort holds nothing to train on.\n")
        return 2
    {"check": check, "estimate": estimate}[kind](source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
