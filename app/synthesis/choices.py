"""What the model is asked: the panel's form together with the case and its toggles."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.processes.client import EngineClient
from app.processes.protocol import Message
from app.state.session import Session
from app.state.settings import Settings
from app.synthesis.request import Form
from core.volume import Volume

if TYPE_CHECKING:
    from core.models.bundle import Bundle


class Choices(QObject):
    """Model, inputs, outputs and options; says what keeps a run from starting."""

    form_changed = Signal()
    models_changed = Signal()

    def __init__(self, session: Session, client: EngineClient, settings: Settings) -> None:
        super().__init__(session)
        self.session, self.client, self.settings = session, client, settings
        self.form = Form.from_dict(settings.form())
        self.models: list[Bundle] = []

    @property
    def bundle(self) -> Bundle | None:
        """The chosen model."""
        found = [b for b in self.models if str(b.path) == self.form.model]
        return found[0] if found else None

    def set_models(self, models: list[Bundle]) -> None:
        """Offer models; keeps the choice if it is among them."""
        self.models = models
        if self.bundle is None and models:
            # Between starts the model is remembered by name: settings hold no paths.
            named = [b for b in models if b.name == self.form.model]
            self.form = replace(self.form, model=str((named or models)[0].path))
        self.models_changed.emit()
        self.form_changed.emit()

    def add_model(self, bundle: Bundle) -> None:
        """Offer one more model and choose it."""
        others = [b for b in self.models if b.path != bundle.path]
        self.form = replace(self.form, model=str(bundle.path))
        self.set_models([*others, bundle])

    def set_form(self, **edit: Any) -> None:
        """Change choices of the panel."""
        new = replace(self.form, **edit)
        if new.samples > 1 and new.temperature == 0:
            new = replace(new, temperature=1.0)  # several draws at 0 would all be one
        if new != self.form:
            self.form = new
            name = self.bundle.name if self.bundle else ""
            self.settings.keep_form({**new.to_dict(), "targets": [], "model": name})
            self.form_changed.emit()

    def subset(self) -> tuple[str, ...]:
        """Return the inputs: toggled on and known to the model, in the model's order."""
        bundle = self.bundle
        on = self.session.subset()
        return tuple(m for m in bundle.config.modalities if m in on) if bundle else ()

    def targets(self) -> tuple[str, ...]:
        """Return the outputs: everything that is no input, and what was ticked."""
        bundle, subset = self.bundle, self.subset()
        if bundle is None:
            return ()
        return tuple(
            m for m in bundle.config.modalities if m not in subset or m in self.form.targets
        )

    def blind(self) -> str:
        """Return why the model sees nothing, in a sentence; empty when it sees something."""
        if self.bundle is None:
            return "No model is chosen. Drop a model bundle, or choose one from the list."
        if not self.subset():
            known = ", ".join(self.bundle.config.modalities)
            return f"No input is given. Open a volume and name its modality ({known})."
        return ""

    def obstacle(self) -> str:
        """Return why Run is impossible, in a sentence; empty when it is possible."""
        blind = self.blind()
        if blind:
            return blind
        if not self.targets():
            return "No output is wanted. Hold an input back, or tick an output."
        return ""

    def known(self) -> tuple[str, ...]:
        """Return the modalities of the case that the model knows, held back or not."""
        bundle = self.bundle
        known = self.session.case().volumes
        return tuple(m for m in bundle.config.modalities if m in known) if bundle else ()

    def device(self) -> str:
        """Return the device a run will use."""
        best = self.client.devices[0] if self.client.devices else "cpu"
        return best if self.form.device == "auto" else self.form.device

    def volumes(self) -> dict[str, Volume]:
        """Return the case's volumes that the model knows, held back or not."""
        volumes = self.session.case().volumes
        return {m: volumes[m] for m in self.known()}

    def task(self) -> Message:
        """Return the request as the engine reads it."""
        form = self.form
        return {
            "model": form.model,
            "subset": list(self.subset()),
            "targets": list(self.targets()),
            "device": self.device(),
            "temperature": form.temperature,
            "samples": form.samples,
            "seed": form.seed,
            "batch": form.batch,
            "fov": "whole" if form.whole else "auto",
            "focus": [float(x) for x in self.session.cursor],
        }
