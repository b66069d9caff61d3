"""Every setting of a plan as people read and write it: label, unit, meaning, place in the paper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import UserError
from trainer.plan.schema import Plan


class FieldError(UserError):
    """A value that a setting cannot have."""


@dataclass(frozen=True)
class Field:
    """One setting.

    Attributes:
        name: as in ``--set``.
        label: what the form says.
        unit: of the value; empty for pure numbers and words.
        about: what it does, one sentence.
        paper: where the paper (Dorent et al. 2023) speaks of it, or that it does not.
        choices: the words it may be; empty for free values.
    """

    name: str
    label: str
    unit: str
    about: str
    paper: str
    choices: tuple[str, ...] = ()


NONE = "the paper does not say"
SECTIONS: dict[str, tuple[Field, ...]] = {
    "Data": (
        Field("data.spacing", "Voxel spacing", "mm", "Grid of the model along R, A, S.",
              "section 4, Data: 0.5 mm"),
        Field("data.plane", "Slices", "", "Plane of the 2-D slices the model sees.",
              "section 4, Implementation details: 2-D slices", ("axial", "coronal", "sagittal")),
        Field("data.percentiles", "Percentiles", "%", "Inside the mask, mapped to the ends of "
              "[-1, 1].", "section 3.3: images in [-1, 1]"),
        Field("data.batch", "Batch", "tiles", "Tiles per optimiser step.",
              "section 4, Implementation details: 16"),
        Field("data.micro_batch", "Parts of a batch", "tiles", "Tiles held in memory at once; 0 "
              "is the whole batch. The result is the same.", NONE),
        Field("data.neighbours", "Neighbouring slices", "", "Whether a batch is taken from one "
              "volume, as in the paper, or mixes volumes.", "the authors' code takes neighbours"),
        Field("data.even_cases", "All cases alike", "", "Seen equally often; else slices are, and "
              "long volumes more often.", NONE),
        Field("data.min_fov", "Smallest field of view", "part of a tile", "Slices that show less "
              "are left out.", NONE),
        Field("data.whole_pixel", "Whole pixels", "part of the tiles", "Copied as they are, as "
              "synthesis sees images: neither rotated nor zoomed.", NONE),
        Field("data.jitter", "Shift of tiles", "part of a side", "How far a tile's centre may lie "
              "from a random place in the field of view.", NONE),
        Field("data.flip", "Mirror", "probability", "Left-right.", NONE),
        Field("data.rotate", "Largest rotation", "degrees", "In the plane of the slice.", NONE),
        Field("data.scale", "Largest zoom", "part", "In or out.", NONE),
        Field("data.gamma", "Intensity curves", "|ln γ|", "Modality: largest bend of its "
              "intensities.", NONE),
        Field("data.validation", "Validation", "part of the patients", "Held out to watch the "
              "training.", "section 4, Data: 56 for training, 10 for test"),
        Field("data.test", "Test", "part of the patients", "Held out for the report.",
              "section 4, Data: 56 for training, 10 for test"),
        Field("data.split_seed", "Seed of the split", "", "Another number draws other patients.",
              NONE),
    ),
    "Model": (
        Field("family", "Family", "", "mvae is the one-level model of the ablation.",
              "Table 1: MVAE and MHVAE", ("mhvae", "mvae")),
        Field("model.tile", "Tile", "pixels", "Height and width the network is built for; "
              "multiples of 2 to the number of poolings.", "section 4, Data: 192x192"),
        Field("model.base_features", "Features", "channels", "At full resolution.",
              "section 4, Implementation details; 16 in the authors' code"),
        Field("model.max_features", "Most features", "channels", "Bound at coarse resolutions.",
              "section 4, Implementation details"),
        Field("model.pools", "Poolings", "", "Halvings; the model has one level more.",
              "section 4, Implementation details: 7 levels"),
        Field("model.final_features", "Decoder features", "channels", "Of the image decoders; "
              "empty is half of the features.", "section 4, Implementation details"),
        Field("model.final_blocks", "Decoder blocks", "", "ResNet blocks of an image decoder.",
              "section 4, Implementation details: 5"),
        Field("model.fusion", "Fusion", "", "authors: the deviation their code samples with.",
              "Eq. 6 and 7", ("gaussian", "authors")),
        Field("model.clamp", "Clamp", "", "Means and log-variances stay within this.", NONE),
        Field("model.squeeze_excitation", "Squeeze and excitation", "", "In every cell.",
              "section 4, Implementation details"),
        Field("model.residual", "Residual cells", "", "Whether cells add their input.",
              "section 4, Implementation details"),
        Field("model.last_activation", "Last activation", "", "tanh keeps images in [-1, 1].",
              NONE, ("tanh", "identity")),
    ),
    "Loss": (
        Field("loss.l1", "λ of L1", "", "Weight of |μ - x| inside the field of view.",
              "the loss after Eq. 9: 100"),
        Field("loss.outside", "Weight outside", "", "Of the same term outside the field of view, "
              "where the modality is an input.", NONE),
        Field("loss.beta", "β", "per nat and pixel", "Weight of the KL.", "Eq. 8 and 9"),
        Field("loss.beta_ramp", "β grows over", "part of the run", "From 0 to its value.", NONE),
        Field("loss.subsets", "Further subsets", "", "With more than two modalities: random "
              "subsets beside the complete one and the singles.", "Eq. 9"),
        Field("loss.subset_odds", "Odds of subsets", "", "Empty: all in every step. Otherwise one "
              "is drawn with these odds.", "Eq. 9"),
        Field("loss.mean_path", "Mean path", "part of the passes", "Trains the path without noise "
              "that images are synthesised on.", NONE),
        Field("loss.mean_path_first", "Mean path at first", "part of the run", "During which all "
              "passes go without noise: learns faster.", NONE),
        Field("loss.expert_dropout", "Expert dropout", "part of the passes", "In which the finest "
              "levels do without the inputs.", NONE),
        Field("loss.expert_dropout_levels", "Levels of it", "levels", "How many of the finest.",
              NONE),
        Field("loss.gan", "λ of the GAN", "", "0 builds no discriminator.",
              "the loss after Eq. 9: 1"),
        Field("loss.gan_start", "GAN begins", "part of the run", "Before, the rest trains alone.",
              "section 4, Implementation details: after 800 of 1000 epochs"),
        Field("loss.gan_outputs", "GAN looks at", "", "Missing images only, or all.",
              "the loss after Eq. 9: all", ("missing", "all")),
        Field("loss.gan_norm", "Discriminator norm", "", "spectral sees contrast; instance norms "
              "remove it.", "section 3.3: PatchGAN", ("spectral", "instance")),
        Field("loss.gan_layers", "Discriminator layers", "", "Halvings of the PatchGAN.",
              "section 3.3: PatchGAN"),
        Field("loss.gan_features", "Discriminator features", "channels", "After its first layer.",
              NONE),
    ),
    "Length and speed": (
        Field("optimiser.epochs", "Epochs", "", "Passes over all slices, unless steps or a time "
              "are set.", "section 4, Implementation details: 1000"),
        Field("optimiser.steps", "Steps", "", "0: count epochs.", NONE),
        Field("optimiser.budget_seconds", "Time", "s", "Training time over all attempts; 0: none. "
              "It goes before steps and epochs.", NONE),
        Field("optimiser.rate", "Learning rate", "", "Of Adamax, at the start.", NONE),
        Field("optimiser.rate_end", "Last learning rate", "", "Reached by a cosine.", NONE),
        Field("optimiser.warmup", "Warm-up", "steps", "The rate grows from 0.", NONE),
        Field("optimiser.gan_rate", "Discriminators' rate", "", "Of their Adam.", NONE),
        Field("optimiser.clip", "Largest gradient", "", "Norm; 0: no limit.", NONE),
        Field("optimiser.ema", "Averaging", "per step", "Decay of the averaged weights that are "
              "delivered.", NONE),
        Field("optimiser.amp", "Half precision", "", "bfloat16 where a GPU gains by it.", NONE),
        Field("seed", "Seed", "", "Of weights, order, augmentation and noise.", NONE),
        Field("threads", "Threads", "", "For the network and for preparing cases; 0: all cores.",
              NONE),
        Field("device", "Device", "", "auto takes a GPU if there is one.", NONE,
              ("auto", "cpu", "cuda")),
    ),
    "What is kept": (
        Field("log.every", "Log", "steps", "Per line of the log.", NONE),
        Field("log.checkpoint_seconds", "Checkpoint", "s", "Time between two.", NONE),
        Field("log.checkpoint_steps", "Checkpoint", "steps", "Between two; 0: by time only.", NONE),
        Field("log.validate_seconds", "Validation", "s", "Time between two.", NONE),
        Field("log.validate_steps", "Validation", "steps", "Between two; 0: by time only.", NONE),
        Field("log.validate_slices", "Validation slices", "", "Held-out slices used for it.", NONE),
        Field("log.preview_slices", "Pictures", "", "How many of those are drawn.", NONE),
        Field("log.keep", "Checkpoints kept", "", "Beside the best.", NONE),
    ),
}  # fmt: skip
FIELDS = {f.name: f for fields in SECTIONS.values() for f in fields}

DECIDED_ELSEWHERE = {
    "cohort", "exclude", "preset", "start_from", "grow", "model.modalities", "model.hierarchical",
}  # fmt: skip
"""Settings that other steps of the wizard decide, or that follow from others."""


def values_of(plan: Plan) -> dict[str, Any]:
    """Return every setting's value by its dotted name."""
    values = plan.to_dict()
    found = {}
    for name in FIELDS:
        section, _, last = name.rpartition(".")
        found[name] = (values[section] if section else values)[last]
    return found


def value_of(plan: Plan, name: str) -> Any:
    """Return one setting's value by its dotted name."""
    return values_of(plan)[name]


def shown(value: Any) -> str:
    """Return a setting's value as people write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {number:g}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shown(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def read(name: str, text: str, default: Any) -> Any:
    """Read what was typed for a setting.

    Args:
        name: of the setting.
        text: what was typed.
        default: its value in a fresh plan, which tells its type.

    Raises:
        FieldError: says what was expected.
    """
    field, text = FIELDS[name], text.strip()
    try:
        if field.choices:
            if text not in field.choices:
                raise ValueError(f"one of {', '.join(field.choices)}")
            return text
        if isinstance(default, bool):
            if text not in ("yes", "no"):
                raise ValueError("yes or no")
            return text == "yes"
        if isinstance(default, Mapping):
            pairs = [part.split(":") for part in text.split(",") if part.strip()]
            return {key.strip(): _number(value) for key, value in pairs}
        if isinstance(default, list | tuple):
            whole = all(isinstance(v, int) for v in default)
            return [_whole(part) if whole else _number(part) for part in text.split(",")]
        if name == "model.final_features":
            return _whole(text) if text else None
        return _whole(text) if isinstance(default, int) else _number(text)
    except ValueError as error:
        expected = _expected(default) if "unpack" in str(error) else str(error)
        raise FieldError(f"{field.label}: expected {expected}; found {text!r}.") from None


def _expected(default: Any) -> str:
    return "pairs like T2: 0.2, iUS: 0.05" if isinstance(default, Mapping) else "a number"


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("a whole number") from None
    if value < 0:
        raise ValueError("a whole number of at least 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(json.loads(text.strip()))
    except (ValueError, TypeError):
        raise ValueError("a number") from None
    if not 0 <= value < float("inf"):
        raise ValueError("a number of at least 0")
    return value


def tooltip(field: Field, default: Any) -> str:
    """Return what a setting's tooltip says."""
    unit = f" Unit: {field.unit}." if field.unit else ""
    return f"{field.about}{unit} Default: {shown(default) or 'none'}. Paper: {field.paper}."


def length(plan: Plan) -> str:
    """Say how long a plan trains."""
    o = plan.optimiser
    if o.budget_seconds > 0:
        return (
            f"{o.budget_seconds / 3600:g} hours"
            if o.budget_seconds >= 3600
            else (f"{o.budget_seconds / 60:g} minutes")
        )
    return f"{o.steps} steps" if o.steps else f"{o.epochs} epochs"


def summary(plan: Plan) -> str:
    """Describe a plan in one line."""
    height, width = plan.model.tile
    gan = f"GAN from {plan.loss.gan_start:.0%} of the run" if plan.loss.gan > 0 else "no GAN"
    return (
        f"tiles of {height}x{width} pixels at {max(plan.data.spacing):g} mm, {plan.model.levels} "
        f"levels, batch {plan.data.batch}, {length(plan)}, {gan}"
    )
