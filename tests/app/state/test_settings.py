"""What is remembered between starts: typed, and a file edited by hand keeps nobody out."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QSettings

from app.state.settings import PACES_KEPT, Settings
from app.state.synthesis import Form
from app.state.values import Compare, Display


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.ini")
    settings.add_recent(tmp_path / "a.nii")
    settings.keep_windows({"T2": (0.5, 1.5)})
    settings.keep_display(Display(compare=Compare.BLEND).to_dict())
    settings.keep_form(Form(targets=("iUS",), samples=3).to_dict())
    for n in range(PACES_KEPT + 2):
        settings.add_pace("k", n / 10)
    settings.sync()
    again = Settings(tmp_path / "settings.ini")
    assert again.recent() == [tmp_path / "a.nii"]
    assert again.windows() == {"T2": (0.5, 1.5)}
    assert Display.from_dict(again.display()) == Display(compare=Compare.BLEND)
    assert Form.from_dict(again.form()) == Form(targets=("iUS",), samples=3)
    assert again.paces("k") == [n / 10 for n in range(2, PACES_KEPT + 2)]


@pytest.mark.parametrize("text", ["", "{", "3", '"x"', '{"T2": 1, "k": 1}', '[{"a": 1}]', "[1]"])
def test_a_file_edited_by_hand_keeps_nobody_out(text: str, tmp_path: Path) -> None:
    store = QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)
    for name in ("recent/paths", "recent/cohorts", "windows", "paces"):
        store.setValue(name, text)
    store.sync()
    settings = Settings(tmp_path / "settings.ini")
    assert (settings.recent(), settings.recent_cohorts(), settings.windows()) == ([], [], {})
    settings.add_pace("k", 1.0)
    assert settings.paces("k") == [1.0]


def test_a_display_refuses_words_for_switches() -> None:
    with pytest.raises(ValueError, match="crosshair: expected bool, got str"):
        Display.from_dict({"crosshair": "no"})
    assert Form.from_dict({"whole": "no", "batch": 2}) == Form(batch=2)
