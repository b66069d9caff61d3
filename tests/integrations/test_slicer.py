"""The 3D Slicer module: its calls of the program, and its form over stand-ins for Slicer."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest

from app.cli import synthesize

HERE = Path(__file__).resolve().parents[2] / "integrations" / "slicer" / "MHVAEStudio"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")


@pytest.fixture
def it(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of pure functions."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("mhvae_command")


def program(folder: Path, body: str) -> Path:
    """Write a stand-in for the program."""
    path = folder / "mhvae-studio"
    path.write_text(f"#!{sys.executable}\nimport sys, time, json, os, signal\n{body}\n")
    path.chmod(0o755)
    return path


def ended(call: Any) -> tuple[list[Any], Any]:
    steps: list[Any] = []
    for _ in range(600):
        new, result = call.poll()
        steps += new
        if result is not None:
            return steps, result
        time.sleep(0.05)
    raise AssertionError("it does not end")


def test_the_call_is_one_the_program_takes(it: ModuleType, tmp_path: Path) -> None:
    order = it.Order(
        {"T2": tmp_path / "a b.mha"}, "iUS", tmp_path / "out", "simulated-1mm", 4, 1.0, 7
    )
    words = it.command(Path("mhvae-studio"), order)
    parser = argparse.ArgumentParser()
    synthesize.add_arguments(parser)
    args = parser.parse_args(words[2:])
    assert words[1] == "synthesize"
    assert args.input == [f"T2={tmp_path / 'a b.mha'}"]
    assert (args.target, args.out, args.format) == (["iUS"], tmp_path / "out", "mha")
    assert (args.samples, args.temperature, args.seed, args.json) == (4, 1.0, 7, True)
    with pytest.raises(it.CommandError, match="none is chosen"):
        it.command(Path("x"), it.Order({}, "iUS", tmp_path))
    with pytest.raises(it.CommandError, match="input and the output"):
        it.command(Path("x"), it.Order({"T2": tmp_path}, "T2", tmp_path))


def test_the_program_is_found(
    it: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(it.CommandError, match="pipx install"):
        it.find_program("", tmp_path)
    usual = tmp_path / ".local" / "bin"
    usual.mkdir(parents=True)
    path = program(usual, "")
    assert it.find_program("", tmp_path) == path
    monkeypatch.setenv("PATH", str(usual))
    assert it.find_program("", tmp_path / "other") == path
    assert it.find_program(str(path)) == path
    path.chmod(0o644)
    with pytest.raises(it.CommandError, match="no file that can be run"):
        it.find_program(str(path))


def test_the_hosts_python_is_kept_out(it: ModuleType) -> None:
    kept = it.environment({"PYTHONHOME": "/slicer", "LD_LIBRARY_PATH": "/slicer", "HOME": "/me"})
    assert kept == {"HOME": "/me"}


def test_a_call_is_followed_to_its_result(it: ModuleType, tmp_path: Path) -> None:
    made = tmp_path / "synthetic-iUS.mha"
    made.touch()
    told = {"outputs": {"synthetic iUS": str(made)}, "notice": "Synthetic.", "warnings": ["Dim."]}
    path = program(
        tmp_path,
        f"""
sys.stderr.write("read: 1 s\\nsynthesising: 3 of 12 (25 %), 9 s left\\n")
sys.stderr.write("synthesising: 12 of 12 (100 %)\\n")
print({json.dumps(told)!r})
""",
    )
    steps, result = ended(it.Call([str(path)], dict(os.environ)))
    assert steps == [it.Progress("synthesising", 3, 12, "9 s"), it.Progress("synthesising", 12, 12)]
    assert result.done
    assert (result.sentence, result.warnings) == ("Synthetic.", ("Dim.",))
    assert result.outputs == {"synthetic iUS": made}
    made.unlink()
    _, result = ended(it.Call([str(path)], dict(os.environ)))
    assert not result.done
    assert "not there" in result.sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("sys.stderr.write('mhvae-studio: a.mha: expected a T2.\\n'); sys.exit(2)",
         "a.mha: expected a T2."),
        ("sys.stderr.write('Traceback\\nValueError: x\\n'); sys.exit(1)",
         "mhvae-studio ended with status 1. ValueError: x"),
        ("sys.exit(130)", "Cancelled; nothing was changed."),
        ("os.kill(os.getpid(), signal.SIGKILL)", "want of memory"),
        ("print('hello')", "older or newer"),
        ("", "older or newer"),
    ],
)  # fmt: skip
def test_every_end_is_a_sentence(it: ModuleType, tmp_path: Path, body: str, sentence: str) -> None:
    _, result = ended(it.Call([str(program(tmp_path, body))], dict(os.environ)))
    assert not result.done
    assert sentence in result.sentence


def test_a_call_is_cancelled(it: ModuleType, tmp_path: Path) -> None:
    call = it.Call([str(program(tmp_path, "time.sleep(60)"))], dict(os.environ))
    assert call.poll() == ([], None)
    call.cancel()
    _, result = ended(call)
    assert result.sentence.startswith("Cancelled")
    deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    call = it.Call([str(program(tmp_path, deaf))], dict(os.environ))
    call.kill()
    assert ended(call)[1].sentence.startswith("Cancelled")
    with pytest.raises(it.CommandError, match="could not be started"):
        it.Call([str(tmp_path / "none")], {})


def test_what_slicers_python_must_read_is_old_enough() -> None:
    for path in HERE.glob("*.py"):
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


class _Base:
    """In place of Slicer's base classes."""

    def __init__(self, *_: Any) -> None:
        self.layout = MagicMock()

    def setup(self) -> None:
        pass


@pytest.fixture
def widget(monkeypatch: pytest.MonkeyPatch, it: ModuleType) -> Iterator[Any]:
    """The form, in a Slicer of stand-ins."""
    base = MagicMock(ScriptedLoadableModule=_Base, ScriptedLoadableModuleLogic=_Base,
                     ScriptedLoadableModuleWidget=_Base)  # fmt: skip
    slicer = MagicMock()
    slicer.util.startupEnvironment = lambda: dict(os.environ)
    slicer.util.saveNode = lambda node, path: bool(Path(path).write_text("mha"))
    slicer.qMRMLNodeComboBox.side_effect = lambda: MagicMock()
    qt = MagicMock()
    for name, module in (("slicer", slicer), ("qt", qt), ("ctk", MagicMock()),
                         ("slicer.ScriptedLoadableModule", base)):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "MHVAEStudio", raising=False)
    made = importlib.import_module("MHVAEStudio").MHVAEStudioWidget()
    made.setup()
    made.slicer = slicer
    yield made
    made.cleanup()
    sys.modules.pop("MHVAEStudio", None)


def test_the_form_runs_and_loads_what_was_made(widget: Any, tmp_path: Path) -> None:
    made = tmp_path / "synthetic-iUS.mha"
    made.touch()
    told = {"outputs": {"synthetic iUS": str(made)}, "notice": "Synthetic."}
    widget.program.currentPath = str(program(tmp_path, f"print({json.dumps(told)!r})"))
    widget.target.currentText = "iUS"
    widget.samples.value = 1
    widget.inputs["iUS"].currentNode.return_value = None
    widget.on_button()
    folder = Path(widget.logic._folder)
    assert (folder / "T2.mha").is_file()
    assert widget.button.text == "Cancel"
    for _ in range(200):
        widget.on_timer()
        if widget.logic.call is None:
            break
        time.sleep(0.05)
    widget.slicer.util.loadVolume.assert_called_once_with(str(made))
    name = widget.slicer.util.loadVolume.return_value.SetName.call_args[0][0]
    assert "SYNTHETIC" in name
    assert widget.button.text == "Run"
    assert not folder.exists()


def test_the_form_shows_errors(widget: Any, tmp_path: Path) -> None:
    widget.program.currentPath = str(tmp_path / "none")
    widget.target.currentText = "iUS"
    widget.on_button()
    assert "can be run" in widget.slicer.util.errorDisplay.call_args[0][0]
    assert widget.logic.call is None
