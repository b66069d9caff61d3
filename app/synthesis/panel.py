"""The Synthesis panel: what to run, what it will cost, and how far it is."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.processes.progress import Stage
from app.shared.elided import ElidedLabel
from app.shared.wording import duration
from app.synthesis.controller import SynthesisController
from app.synthesis.cost import Estimate
from core.synthesis.devices import DEVICES

EXPECTED, ONLY = "Expected image", "The one image"
"""Words for what is made without noise: by a model that has some, and by one that has none."""
SAMPLES = 8
"""Samples a mean and a spread are made of, unless more are asked for."""


class SynthesisPanel(QWidget):
    """A form over :class:`SynthesisController` and what the session is asked."""

    def __init__(self, controller: SynthesisController, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.controller, self.asked = controller, controller.asked
        self.engine = controller.context.engine
        self.model = QComboBox()
        self.model.setToolTip("Model bundle; drop a .safetensors file to add one")
        self.inputs = QLabel()
        self.inputs.setToolTip("Follows the Input toggles in the Case panel")
        self.outputs = QWidget()
        self._outputs = QHBoxLayout(self.outputs)
        self._outputs.setContentsMargins(0, 0, 0, 0)
        self._outputs.setSpacing(8)
        self._outputs.addStretch(1)
        self._boxes: list[QCheckBox] = []
        self.image = QComboBox()
        self.image.addItems([EXPECTED, "One sample", "Mean and σ"])
        self.image.setToolTip(
            "Expected image: what is likeliest, smooth, always the same. One sample: one of the "
            "images that may be, with its texture. Mean and σ: of several, with their spread"
        )
        self.where = QComboBox()
        self.where.addItems(["Field of view", "Whole volume"])
        self.where.setToolTip("Field of view: that of the ultrasound, or the brain in the MRI")
        self.device = QComboBox()
        for box in (self.model, self.image, self.where, self.device):
            # What is listed must not widen the panel.
            box.setMinimumContentsLength(8)
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.temperature = QDoubleSpinBox(minimum=0.0, maximum=3.0, singleStep=0.1, decimals=2)
        self.temperature.setToolTip("0 is the mean path, always the same; above 0 noise is drawn")
        self.samples = QSpinBox(minimum=1, maximum=64)
        self.samples.setToolTip("More than one: their mean, and a σ map of how much they differ")
        self.seed = QSpinBox(minimum=0, maximum=2**31 - 1)
        self.seed.setToolTip("Of the noise; unused at temperature 0")
        self.batch = QSpinBox(minimum=1, maximum=64)
        self.batch.setToolTip("Tiles per pass: smaller needs less memory, the result is the same")
        self.rerun = QCheckBox("Run when an input changes")
        self.rerun.setToolTip("Switching an input off predicts it from the others at once")
        self.cost = QLabel()
        self.cost.setWordWrap(True)
        self.cost.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.cost.setMinimumHeight(2 * self.fontMetrics().lineSpacing())
        self.cost.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.button = QPushButton("Run")
        self.button.setDefault(True)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.stage = ElidedLabel()
        self._of_noise = {
            box: box.toolTip() for box in (self.image, self.temperature, self.samples, self.seed)
        }
        self._lay_out()
        self._connect()
        self._show_models()
        self._show_form()
        self._show_stage(Stage(""))
        self._show_cost(None)

    # ---- layout

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setLabelAlignment(Qt.AlignmentFlag.AlignRight)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(4)
        form.setHorizontalSpacing(8)
        for label, field in (
            ("Model", self.model),
            ("Inputs", self.inputs),
            ("Outputs", self.outputs),
            ("Image", self.image),
            ("Region", self.where),
            ("Device", self.device),
            ("Temperature", _beside(self.temperature, "Batch", self.batch)),
            ("Samples", _beside(self.samples, "Seed", self.seed)),
        ):
            form.addRow(label, field)
        run = QHBoxLayout()
        run.setSpacing(8)
        run.addWidget(self.button)
        run.addWidget(self.progress, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addLayout(form)
        column.addWidget(self.rerun)
        column.addWidget(self.cost)
        column.addLayout(run)
        column.addWidget(self.stage)
        column.addStretch(1)

    def _connect(self) -> None:
        it, asked = self.controller, self.asked
        self.model.activated.connect(lambda n: asked.set_form(model=self.model.itemData(n)))
        self.where.activated.connect(lambda n: asked.set_form(whole=n == 1))
        self.device.activated.connect(lambda n: asked.set_form(device=self.device.itemData(n)))
        self.image.activated.connect(self._choose_image)
        self.temperature.valueChanged.connect(lambda x: asked.set_form(temperature=round(x, 2)))
        self.samples.valueChanged.connect(lambda n: asked.set_form(samples=n))
        self.seed.valueChanged.connect(lambda n: asked.set_form(seed=n))
        self.batch.valueChanged.connect(lambda n: asked.set_form(batch=n))
        self.rerun.toggled.connect(lambda on: asked.set_form(rerun=on))
        self.button.clicked.connect(lambda: it.cancel() if it.running else it.run())
        asked.models_changed.connect(self._show_models)
        asked.form_changed.connect(self._show_form)
        it.session.layers_changed.connect(self._show_form)
        it.running_changed.connect(self._show_running)
        it.stage_changed.connect(self._show_stage)
        it.cost.changed.connect(self._show_cost)
        self.engine.state_changed.connect(self._show_devices)

    def _choose_image(self, kind: int) -> None:
        """Set temperature and samples to what a kind of image needs."""
        form = self.asked.form
        samples = max(form.samples, SAMPLES) if kind == 2 else 1
        temperature = (form.temperature or 1.0) if kind else 0.0
        self.asked.set_form(temperature=temperature, samples=samples)

    # ---- what changed

    def _show_models(self) -> None:
        with QSignalBlocker(self.model):
            self.model.clear()
            for bundle in self.asked.models:
                self.model.addItem(bundle.name, str(bundle.path))
                summary = str(bundle.card.get("summary", "")) or bundle.intended_use
                self.model.setItemData(self.model.count() - 1, summary, Qt.ItemDataRole.ToolTipRole)
            if not self.asked.models:
                self.model.addItem("no model found", "")
        self._show_form()

    def _show_form(self) -> None:
        asked, form = self.asked, self.asked.form
        with QSignalBlocker(self.temperature):
            self.temperature.setValue(form.temperature)
        self.image.setCurrentIndex(0 if form.temperature == 0 else 1 if form.samples == 1 else 2)
        counts = (self.samples, form.samples), (self.seed, form.seed), (self.batch, form.batch)
        for box, value in counts:
            with QSignalBlocker(box):
                box.setValue(value)
        self._show_noise()
        self.seed.setEnabled(form.temperature > 0)
        with QSignalBlocker(self.rerun):
            self.rerun.setChecked(form.rerun)
        with QSignalBlocker(self.model):
            self.model.setCurrentIndex(max(0, self.model.findData(form.model)))
        self.where.setCurrentIndex(int(form.whole))
        self._show_devices()
        subset = asked.subset()
        self.inputs.setText(" + ".join(subset) if subset else "none")
        self._show_outputs()
        self.button.setEnabled(self.controller.running or not asked.obstacle())
        self.button.setToolTip(
            asked.obstacle() or "Synthesise; the tile under the cursor comes first"
        )

    def _show_noise(self) -> None:
        """Grey what is for models that draw samples, and say why."""
        draws = self.asked.draws_samples
        bundle = self.asked.bundle
        why = (
            ""
            if draws or bundle is None
            else (
                f"{bundle.name} is a {bundle.config.family} model: it makes one image of an input, "
                "without noise, samples or a σ map"
            )
        )
        self.image.setItemText(0, EXPECTED if draws else ONLY)
        for box, tip in self._of_noise.items():
            box.setEnabled(draws)
            box.setToolTip(why or tip)

    def _show_outputs(self) -> None:
        modalities = self.asked.modalities
        if [box.text() for box in self._boxes] != list(modalities):
            for box in self._boxes:
                self._outputs.removeWidget(box)
                box.deleteLater()
            self._boxes = [QCheckBox(modality) for modality in modalities]
            for n, box in enumerate(self._boxes):
                box.toggled.connect(self._say_outputs)
                self._outputs.insertWidget(n, box)
        subset, targets = self.asked.subset(), self.asked.targets()
        for box in self._boxes:
            given, why = box.text() in subset, self.asked.unserved(box.text())
            with QSignalBlocker(box):
                box.setChecked(box.text() in targets)
            box.setEnabled(given and not why)
            box.setToolTip(
                why
                or (
                    "Also reconstruct this input" if given else "Synthesised because it is no input"
                )
            )

    def _say_outputs(self) -> None:
        subset = self.asked.subset()
        wanted = [box.text() for box in self._boxes if box.isChecked()]
        self.asked.set_form(targets=tuple(m for m in wanted if m in subset))

    def _show_devices(self, _: str = "") -> None:
        names = ["auto", *(self.engine.devices or ["cpu"])]
        with QSignalBlocker(self.device):
            if [self.device.itemData(n) for n in range(self.device.count())] != names:
                self.device.clear()
                for name in names:
                    self.device.addItem(DEVICES.get(name, name), name)
            self.device.setCurrentIndex(max(0, self.device.findData(self.asked.form.device)))
        self.device.setToolTip(f"Computes on: {self.device.currentText()}")

    def _show_running(self, running: bool) -> None:
        self.button.setText("Cancel" if running else "Run")
        self.cost.setVisible(not running)
        self._show_form()

    def _show_stage(self, stage: Stage) -> None:
        self.progress.setRange(0, stage.total if stage.name else 1)
        self.progress.setValue(stage.done)
        self.progress.setVisible(bool(stage.name))
        left = f", {duration(stage.seconds_left)} left" if stage.seconds_left is not None else ""
        tiles = f" {stage.done} of {stage.total} tiles" if stage.total > 1 else ""
        self.stage.setText(f"{stage.name.capitalize()}{tiles}{left}" if stage.name else "")
        self.stage.setVisible(bool(stage.name))

    def _show_cost(self, what: Estimate | str | None) -> None:
        if what is None:
            ready = self.engine.state in ("ready", "busy")
            text = "Measuring…" if ready else "The engine is starting…"
        elif isinstance(what, str):
            text = what
        else:
            text = describe(what)
        self.cost.setText(text)


def _beside(field: QWidget, label: str, other: QWidget) -> QHBoxLayout:
    """Return two fields in one line, the second with a label of its own."""
    line = QHBoxLayout()
    line.setSpacing(4)
    line.addWidget(field, 1)
    name = QLabel(label)
    name.setBuddy(other)
    line.addWidget(name)
    line.addWidget(other, 1)
    for box in (field, other):
        box.setMinimumWidth(44)
        box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return line


def describe(estimate: Estimate) -> str:
    """Return what a run will cost, for people."""
    low, high = estimate.seconds
    least, most = duration(low), duration(high)
    span = most if high < 1.25 * low or least == most else f"{least} to {most}"
    device = DEVICES.get(estimate.device, estimate.device)
    return (
        f"{estimate.tiles} tiles on {device}: {span}, about {estimate.memory[1] / 1000:.1f} GB "
        "of memory."
    )
