"""Which curves belong on which chart, under which name, and in which colour."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trainer.loop.terms import EXPECTED

COLOURS = (
    "#3b8ad8", "#e0902f", "#4aa564", "#c9564c", "#a56bc0", "#8c6d46", "#d36ba6", "#7f8794",
    "#b3a72c", "#2fb0b8",
)  # fmt: skip
"""In turn; told apart by people with red-green blindness as far as ten can be, readable on both
appearances."""


@dataclass(frozen=True)
class Curve:
    """One line.

    Attributes:
        name: as logged (see :meth:`app.training.runs.history.History.values`).
        label: for people.
        colour: of the line.
        shown: whether it is drawn at first.
    """

    name: str
    label: str
    colour: str
    shown: bool = True


@dataclass(frozen=True)
class Chart:
    """Several lines with one unit.

    Attributes:
        key: unique.
        title, unit, tip: for people.
        curves: its lines.
        noisy: whether smoothing helps; schedules and scores are shown as they are.
    """

    key: str
    title: str
    unit: str
    tip: str
    curves: tuple[Curve, ...] = field(default_factory=tuple)
    noisy: bool = False


@dataclass(frozen=True)
class _Kind:
    key: str
    title: str
    unit: str
    tip: str
    pattern: str
    label: Callable[[re.Match[str]], str]
    shown: Callable[[re.Match[str]], bool] = lambda _: True


SCORES = ("fit", "psnr", "ssim")
"""Charts that a logarithmic axis is not for."""
NOISY = ("l1", "kl", "gan", "d", "pull", "loss", "pace")
"""Charts that smoothing is for."""


def _direction(match: re.Match[str]) -> str:
    image, echo, _ = match["to"].partition(EXPECTED)
    return f"{match['from']} → {image}" + (", expected echo" if echo else "")


def _is_missing(match: re.Match[str]) -> bool:
    return match["to"].removesuffix(EXPECTED) not in match["from"].split("+")


FIT = "fit"
"""The chart of both scores; without the one of training slices there is nothing to compare."""
_KINDS = (
    _Kind(FIT, "Held-out against training", "dB",
          "Mean PSNR of missing images on held-out and on training slices. When only training "
          "slices get better, cases are learned by heart",
          r"validation/(?P<to>score|train_score)",
          lambda m: {"score": "held-out slices"}.get(m["to"], "training slices")),
    _Kind("l1", "L1", "of a range of 2",
          "Mean absolute error inside the field of view, per input and output",
          r"l1/(?P<from>[^/]+)/(?P<to>[^/]+)", _direction),
    _Kind("kl", "KL per level", "nats per pixel",
          "What each level of latents costs; level 1 is the finest. Log axis recommended",
          r"kl/(?P<from>[^/]+)/(?P<to>\d+)", lambda m: f"level {m['to']}, {m['from']}",
          lambda m: "+" in m["from"]),
    _Kind("gan", "Generator, adversarial", "loss",
          "How far the discriminator is from taking the synthetic image for real",
          r"gan/(?P<from>[^/]+)/(?P<to>[^/]+)", _direction),
    _Kind("d", "Discriminators", "score",
          "Mean score of real and of synthetic images (1 = real) and the discriminator's loss",
          r"d/(?P<to>[^/]+)/(?P<from>real|fake|loss)",
          lambda m: f"{m['to']}, {'synthetic' if m['from'] == 'fake' else m['from']}"),
    _Kind("pull", "Pull at missing images", "gradient norm",
          "How hard L1 and the discriminator pull at the same images; λ sets the balance",
          r"pull/(?P<from>l1|gan)/(?P<to>[^/]+)",
          lambda m: f"{m['to']}, {'L1' if m['from'] == 'l1' else 'discriminator'}"),
    _Kind("psnr", "Validation PSNR", "dB", "On the same held-out slices each time",
          r"validation/psnr/(?P<from>[^>]+)>(?P<to>.+)", _direction, _is_missing),
    _Kind("ssim", "Validation SSIM", "0…1", "On the same held-out slices each time",
          r"validation/ssim/(?P<from>[^>]+)>(?P<to>.+)", _direction, _is_missing),
    _Kind("loss", "Whole loss", "", "What is minimised, and the gradient's norm",
          r"(?P<to>loss|gradient)", lambda m: {"loss": "loss"}.get(m["to"], "gradient norm"),
          lambda m: m["to"] == "loss"),
    _Kind("rate", "Learning rate", "", "Of the model; its discriminators have their own",
          r"(?P<to>rate)", lambda _: "learning rate"),
    _Kind("weights", "β and λ", "", "Weights of the KL and of the adversarial term",
          r"(?P<to>beta|lambda_gan)", lambda m: {"beta": "β"}.get(m["to"], "λ GAN")),
    _Kind("memory", "Memory", "MiB", "Of the training process; on a GPU the peak there",
          r"(?P<to>memory_mb)", lambda _: "memory"),
    _Kind("pace", "Time per step", "s", "Whole step, and waiting for tiles",
          r"(?P<to>step_seconds|data_seconds)",
          lambda m: {"step_seconds": "step"}.get(m["to"], "waiting for tiles")),
)  # fmt: skip


def charts_for(names: Sequence[str]) -> list[Chart]:
    """Sort what a run has logged onto charts; a chart without curves is left out."""
    if not any(name.startswith("kl/") for name in names):
        names = [name for name in names if name != "beta"]  # the weight of nothing
    found = []
    for kind in _KINDS:
        matches = [(n, m) for n in names if (m := re.fullmatch(kind.pattern, n))]
        shown = any(kind.shown(m) for _, m in matches)
        curves = tuple(
            Curve(name, kind.label(m), COLOURS[k % len(COLOURS)], kind.shown(m) or not shown)
            for k, (name, m) in enumerate(_ordered(matches, kind))
        )
        if curves and (kind.key != FIT or len(curves) > 1):
            noisy = kind.key in NOISY
            found.append(Chart(kind.key, kind.title, kind.unit, kind.tip, curves, noisy))
    return found


def _ordered(
    matches: list[tuple[str, re.Match[str]]], kind: _Kind
) -> list[tuple[str, re.Match[str]]]:
    """Put the curves that are drawn at first before the others, so that their colours differ."""
    if kind.key == "kl":
        matches = sorted(matches, key=lambda nm: int(nm[1]["to"]))
    return sorted(matches, key=lambda nm: not kind.shown(nm[1]))
