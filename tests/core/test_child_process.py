"""What lies in the user's working folder is never run by a child of the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from hostile_folder import stand_in
from volume_files import minc2

import core
from core.child_process import child_environment, python_module
from core.io import native, read
from core.volume import Volume
from core.worker_pool import worker_pool

ROOT = Path(core.__file__).parents[1]


def test_a_hostile_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the safe path the file is run: else the other tests would prove nothing."""
    said = stand_in(tmp_path, monkeypatch)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    done = subprocess.run([sys.executable, "-m", "app", "--version"], capture_output=True)
    assert done.returncode == 9
    assert said.read_text() == "app.py\n"


def test_a_module_of_ours_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = stand_in(tmp_path, monkeypatch)
    command = [*python_module("app"), "--version"]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("mhvae-studio ")
    assert not said.exists()


def test_the_environment_alone_keeps_the_childrens_children_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stand_in(tmp_path, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "elsewhere", ""]))
    environment = child_environment()
    assert environment["PYTHONPATH"] == os.pathsep.join([str(ROOT), "elsewhere"])
    code = "import app, core, random, numpy; print(app.__file__, core.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(str(ROOT)) == 2
    assert not said.exists()


def test_worker_processes_are_safe_and_leave_the_environment_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stand_in(tmp_path, monkeypatch)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    with worker_pool(1) as pool:
        assert pool.submit(os.path.basename, "a/b").result() == "b"
    assert "PYTHONSAFEPATH" not in os.environ
    assert not said.exists()


def test_the_decoder_starts_in_a_hostile_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mnc"
    minc2(path)
    said = stand_in(tmp_path, monkeypatch)
    native.close()
    try:
        volume = read(path)
    finally:
        native.close()
    assert isinstance(volume, Volume)
    assert np.isfinite(volume.voxels).all()
    assert not said.exists()


PARENT = """
import os, time
from core.worker_pool import worker_pool

if __name__ == "__main__":
    with worker_pool(2) as pool:
        print(*{pool.submit(os.getpid).result() for _ in range(20)}, flush=True)
        time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="no kill -9 there")
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env=child_environment()
    )
    assert parent.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs(workers, timeout=20)[1] == []
