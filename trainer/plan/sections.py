"""The sections of a plan: every setting with its range, unit, meaning and place in the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from core.modalities import GAMMA
from core.models.slicing import ORIENTATIONS, PLANES, USUAL, Slicing
from core.schema import BIG, setting

Length = Annotated[float, setting(ge=0.05, le=20)]
Percent = Annotated[float, setting(ge=0, le=100)]
Positive = Annotated[float, setting(ge=0)]

HELD_OUT = "section 4, Data: 56 for training, 10 for test"
DETAILS = "section 4, Implementation details"
PATCHGAN = "section 3.3: PatchGAN"


@dataclass(frozen=True)
class DataPlan:
    """How cases become tiles."""

    spacing: Annotated[
        tuple[Length, Length, Length],
        setting("Voxel spacing", "Of the model's grid along R, A, S.", unit="mm",
                paper="section 4, Data: 0.5 mm"),
    ] = (0.5, 0.5, 0.5)  # fmt: skip
    plane: Annotated[
        str,
        setting("Slices", "Plane of the 2-D slices the model sees, in RAS terms.",
                paper=f"{DETAILS}: 2-D slices", choices=tuple(PLANES)),
    ] = "axial"  # fmt: skip
    orientation: Annotated[
        Annotated[str, setting(choices=ORIENTATIONS)] | None,
        setting("Orientation", "Where the rows, columns and slices of the model's images count up "
                "to, as three letters; empty is right, anterior, superior.",
                paper="the authors' code takes the files' own order"),
    ] = None  # fmt: skip
    percentiles: Annotated[
        tuple[Percent, Percent],
        setting("Percentiles", "Of the voxels inside the mask, mapped to the ends of [-1, 1].",
                unit="%", paper="section 3.3: images in [-1, 1]"),
    ] = (0.0, 99.95)  # fmt: skip
    batch: Annotated[
        int,
        setting("Batch", "Tiles per optimiser step, over all processes.", unit="tiles",
                paper=f"{DETAILS}: 16", ge=1, le=65536),
    ] = 16  # fmt: skip
    micro_batch: Annotated[
        int,
        setting("Parts of a batch", "Tiles held in memory at once; 0 is the whole batch. Gradients "
                "add up, so only memory and speed change.", unit="tiles", ge=0, le=65536),
    ] = 0  # fmt: skip
    neighbours: Annotated[
        bool,
        setting("Neighbouring slices", "Whether a batch is taken from neighbouring slices of one "
                "volume, as in the paper, or mixes volumes, which gives steadier gradients.",
                paper="the authors' code takes neighbours"),
    ] = False  # fmt: skip
    even_cases: Annotated[
        bool,
        setting("All cases alike", "Whether all cases are seen equally often; else all slices are, "
                "and long volumes more often."),
    ] = True  # fmt: skip
    min_fov: Annotated[
        float,
        setting("Smallest field of view", "Slices that show less of it are left out.",
                unit="part of a tile", ge=0, le=1),
    ] = 0.1  # fmt: skip
    whole_pixel: Annotated[
        float,
        setting("Whole pixels", "Tiles copied pixel by pixel, as synthesis sees images: shifted "
                "and mirrored, neither rotated nor zoomed. Validation tiles always are.",
                unit="part of the tiles", ge=0, le=1),
    ] = 0.5  # fmt: skip
    jitter: Annotated[
        float,
        setting("Shift of tiles", "How far a tile's centre may lie from a random voxel of the "
                "field of view.", unit="part of a side", ge=0, le=1),
    ] = 0.25  # fmt: skip
    flip: Annotated[
        float, setting("Mirror", "Left-right; sagittal slices show neither and stay.",
                       unit="probability", ge=0, le=1)
    ] = 0.5  # fmt: skip
    rotate: Annotated[
        float,
        setting("Largest rotation", "In the plane of the slice.", unit="degrees", ge=0, le=180),
    ] = 10.0  # fmt: skip
    scale: Annotated[
        float, setting("Largest zoom", "In or out.", unit="part", ge=0, lt=1)
    ] = 0.1  # fmt: skip
    gamma: Annotated[
        Mapping[str, Annotated[float, setting(ge=0, le=5)]],
        setting("Intensity curves", "Modality: largest bend of its intensities, of input and "
                "target alike. Small for ultrasound, whose brightness a T2 cannot foretell.",
                unit="|ln γ|"),
    ] = field(default_factory=lambda: dict(GAMMA))  # fmt: skip
    validation: Annotated[
        float,
        setting("Validation", "Held out to watch the training.", unit="part of the patients",
                paper=HELD_OUT, ge=0, lt=1),
    ] = 0.1  # fmt: skip
    test: Annotated[
        float,
        setting("Test", "Held out for the report.", unit="part of the patients", paper=HELD_OUT,
                ge=0, lt=1),
    ] = 0.15  # fmt: skip
    by_content: Annotated[
        bool,
        setting("By what there is to learn", "With all cases alike: a case without a partner comes "
                "as rarely as it serves few subsets, and slices as often as they show much of the "
                "field of view."),
    ] = True  # fmt: skip
    join_alike: Annotated[
        bool,
        setting("One patient's images together", "Cases whose images look like one patient's under "
                "two names go to one part of the split, as cases of one patient do."),
    ] = True  # fmt: skip
    split_seed: Annotated[
        int,
        setting("Seed of the split", "Another number draws other patients; the draw is written to "
                "the run and never changes afterwards.", ge=0, le=BIG),
    ] = 0  # fmt: skip

    @property
    def slicing(self) -> Slicing:
        """How a case's volumes become the model's slices."""
        return Slicing(self.orientation or USUAL[self.plane])


@dataclass(frozen=True)
class LossPlan:
    """What is minimised (Eq. 9 and the loss below it). All terms share one denominator, the tile's
    pixels, so a small field of view lowers likelihood, adversarial term and KL together.
    """

    l1: Annotated[
        float,
        setting("λ of L1", "Weight of |μ - x| inside the field of view.",
                paper="the loss after Eq. 9: 100", ge=0, le=1e6),
    ] = 100.0  # fmt: skip
    outside: Annotated[
        float,
        setting("Weight outside", "Of the same term outside the field of view, inside the "
                "modality's own mask, where the modality is an input: keeps the encoder of a "
                "whole-head T2 honest without asking an ultrasound for anatomy it never saw.",
                ge=0, le=1000),
    ] = 0.1  # fmt: skip
    known_only: Annotated[
        bool,
        setting("Known pixels only", "Neither train nor validate where an image is background "
                "inside the ultrasound's field of view, as beyond the edge of a T2: nothing is "
                "known there."),
    ] = True  # fmt: skip
    beta: Annotated[
        float,
        setting("β", "Weight of the KL. With λ = 100, β = 1 is the ELBO of a Laplace likelihood of "
                "scale 0.01.", unit="per nat and pixel", paper="Eq. 8 and 9", ge=0, le=1000),
    ] = 0.2  # fmt: skip
    beta_ramp: Annotated[
        float,
        setting("β grows over", "From 0 to its value.", unit="part of the run", ge=0, le=1),
    ] = 0.1  # fmt: skip
    subsets: Annotated[
        int,
        setting("Further subsets", "With more than two modalities: random subsets beside the "
                "complete one and the singles; with two all three are used.", paper="Eq. 9",
                ge=0, le=1024),
    ] = 2  # fmt: skip
    subset_odds: Annotated[
        Mapping[str, Positive],
        setting("Odds of subsets", "Empty: all in every step, as in the paper. Otherwise one is "
                "drawn with these odds, for example T2: 2, iUS: 1, iUS+T2: 1: an estimate of Eq. 9 "
                "for a third of the price, which favours a direction if asked to.",
                paper="Eq. 9"),
    ] = field(default_factory=dict)  # fmt: skip
    mean_path: Annotated[
        float,
        setting("Mean path", "Passes without noise, the path that images are synthesised on. The "
                "norms of the decoder see less variance there than in any sample, and a network "
                "that never met it can be much worse on it; 0: the ELBO.",
                unit="part of the passes", ge=0, le=1),
    ] = 0.0  # fmt: skip
    mean_path_first: Annotated[
        float,
        setting("Mean path at first", "During which all passes go without noise: noise in the "
                "latents from the first step slows learning down by half.",
                unit="part of the run", ge=0, le=1),
    ] = 0.0  # fmt: skip
    expert_dropout: Annotated[
        float,
        setting("Expert dropout", "In which the inputs' experts are left out at the finest levels, "
                "so that what an image needs has to pass the coarser ones.",
                unit="part of the passes", ge=0, le=1),
    ] = 0.0  # fmt: skip
    expert_dropout_levels: Annotated[
        int, setting("Levels of it", "How many of the finest.", unit="levels", ge=0, le=32)
    ] = 0  # fmt: skip
    gan: Annotated[
        float,
        setting("λ of the GAN", "0 builds no discriminator.", paper="the loss after Eq. 9: 1",
                ge=0, le=1e6),
    ] = 0.0  # fmt: skip
    gan_start: Annotated[
        float,
        setting("GAN begins", "Before, the rest trains alone.", unit="part of the run",
                paper=f"{DETAILS}: after 800 of 1000 epochs", ge=0, le=1),
    ] = 0.8  # fmt: skip
    gan_outputs: Annotated[
        str,
        setting("GAN looks at", "Images that were not an input only, or all.",
                paper="the loss after Eq. 9: all", choices=("missing", "all")),
    ] = "missing"  # fmt: skip
    gan_blur: Annotated[
        float,
        setting("L1 beside the GAN", "Width (σ) of the local means that L1 then compares where a "
                "missing image has an expected echo: that one says how bright a place is on "
                "average, and a comparison of pixels would forbid speckle. 0: pixels.",
                unit="pixels", ge=0, le=100),
    ] = 3.0  # fmt: skip
    gan_norm: Annotated[
        str,
        setting("Discriminator norm", "spectral sees contrast; instance norms hide it.",
                paper=PATCHGAN, choices=("spectral", "instance")),
    ] = "spectral"  # fmt: skip
    gan_loss: Annotated[
        str,
        setting("GAN loss", "Least squares; cross entropy, as in Pix2Pix; a hinge, as in SPADE.",
                paper=PATCHGAN, choices=("lsgan", "cross_entropy", "hinge")),
    ] = "lsgan"  # fmt: skip
    gan_conditional: Annotated[
        bool,
        setting("GAN sees inputs", "Whether a discriminator judges an image beside what it was "
                "made from, as in Pix2Pix, SPADE and ResViT, or alone.", paper=PATCHGAN),
    ] = False  # fmt: skip
    gan_scales: Annotated[
        int,
        setting("Discriminator scales", "PatchGANs at full, half, … size; 2 in SPADE.",
                paper=PATCHGAN, ge=1, le=4),
    ] = 1  # fmt: skip
    feature_matching: Annotated[
        float,
        setting("Feature matching", "Weight, beside λ of the GAN, of the distance of the "
                "discriminators' inner maps; 10 in SPADE.", ge=0, le=1e6),
    ] = 0.0  # fmt: skip
    transformers_start: Annotated[
        float,
        setting("Transformers begin", "ResViT only: before, its convolutions train alone.",
                unit="part of the run", ge=0, le=1),
    ] = 0.67  # fmt: skip
    gan_layers: Annotated[
        int,
        setting("Discriminator layers", "Halvings of the PatchGAN.", paper=PATCHGAN, ge=1, le=16),
    ] = 3  # fmt: skip
    gan_features: Annotated[
        int,
        setting("Discriminator features", "After its first layer.", unit="channels",
                ge=1, le=4096),
    ] = 64  # fmt: skip


@dataclass(frozen=True)
class OptimiserPlan:
    """How long and how fast."""

    epochs: Annotated[
        int,
        setting("Epochs", "Passes over all slices, unless steps or a time are set.",
                paper=f"{DETAILS}: 1000", ge=0, le=BIG),
    ] = 1000  # fmt: skip
    steps: Annotated[int, setting("Steps", "0: count epochs.", ge=0, le=BIG)] = 0
    budget_seconds: Annotated[
        float,
        setting("Time", "Training time over all attempts; 0: none. It goes before steps and "
                "epochs. The schedules follow the clock, so two such runs are not bit-identical.",
                unit="s", ge=0),
    ] = 0.0  # fmt: skip
    kind: Annotated[
        str,
        setting("Optimiser", "Adamax, or Adam with β of 0.5 and 0.999 as networks with "
                "discriminators use it.", choices=("adamax", "adam")),
    ] = "adamax"  # fmt: skip
    rate: Annotated[float, setting("Learning rate", "At the start.", gt=0, le=1)] = 2e-3
    rate_end: Annotated[
        float, setting("Last learning rate", "Reached by a cosine.", gt=0, le=1)
    ] = 1e-4  # fmt: skip
    warmup: Annotated[
        int, setting("Warm-up", "The rate grows linearly from 0.", unit="steps", ge=0, le=BIG)
    ] = 50  # fmt: skip
    patience: Annotated[
        int,
        setting("Patience", "Validations without a better one after which the run ends; 0: none.",
                unit="validations", ge=0, le=BIG),
    ] = 0  # fmt: skip
    give_up: Annotated[
        int,
        setting("Given up after", "Validations in a row that are worse than the start by half a "
                "decibel: the rate is too high, or the data are not what they seem. 0: never.",
                unit="validations", ge=0, le=BIG),
    ] = 5  # fmt: skip
    diverge: Annotated[
        float,
        setting("Diverged at", "Median training loss (L1 and KL) of 20 steps, as a multiple of the "
                "first 20 steps', at which the run stops and keeps its best; 0: never.",
                ge=0, le=1e6),
    ] = 2.0  # fmt: skip
    gan_rate: Annotated[
        float, setting("Discriminators' rate", "Of their Adam.", gt=0, le=1)
    ] = 2e-4  # fmt: skip
    clip: Annotated[float, setting("Largest gradient", "Its norm; 0: no limit.", ge=0)] = 0.0
    ema: Annotated[
        float,
        setting("Averaging", "Decay of the averaged weights that are validated and delivered.",
                unit="per step", ge=0, lt=1),
    ] = 0.999  # fmt: skip
    amp: Annotated[
        bool, setting("Half precision", "bfloat16 where a GPU gains by it (CUDA only).")
    ] = False  # fmt: skip


@dataclass(frozen=True)
class LogPlan:
    """What is kept on the way."""

    every: Annotated[int, setting("Log", "Per line of the log.", unit="steps", ge=1, le=BIG)] = 10
    checkpoint_seconds: Annotated[
        float, setting("Checkpoint", "Time between two.", unit="s", ge=0)
    ] = 300.0  # fmt: skip
    checkpoint_steps: Annotated[
        int, setting("Checkpoint", "Between two; 0: by time only.", unit="steps", ge=0, le=BIG)
    ] = 0  # fmt: skip
    validate_seconds: Annotated[
        float, setting("Validation", "Time between two.", unit="s", ge=0)
    ] = 600.0  # fmt: skip
    validate_steps: Annotated[
        int, setting("Validation", "Between two; 0: by time only.", unit="steps", ge=0, le=BIG)
    ] = 0  # fmt: skip
    validate_slices: Annotated[
        int, setting("Validation slices", "Held-out slices used for it.", ge=0, le=65536)
    ] = 16  # fmt: skip
    preview_slices: Annotated[
        int, setting("Pictures", "How many of those are drawn.", ge=0, le=1024)
    ] = 4  # fmt: skip
    tensorboard: Annotated[
        bool,
        setting("TensorBoard", "Write event files for it beside the log; needs the package "
                "tensorboardX."),
    ] = False  # fmt: skip
    deliver: Annotated[
        str,
        setting("Delivered", "The weights of the best validation, or the last ones; the last ones "
                "are kept beside it as model-last.safetensors. Once the GAN has begun always the "
                "last: no score sees the texture it teaches.", choices=("best", "last")),
    ] = "best"  # fmt: skip
    keep: Annotated[
        int, setting("Checkpoints kept", "Beside the best.", ge=1, le=BIG)
    ] = 2  # fmt: skip
