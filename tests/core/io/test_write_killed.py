"""kill -9 in the middle of writing a volume: the old file stays whole, or there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.grid import Grid
from core.io import WRITTEN, read, write
from core.volume import Volume

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no kill -9 there")

CHILD = """
import os, sys, time
from pathlib import Path
import numpy as np
import core.io.writer as writer
from core.grid import Grid
from core.volume import Volume

path, phase = Path(sys.argv[1]), sys.argv[2]

def hang():
    print("middle", flush=True)
    time.sleep(60)

if phase == "half written":
    for name in ("_write_nifti", "_write_plain"):
        def half(volume, draft, *rest, whole=getattr(writer, name)):
            whole(volume, draft, *rest)
            data = draft.read_bytes()
            draft.write_bytes(data[: len(data) // 2])
            hang()
        setattr(writer, name, half)
elif phase == "written, not compared":
    writer._compare = lambda *_: hang()
else:
    move = os.replace
    def replace(source, target):
        if Path(target) == path:
            hang()
        move(source, target)
    writer.os.replace = replace
voxels = np.full((30, 20, 10), 2, np.float32)
marks = {"seed": 2}
writer.write(Volume(voxels, Grid(voxels.shape, np.eye(4)), synthetic=True), path, marks=marks)
"""
PHASES = ("half written", "written, not compared", "compared, not in place")


@pytest.mark.parametrize("suffix", WRITTEN)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("old", [True, False])
def test_a_killed_save_leaves_the_old_file_whole_or_none(
    tmp_path: Path, suffix: str, phase: str, old: bool
) -> None:
    path = tmp_path / f"result{suffix}"
    before = np.full((30, 20, 10), 1, np.float32)
    if old:
        write(Volume(before, Grid(before.shape, np.eye(4))), path, marks={"seed": 1})
    kept = path.read_bytes() if old else b""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), phase], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "middle\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    if not old:
        assert not path.exists()
    else:
        assert path.read_bytes() == kept
        np.testing.assert_array_equal(read(path).voxels, before)
        beside = tmp_path / "result.json"
        # What stands beside a file is about that file, or there is nothing.
        assert not beside.exists() or json.loads(beside.read_text())["seed"] == 1
        assert beside.exists() or phase == PHASES[-1]
    after = np.full((30, 20, 10), 3, np.float32)
    write(Volume(after, Grid(after.shape, np.eye(4))), path)  # what was left is in nobody's way
    np.testing.assert_array_equal(read(path).voxels, after)
