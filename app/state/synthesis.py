"""What the model is asked: the models to choose from, the panel's form, the case's toggles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal

from app.state.layers import Layers
from core.schema import salvaged
from core.volume import Volume

if TYPE_CHECKING:
    from core.models.bundle import Bundle


@dataclass(frozen=True)
class Form:
    """The choices of the Synthesis panel.

    Attributes:
        model: path of the bundle; empty while there is none.
        targets: outputs ticked by the user; modalities held back are always added.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        batch: tiles per network pass.
        whole: synthesise the whole grid instead of the field of view.
        rerun: run again when an input is held back or given.
    """

    model: str = ""
    targets: tuple[str, ...] = ()
    device: str = "auto"
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    batch: int = 4
    whole: bool = False
    rerun: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Form:
        """Rebuild; what is missing or of another type keeps its default."""
        return salvaged(cls, data)


class SynthesisChoices(QObject):
    """Model, inputs, outputs and options; says what keeps a run from starting.

    Args:
        layers: the volumes, and which of them are inputs.

    Attributes:
        form: the panel's choices; change them with ``set_form``.
        models: what there is to choose from; change it with ``set_models``.
    """

    form_changed = Signal()
    """The form, the model or an input changed."""
    form_edited = Signal()
    """The user changed the form."""
    models_changed = Signal()
    inputs_edited = Signal(str)
    """The user just now gave or held back (``"available"``) or moved (``"position"``) a volume.

    Undo, redo and reopening are silent: nothing runs because of them.
    """

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        self._layers = layers
        self.form = Form()
        self.models: list[Bundle] = []

    @property
    def bundle(self) -> Bundle | None:
        """The chosen model."""
        found = [b for b in self.models if str(b.path) == self.form.model]
        return found[0] if found else None

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities the chosen model knows; empty without a model."""
        return tuple(self.bundle.config.modalities) if self.bundle else ()

    def set_models(self, models: Sequence[Bundle]) -> None:
        """Offer models; keeps the choice if it is among them."""
        self.models = list(models)
        if self.bundle is None and self.models:
            # Between starts the model is remembered by name: settings hold no paths.
            named = [b for b in self.models if b.name == self.form.model]
            self.form = replace(self.form, model=str((named or self.models)[0].path))
            if not named:
                self.form = self._drawn_as_the_model_does(self.form)
        self.models_changed.emit()
        self.form_changed.emit()

    def use_model(self, bundle: Bundle) -> None:
        """Offer one more model and choose it."""
        others = [b for b in self.models if b.path != bundle.path]
        self.form = replace(self.form, model=str(bundle.path))
        self.models = [*others, bundle]
        self.form = self._drawn_as_the_model_does(self.form)
        self.set_models(self.models)

    def set_form(self, **edit: Any) -> None:
        """Change choices of the panel."""
        new = replace(self.form, **edit)
        if new.model != self.form.model:
            new = self._drawn_as_the_model_does(new)
        if self._one_image(new):
            new = replace(new, temperature=0.0, samples=1)
        elif new.samples > 1 and new.temperature == 0:
            new = replace(new, temperature=1.0)  # several draws at 0 would all be one
        if new != self.form:
            self.form = new
            self.form_edited.emit()
            self.form_changed.emit()

    def _drawn_as_the_model_does(self, form: Form) -> Form:
        """Return the form with the temperature its model's images are meant to be drawn at."""
        found = [b for b in self.models if str(b.path) == form.model]
        if self._one_image(form):
            form = replace(form, samples=1)
        return replace(form, temperature=found[0].draws(form.samples)) if found else form

    def _one_image(self, form: Form) -> bool:
        """Tell whether the form's model has no noise to draw other images with."""
        return any(str(b.path) == form.model and not b.config.levels for b in self.models)

    @property
    def draws_samples(self) -> bool:
        """Whether the chosen model can make more than one image of an input."""
        return not self._one_image(self.form)

    def unserved(self, target: str) -> str:
        """Return why the model cannot make a target of the inputs; empty when it can."""
        if self.bundle is None or not self.subset():
            return ""
        config, subset = self.bundle.config, self.subset()
        return "" if config.serves(subset, target) else config.refusal(subset, target)

    def restore_form(self, form: Form) -> None:
        """Take over a project's choices; its model is named, and kept as it was if unknown."""
        named = [b for b in self.models if form.model in (b.name, str(b.path))]
        self.form = replace(form, model=str(named[0].path) if named else self.form.model)
        self.form_changed.emit()

    def described(self) -> dict[str, Any]:
        """Return the form for files, which hold no paths: the model by its name."""
        return {**self.form.to_dict(), "model": self.bundle.name if self.bundle else ""}

    def subset(self) -> tuple[str, ...]:
        """Return the inputs: toggled on and known to the model, in the model's order."""
        on = self._layers.subset()
        return tuple(m for m in self.modalities if m in on)

    def targets(self) -> tuple[str, ...]:
        """Return the outputs: everything that is no input, and what was ticked, if served."""
        subset = self.subset()
        wanted = (m for m in self.modalities if m not in subset or m in self.form.targets)
        return tuple(m for m in wanted if not self.unserved(m))

    def blind(self) -> str:
        """Return why the model sees nothing, in a sentence; empty when it sees something."""
        if self.bundle is None:
            return "No model is chosen. Drop a model bundle, or choose one from the list."
        if not self.subset():
            known = ", ".join(self.modalities)
            return f"No input volume. Open one and set its modality ({known})."
        return ""

    def obstacle(self) -> str:
        """Return why Run is impossible, in a sentence; empty when it is possible."""
        blind = self.blind()
        if blind:
            return blind
        return "" if self.targets() else self._without_output()

    def _without_output(self) -> str:
        """Say why there is nothing to make, and what to do."""
        assert self.bundle is not None
        config, subset = self.bundle.config, self.subset()
        missing = [m for m in self.modalities if m not in subset]
        if missing:
            return next(text for m in missing if (text := self.unserved(m)))
        every = "No output: every volume is an input."
        if not all(self.unserved(m) for m in subset):
            return (
                f"{every} Untick Input of one to synthesise it from the others, or tick an output."
            )
        held = [m for m in subset if config.serves(tuple(x for x in subset if x != m), m)]
        return f"{every} Untick Input of {' or '.join(held)} to synthesise it from the others."

    def known(self) -> tuple[str, ...]:
        """Return the modalities of the case that the model knows, held back or not."""
        known = self._layers.case().volumes
        return tuple(m for m in self.modalities if m in known)

    def volumes(self) -> dict[str, Volume]:
        """Return the case's volumes that the model knows, held back or not."""
        volumes = self._layers.case().volumes
        return {m: volumes[m] for m in self.known()}
