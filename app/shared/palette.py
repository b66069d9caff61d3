"""The program's colours, light and dark, and how readable one is on another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from PySide6.QtGui import QColor, QPalette

Role = QPalette.ColorRole


@dataclass(frozen=True)
class Colours:
    """Colours that Qt's palette has no role for.

    Attributes:
        hint: words that explain, quieter than text.
        warning: words about what went wrong.
        edge: lines between parts.
        hover: below the pointer.
        chosen: behind what is on or active.
        accent: the one colour that draws the eye.
    """

    hint: str
    warning: str
    edge: str
    hover: str
    chosen: str
    accent: str


LIGHT = Colours("#565d69", "#b3261e", "#cfd3da", "#e4e7ec", "#d7e5f3", "#1f6cb5")
DARK = Colours("#a4abb6", "#ff8a80", "#3f434a", "#3a3e45", "#2c4058", "#6aaaf0")

_LIGHT_ROLES: Mapping[Role, str] = {
    Role.Window: "#f2f3f5",
    Role.WindowText: "#1d2126",
    Role.Base: "#ffffff",
    Role.AlternateBase: "#f6f7f9",
    Role.ToolTipBase: "#ffffff",
    Role.ToolTipText: "#1d2126",
    Role.PlaceholderText: LIGHT.hint,
    Role.Text: "#1d2126",
    Role.Button: "#f8f9fa",
    Role.ButtonText: "#1d2126",
    Role.BrightText: "#ffffff",
    Role.Link: "#0b5cad",
    Role.Highlight: LIGHT.accent,
    Role.HighlightedText: "#ffffff",
    Role.Light: "#ffffff",
    Role.Midlight: "#e9ebee",
    Role.Mid: "#c3c8d0",
    Role.Dark: "#9aa0aa",
    Role.Shadow: "#6d737d",
}
_DARK_ROLES: Mapping[Role, str] = {
    Role.Window: "#24262b",
    Role.WindowText: "#e1e3e8",
    Role.Base: "#2e3137",
    Role.AlternateBase: "#292b31",
    Role.ToolTipBase: "#393c43",
    Role.ToolTipText: "#e1e3e8",
    Role.PlaceholderText: DARK.hint,
    Role.Text: "#e1e3e8",
    Role.Button: "#383b42",
    Role.ButtonText: "#e1e3e8",
    Role.BrightText: "#ffffff",
    Role.Link: "#7db8ff",
    Role.Highlight: "#2f6fb8",
    Role.HighlightedText: "#ffffff",
    Role.Light: "#4e5157",
    Role.Midlight: "#43464d",
    Role.Mid: "#4b4f56",
    Role.Dark: "#191a1d",
    Role.Shadow: "#0f1012",
}
_DISABLED = {False: "#8a909a", True: "#7d838d"}


def is_dark(palette: QPalette) -> bool:
    """Tell whether a palette is light text on dark."""
    return palette.color(Role.Window).lightness() < 128


def colours(palette: QPalette) -> Colours:
    """Return the further colours that go with a palette."""
    return DARK if is_dark(palette) else LIGHT


def make_palette(dark: bool) -> QPalette:
    """Return the program's palette."""
    palette = QPalette()
    for role, colour in (_DARK_ROLES if dark else _LIGHT_ROLES).items():
        palette.setColor(role, QColor(colour))
    for role in (Role.WindowText, Role.Text, Role.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(_DISABLED[dark]))
    return palette


def contrast(one: QColor, other: QColor) -> float:
    """Return the WCAG contrast ratio of two opaque colours, 1 to 21."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: QColor) -> float:
    """Return the relative luminance of an opaque sRGB colour, 0 to 1."""
    shares = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
