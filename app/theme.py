"""Icons and colours that follow the system's light or dark appearance."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QPainter, QPalette, QPixmap

from core.assets import ROOT

ICONS = ROOT / "icons"

SYNTHETIC = QColor("#ff9114")
"""The frame of everything a model made; the viewers use the same."""

EXPERT_COLOURS = ("#8a8f98", "#3b8ad8", "#e0902f", "#4aa564", "#a56bc0", "#c9564c")
"""The prior's grey first, then the modalities in the model's order; readable on light and dark."""


def app_icon() -> QIcon:
    """Return the program's icon."""
    return QIcon(str(ICONS / "app.png"))


def icon(name: str, palette: QPalette) -> QIcon:
    """Return a line icon from ``assets/icons`` in the palette's text colour."""
    from PySide6.QtSvg import QSvgRenderer

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


def is_dark(palette: QPalette) -> bool:
    """Tell whether a palette is light text on dark."""
    return palette.color(QPalette.ColorRole.Window).lightness() < 128


def warning_colour(palette: QPalette) -> str:
    """Return a colour for errors that is readable on the palette's background."""
    return "#ff8a80" if is_dark(palette) else "#b3261e"


def set_scheme(name: str) -> None:
    """Choose ``"light"``, ``"dark"`` or, with any other name, what the system says."""
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    hints = QGuiApplication.styleHints()
    hints.setColorScheme(schemes.get(name, Qt.ColorScheme.Unknown))
