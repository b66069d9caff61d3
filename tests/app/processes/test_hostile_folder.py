"""The window's children start although the working folder holds an ``app.py``."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hostile_folder import stand_in
from pytestqt.qtbot import QtBot

from app.processes.client import EngineClient
from app.processes.jobs import ChildProcess, Jobs, detach, engine_command, program_command


def test_the_engine_starts(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = stand_in(tmp_path, monkeypatch)
    jobs = Jobs()
    engine = EngineClient(jobs, engine_command)
    lost: list[str] = []
    engine.engine_lost.connect(lost.append)
    try:
        engine.start()
        qtbot.waitUntil(lambda: bool(lost) or engine.state == "ready", timeout=90_000)
    finally:
        jobs.close()
        engine.close()
    assert lost == []
    assert not said.exists()


def test_commands_start(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = stand_in(tmp_path, monkeypatch)
    child = ChildProcess(program_command(["runs", str(tmp_path), "--json"]))
    with qtbot.waitSignal(child.ended, timeout=60_000):
        child.start()
    assert not said.exists()


def test_detached_processes_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = stand_in(tmp_path, monkeypatch)
    errors = tmp_path / "errors.txt"
    assert detach(
        program_command(["train", str(tmp_path / "none.json"), "--out", str(tmp_path / "run")]),
        errors,
    )
    end = time.monotonic() + 60
    while "none.json" not in errors.read_text() and time.monotonic() < end:
        time.sleep(0.1)
    assert "none.json" in errors.read_text()
    assert not said.exists()
