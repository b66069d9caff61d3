"""The plan of a run: every choice METHOD leaves open, with a unit and a default, as one JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from core.modalities import TABLE
from core.models.bundle import PLANES
from core.models.mhvae.config import MHVAEConfig
from trainer.errors import TrainerError
from trainer.plan.migration import SCHEMA, migrated

NORMS = ("spectral", "instance")
PRIVATE = ("cohort", "start_from", "exclude")
"""Settings that name files or cases; they never leave the machine."""


@dataclass(frozen=True)
class DataPlan:
    """How cases become tiles.

    Attributes:
        spacing: mm between voxels of the model's grid along R, A, S (paper: 0.5).
        plane: which slices the 2-D model sees, in RAS terms.
        percentiles: of the voxels inside the mask, mapped to the ends of [-1, 1].
        batch: tiles per step over all processes (paper: 16).
        micro_batch: tiles per forward pass; 0 means the whole batch at once. Gradients add up, so
            only memory and speed change.
        neighbours: whether a batch is ``batch`` neighbouring slices of one volume (paper) or mixes
            volumes (default; steadier gradients).
        even_cases: whether all cases are seen equally often; otherwise all slices are.
        min_fov: smallest part of a tile the field of view must cover for a slice to be used.
        whole_pixel: part of the tiles copied pixel by pixel, as synthesis sees images: shifted and
            mirrored, neither rotated nor zoomed. Validation tiles always are.
        jitter: how far a tile's centre may lie from a random voxel of the field of view, as a part
            of the tile's side.
        flip: probability of a left-right mirror.
        rotate: largest in-plane rotation, degrees.
        scale: largest relative zoom, in or out.
        gamma: modality → largest |ln γ| of the random intensity curve; applied to input and target
            alike. Small for ultrasound, whose brightness a T2 cannot foretell.
        validation, test: parts of the patients held out.
        split_seed: seed of that draw; the draw is written to the run and never changes afterwards.
    """

    spacing: tuple[float, float, float] = (0.5, 0.5, 0.5)
    plane: str = "axial"
    percentiles: tuple[float, float] = (0.0, 99.95)
    batch: int = 16
    micro_batch: int = 0
    neighbours: bool = False
    even_cases: bool = True
    min_fov: float = 0.1
    whole_pixel: float = 0.5
    jitter: float = 0.25
    flip: float = 0.5
    rotate: float = 10.0
    scale: float = 0.1
    gamma: Mapping[str, float] = field(
        default_factory=lambda: {one.name: one.gamma for one in TABLE if one.gamma}
    )
    validation: float = 0.1
    test: float = 0.15
    split_seed: int = 0


@dataclass(frozen=True)
class LossPlan:
    """What is minimised (Eq. 9 and the loss below it). All terms share one denominator, the tile's
    pixels, so a small field of view lowers likelihood, adversarial term and KL together.

    Attributes:
        l1: λ_L1 on |μ - x| inside the field of view.
        outside: weight of the same term outside the field of view, inside the modality's own mask,
            and only where the modality is an input: keeps the encoder of a whole-head T2 honest
            without asking an ultrasound for anatomy it never saw.
        beta: weight of the KL in nats per pixel. With λ = 100, β = 1 is the ELBO of a Laplace
            likelihood of scale 0.01.
        beta_ramp: part of the run over which β grows from 0.
        subsets: for more than two modalities, how many random subsets join the complete set and
            the singles each step; with two all three are used.
        subset_odds: empty to use those subsets every step (the paper); otherwise one of them is
            drawn each step with these odds, for example ``{"T2": 2, "iUS": 1, "iUS+T2": 1}``: an
            estimate of Eq. 9 for a third of the price, which favours a direction if asked to.
        mean_path: part of the passes that follow the mean path (temperature 0), on which images are
            synthesised, instead of a sample. The norms of the decoder see less variance there than
            in any sample; a network that never met it can be much worse on it (0: the ELBO).
        mean_path_first: part of the run, from its start, during which all passes follow the mean
            path: noise in the latents from the first step slows learning down by half.
        expert_dropout: part of the passes in which the inputs' experts are left out of the product
            at the finest levels, so that what an image needs has to pass the coarser ones.
        expert_dropout_levels: at how many of the finest levels.
        gan: λ_GAN; 0 builds no discriminator.
        gan_start: part of the run before the adversarial term starts (paper: 0.8).
        gan_outputs: ``"missing"`` (only images that were not an input) or ``"all"`` (paper).
        gan_norm: ``"spectral"``, or ``"instance"``, which hides contrast from the discriminator.
        gan_layers, gan_features: depth and width of the PatchGAN.
    """

    l1: float = 100.0
    outside: float = 0.1
    beta: float = 0.2
    beta_ramp: float = 0.1
    subsets: int = 2
    subset_odds: Mapping[str, float] = field(default_factory=dict)
    mean_path: float = 0.0
    mean_path_first: float = 0.0
    expert_dropout: float = 0.0
    expert_dropout_levels: int = 0
    gan: float = 0.0
    gan_start: float = 0.8
    gan_outputs: str = "missing"
    gan_norm: str = "spectral"
    gan_layers: int = 3
    gan_features: int = 64


@dataclass(frozen=True)
class OptimiserPlan:
    """How long and how fast.

    Attributes:
        epochs: passes over the slices; ignored when ``steps`` or ``budget_seconds`` is set.
        steps: optimiser steps; 0 = unset.
        budget_seconds: training time, s, over all attempts; the schedules follow the clock, so two
            such runs are not bit-identical. 0 = unset.
        rate, rate_end: Adamax learning rate, cosine from one to the other.
        warmup: steps of linear growth of the rate at the start.
        gan_rate: learning rate of the discriminators' Adam.
        clip: largest gradient norm, 0 = no limit.
        ema: decay of the averaged weights that are validated and delivered, per step.
        amp: bfloat16 autocast where the device gains (CUDA only).
    """

    epochs: int = 1000
    steps: int = 0
    budget_seconds: float = 0.0
    rate: float = 2e-3
    rate_end: float = 1e-4
    warmup: int = 50
    gan_rate: float = 2e-4
    clip: float = 0.0
    ema: float = 0.999
    amp: bool = False


@dataclass(frozen=True)
class LogPlan:
    """What is kept on the way.

    Attributes:
        every: steps per line of the log.
        checkpoint_seconds: time between checkpoints, s.
        checkpoint_steps: steps between checkpoints; 0 = by time only.
        validate_steps: steps between validations; 0 = by time only.
        validate_seconds: time between validations, s.
        validate_slices: held-out slices used for them.
        preview_slices: how many of those are drawn.
        keep: checkpoints kept beside the best.
    """

    every: int = 10
    checkpoint_seconds: float = 300.0
    checkpoint_steps: int = 0
    validate_steps: int = 0
    validate_seconds: float = 600.0
    validate_slices: int = 16
    preview_slices: int = 4
    keep: int = 2


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run.

    Attributes:
        cohort: folder or CSV of the cases, on this machine only: never part of a bundle.
        exclude: ids of cases that were looked at and rejected.
        preset: name of the preset it began as.
        family: ``"mhvae"`` or ``"mvae"`` (the paper's ablation with one level); decides
            ``model.hierarchical``.
        model: the architecture.
        start_from: model file to begin with; empty for random weights.
        grow: ``start_from`` is one level coarser, and its weights become the inner levels.
        seed: of weights, order, augmentation and noise.
        threads: of torch and of preprocessing, 0 = all cores.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
    """

    cohort: str = ""
    exclude: tuple[str, ...] = ()
    preset: str = "paper"
    family: str = "mhvae"
    model: MHVAEConfig = field(default_factory=MHVAEConfig)
    data: DataPlan = field(default_factory=DataPlan)
    loss: LossPlan = field(default_factory=LossPlan)
    optimiser: OptimiserPlan = field(default_factory=OptimiserPlan)
    log: LogPlan = field(default_factory=LogPlan)
    start_from: str = ""
    grow: bool = False
    seed: int = 0
    threads: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        data, loss = self.data, self.loss
        checks = [
            (self.family in ("mhvae", "mvae"), "family must be mhvae or mvae"),
            (self.device in ("auto", "cpu", "cuda"), "device must be auto, cpu or cuda"),
            (data.plane in PLANES, f"data.plane must be one of {', '.join(PLANES)}"),
            (len(data.spacing) == 3 and min(data.spacing) > 0, "data.spacing needs three mm > 0"),
            (data.batch >= 1 and data.micro_batch >= 0, "data.batch must be at least 1"),
            (0 <= data.min_fov <= 1, "data.min_fov must lie in 0…1"),
            (0 <= data.whole_pixel <= 1, "data.whole_pixel must lie in 0…1"),
            (0 <= loss.mean_path <= 1, "loss.mean_path must lie in 0…1"),
            (0 <= loss.expert_dropout <= 1, "loss.expert_dropout must lie in 0…1"),
            (0 <= loss.mean_path_first <= 1, "loss.mean_path_first must lie in 0…1"),
            (loss.gan_norm in NORMS, f"loss.gan_norm must be {' or '.join(NORMS)}"),
            (bool(self.start_from) or not self.grow, "grow needs a model in start_from"),
            (
                data.validation >= 0 and data.test >= 0 and data.validation + data.test < 1,
                "data.validation and data.test must leave patients for training",
            ),
            (loss.gan_outputs in ("missing", "all"), "loss.gan_outputs must be missing or all"),
            (0 < self.optimiser.rate_end <= self.optimiser.rate, "optimiser.rate_end > rate"),
            (0 <= self.optimiser.ema < 1, "optimiser.ema must lie in 0…1"),
            (self.log.every >= 1 and self.log.keep >= 1, "log.every and log.keep must be >= 1"),
        ]
        wrong = [sentence for ok, sentence in checks if not ok]
        if wrong:
            raise TrainerError("The training plan cannot be used: " + "; ".join(wrong) + ".")
        model = replace(self.model, hierarchical=self.family == "mhvae")
        object.__setattr__(self, "model", model)
        if not 0 <= loss.expert_dropout_levels < model.levels:
            told = f"loss.expert_dropout_levels is {loss.expert_dropout_levels}; of the model's"
            raise TrainerError(f"{told} {model.levels} levels the coarsest must keep its experts.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values, with the schema version."""
        values = asdict(self)
        values["model"] = self.model.to_dict()
        return {"schema": SCHEMA, **values}

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def override(self, settings: Mapping[str, Any]) -> Plan:
        """Return a plan with some fields changed, named with dots: ``{"data.batch": 4}``."""
        values = self.to_dict()
        for name, value in settings.items():
            *sections, last = name.split(".")
            place = values
            for section in sections:
                place = place.get(section, {})
            if not isinstance(place, dict) or last not in place:
                raise TrainerError(f"A training plan has no setting called {name!r}.")
            place[last] = value
        return plan_from_dict(values, "the changed plan")


def _build(cls: type, values: Mapping[str, Any], where: str) -> Any:
    known = {f.name: f for f in fields(cls)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise TrainerError(
            f"{where} holds settings this version does not know: {', '.join(unknown)}. "
            "Correct the name, or update the program."
        )
    built: dict[str, Any] = {}
    for name, value in values.items():
        default = getattr(Plan(), name) if cls is Plan else None
        if isinstance(default, MHVAEConfig):
            built[name] = MHVAEConfig.from_dict(value)
        elif is_dataclass(default):
            built[name] = _build(type(default), value, where)
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return cls(**built)


def plan_from_dict(values: Mapping[str, Any], where: str) -> Plan:
    """Rebuild a plan from :meth:`Plan.to_dict`; raises TrainerError for what does not fit."""
    values = migrated(values, where)
    try:
        plan: Plan = _build(Plan, values, where)
    except (TypeError, ValueError, AttributeError) as error:
        raise TrainerError(f"{where} is not a usable training plan: {error}.") from error
    return plan


def load_plan(path: Path) -> Plan:
    """Read ``plan.json``; raises TrainerError when it is missing, not JSON or not a plan."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainerError(f"{path.name} cannot be read as a training plan: {error}.") from error
    return plan_from_dict(values, path.name)
