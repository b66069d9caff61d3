"""One version in every place that says it; what is downloaded is the same bytes each time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.cli import main
from app.shell.file_events import FileEvents
from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig
from core.torch_build import torch_build
from core.version import __version__

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "packaging"))

import packed_library  # noqa: E402


def test_the_version_is_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.split() == ["mhvae-studio", __version__]
    assert Bundle(MHVAEConfig()).program == __version__
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert cited is not None
    assert cited[1] == __version__
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert 'path = "core/version.py"' in project


def test_the_build_of_torch_is_told_without_importing_it() -> None:
    words = "import sys; from core.torch_build import torch_build; torch_build()"
    code = f"{words}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
    import torch

    build = torch_build()
    assert (build.version, build.cuda) == (torch.__version__, torch.version.cuda)
    assert build.words.startswith("CUDA" if torch.version.cuda else "CPU")


def test_a_packed_library_comes_back_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_library, "PIECE", 1 << 16)
    whole = tmp_path / "library.so"
    whole.write_bytes(os.urandom(70_000) + bytes(200_000) + b"end")
    packed_library.pack(whole, tmp_path / "packed")
    assert (tmp_path / "packed").stat().st_size < 120_000
    with (tmp_path / "back").open("wb") as file:
        packed_library.unpack(tmp_path / "packed", file.fileno())
    assert (tmp_path / "back").read_bytes() == whole.read_bytes()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="only the Linux package is packed")
@pytest.mark.parametrize("in_memory", [True, False])
def test_a_packed_module_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    import psutil._psutil_linux as real

    monkeypatch.setattr(packed_library, "MODULE", "psutil._psutil_linux")
    packed_library.pack(Path(str(real.__file__)), tmp_path / "packed")
    if not in_memory:
        _refuse_memory(monkeypatch)
    finder = packed_library.Finder(tmp_path / "packed")
    assert finder.find_spec("psutil", None) is None
    spec = finder.find_spec("psutil._psutil_linux", None)
    assert spec is not None
    assert spec.loader is not None
    module = spec.loader.create_module(spec)
    assert module is not None
    assert module is not real


def _refuse_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    create: Callable[[ExtensionFileLoader, ModuleSpec], object] = ExtensionFileLoader.create_module

    def refuse(self: ExtensionFileLoader, spec: ModuleSpec) -> object:
        if "/proc/" in self.path:
            raise ImportError("failed to map segment from shared object")
        return create(self, spec)

    monkeypatch.setattr(ExtensionFileLoader, "create_module", refuse)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux downloads")
def test_a_tarball_tells_nothing_of_its_making(tmp_path: Path) -> None:
    import linux

    made = []
    for name, time in (("one", 10**9), ("two", 15 * 10**8)):
        folder = tmp_path / name / "mhvae-studio"
        (folder / "_internal").mkdir(parents=True)
        (folder / "mhvae-studio").write_text("program")
        (folder / "mhvae-studio").chmod(0o700)
        (folder / "_internal" / "file").write_text(f"{'x' * 1000}")
        (folder / "_internal" / "link").symlink_to("file")
        for path in (folder / "_internal" / "file", folder):
            os.utime(path, (time, time))
        linux.tarball(folder, tmp_path / f"{name}.tar.gz")
        made.append((tmp_path / f"{name}.tar.gz").read_bytes())
    assert made[0] == made[1]
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        modes = {m.name.partition("/")[2]: m.mode for m in archive.getmembers()}
        owners = {(m.uid, m.uname) for m in archive.getmembers()}
    assert modes["mhvae-studio"] == 0o755
    assert modes["_internal/file"] == 0o644
    assert owners == {(0, "")}


def test_files_the_system_hands_over_are_opened(qtbot: QtBot, tmp_path: Path) -> None:
    opened: list[Path] = []
    app = QApplication.instance()
    assert app is not None
    owner = QObject()
    events = FileEvents(app, opened.extend, owner)
    QApplication.sendEvent(app, QFileOpenEvent(QUrl.fromLocalFile(str(tmp_path / "a.nii"))))
    assert opened == [tmp_path / "a.nii"]
    app.removeEventFilter(events)
