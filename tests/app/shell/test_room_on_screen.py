"""The pictures keep most of a small window, no word is clipped, and nothing moves by itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDockWidget,
    QLabel,
    QStyle,
    QStyleOptionComboBox,
    QToolBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot
from shell_stage import model, open_files, put, ran, staged

from app.shared.elided import ElidedLabel
from app.shell.window import MainWindow
from app.state.messages import Action
from app.state.values import Compare, Kind, Layout
from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig

pytestmark = pytest.mark.qt_log_ignore("does not support")
SMALL, SMALLEST = (1280, 720), (1024, 700)


@pytest.fixture
def window(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MainWindow]:
    with staged(qtbot, tmp_path, monkeypatch) as made:
        yield made


def worked(qtbot: QtBot, window: MainWindow, folder: Path) -> MainWindow:
    """Open two volumes and a label map, and let the model predict one of them."""
    bundle = Bundle(
        MHVAEConfig(modalities=("iUS", "T2")), name="ok", path=Path("ok"),
        card={"limits": "Tumours often come out as grey as brain. " * 4},
    )  # fmt: skip
    assert model("ok").path == bundle.path
    window.context.session.synthesis.use_model(bundle)
    window.context.session.synthesis.set_form(temperature=0.5, samples=2)
    for name in ("T2.nii.gz", "iUS-of-a-patient-with-a-long-name.nii.gz", "labels.nii.gz"):
        open_files(qtbot, window, put(folder, name))
    truth = window.context.session.find(Kind.REAL, "iUS")
    assert truth is not None
    window.panels.case.rows[truth.id].available.click()
    ran(qtbot, window)
    return window


def resized(qtbot: QtBot, window: MainWindow, size: tuple[int, int]) -> None:
    window.setMinimumSize(0, 0)  # the screen of the tests is smaller than people's
    window.resize(*size)
    qtbot.waitUntil(lambda: (window.width(), window.height()) == size)
    QApplication.processEvents()


def text_room(widget: QWidget) -> int:
    """Return the pixels a widget has for its text beyond what it asks for; below 0 it clips."""
    if isinstance(widget, QLabel) and widget.wordWrap():
        return widget.height() - widget.heightForWidth(widget.width())
    if isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        field = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField,
            widget,
        )  # fmt: skip
        return field.width() - widget.fontMetrics().horizontalAdvance(widget.currentText())
    return widget.width() - widget.minimumSizeHint().width()


def clipped(window: MainWindow) -> list[str]:
    """Name every visible word that has no room; elided ones must have a tooltip."""
    found = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or widget.visibleRegion().isEmpty():
            continue
        if isinstance(widget, ElidedLabel):
            if widget.elided != widget.text() and widget.text() not in widget.toolTip():
                found.append(f"{widget.text()} is elided without a tooltip")
        elif isinstance(widget, QLabel | QAbstractButton | QComboBox):
            bar = isinstance(widget, QToolButton) and isinstance(widget.parent(), QToolBar)
            text = widget.currentText() if isinstance(widget, QComboBox) else widget.text()
            if text and not bar and text_room(widget) < 0 and text not in widget.toolTip():
                found.append(f"{type(widget).__name__} {text!r} by {-text_room(widget)}")
    return found


@pytest.mark.parametrize("layout", [Layout.PLANES, Layout.COLUMNS])
def test_the_viewers_keep_three_fifths_of_a_small_window(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, layout: Layout
) -> None:
    resized(qtbot, window, SMALL)
    assert window.stack.width() >= 0.6 * window.width()
    worked(qtbot, window, tmp_path)
    window.context.session.set_display(layout=layout)
    QApplication.processEvents()
    assert window.viewers.width() >= 0.6 * window.width()
    window.docks.align.show()
    window.docks.align.raise_()
    QApplication.processEvents()
    assert window.viewers.width() >= 0.6 * window.width()


@pytest.mark.parametrize("size", [SMALL, SMALLEST])
def test_no_word_is_clipped(
    qtbot: QtBot, window: MainWindow, tmp_path: Path, size: tuple[int, int]
) -> None:
    resized(qtbot, window, size)
    assert clipped(window) == []
    worked(qtbot, window, tmp_path)
    window.message_bar.clear()
    QApplication.processEvents()
    assert (window.width(), window.height()) == size
    assert clipped(window) == []
    for dock in window.findChildren(QDockWidget):
        if dock is not window.docks.messages:
            dock.show()
            dock.raise_()
            QApplication.processEvents()
            assert clipped(window) == [], dock.windowTitle()
    assert (window.width(), window.height()) == size


def test_the_toolbar_keeps_every_button_in_the_smallest_window(
    qtbot: QtBot, window: MainWindow
) -> None:
    resized(qtbot, window, SMALLEST)
    bar = window.bar
    for action in bar.actions():
        widget = bar.widgetForAction(action)
        assert widget is not None
        assert widget.isVisible(), action.text()
        assert QRect(0, 0, bar.width(), bar.height()).contains(widget.geometry()), action.text()


def test_nothing_moves_when_the_way_of_comparing_changes(
    qtbot: QtBot, window: MainWindow, tmp_path: Path
) -> None:
    resized(qtbot, window, SMALL)
    worked(qtbot, window, tmp_path)
    window.context.messages.info("Done.")
    QApplication.processEvents()

    def places() -> list[QRect]:
        buttons = [window.bar.widgetForAction(a).geometry() for a in window.bar.actions()]
        return [window.viewers.geometry(), *(p.rect for p in window.viewers.panes), *buttons]

    before = places()
    for mode in Compare:
        window.context.session.set_display(compare=mode)
        QApplication.processEvents()
        assert places() == before, mode
    window.message_bar.clear()
    QApplication.processEvents()
    assert places() == before


def test_a_note_with_many_buttons_makes_no_window_wider_and_keeps_its_words(
    qtbot: QtBot, window: MainWindow
) -> None:
    resized(qtbot, window, SMALLEST)
    done: list[str] = []
    labels = ("Centre it here", "Load a transform…", "Close this case and open it")
    actions = [Action(name, partial(done.append, name)) for name in labels]
    sentence = "Two volumes do not overlap: they are 933 mm apart. " * 6
    window.context.messages.error(sentence, actions)
    QApplication.processEvents()
    bar = window.message_bar
    assert (window.width(), window.height()) == SMALLEST
    assert bar.text.width() >= bar.width() // 3
    assert bar.text.text().endswith(" …")
    assert bar.text.toolTip() == sentence
    assert [a.text() for a in bar.others.menu().actions()] == list(labels)
    assert not any(b.isVisible() for b in bar.buttons)
    resized(qtbot, window, (1700, 900))
    assert all(b.isVisible() for b in bar.buttons)
    assert not bar.others.isVisible()
    resized(qtbot, window, SMALLEST)
    bar.others.menu().actions()[2].trigger()
    assert done == [labels[2]]


def test_turning_dark_moves_nothing(qtbot: QtBot, window: MainWindow, tmp_path: Path) -> None:
    resized(qtbot, window, (1440, 900))
    worked(qtbot, window, tmp_path)
    window.docks.experts.raise_()
    window.panels.synthesis.device.addItem("A device with a name that has no room in a panel")
    QApplication.processEvents()
    before = window.viewers.geometry()
    for name in ("dark", "light"):
        window.commands.run(f"look_{name}")
        QApplication.processEvents()
        assert window.viewers.geometry() == before, name
