"""Threads, the engine process, and how the window survives what happens to them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from shell_stage import left_behind, watch_pids

from app.processes.client import EngineClient
from app.processes.engine_job import EngineJob, Failure
from app.processes.jobs import ChildProcess, Jobs, program_command
from app.processes.protocol import LIMIT, JsonLines, ProtocolError, Unpacker, pack
from app.processes.shared_memory import SharedArray, drop_arrays
from core.errors import UserError
from core.grid import Grid
from core.volume import Volume

FAKE = [sys.executable, str(Path(__file__).parents[2] / "fake_engine.py")]


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs()
    yield made
    made.close()


@pytest.fixture
def client(jobs: Jobs) -> Iterator[EngineClient]:
    made = EngineClient(jobs, lambda: FAKE)
    pids = watch_pids(made)
    yield made
    made.close()
    assert left_behind(pids) == []


def volume(seed: int = 0) -> Volume:
    voxels = np.random.default_rng(seed).random((6, 5, 4), dtype=np.float32)
    return Volume(voxels, Grid((6, 5, 4), np.diag((1, 2, 3, 1))), "T2", "T2.nii.gz")


def task(model: str, **more: Any) -> dict[str, Any]:
    base = {"subset": ["T2"], "targets": ["iUS"], "samples": 1, "seed": 0, "model": model}
    return {**base, **more}


def outcome(qtbot: QtBot, job: EngineJob) -> tuple[str, Any]:
    """Wait for the end of a job and say which one it was."""
    ends: list[tuple[str, Any]] = []
    job.prepared.connect(drop_arrays)
    job.finished.connect(lambda m: ends.append(("finished", m)))
    job.failed.connect(lambda f: ends.append(("failed", f)))
    job.cancelled.connect(lambda: ends.append(("cancelled", None)))
    qtbot.waitUntil(lambda: bool(ends), timeout=10_000)
    return ends[0]


def test_messages_survive_any_cut() -> None:
    messages = [{"type": "a", "x": "é" * n} for n in (0, 3, 500)]
    data = b"".join(pack(m) for m in messages)
    for step in (1, 7, len(data)):
        unpacker = Unpacker()
        found = [m for n in range(0, len(data), step) for m in unpacker.feed(data[n : n + step])]
        assert found == messages


@pytest.mark.parametrize(
    "data", [b"Hello, I am a library that prints", b"\x02\x00\x00\x00[]", b"\x01\x00\x00\x00{"]
)
def test_noise_on_the_pipe_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Unpacker().feed(data)
    with pytest.raises(ProtocolError):
        pack({"type": "x", "y": "z" * LIMIT})


def test_a_shared_array_lives_while_anybody_looks() -> None:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    ours = SharedArray.copy_of(values)
    theirs = SharedArray.attach(ours.spec)
    view = theirs.array[1]
    ours.array[1, 0, 0] = 99
    ours.release()
    theirs.release()
    assert view[0, 0] == 99
    with pytest.raises(FileNotFoundError):
        SharedArray.attach(ours.spec)


def test_no_descriptor_is_left_behind() -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        SharedArray.attach(SharedArray.create((8, 8)).spec)
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after <= before + 4


def test_threads_report_to_the_window(qtbot: QtBot, jobs: Jobs) -> None:
    done: list[int] = []
    said: list[str] = []

    def fail() -> int:
        raise UserError("b.nii: not an image.")

    jobs.submit("Reading a", lambda: 42, done.append, said.append)
    jobs.submit("Reading b", fail, done.append, said.append)
    dropped = jobs.submit("Reading c", lambda: 43, done.append, said.append)
    jobs.drop(dropped)
    qtbot.waitUntil(lambda: not jobs.busy)
    assert done == [42]
    assert said == ["b.nii: not an image."]


def test_a_run_fills_shared_memory_slice_by_slice(qtbot: QtBot, client: EngineClient) -> None:
    job = client.submit("run", task("ok"), {"T2": volume()})
    arrays: list[SharedArray] = []
    seen: list[int] = []
    job.prepared.connect(lambda m: arrays.append(SharedArray.attach(m["arrays"]["iUS"])))
    job.progressed.connect(lambda m: seen.append(m["done"]))
    end, message = outcome(qtbot, job)
    assert end == "finished"
    assert seen == [1, 2, 3, 4]
    assert message["results"]["iUS"]["metrics"] == {}
    assert (arrays[0].array == 10 * np.arange(4)).all()
    again = client.submit("run", task("ok"), {"T2": volume(1)})
    assert outcome(qtbot, again)[0] == "finished"


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ("crash", "crashed", "Segmentation something"),
        ("killed", "killed", "memory ran out"),
        ("memory", "memory", "did not fit"),
        ("user", "user", "every voxel is zero"),
        ("defect", "defect", "ValueError"),
    ],
)
def test_failures_become_sentences_and_a_working_engine(
    qtbot: QtBot, client: EngineClient, model: str, kind: str, words: str
) -> None:
    data = volume()
    end, failure = outcome(qtbot, client.submit("run", task(model), {"T2": data}))
    assert end == "failed"
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert words in failure.sentence
    assert failure.about_memory == (kind in ("memory", "killed"))
    assert outcome(qtbot, client.submit("run", task("ok"), {"T2": data}))[0] == "finished"


@pytest.mark.parametrize("model", ["slow", "stuck"])
def test_cancel_answers_at_once_and_the_next_job_runs(
    qtbot: QtBot, client: EngineClient, model: str
) -> None:
    client._impatience.setInterval(1000)
    job = client.submit("run", task(model), {"T2": volume()})
    job.prepared.connect(drop_arrays)
    with qtbot.waitSignal(job.prepared, timeout=10_000):
        pass
    old = client.pid
    with qtbot.waitSignal(job.cancelled, timeout=0, raising=False) as said:
        job.cancel()
    assert said.signal_triggered
    # A job that waits behind a stuck one is handed to the engine that replaces it.
    again = client.submit("run", task("ok"), {"T2": volume(1)})
    assert outcome(qtbot, again)[0] == "finished"
    assert (client.pid == old) == (model == "slow")


def test_a_cancelled_run_leaves_no_shared_memory(qtbot: QtBot, client: EngineClient) -> None:
    data = volume()
    job = client.submit("run", task("slow"), {"T2": data})
    qtbot.waitUntil(lambda: job.sent, timeout=10_000)
    job.cancel()  # before the engine has said where its arrays are
    dropped: list[str] = []
    assert client._child is not None
    client._child.message.connect(
        lambda m: dropped.extend(a["name"] for a in m.get("arrays", {}).values())
    )
    qtbot.waitUntil(lambda: client.state == "ready", timeout=10_000)
    for name in dropped:
        with pytest.raises(FileNotFoundError):
            SharedArray.attach({"name": name, "shape": [1], "dtype": "float32"})


def test_an_engine_that_always_dies_is_not_started_for_ever(qtbot: QtBot, jobs: Jobs) -> None:
    client = EngineClient(jobs, lambda: [sys.executable, "-c", "raise SystemExit('no torch')"])
    said: list[str] = []
    client.engine_lost.connect(said.append)
    client.start()
    qtbot.waitUntil(lambda: len(said) >= 3, timeout=10_000)
    qtbot.wait(200)
    assert len(said) == 3
    assert "no torch" in said[0]
    assert client.state == "off"
    client.close()


def test_a_missing_program_is_one_sentence(qtbot: QtBot, jobs: Jobs) -> None:
    client = EngineClient(jobs, lambda: ["/nowhere/engine"])
    end, failure = outcome(qtbot, client.submit("run", task("ok"), {}))
    assert end == "failed"
    assert "could not be started" in failure.sentence
    client.close()


def test_the_engine_leaves_with_its_window(qtbot: QtBot, client: EngineClient) -> None:
    client.start()
    qtbot.waitUntil(lambda: client.state == "ready", timeout=10_000)
    pid = client.pid
    client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_events_of_a_command_survive_any_cut_and_noise_is_refused() -> None:
    events = [{"event": "case", "text": "é" * n} for n in (0, 3, 500)]
    data = b"\n".join(json.dumps(e, ensure_ascii=False).encode() for e in events) + b"\n"
    for step in (1, 7, len(data)):
        lines = JsonLines()
        found = [e for n in range(0, len(data), step) for e in lines.feed(data[n : n + step])]
        assert found == events
    for noise in (b"hello\n", b"[]\n", b"{}\n"):
        with pytest.raises(ProtocolError):
            JsonLines().feed(noise)


def test_a_command_is_a_child_that_speaks_in_lines(qtbot: QtBot) -> None:
    child = ChildProcess(program_command(["--version"]), feed=JsonLines())
    with qtbot.waitSignal(child.ended, timeout=30_000) as ended:
        child.start()
    assert ended.args[0].status == "crashed"  # a version is no event
    child = ChildProcess([sys.executable, "-c", "print('hello')"], feed=JsonLines())
    child.kill = lambda: None  # type: ignore[method-assign]  # it leaves by itself, in order
    with qtbot.waitSignal(child.ended, timeout=30_000) as ended:
        child.start()
    assert ended.args[0].status == "crashed"
    said: list[dict[str, Any]] = []
    script = "import json; print(json.dumps({'event': 'done'}))"
    child = ChildProcess([sys.executable, "-c", script], feed=JsonLines())
    child.message.connect(said.append)
    with qtbot.waitSignal(child.ended, timeout=30_000) as ended:
        child.start()
    assert (ended.args[0].status, said) == ("finished", [{"event": "done"}])
