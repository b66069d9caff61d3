"""Curves for other programs: every number of the log, at its step, in a CSV and for TensorBoard."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c
from trainer_cohort import tiny_plan, write_cohort

from trainer.__main__ import main
from trainer.errors import TrainerError
from trainer.loop.loop import train
from trainer.run.curves import TensorBoard, board_name, curves, point_of


def scalars(run: Path) -> dict[tuple[str, int], float]:
    """Read event files back: (curve, step) → value, by the format's own rules."""
    found = {}
    for path in sorted((run / "tensorboard").iterdir()):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            assert masked_crc32c(data[at : at + 8]) == int.from_bytes(
                data[at + 8 : at + 12], "little"
            )
            event = Event.FromString(data[at + 12 : at + 12 + length])
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
            at += 16 + length
    return found


def test_the_curves_of_a_run_are_those_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    plan = tiny_plan(write_cohort(tmp_path / "cohort", 3), optimiser__steps=6, loss__gan=0)
    plan = plan.override({"log.tensorboard": True, "log.validate_steps": 3})
    train(plan, run, say=lambda _: None)
    points = curves(run)
    expected = {(name, p.step): v for p in points for name, v in p.values.items()}
    assert ("train/loss", 6) in expected
    assert ("validation/score", 3) in expected
    shown = {(board_name(name), step): v for (name, step), v in expected.items()}
    live = scalars(run)
    assert live.keys() >= {key for key in expected if key[0] in ("train/loss", "validation/score")}
    for key, value in live.items():
        assert value == pytest.approx(shown[key], rel=1e-5)

    assert main(["runs", str(run), "--curves", "csv", "--curves", "tensorboard"]) == 0
    assert capsys.readouterr().out.split() == [str(run / "curves.csv"), str(run / "tensorboard")]
    assert scalars(run) == pytest.approx(shown, rel=1e-5)
    with (run / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(points)
    told = {(n, int(r["step"])): float(v) for r in rows for n, v in r.items()
            if v and n not in ("step", "time")}  # fmt: skip
    assert told == pytest.approx(expected)


def test_without_the_package_the_sentence_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(TrainerError, match=r"pip install 'mhvae-studio\[tensorboard\]'"):
        TensorBoard(tmp_path)


def test_what_is_no_number_is_no_curve() -> None:
    step = {"event": "step", "step": 1, "time": 2.0, "loss": 3, "why": "x", "whole": True}
    point = point_of(step)
    assert point is not None
    assert (point.step, point.time, dict(point.values)) == (1, 2.0, {"train/loss": 3.0})
    assert point_of({"event": "start", "step": 0, "time": 1.0}) is None
