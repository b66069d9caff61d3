"""What is read of a run's log: whole or in pieces, torn anywhere, resumed, long."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_stage import line, make_run, start, step, write_log

from app.training.runs.binning import CurveData, smooth
from app.training.runs.history import CoarseHistory, History
from trainer.run.crash import clean, crash_report
from trainer.run.events import EventReader, read_events
from trainer.run.folder import RunFolder, lock_for, lock_owner
from trainer.run.state import GONE, describe_run

# ---- the log


@st.composite
def torn_logs(draw: st.DrawFn) -> bytes:
    """Attempts that each die anywhere in a line, as RunFolder.log would have written them."""
    data, begun = b"", 0
    for attempt in range(draw(st.integers(1, 4))):
        if data and not data.endswith(b"\n"):
            data += b"\n"
        lines = [start(begun, str(attempt))]
        lines += [step(begun + n, str(attempt)) for n in range(1, draw(st.integers(1, 6)))]
        if draw(st.booleans()):
            lines.append(line("validation", str(attempt), step=lines[-1]["step"], score=20.0))
        text = "".join(json.dumps(each) + "\n" for each in lines).encode()
        data += text[: draw(st.integers(0, len(text)))]
        begun = draw(st.integers(0, lines[-1]["step"]))
    return data + draw(st.binary(max_size=5))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=torn_logs(), cuts=st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_any_torn_log_read_in_any_pieces_is_the_log_read_whole(
    tmp_path: Path, data: bytes, cuts: list[int]
) -> None:
    run = tmp_path / "run"
    run.mkdir(exist_ok=True)
    log = run / "events.jsonl"
    log.write_bytes(b"")
    reader, pieces = EventReader(log), History()
    written = 0
    while written < len(data):
        size = cuts[written % len(cuts)]
        with log.open("ab") as stream:
            stream.write(data[written : written + size])
        written += size
        pieces.add(reader.read(97))
    while reader.behind:
        pieces.add(reader.read(97))
    events = read_events(run)
    assert pieces.steps.get("loss")[0].tolist() == [
        e["step"] for e in events if e["event"] == "step"
    ]
    steps = [e["step"] for e in events if e["event"] == "step"]
    assert steps == sorted(set(steps))
    assert not reader.again
    describe_run(make_marker(run))


def make_marker(run: Path) -> Path:
    (run / "run.json").write_text('{"kind": "mhvae-studio run", "version": 1}')
    return run


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    noise=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=8,
    ),
    name=st.sampled_from(["step", "part", "loss", "event", "text", "preview", "seconds_left", "v"]),
)
def test_strange_values_in_a_log_are_no_obstacle(tmp_path: Path, noise: object, name: str) -> None:
    run = tmp_path / "run"
    if not run.exists():
        make_run(run)
    kinds = [start(), step(1), line("validation", step=1, score=1.0, preview="step-1.png")]
    write_log(run, [*kinds, {**kinds[1], name: noise}, {**kinds[2], name: noise}, step(2)], "w")
    history = History()
    history.add(EventReader(run / "events.jsonl").read(-1))
    assert history.now["step"] >= 2
    assert all("/" not in file for _, file in history.previews)
    assert describe_run(run).state == "interrupted"


def test_a_resumed_attempt_undoes_what_lies_beyond_its_start(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [start(), *(step(n) for n in range(1, 10))])
    write_log(run, [line("validation", step=8, score=9.0, preview="step-8.png")])
    history = History()
    reader = EventReader(run / "events.jsonl")
    history.add(reader.read())
    cuts = history.steps.cuts
    write_log(run, [start(5, "b"), step(6, "b", loss=7.0)])
    history.add(reader.read())
    assert history.steps.get("loss")[0].tolist() == [1, 2, 3, 4, 5, 6]
    assert history.steps.get("loss")[1][-1] == 7.0
    assert history.steps.cuts == cuts + 1
    assert history.previews == []
    assert len(history.validations) == 0


def test_a_log_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [start(), step(1), step(2)])
    reader = EventReader(run / "events.jsonl")
    assert len(reader.read()) == 3
    write_log(run, [start()], "w")
    assert [e["event"] for e in reader.read()] == ["start"]
    assert reader.again


def test_a_term_that_begins_late_has_no_values_before(tmp_path: Path) -> None:
    history = History()
    history.add([start(), step(1), {**step(2), "d/T2/real": 0.5}, step(3)])
    steps, values = history.values("d/T2/real")
    assert steps.tolist() == [2]
    assert values.tolist() == [0.5]


def test_a_long_log_is_outlined_without_undone_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [start(), *(step(n) for n in range(1, 3000))])
    write_log(run, [start(1000, "b"), *(step(n, "b", loss=-1.0) for n in range(1001, 1500))])
    outline, calls = CoarseHistory(run / "events.jsonl", 200), iter(range(10**6))
    assert outline.read(lambda: next(calls) >= 5) is None
    coarse = outline.read(lambda: False)
    assert coarse is not None
    steps, losses = coarse.values("loss")
    assert 50 < len(steps) <= 200
    assert (np.diff(steps) > 0).all()
    assert (losses[steps > 1100] == -1.0).all()
    assert steps[-1] > 1450


# ---- the state


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ([], "new"),
        ([start(), step(4)], "interrupted"),
        ([start(), step(4), line("end", step=4, state="paused")], "paused"),
        ([start(), step(4), line("end", step=4, state="terminated")], "terminated"),
        ([start(), step(4), line("end", step=4, state="finished")], "finished"),
        ([start(), step(4), line("failed", step=4, reason="It diverged.")], "failed"),
        ([line("preparing", done=1, total=9)], "interrupted"),
    ],
)
def test_the_state_follows_from_log_and_lock(
    tmp_path: Path, lines: list[dict[str, object]], state: str
) -> None:
    run = make_run(tmp_path / "run", lines)
    info = describe_run(run)
    assert info.state == state
    assert info.resumable == (state != "finished")
    if state == "interrupted":
        assert info.reason == GONE
    if state == "failed":
        assert info.reason == "It diverged."
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lock_for(run, child.pid)
        assert describe_run(run).state == "waiting"  # it has not said anything yet
        assert lock_owner(run) == child.pid
    finally:
        child.kill()
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
    assert describe_run(run).state == state


def test_a_run_locked_for_a_process_is_taken_over_by_it_and_nobody_else(tmp_path: Path) -> None:
    import os

    run = make_run(tmp_path / "run")
    lock_for(run, os.getpid())
    with RunFolder.open(run) as folder:
        folder.log("start", step=0)
        assert describe_run(run).state == "running"


# ---- crash report


def test_a_crash_leaves_its_words_without_names_and_paths(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    secret = tmp_path / "Miller" / "Case7-T2.nii.gz"
    with pytest.raises(OSError, match="Miller"), RunFolder.open(run):
        raise OSError(f"cannot map {secret}: no memory")
    words = crash_report(run)
    assert "OSError" in words
    assert "no memory" in words
    assert "Miller" not in words
    assert str(tmp_path) not in words
    info = describe_run(run)
    assert info.state == "failed"
    assert "no memory" in info.reason


def test_a_fatal_signal_leaves_where_it_happened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    code = (
        "import sys, ctypes; from pathlib import Path; from trainer.run.folder import RunFolder\n"
        "with RunFolder.open(Path(sys.argv[1])): ctypes.string_at(0)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code, str(run)], cwd=root, stderr=subprocess.PIPE)
    assert done.returncode != 0
    words = describe_run(run).words
    assert "Fatal Python error" in words or "Windows fatal exception" in words
    assert "string_at" in words
    assert str(root) not in words
    assert not (run / ".fault").exists()
    with RunFolder.open(run):
        pass  # the next attempt begins without old words
    assert crash_report(run) == ""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("no space in /home/miller/runs/a b", "no space in <path> b"),
        (r"cannot open C:\Users\Miller\x.bin", "cannot open <path>"),
        ("Anna-T2.nii.gz is damaged", "<file> is damaged"),
        ("l1/T2/iUS is 0.5 and/or nan", "l1/T2/iUS is 0.5 and/or nan"),
        ('File "/opt/p/trainer/loop/loop.py", line 3 in f', "trainer.loop.loop, line 3 in f"),
    ],
)
def test_cleaning(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


# ---- curves


@settings(max_examples=40, deadline=None)
@given(
    pieces=st.lists(st.integers(0, 90), min_size=1, max_size=8),
    width=st.sampled_from([1, 3, 10, 50]),
    seed=st.integers(0, 9),
)
def test_a_curve_that_grew_is_the_curve_made_at_once(
    pieces: list[int], width: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    y = random.normal(size=sum(pieces))
    y[random.random(len(y)) < 0.1] = np.nan
    x = np.arange(len(y)) * 10
    grown, at_once = CurveData(), CurveData()
    done = 0
    for size in pieces:
        grown.extend(x[done : done + size], y[done : done + size], width)
        done += size
    at_once.extend(x, y, width)
    for pixels in (1, 7, 1000):
        for a, b in zip(grown.points(0, 10**4, pixels), at_once.points(0, 10**4, pixels),
                        strict=True):  # fmt: skip
            np.testing.assert_allclose(a, b, atol=1e-9)
    np.testing.assert_allclose(at_once.points(0, 10**6, 10**4)[1], smooth(y, width), atol=1e-9)


def test_binning_keeps_every_peak_and_the_place_of_every_value() -> None:
    y = np.zeros(100_000)
    y[[17, 50_003, 99_998]] = 5, -3, 4
    curve = CurveData()
    curve.extend(np.arange(100_000), y)
    began = time.process_time()
    x, shown = curve.points(0, 100_000, 500)
    assert time.process_time() - began < 0.05
    assert len(x) <= 1004
    for place, value in ((17, 5), (50_003, -3), (99_998, 4)):
        assert np.abs(x[shown == value] - place).min() <= 200
    x, shown = curve.points(49_990, 50_010, 500)
    assert shown[x == 50_003].tolist() == [-3]
    kept = shown.copy()
    curve.extend(np.zeros(0), np.zeros(0), 50)  # smoothing must not reach what is drawn already
    assert shown.tolist() == kept.tolist()
    curve.extend(np.zeros(0), np.zeros(0), 1)
    assert curve.at(50_003.4) == (50_003, -3)
    assert curve.at(10**9) == (99_999, 0)
    assert CurveData().at(3) is None
