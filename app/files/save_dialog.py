"""Asks which volume to save, on which grid, in which format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from app.shared.style import WheelGuard
from app.state.values import Kind, Layer
from core.grid import Grid
from core.io import WRITTEN

DICOM = "dicom"
"""In place of an ending: a series of files in a folder."""


class SaveVolume(QDialog):
    """Choices made here are read from :attr:`layer`, :attr:`grid` and :attr:`suffix`.

    Args:
        layers: what can be saved.
        active: id of the one to begin with.
        parent: owner.
        patient: whether a volume of the case came from DICOM, with a patient to keep.
        samples: returns the single samples that a layer is the mean of.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        active: str,
        parent: QWidget | None = None,
        *,
        patient: bool = False,
        samples: Callable[[Layer], Sequence[Layer]] = lambda _: (),
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save volume")
        self._layers = {x.id: x for x in layers}
        self._which = QComboBox()
        for x in layers:
            self._which.addItem(x.name, x.id)
        self._which.setCurrentIndex(max(0, self._which.findData(active)))
        self._grid = QComboBox()
        self._format = QComboBox()
        for suffix, text in WRITTEN.items():
            self._format.addItem(f"{text} ({suffix})", suffix)
        self._format.addItem("DICOM series (a folder)", DICOM)
        self._patient = QCheckBox("Same patient and study as the DICOM input")
        self._patient.setToolTip(
            "Off: a patient without a name, and a study and frame of reference of its own"
        )
        self._patient.setChecked(patient)
        self._has_patient = patient
        self._samples_of = samples
        self._every = QCheckBox()
        self._every.setToolTip(
            "Every draw as a file of its own beside the mean, NAME-sample-01 and so on; each says "
            "which sample of which seed it is"
        )
        self._notice = QLabel(
            "Marked as synthetic in the header and in a JSON file beside it. Research use only."
        )
        self._notice.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Volume", self._which)
        form.addRow("Grid", self._grid)
        form.addRow("Format", self._format)
        form.addRow("", self._patient)
        form.addRow("", self._every)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self._notice)
        column.addWidget(buttons)
        WheelGuard(self)
        self._which.activated.connect(lambda _: self._fill())
        self._format.currentIndexChanged.connect(lambda _: self._show_patient())
        self._fill()
        self._show_patient()

    @property
    def layer(self) -> Layer:
        """The volume to save."""
        return self._layers[self._which.currentData()]

    @property
    def grid(self) -> Grid | None:
        """The grid to write on; None for the volume's own."""
        chosen = self._grid.currentData()
        return self._layers[chosen].volume.grid if chosen else None

    @property
    def suffix(self) -> str:
        """The ending of the file name; :data:`DICOM` for a series."""
        return str(self._format.currentData())

    @property
    def keep_patient(self) -> bool:
        """Whether a series belongs to the patient and study of the DICOM input."""
        return self._has_patient and self._patient.isChecked()

    @property
    def samples(self) -> Sequence[Layer]:
        """The single samples to save as well."""
        return self._samples_of(self.layer) if self._every.isChecked() else ()

    def _show_patient(self) -> None:
        self._patient.setVisible(self._has_patient and self.suffix == DICOM)

    def _fill(self) -> None:
        layer = self.layer
        self._grid.clear()
        own = "the model's" if layer.made_by_model else "its own"
        own += ", where it was moved to" if layer.placement else ""
        self._grid.addItem(f"{own} ({describe(layer.volume.grid)})", "")
        for other in self._layers.values():
            real = other.kind is Kind.REAL and other.id != layer.id
            if real and not other.volume.grid.same_as(layer.volume.grid):
                text = f"that of {other.modality or other.name} ({describe(other.volume.grid)})"
                self._grid.addItem(text, other.id)
        if layer.made_by_model and self._grid.count() > 1:
            # What other programs expect: the grid of the volume that it was made from.
            result = layer.result
            made_from = [result.given[m].layer_id for m in result.subset] if result else []
            places = [self._grid.findData(i) for i in made_from]
            self._grid.setCurrentIndex(next((n for n in places if n > 0), 1))
        self._notice.setVisible(layer.made_by_model)
        count = len(self._samples_of(layer))
        self._every.setText(f"Keep samples: all {count} as well")
        self._every.setVisible(count > 0)
        if not count:
            self._every.setChecked(False)


def describe(grid: Grid) -> str:
    """Return shape and spacing in a few characters."""
    shape = "×".join(str(n) for n in grid.shape)
    return f"{shape}, {'×'.join(f'{s:.2g}' for s in grid.spacing)} mm"
