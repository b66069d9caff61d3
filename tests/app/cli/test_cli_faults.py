"""What a full disk, a vanished file or Ctrl+C leave behind, and what the command says then."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from app import cli
from core.child_process import child_environment, python_module
from core.grid import Grid
from core.io import write
from core.volume import Volume
from core.worker_pool import worker_pool
from trainer.commands import train as train_command
from trainer.loop.loop import Outcome


def command(*arguments: object, room: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the program; with ``room``, no file may become larger (bytes), as on a full disk."""

    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return subprocess.run(
        [*python_module("app"), *map(str, arguments)],
        env=child_environment(), capture_output=True, text=True, timeout=200,
        preexec_fn=limited if room else None,
    )  # fmt: skip


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last line of what was said, after looking for a traceback."""
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.splitlines()[-1]


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = tmp_path / "cohort"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for case in ("Case1", "Case2"):
        for m in ("T2", "iUS"):
            values = rng.normal(100, 20, (24, 24, 24)).astype(np.float32)
            write(
                Volume(values, Grid((24, 24, 24), np.diag([4.0, 4, 4, 1])), m),
                folder / f"{case}-{m}.nii.gz",
            )
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_full_disk_is_found_before_the_work(cohort: Path, tmp_path: Path) -> None:
    for arguments in (
        ("prepare", cohort),
        ("simulate", "--cases", 1),
        ("synthesize", "--input", f"T2={cohort / 'Case1-T2.nii.gz'}"),
        ("evaluate", cohort, "--model", "none.safetensors"),
    ):
        done = command(*arguments, "--out", tmp_path / "out", room=40_000)
        assert done.returncode == 2, done.stderr
        assert "results cannot be written there" in sentence(done)


@pytest.mark.skipif(sys.platform == "win32", reason="a folder's place is taken by a file")
def test_a_disk_that_fills_up_is_a_sentence_and_keeps_what_is_finished(
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    common = ["prepare", str(cohort), "--out", str(out), "--spacing", "4", "--workers", "1"]
    real = os.replace

    def full(part: Path, target: Path) -> None:
        if Path(target).name == "Case2-T2.nii.gz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        real(part, target)

    monkeypatch.setattr(os, "replace", full)
    assert cli.main(common) == 0
    assert (
        "Case2-T2.nii.gz: expected to read or write it; the disk is full" in capsys.readouterr().out
    )
    monkeypatch.setattr(os, "replace", real)
    assert not list(out.glob(".part*"))
    assert cli.main([*common, "--json"]) == 0
    assert '"kept": 1' in capsys.readouterr().out

    def nothing(part: Path, target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(target))

    monkeypatch.setattr(os, "replace", nothing)
    shutil.rmtree(out)
    assert cli.main(common) == 2
    assert "the disk is read-only" in capsys.readouterr().err


def test_a_cohort_of_which_nothing_could_be_done_says_so_by_its_status(
    cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    for path in cohort.glob("*-T2.nii.gz"):
        path.write_bytes(b"broken")
    assert cli.main(["synthesize", "--cohort", str(cohort), "--target", "iUS", "--out", out]) == 1
    for path in cohort.glob("*-iUS.nii.gz"):
        path.write_bytes(b"broken")
    assert cli.main(["prepare", str(cohort), "--out", out, "--workers", "1"]) == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped; what is finished is kept"),
        (MemoryError(), 1, "want of memory"),
        (FileNotFoundError(errno.ENOENT, "gone", "/somewhere/Case1-T2.nii.gz"), 2, "or no longer"),
    ],
)
def test_what_reaches_the_top_is_a_sentence(
    error: BaseException, status: int, said: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr("app.cli.self_test.run", fail)
    assert cli.main(["self-test"]) == status
    told = capsys.readouterr().err
    assert said in told
    assert "/somewhere" not in told


def test_a_defect_is_not_told_as_the_user_s_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> int:
        raise OSError("nothing the system said")

    monkeypatch.setattr("app.cli.self_test.run", fail)
    with pytest.raises(OSError, match="nothing the system said"):
        cli.main(["self-test"])


def wait_for_workers(pid: int, count: int) -> None:
    """Wait until so many workers ignore Ctrl+C: from then on they are at work."""
    if sys.platform != "linux":
        time.sleep(8)
        return
    end = time.monotonic() + 60
    while time.monotonic() < end:
        ready = 0
        for child in psutil.Process(pid).children():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{child.pid}/status").read_text()
                ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
                ready += bool(ignored >> (signal.SIGINT - 1) & 1)
        if ready >= count:
            return
        time.sleep(0.1)
    raise AssertionError("the workers did not begin")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl+C is another thing there")
def test_ctrl_c_waits_for_no_worker(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*python_module("app"), "simulate", "--cases", "8", "--workers", "2", "--spacing", "0.5",
         "--out", str(tmp_path / "out")],
        env=child_environment(), stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A shell that started the tests in the background may have had Ctrl+C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        wait_for_workers(process.pid, 2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        began = time.monotonic()
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert time.monotonic() - began < 10
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("mhvae-studio: stopped")


def test_workers_end_with_the_block_that_failed() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError), worker_pool(1) as pool:
        pool.submit(time.sleep, 100).result(timeout=3)
    assert time.monotonic() - began < 30


def test_a_training_stopped_from_outside_exits_as_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.loop.loop.train", lambda *_, **__: Outcome("terminated", 3, None))
    monkeypatch.setattr(train_command, "plan_for", lambda *_, **__: None)
    assert cli.main(["train", str(tmp_path), "--out", str(tmp_path / "run")]) == 130
