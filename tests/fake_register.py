"""A registration that searches nothing: the moving volume's modality says how it behaves."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from app.cli.register import add_arguments
from core.io import read


def say(event: str, **values: Any) -> None:
    print(json.dumps({"event": event, **values}), flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(arguments[1:])
    modality, _, path = options.moving.partition("=")
    read(options.fixed.partition("=")[2])
    volume = read(path)
    say("progress", stage="searching", done=1, total=4, seconds_left=3.0)
    if modality == "slow":
        time.sleep(60)
    if modality == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if modality == "wrong":
        say("error", text="wrong (moving.nii): nothing in the field of view.")
        return 2
    assert volume.voxels.any()
    matrix = np.array(options.start).reshape(4, 4)
    matrix[:3, 3] += (1.0, -2.0, 0.5)
    doubtful = modality == "doubtful"
    say(
        "result", kind=options.kind, source=options.method, matrix=matrix.tolist(),
        before=0.25, after=0.75, doubtful=doubtful,
        reason="The best fit is at the edge of the search." if doubtful else "", seconds=1.0,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
