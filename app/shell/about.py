"""Who and what this program is."""

from __future__ import annotations

from PySide6.QtWidgets import QMessageBox, QWidget

from app.shared.style import app_icon
from core.torch_build import torch_build
from core.version import __version__


def about(parent: QWidget) -> QMessageBox:
    """Return the box, ready to be opened."""
    box = QMessageBox(parent)
    box.setWindowTitle("About MHVAE Studio")
    box.setIconPixmap(app_icon().pixmap(64, 64))
    box.setText(f"<b>MHVAE Studio {__version__}</b>")
    torch = torch_build()
    box.setInformativeText(
        "Unified synthesis of T2 MRI and intra-operative ultrasound with a multi-modal "
        "hierarchical variational autoencoder (Dorent et al., MICCAI 2023).\n\n"
        f"torch {torch.version}, {torch.words}\n\n"
        "Research use only. Not a medical device. What a model makes is no image of a patient."
    )
    return box
