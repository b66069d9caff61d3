"""The models window and what lies under it: put, rename, copy, remove, import."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from PySide6.QtCore import QEvent
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QComboBox, QInputDialog, QLineEdit, QMessageBox
from pytestqt.qtbot import QtBot
from safetensors.numpy import load_file, save_file

import app.training.models.import_dialog
import core.models.bundle
from app.training.models import store
from app.training.models.card import card_html
from app.training.models.orientation_choice import (
    EDGE,
    SIDE,
    OrientationChoice,
    orientation_picture,
)
from app.training.models.window import ModelsWindow
from core import assets
from core.grid import Grid
from core.io import write
from core.models.base.config import ModelError
from core.models.bundle import KEY, Bundle, header
from core.models.mhvae.config import MHVAEConfig
from core.models.relabel import relabel
from core.models.slicing import ORIENTATIONS, USUAL, Slicing
from core.volume import Volume

# The offscreen platform has no window manager.
pytestmark = pytest.mark.qt_log_ignore("does not support")

BUILT_IN = len(list(assets.MODELS.glob("*.safetensors")))
"""They stand first in the list; the user's own follow."""


def write_model(path: Path, name: str, **card: object) -> Bundle:
    """A file with a description and two small tensors, one of odd length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bundle = Bundle(MHVAEConfig(), name=name, card=card)
    tensors: dict[str, np.ndarray] = {
        "a": np.arange(7, dtype=np.float16),
        "b": np.ones((3, 5), np.float32),
    }
    save_file(tensors, path, metadata={KEY: bundle.to_json()})
    return header(path)


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models."""
    folder = tmp_path / "data" / "models"
    for module in (core.models.bundle, store):
        monkeypatch.setattr(module, "user_models", lambda: folder)
    return folder


def test_a_new_name_changes_the_header_and_no_weight(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    old = write_model(path, "first", summary="x")
    old_hash = old.sha256
    before = load_file(path)
    for name in ("  a much longer   name with ü ", "b"):
        new = relabel(path, name)
    assert new.name == "b"
    assert new.card["summary"] == "x"
    assert new.card["renamed_from"][0] == {"name": "first", "sha256": old_hash}
    assert new.card["renamed_from"][1]["name"] == "a much longer name with ü"
    after = load_file(path)
    assert all(np.array_equal(before[k], after[k]) for k in before)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]
    with pytest.raises(ModelError, match="needs a name"):
        relabel(path, "  ")


def test_models_are_put_once_copied_and_removed_and_built_in_ones_stay(
    tmp_path: Path, mine: Path
) -> None:
    source = write_model(tmp_path / "run" / "model.safetensors", "my run: 1/2").path
    assert source is not None
    first = store.put(source)
    assert first.path == mine / "my-run-1-2.safetensors"
    assert store.put(source).path == first.path
    write_model(source, "my run: 1/2", summary="another")
    assert store.put(source).path == mine / "my-run-1-2-2.safetensors"
    assert store.is_user_model(first)
    copy = store.export(first, tmp_path / "copy.safetensors")
    assert header(copy).sha256 == first.sha256
    store.remove(first)
    assert not first.path.exists()
    built_in = core.models.bundle.find()
    assert store.kind_of(built_in) == "built-in"
    for change in (lambda: store.remove(built_in), lambda: store.rename(built_in, "x")):
        with pytest.raises(store.StoreError, match="built-in models stay"):
            change()
    with pytest.raises(store.StoreError, match="could not be written"):
        store.export(built_in, tmp_path / "copy.safetensors" / "below-a-file")


def test_a_card_escapes_what_the_file_says(tmp_path: Path) -> None:
    bundle = write_model(
        tmp_path / "m.safetensors",
        "<b>x</b>",
        summary="<script>",
        metrics={"psnr/T2>iUS": 12.345678},
    )
    page = card_html(bundle, bundle.sha256)
    assert "<script>" not in page
    assert "&lt;b&gt;x" in page
    assert "PSNR, dB, T2 → iUS" in page
    assert "12.35" in page
    assert bundle.sha256 in page
    metrics = {"psnr_db_mean": 14.98, "mae_on_minus1_to_1": 0.285, "psnr/T2>iUS": 16.5}
    page = card_html(write_model(tmp_path / "m.safetensors", "m", metrics=metrics), "")
    assert all(words in page for words in ("PSNR dB mean", "MAE on −1 to 1", "PSNR, dB, T2 → iUS"))
    assert "trained" in card_html(write_model(tmp_path / "t.safetensors", "t", training={}), "")


@pytest.fixture
def window(qtbot: QtBot, mine: Path) -> Iterator[ModelsWindow]:
    """A window; no thread and no child may be left."""
    threads = set(threading.enumerate())
    children = {p.pid for p in psutil.Process().children()}
    used: list[str] = []
    made = ModelsWindow(lambda: used[-1] if used else "", lambda b: used.append(str(b.path)))
    made.show()
    made.look()
    qtbot.waitUntil(lambda: made.list.count() > 0 and not made.jobs.busy, timeout=10_000)
    yield made
    made.close()
    assert not made.jobs.busy
    assert set(threading.enumerate()) <= threads
    assert {p.pid for p in psutil.Process().children()} <= children
    made.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_the_window_lists_uses_renames_and_removes(
    qtbot: QtBot, window: ModelsWindow, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "built-in" in window.list.item(0).text()
    assert not window.remove.isEnabled()
    assert not window.rename.isEnabled()
    built_in = window.bundle
    assert built_in is not None
    assert built_in.sha256 in window.card.toPlainText()
    bundle = store.put(write_model(tmp_path / "m.safetensors", "mine").path or Path())
    window.look(bundle.path)
    qtbot.waitUntil(lambda: window.bundle is not None and window.bundle.name == "mine")
    qtbot.waitUntil(lambda: not window.jobs.busy)
    assert window.remove.isEnabled()
    window.use.click()
    qtbot.waitUntil(lambda: "(in use)" in window.list.item(BUILT_IN).text(), timeout=10_000)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("better", True))
    window.rename.click()
    qtbot.waitUntil(lambda: window.bundle is not None and window.bundle.name == "better")
    assert "Earlier names" in window.card.toPlainText()
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_, **__: yes)
    qtbot.waitUntil(lambda: not window.jobs.busy)
    window.remove.click()
    qtbot.waitUntil(lambda: window.list.count() == BUILT_IN, timeout=10_000)
    assert list(mine.glob("*.safetensors")) == []
    assert list(assets.MODELS.glob("*.safetensors"))


FAKE_IMPORT = """
import json, shutil, sys
words = sys.argv[2:]
if "--inspect" in words:
    told = {"hierarchical": True, "own_names": ["us", "t2"], "modalities": ["iUS", "T2"],
            "pools": 6, "base_features": 16,
            "max_features": 128, "bottleneck_pixels": 9, "defaults": {"tile": "192,192",
            "residual": "yes", "decoders": "iUS,T2"}}
    print(json.dumps({"event": "inspected", **told}))
elif words[words.index("--tile") + 1] == "7,7":
    sys.stderr.write("mhvae-studio: a tile of 7 pixels does not fit.\\n")
    sys.exit(2)
else:
    assert words[words.index("--orientation") + 1] == "PLS"
    assert words[words.index("--residual") + 1] == "no" and words[words.index("--decoders") + 1]
    shutil.copy(sys.argv[1], words[words.index("--out") + 1])
    print(json.dumps({"event": "imported"}))
"""


def test_an_import_asks_what_the_weights_do_not_tell(
    qtbot: QtBot, window: ModelsWindow, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_model(tmp_path / "made.safetensors", "CP_main_1000", assumed="stated at import")
    mine.mkdir(parents=True, exist_ok=True)
    monkeypatch.setattr(
        app.training.models.import_dialog,
        "program_command",
        lambda words: [sys.executable, "-c", FAKE_IMPORT, str(made.path), *words],
    )
    window.published.click()
    dialog = window._dialog
    assert dialog is not None
    assert not dialog.begin.isEnabled()
    dialog.inspect(tmp_path / "CP_main_1000.pth")
    qtbot.waitUntil(lambda: dialog.modalities.text() == "iUS,T2", timeout=20_000)
    asked = {option for option, field in dialog.fields.items() if dialog.form.isRowVisible(field)}
    assert asked == {"tile", "residual", "decoders"}
    assert not dialog.begin.isEnabled()  # nothing is assumed
    assert dialog._answer("residual") == ""
    dialog.defaults.click()
    assert not dialog.begin.isEnabled()  # no default says which way the slices lie
    dialog.orientation.choose("PLS")
    assert dialog.begin.isEnabled()
    tile, residual = dialog.fields["tile"], dialog.fields["residual"]
    assert isinstance(tile, QLineEdit)
    assert isinstance(residual, QComboBox)
    tile.setText("7,7")
    dialog.begin.click()
    qtbot.waitUntil(lambda: "does not fit" in dialog.message.text(), timeout=20_000)
    tile.setText("192,192")
    residual.setCurrentText("no")
    dialog.begin.click()
    qtbot.waitUntil(lambda: window.list.count() == BUILT_IN + 1, timeout=20_000)
    assert window.bundle is not None
    assert window.bundle.name == "CP_main_1000"
    assert store.kind_of(window.bundle) == "imported"


def test_each_orientation_has_the_picture_of_its_array(qtbot: QtBot, tmp_path: Path) -> None:
    choice = OrientationChoice()
    qtbot.addWidget(choice)
    choice.show()
    assert choice.orientation == ""
    assert not choice.group.button(0).isVisible()
    choice.plane.setCurrentText("axial")
    assert choice.orientation == ""
    codes = [c for c in ORIENTATIONS if Slicing(c).plane == "axial"]
    for n, code in enumerate(codes):
        choice.group.button(n).click()
        assert choice.orientation == code
        assert choice.told.text() == f"{code}: {Slicing(code).sentence}."
    for code in ORIENTATIONS:
        slicing = Slicing(code)
        stored = np.asarray(Image.open(assets.ROOT / "slices" / f"{slicing.plane}.png"), float)
        volume = Slicing(USUAL[slicing.plane]).volume(stored[None])
        picture = orientation_picture(code).toImage().convertToFormat(QImage.Format.Format_RGB32)
        inner = picture.copy(EDGE, EDGE, SIDE, SIDE).scaled(96, 96)
        grey = np.frombuffer(inner.constBits(), np.uint8).reshape(96, 96, 4)[..., 0]
        likeness = {
            other: np.corrcoef(grey.ravel(), Slicing(other).slices(volume)[0].ravel())[0, 1]
            for other in ORIENTATIONS
            if Slicing(other).plane == slicing.plane
        }
        assert max(likeness, key=lambda one: likeness[one]) == code
        assert likeness[code] > 0.9
    affine = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    noise = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    write(Volume(noise, Grid((5, 6, 7), affine), "T2", "t2"), tmp_path / "t2.nii.gz")
    choice.take_from(tmp_path / "t2.nii.gz")
    assert choice.orientation == "PSR"
    assert "t2.nii.gz" in choice.told.text()
    choice.take_from(tmp_path / "absent.nii.gz")
    assert "absent.nii.gz" in choice.told.text()
    choice.clear()
    assert choice.orientation == ""
