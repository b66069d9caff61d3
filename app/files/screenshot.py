"""Pictures of the viewers as files, with their marks."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QImage, QPainter

from app.files.project import ProjectError
from app.shared.style import SYNTHETIC
from core.files import replacing
from core.marks import SYNTHETIC_SENTENCE


def save_picture(image: QImage, path: Path) -> Path:
    """Write a picture and return its path.

    Raises:
        ProjectError: it cannot be written.
    """
    with replacing(path) as part:
        if not image.save(str(part)):
            raise ProjectError(
                f"{path.name}: the picture could not be written. Choose a folder you may "
                "write to, with free space."
            )
    return path


def with_footer(image: QImage, made_by_model: bool) -> QImage:
    """Return a picture with its marks in the file's text fields too.

    Panes that show a model's work carry their mark already; when the case holds any, a strip under
    the picture says so as well, so that no crop of whole panes goes without.
    """
    marked = image.copy()
    marked.setText("Software", "MHVAE Studio")
    if not made_by_model:
        return marked
    marked.setText("Description", SYNTHETIC_SENTENCE)
    ratio = image.devicePixelRatio()
    strip = round(22 * ratio)
    taller = QImage(image.width(), image.height() + strip, QImage.Format.Format_RGB32)
    taller.setDevicePixelRatio(ratio)
    taller.fill("#000000")
    painter = QPainter(taller)
    painter.drawImage(0, 0, marked)
    painter.setPen(SYNTHETIC)
    top = image.height() / ratio
    painter.drawText(8, round(top + 15), SYNTHETIC_SENTENCE)
    painter.end()
    for key in marked.textKeys():
        taller.setText(key, marked.text(key))
    return taller
