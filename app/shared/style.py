"""Icons and colours that follow the system's light or dark appearance."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QSlider, QWidget

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


def is_dark(palette: QPalette) -> bool:
    """Tell whether a palette is light text on dark."""
    return palette.color(QPalette.ColorRole.Window).lightness() < 128


def warning_colour(palette: QPalette) -> str:
    """Return a colour for errors that is readable on the palette's background."""
    return "#ff8a80" if is_dark(palette) else "#b3261e"


def make_bold(label: QLabel) -> None:
    """Make a label bold, by its font: one with a style sheet keeps the colour of its first day."""
    font = label.font()
    font.setWeight(QFont.Weight.DemiBold)
    label.setFont(font)


class WheelGuard(QObject):
    """Lets the wheel scroll a panel; it changes a box only while that has the focus."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        kinds = (QAbstractSpinBox, QComboBox, QSlider)
        for box in (found for kind in kinds for found in window.findChildren(kind)):
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
    """Choose ``"light"``, ``"dark"`` or, with any other name, what the system says.

    Desktops without a theme of their own cannot turn dark on request; there our palette does.
    """
    schemes = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark}
    QGuiApplication.styleHints().setColorScheme(schemes.get(name, Qt.ColorScheme.Unknown))
    QGuiApplication.setPalette(QPalette())
    if name == "dark" and not is_dark(QGuiApplication.palette()):
        QGuiApplication.setPalette(dark_palette())


def dark_palette() -> QPalette:
    """Return calm light-on-dark colours."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    colours = {
        role.Window: "#26272b",
        role.WindowText: "#dfe1e5",
        role.Base: "#34363b",
        role.AlternateBase: "#2d2f33",
        role.ToolTipBase: "#393b40",
        role.ToolTipText: "#dfe1e5",
        role.PlaceholderText: "#868a91",
        role.Text: "#dfe1e5",
        role.Button: "#3d3f45",
        role.ButtonText: "#dfe1e5",
        role.BrightText: "#ffffff",
        role.Link: "#6cb0ff",
        role.Highlight: "#2f6fbf",
        role.HighlightedText: "#ffffff",
        role.Light: "#4e5157",
        role.Midlight: "#43454a",
        role.Mid: "#4b4e54",
        role.Dark: "#191a1c",
        role.Shadow: "#0f1011",
    }
    palette = QPalette()
    for which, colour in colours.items():
        palette.setColor(which, QColor(colour))
    for which in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(group.Disabled, which, QColor("#868a91"))
    return palette
