"""Model bundles: one safetensors file with weights, configuration, preprocessing and provenance.

The header is plain JSON under the metadata key ``mhvae_studio``. This file reads it without torch;
:mod:`core.models.weights` builds, loads and saves the network itself.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core import assets
from core.modalities import SWEPT
from core.models.base.config import ModelConfig, ModelError
from core.models.family import config_from_dict
from core.models.sampling import Sampling, read_sampling, subset_name
from core.models.slicing import PLANES, USUAL, Slicing
from core.models.typical import Typical
from core.version import __version__

SCHEMA = 2
"""Raised when a file holds what older programs would read wrong: 2 with the slices' orientation."""
KEY = "mhvae_studio"
SUFFIX = ".safetensors"

_LINE = 120
"""Most characters of a name."""
_CARD = {"training": dict, "renamed_from": list}
"""What the program reads inside a card; everything else is only shown."""

INTENDED_USE = "Research use only. Not a medical device; not validated on patients."


@dataclass(frozen=True)
class Preprocessing:
    """How volumes become the model's slices.

    Attributes:
        spacing: mm along R, A, S of the reference grid the model works on.
        plane: ``"axial"``, ``"coronal"`` or ``"sagittal"``: the slices it was trained on, in RAS.
        percentiles: low and high percentile mapped to -255/256 and 1, inside the field of view.
        swept: modalities whose image exists only where a probe passed; their field of view limits
            what is synthesised.
        orientation: which way rows, columns and slices count up, as three letters
            (:mod:`core.models.slicing`); the plane's usual one when empty.
    """

    spacing: tuple[float, float, float] = (0.5, 0.5, 0.5)
    plane: str = "axial"
    percentiles: tuple[float, float] = (0.0, 99.95)
    swept: tuple[str, ...] = SWEPT
    orientation: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "swept", tuple(self.swept))
        object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        object.__setattr__(self, "percentiles", tuple(float(p) for p in self.percentiles))
        if len(self.spacing) != 3 or not all(0.05 <= s <= 20 for s in self.spacing):
            raise ModelError(
                f"A model's spacing must be three numbers of mm; found {list(self.spacing)}."
            )
        if self.plane not in PLANES:
            raise ModelError(
                f"A model's plane must be one of {list(PLANES)}; found {self.plane!r}."
            )
        if len(self.percentiles) != 2 or not 0 <= self.percentiles[0] < self.percentiles[1] <= 100:
            raise ModelError(
                "A model's percentiles must be two rising numbers from 0 to 100; found "
                f"{list(self.percentiles)}."
            )
        if not all(isinstance(name, str) for name in self.swept):
            raise ModelError(f"A model's swept modalities must be names; found {self.swept!r}.")
        slicing = Slicing(self.orientation or USUAL[self.plane])
        if slicing.plane != self.plane:
            raise ModelError(
                f"A model of {self.plane} slices cannot have their orientation as "
                f"{self.orientation!r}, which is {slicing.plane}."
            )
        object.__setattr__(self, "orientation", slicing.orientation)

    @property
    def slicing(self) -> Slicing:
        """How a canonical (RAS+) array becomes slices."""
        return Slicing(self.orientation)

    @property
    def axis(self) -> int:
        """Axis of a canonical (RAS+) array along which slices are stacked."""
        return PLANES[self.plane]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, without the usual orientation: older programs know no other."""
        values = asdict(self)
        if self.slicing.usual:
            del values["orientation"]
        return values


@dataclass(frozen=True)
class Bundle:
    """What a model file says about itself.

    Attributes:
        config: family and architecture.
        preprocessing: spacing, plane, intensity map.
        name: short name on screen.
        card: free fields shown to users: summary, training, data, metrics, limits, licence, …
        intended_use: one sentence, shown wherever results are; always the program's own, whatever
            a file claims.
        program: version of the program that wrote the file.
        path: where the file lies; ``None`` before it is saved.
        temperature: of the noise its images are drawn with unless asked otherwise: 0 for a model
            that learnt the expected image, 1 for one whose samples a discriminator has judged.
        typical: modality → what the model's own quantities are on held-out cases; empty where the
            model was never calibrated, and then no input is warned of.
        sampling: subset of inputs (``T2``, ``iUS+T2``) → calibrated factors of what is drawn from
            it; where none are, every level is drawn as wide as the model says.
    """

    config: ModelConfig
    preprocessing: Preprocessing = Preprocessing()
    name: str = "untitled"
    card: Mapping[str, Any] = field(default_factory=dict)
    intended_use: str = INTENDED_USE
    program: str = __version__
    path: Path | None = None
    temperature: float = 0.0
    typical: Mapping[str, Typical] = field(default_factory=dict)
    sampling: Mapping[str, Sampling] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.temperature <= 10:
            raise ModelError(
                f"A model's temperature must lie between 0 and 10; found {self.temperature:g}."
            )

    def draws(self, samples: int, temperature: float | None = None) -> float:
        """Return the temperature for so many samples: what is asked for, else what suits them."""
        if temperature is not None:
            return temperature
        if not self.config.levels and samples == 1:
            return 0.0  # there is no noise to draw with
        return self.temperature or float(samples > 1)

    def sampling_of(self, inputs: Iterable[str]) -> Sampling | None:
        """Return the calibration of what is drawn from a subset; ``None`` where there is none."""
        return self.sampling.get(subset_name(inputs, self.config.modalities))

    @cached_property
    def sha256(self) -> str:
        """Hash of the whole file, hexadecimal; empty before the bundle is saved."""
        if self.path is None:
            return ""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def to_json(self) -> str:
        """Return the header as JSON."""
        return json.dumps(
            {
                "schema": 1 if self.preprocessing.slicing.usual else SCHEMA,
                "name": self.name,
                "family": self.config.family,
                "config": self.config.to_dict(),
                "preprocessing": self.preprocessing.to_dict(),
                "card": dict(self.card),
                "intended_use": self.intended_use,
                "program": self.program,
                "temperature": self.temperature,
                "typical": {m: one.to_dict() for m, one in self.typical.items()},
                "sampling": {subset: one.to_dict() for subset, one in self.sampling.items()},
            },
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str, path: Path) -> Bundle:
        """Rebuild a header.

        Raises:
            ModelError: it is not JSON, of an unknown schema version, or a field is damaged.
        """
        try:
            values = json.loads(text, parse_constant=_refused)
            schema = int(values["schema"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ModelError(f"{path.name}: the model's header is damaged ({error}).") from error
        if schema > SCHEMA or schema < 1:
            raise ModelError(
                f"{path.name}: the model was written with format version {schema}; this program "
                f"reads up to version {SCHEMA}. Update MHVAE Studio to use it."
            )
        try:
            config = config_from_dict(values["config"], values.get("family"))
            return cls(
                config=config,
                preprocessing=Preprocessing(**values["preprocessing"]),
                name=_line(values["name"]),
                card=_card(values["card"]),
                program=_line(values["program"]),
                temperature=float(values.get("temperature", 0.0)),
                typical=_typical(values.get("typical", {})),
                sampling=read_sampling(values.get("sampling", {}), config.levels),
                path=path,
            )
        except ModelError as error:
            raise ModelError(f"{path.name}: {error}") from error
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{path.name}: the model's header is damaged ({error!r}).") from error


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _line(text: object) -> str:
    """Return a text of a file as one line that fits a list."""
    return " ".join(str(text).split())[:_LINE]


def _card(values: Any) -> dict[str, Any]:
    """Return a card, after looking whether what the program itself reads of it can be read.

    Raises:
        ValueError: names the field that cannot.
    """
    card = dict(values)
    for name, kind in _CARD.items():
        if name in card and not isinstance(card[name], kind):
            raise ValueError(f"card.{name} is {type(card[name]).__name__}")
    training = card.get("training") or {}
    if training and not isinstance(card.get("data", {}), dict):
        raise ValueError("card.data tells nothing of the cases")
    if not isinstance(training.get("plan", {}), dict):
        raise ValueError("card.training.plan holds no settings")
    if not all(isinstance(was, dict) for was in card.get("renamed_from", [])):
        raise ValueError("card.renamed_from holds no names")
    return card


def _typical(values: Any) -> dict[str, Typical]:
    """Return what a file says of its held-out cases; raises ValueError, TypeError, KeyError."""
    if not isinstance(values, dict):
        raise ValueError("typical names no modalities")
    return {_line(m): Typical.from_dict(one) for m, one in values.items()}


def header(path: str | os.PathLike[str]) -> Bundle:
    """Read what a bundle says about itself, without its weights and without torch.

    Raises:
        ModelError: the file is missing, not a bundle, damaged or too new.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise ModelError(
            f"{path.name}: there is no such model file. Expected a {SUFFIX} bundle; check the path."
        )
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path.name}: expected an MHVAE Studio model bundle, found a file that is damaged or "
            f"of another kind ({error}). Copy it again, or import a checkpoint with import-weights."
        ) from error
    if KEY not in metadata:
        raise ModelError(
            f"{path.name}: this safetensors file was not written by MHVAE Studio; it holds weights "
            "but no description of the model. Import published checkpoints with import-weights."
        )
    return Bundle.from_json(metadata[KEY], path)


def user_models() -> Path:
    """Return the folder of models this user imported or trained (it may not exist yet)."""
    from platformdirs import user_data_path

    return user_data_path("mhvae-studio", appauthor=False) / "models"


def available() -> list[Bundle]:
    """List the models that can be chosen by name: built-in ones first, then the user's own."""
    found = []
    for folder in (assets.MODELS, user_models()):
        for path in sorted(folder.glob(f"[!.]*{SUFFIX}")) if folder.is_dir() else []:
            try:
                found.append(header(path))
            except ModelError:
                continue  # a damaged file must not hide the others; choosing it by path explains it
    return found


def find(name: str | None = None) -> Bundle:
    """Return the model of a name or path; the first built-in one without a name.

    Raises:
        ModelError: nothing of that name; the sentence lists what there is.
    """
    if name and (name.endswith(SUFFIX) or Path(name).is_file()):
        return header(name)
    models = available()
    for bundle in models:
        if name is None or name in (bundle.name, bundle.path.stem if bundle.path else ""):
            return bundle
    names = ", ".join(b.name for b in models) or "none"
    raise ModelError(
        f"There is no model called {name or 'built-in'}. Known models: {names}. Give one of these "
        f"names or the path of a {SUFFIX} bundle."
    )
