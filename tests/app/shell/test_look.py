"""The program's look: contrast, icons, tooltips, spacing, one style sheet, recent cases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QKeySequence, QPalette
from PySide6.QtWidgets import QApplication, QLabel, QLayout, QWidget
from pytestqt.qtbot import QtBot
from shell_stage import open_files, put, staged

from app.shared import style
from app.shared.palette import Role, colours, contrast, is_dark, make_palette
from app.shell.empty_state import CARD
from app.shell.toolbars import TOOLBAR
from app.shell.window import MainWindow

pytestmark = pytest.mark.qt_log_ignore("does not support")
READABLE, SEEN = 4.5, 3.0
"""WCAG 2 AA: words, and parts of controls."""
APP = Path(style.__file__).parents[1]


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made
    style.set_scheme("light")


def test_contrast_is_that_of_wcag() -> None:
    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21)
    assert contrast(QColor("#767676"), QColor("white")) == pytest.approx(4.54, abs=0.01)
    assert contrast(QColor("red"), QColor("red")) == 1


@pytest.mark.parametrize("dark", [False, True])
def test_every_word_of_the_palette_is_readable(dark: bool) -> None:
    palette = make_palette(dark)
    more = colours(palette)
    assert is_dark(palette) is dark

    def of(role: Role) -> QColor:
        return palette.color(QPalette.ColorGroup.Active, role)

    grounds = (of(Role.Window), of(Role.Base), of(Role.AlternateBase))
    pairs = [
        ("words on buttons", of(Role.ButtonText), of(Role.Button)),
        ("words on what is chosen", of(Role.WindowText), QColor(more.chosen)),
        ("words under the pointer", of(Role.ButtonText), QColor(more.hover)),
        ("selected words", of(Role.HighlightedText), of(Role.Highlight)),
        ("tooltips", of(Role.ToolTipText), of(Role.ToolTipBase)),
        ("the synthetic mark", QColor("black"), style.SYNTHETIC),
        ("hints on what is chosen", QColor(more.hint), QColor(more.chosen)),
    ]
    for ground in grounds:
        pairs += [
            ("words", of(Role.WindowText), ground),
            ("entries", of(Role.Text), ground),
            ("hints", QColor(more.hint), ground),
            ("placeholders", of(Role.PlaceholderText), ground),
            ("links", of(Role.Link), ground),
            ("problems", QColor(more.warning), ground),
        ]
    poor = {(n, round(contrast(a, b), 2)) for n, a, b in pairs if contrast(a, b) < READABLE}
    assert not poor
    for ground in (*grounds, QColor(more.chosen)):
        assert contrast(QColor(more.accent), ground) >= SEEN


@pytest.mark.parametrize("name", ["light", "dark"])
def test_hints_and_problems_get_those_colours(window: MainWindow, name: str) -> None:
    window.commands.run(f"look_{name}")
    assert is_dark(QApplication.palette()) is (name == "dark")
    more = colours(QApplication.palette())
    for what, colour in (("hint", more.hint), ("bad", more.warning)):
        label = QLabel("words", window)
        style.say(label, what, True)
        label.ensurePolished()
        assert label.palette().color(QPalette.ColorRole.WindowText).name() == colour
        style.say(label, what, False)
        assert label.palette().color(QPalette.ColorRole.WindowText).name() != colour


def test_style_sheets_stand_in_one_place(qapp: QApplication) -> None:
    assert QApplication.instance() is not None
    for path in APP.rglob("*.py"):
        if path.name not in ("style.py", "sheet.py"):
            assert "setStyleSheet" not in path.read_text(encoding="utf-8"), path.name


def test_the_toolbar_has_icons_of_our_own_in_the_colour_of_words(window: MainWindow) -> None:
    names = [name for name, _ in TOOLBAR if name]
    pictures = set()
    for scheme in ("light", "dark"):
        window.commands.run(f"look_{scheme}")
        QApplication.processEvents()
        text = QApplication.palette().color(QPalette.ColorRole.ButtonText)
        for name in names:
            image = window.commands.actions[name].icon().pixmap(QSize(16, 16)).toImage()
            drawn = [
                image.pixelColor(x, y)
                for x in range(image.width()) for y in range(image.height())
                if image.pixelColor(x, y).alpha() > 250
            ]  # fmt: skip
            assert drawn, name
            if window.commands.actions[name].isEnabled():
                assert all(abs(c.lightness() - text.lightness()) < 12 for c in drawn), name
            pictures.add(bytes(image.constBits()))
    assert len(pictures) >= 2 * len(names) - 4  # undo and redo are dim in both
    for path in style.ICONS.glob("*.svg"):
        drawing = path.read_text(encoding="utf-8")
        assert "currentColor" in drawing or path.stem == "app", path.name


def test_tooltips_say_the_key(window: MainWindow) -> None:
    native = QKeySequence.SequenceFormat.NativeText
    for command in window.commands.all:
        action = window.commands.actions[command.name]
        if command.keys:
            key = QKeySequence(command.keys[0]).toString(native)
            assert f"({key})" in action.toolTip(), command.name
    for name, _ in TOOLBAR:
        if name:
            button = window.bar.widgetForAction(window.commands.actions[name])
            assert button is not None
            assert "(" in button.toolTip(), name


def layouts(widget: QWidget) -> Iterator[QLayout]:
    if (top := widget.layout()) is not None:
        yield top
    yield from widget.findChildren(QLayout)


def test_distances_are_multiples_of_four(window: MainWindow) -> None:
    panels = window.panels
    for panel in (
        panels.case,
        panels.levels,
        panels.synthesis,
        panels.results,
        panels.experts,
        panels.align,
    ):
        for layout in layouts(panel):
            if layout.parent() is None or "Private" in type(layout.parent()).__name__:
                continue
            for side in (*_sides(layout), layout.spacing()):
                assert side <= 0 or side % 4 == 0, f"{type(panel).__name__}: {side}"


def _sides(layout: QLayout) -> tuple[int, int, int, int]:
    m = layout.contentsMargins()
    return m.left(), m.top(), m.right(), m.bottom()


def test_the_empty_window_offers_recent_cases_with_their_pictures(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    window.empty.refresh()
    assert not window.empty.cards
    assert not window.empty.heading.isVisible()
    path = put(tmp_path, "T2 of a patient & another, with a name that has no room.nii.gz")
    open_files(qtbot, window, path)
    settings = window.context.settings
    qtbot.waitUntil(lambda: bool(settings.recent_picture(path)), timeout=5000)
    window.files.close_case()
    qtbot.waitUntil(window.empty.isVisible)
    (card,) = window.empty.cards
    assert card.size() == CARD
    assert card.toolTip() == str(path)
    picture = card.icon().pixmap(QSize(40, 40)).toImage()
    greys = {picture.pixelColor(x, 20).red() for x in range(picture.width())}
    assert len(greys) > 4  # the volume, not the drawn icon
    card.click()
    qtbot.waitUntil(lambda: bool(window.context.session.layers), timeout=10_000)
    assert window.stack.currentWidget() is window.viewers
    settings.keeps_recent = False
    assert settings.recent_picture(path) == b""
    settings.sync()
    assert "pictures" not in (tmp_path / "settings.ini").read_text()


def test_a_picture_goes_with_its_file_and_garbage_is_no_picture(
    window: MainWindow, tmp_path: Path
) -> None:
    settings = window.context.settings
    for n in range(12):
        settings.add_recent(tmp_path / f"{n}.nii")
        settings.keep_recent_picture(tmp_path / f"{n}.nii", b"png")
    assert settings.recent_picture(tmp_path / "0.nii") == b""
    assert settings.recent_picture(tmp_path / "11.nii") == b"png"
    settings._put_json("recent/pictures", {str(tmp_path / "11.nii"): "not base64"})
    assert settings.recent_picture(tmp_path / "11.nii") == b""
    assert len(window.pictures.listed()) == 10
