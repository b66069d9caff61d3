"""The program's look: icons, the palette light or dark, and what widgets say of themselves."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLabel,
    QSlider,
    QWidget,
)

from app.shared.palette import colours, make_palette
from app.shared.sheet import sheet
from core.assets import ROOT
from core.marks import SYNTHETIC_RGB

ICONS = ROOT / "icons"

SYNTHETIC = QColor(*SYNTHETIC_RGB)
"""The frame of everything a model made."""

EXPERT_COLOURS = ("#8a8f98", "#3b8ad8", "#e0902f", "#4aa564", "#a56bc0", "#c9564c")
"""The prior's grey first, then the modalities in the model's order; readable on light and dark."""


def app_icon() -> QIcon:
    """Return the program's icon."""
    return QIcon(str(ICONS / "app.png"))


def icon(name: str) -> QIcon:
    """Return a line icon from ``assets/icons`` in the program's text colour."""
    from PySide6.QtSvg import QSvgRenderer

    # The program's palette, not a widget's: children learn of a change after their parents.
    palette = QGuiApplication.palette()
    text = (ICONS / f"{name}.svg").read_text(encoding="utf-8")
    found = QIcon()
    groups = {
        QIcon.Mode.Normal: QPalette.ColorGroup.Active,
        QIcon.Mode.Disabled: QPalette.ColorGroup.Disabled,
    }
    for mode, group in groups.items():
        colour = palette.color(group, QPalette.ColorRole.ButtonText).name()
        renderer = QSvgRenderer(QByteArray(text.replace("currentColor", colour).encode()))
        for scale in (1, 2):
            picture = QPixmap(QSize(16, 16) * scale)
            picture.fill(Qt.GlobalColor.transparent)
            painter = QPainter(picture)
            renderer.render(painter, QRectF(0, 0, 16 * scale, 16 * scale))
            painter.end()
            picture.setDevicePixelRatio(scale)
            found.addPixmap(picture, mode)
    return found


def warning_colour(palette: QPalette) -> str:
    """Return a colour for errors that is readable on the palette's background."""
    return colours(palette).warning


def make_bold(label: QLabel) -> None:
    """Make a label bold."""
    font = label.font()
    font.setWeight(QFont.Weight.DemiBold)
    label.setFont(font)


def say(widget: QWidget, name: str, value: bool) -> None:
    """Set a property that the style sheet asks for, and let the widget look like it."""
    if widget.property(name) is not value:
        widget.setProperty(name, value)
        widget.style().unpolish(widget)
        widget.style().polish(widget)


class WheelGuard(QObject):
    """Lets the wheel scroll a panel; it changes a box only while that has the focus."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        kinds = (QAbstractSpinBox, QComboBox, QSlider)
        for box in (found for kind in kinds for found in window.findChildren(kind)):
            self.guard(box)

    def guard(self, box: QWidget) -> None:
        """Guard one more box."""
        box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        box.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Pass the wheel on from a box without focus."""
        turned = event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget)
        if turned and not watched.hasFocus():  # type: ignore[attr-defined]
            event.ignore()
            return True
        return False


def set_scheme(name: str) -> None:
    """Choose ``"light"``, ``"dark"`` or, with any other name, what the system says."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    if app.style().name().lower() != "fusion":
        app.setStyle("Fusion")  # one look everywhere; others ignore palettes
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    hints = QGuiApplication.styleHints()
    hints.setColorScheme(schemes.get(name, Qt.ColorScheme.Unknown))
    dark = name == "dark" or (name not in schemes and hints.colorScheme() is Qt.ColorScheme.Dark)
    palette = make_palette(dark)
    if app.palette().color(QPalette.ColorRole.Window) != palette.color(QPalette.ColorRole.Window):
        app.setPalette(palette)
    if app.styleSheet() != (wanted := sheet(palette)):
        app.setStyleSheet(wanted)
