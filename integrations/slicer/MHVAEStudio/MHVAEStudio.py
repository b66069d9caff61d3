"""3D Slicer module: the missing modality of a patient, made by the installed MHVAE Studio."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ctk
import qt
import slicer
from mhvae_command import (
    MODALITIES,
    Call,
    CommandError,
    Order,
    Outcome,
    command,
    environment,
    find_program,
)
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)

POLL_MS = 200
PATIENCE_MS = 5000
"""How long a cancelled program may take to stop before it is ended."""
SETTING = "MHVAEStudio/program"


class MHVAEStudio(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        parent.title = "MHVAE Studio"
        parent.categories = ["Synthesis"]
        parent.dependencies = []
        parent.contributors = ["MHVAE Studio"]
        parent.helpText = (
            "Makes an ultrasound of a T2, or a T2 of an ultrasound, with the program mhvae-studio, "
            "which must be installed. Results are synthetic; research use only."
        )
        parent.acknowledgementText = ""


class MHVAEStudioLogic(ScriptedLoadableModuleLogic):
    """Volumes out to MHA files, the program called, its result loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.call: Call | None = None
        self._folder = ""
        self._target = ""

    def start(self, program: str, nodes: dict[str, Any], target: str, **more: Any) -> None:
        """Write the volumes and start the program.

        Args:
            program: its file; empty to look for it.
            nodes: modality → volume node.
            target: the modality to make.
            more: further fields of :class:`mhvae_command.Order`.

        Raises:
            CommandError: something is missing.
        """
        found = find_program(program)
        self._folder, self._target = tempfile.mkdtemp(prefix="mhvae-"), target
        try:
            inputs = {}
            for modality, node in nodes.items():
                path = Path(self._folder) / f"{modality}.mha"
                if not slicer.util.saveNode(node, str(path)):
                    raise CommandError(f"{node.GetName()}: could not be written for the program.")
                inputs[modality] = path
            order = Order(inputs, target, Path(self._folder) / "out", **more)
            started = getattr(slicer.util, "startupEnvironment", lambda: dict(os.environ))()
            self.call = Call(command(found, order), environment(started))
        except CommandError:
            self.clear()
            raise

    def load(self, result: Outcome) -> Any:
        """Load the result; its name says that it is synthetic."""
        path = result.outputs[f"synthetic {self._target}"]
        node = slicer.util.loadVolume(str(path))
        node.SetName(f"SYNTHETIC {self._target} (research use only)")
        return node

    def clear(self) -> None:
        """Forget the call, and take its files away."""
        self.call = None
        shutil.rmtree(self._folder, ignore_errors=True)


class MHVAEStudioWidget(ScriptedLoadableModuleWidget):
    """Inputs, output, Run and Cancel, how far it is, and what became of it."""

    def setup(self) -> None:
        """Build the form."""
        super().setup()
        self.logic = MHVAEStudioLogic()
        form = qt.QFormLayout()
        box = ctk.ctkCollapsibleButton()
        box.text = "Synthesis"
        box.setLayout(form)
        self.layout.addWidget(box)
        self.inputs: dict[str, Any] = {}
        for modality in MODALITIES:
            selector = slicer.qMRMLNodeComboBox()
            selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
            selector.noneEnabled = True
            selector.addEnabled = selector.removeEnabled = False
            selector.setMRMLScene(slicer.mrmlScene)
            selector.setCurrentNode(None)
            form.addRow(f"{modality}:", selector)
            self.inputs[modality] = selector
        self.target = qt.QComboBox()
        for modality in reversed(MODALITIES):
            self.target.addItem(modality)
        form.addRow("Make:", self.target)
        self.samples = qt.QSpinBox()
        self.samples.setRange(1, 64)
        form.addRow("Samples:", self.samples)
        self.program = ctk.ctkPathLineEdit()
        self.program.currentPath = qt.QSettings().value(SETTING, "") or ""
        self.program.toolTip = "The program mhvae-studio; empty: looked for"
        form.addRow("Program:", self.program)
        self.button = qt.QPushButton("Run")
        self.button.clicked.connect(self.on_button)
        self.bar = qt.QProgressBar()
        self.bar.visible = False
        self.status = qt.QLabel("Results are synthetic; research use only.")
        self.status.wordWrap = True
        for widget in (self.button, self.bar, self.status):
            form.addRow(widget)
        self.timer = qt.QTimer()
        self.timer.setInterval(POLL_MS)
        self.timer.timeout.connect(self.on_timer)
        self.layout.addStretch(1)

    def cleanup(self) -> None:
        """End what runs when the module goes."""
        self.timer.stop()
        if self.logic.call is not None:
            self.logic.call.kill()
            self.logic.clear()

    def on_button(self) -> None:
        """Run, or cancel what runs."""
        if self.logic.call is not None:
            self.logic.call.cancel()
            self.status.text = "Cancelling…"
            qt.QTimer.singleShot(PATIENCE_MS, self.logic.call.kill)
            return
        nodes = {m: s.currentNode() for m, s in self.inputs.items() if s.currentNode()}
        target = self.target.currentText
        nodes.pop(target, None)
        program = self.program.currentPath
        qt.QSettings().setValue(SETTING, program)
        try:
            self.logic.start(program, nodes, target, samples=self.samples.value)
        except CommandError as error:
            slicer.util.errorDisplay(str(error), windowTitle="MHVAE Studio")
            return
        self.button.text = "Cancel"
        self.bar.setRange(0, 0)
        self.bar.visible = True
        self.status.text = "Starting…"
        self.timer.start()

    def on_timer(self) -> None:
        """Show how far it is; load the result, or say why there is none."""
        if self.logic.call is None:
            return
        steps, result = self.logic.call.poll()
        for step in steps:
            self.bar.setRange(0, step.total)
            self.bar.setValue(step.done)
            left = f", {step.left} left" if step.left else ""
            self.status.text = f"{step.stage.capitalize()}{left}"
        if result is None:
            return
        self.timer.stop()
        self.button.text = "Run"
        self.bar.visible = False
        self.status.text = " ".join([result.sentence, *result.warnings])
        try:
            if result.done:
                slicer.util.setSliceViewerLayers(foreground=self.logic.load(result))
        finally:
            self.logic.clear()
        if not result.done and not result.sentence.startswith("Cancelled"):
            slicer.util.errorDisplay(result.sentence, windowTitle="MHVAE Studio")
