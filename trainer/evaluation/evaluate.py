"""Score models on cases nobody trained on: every direction, inside the field of view."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import UserError
from core.image import metrics
from core.lpips.distance import Distance
from core.lpips.layouts import HOW, NOT_COMPUTED
from core.lpips.weights import Weights
from core.lpips.weights import load as load_lpips
from core.models.bundle import Bundle
from core.models.weights import load as load_bundle
from core.synthesis.backends import choose_device
from core.synthesis.request import PreparedInput, Request
from core.synthesis.synthesize import Engine, Progress
from trainer.cohort.scan import names_of, scan
from trainer.errors import TrainerError
from trainer.evaluation.aligned_case import AlignedCase, lay_out, seen_in_training
from trainer.evaluation.authors_protocol import slice_scores
from trainer.evaluation.choice import Chosen

Floats = NDArray[np.float32]
STEPS = 1000
"""Progress is told in so many parts of a case."""
PROTOCOLS = ("masked", "authors")
OF_A_RUN = {"model": "", "model-last": ", last step"}
"""Stem of a run's model file → what stands after the run's name."""


@dataclass(frozen=True)
class Row:
    """One model on one case in one direction.

    Attributes:
        model: the model's label.
        case: id of the case.
        inputs: the subset π.
        target: the modality compared with its real image.
        scores: metric → value: ``psnr`` dB, ``ssim`` and ``lpips`` in 0…1, ``mae`` on [-1, 1],
            ``psnr_gain`` after the best gain and offset (``masked`` protocol only).
        trained_on: whether the model's card names images of the case as its training's.
    """

    model: str
    case: str
    inputs: tuple[str, ...]
    target: str
    scores: dict[str, float]
    trained_on: bool = False

    @property
    def reconstruction(self) -> bool:
        """Whether the target was an input."""
        return self.target in self.inputs


@dataclass(frozen=True, eq=False)
class Picture:
    """The middle slice of one row, for the report: (H, W) float32 in [-1, 1], background -1."""

    row: Row
    real: Floats
    made: Floats
    inputs: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All rows of an evaluation, with what a reader must know about them."""

    protocol: str
    models: dict[str, Bundle]
    rows: list[Row]
    pictures: list[Picture]
    problems: list[str]
    perceptual: str
    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    """Case → modality → name of the file used."""
    weights: Weights | None = None
    """What LPIPS was computed with."""
    chosen: str = ""
    """Which of a cohort's cases these are, in a sentence."""


def evaluate(
    models: Sequence[Path],
    cohort: Path,
    *,
    protocol: str = "masked",
    split: Path | None = None,
    only: Chosen | None = None,
    max_slices: int = 0,
    lpips: Sequence[Path] = (),
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Run every model on every case, subset and target that has a real image.

    Args:
        models: bundles; their labels are their file's folder or stem.
        cohort: folder or CSV of the cases.
        protocol: ``"masked"`` (inside the field of view) or ``"authors"``.
        split: a run's ``split.json``; only its test cases are used.
        only: cases chosen in another way; see :mod:`trainer.evaluation.choice`.
        max_slices: score at most this many slices per case, evenly spaced; 0 = all.
        lpips: files with LPIPS weights, as :func:`core.lpips.weights.load` takes them; without
            them LPIPS is not computed.
        device: ``cpu``, ``cuda``, ``mps`` or ``auto``.
        progress: told (done, total) in thousandths of a case of a model, every few tiles.

    Raises:
        TrainerError: nothing to evaluate on, an unknown protocol, or two models of one label.
        UserError: a model or the LPIPS weights cannot be read.
    """
    if protocol not in PROTOCOLS:
        raise TrainerError(f"There is no protocol {protocol!r}; choose {' or '.join(PROTOCOLS)}.")
    chosen = choose_device(device)
    perceptual, weights = load_lpips(lpips) if lpips else (None, None)
    loaded: dict[str, tuple[Bundle, Engine]] = {}
    for path, label in zip(models, labels(models), strict=True):
        bundle, model = load_bundle(path)
        loaded[label] = (bundle, Engine(model, bundle, chosen))
    known = tuple(dict.fromkeys(m for b, _ in loaded.values() for m in b.config.modalities))
    cases = scan(cohort, known)
    if split is not None:
        wanted = set(json.loads(split.read_text(encoding="utf-8"))["test"])
        cases = [case for case in cases if case.id in wanted]
    if only is not None and only.ids is not None:
        cases = [case for case in cases if case.id in only.ids]
    if not cases:
        raise TrainerError(
            f"{cohort.name} holds no {only.part if only else 'test'} case of this split; nothing "
            "to evaluate. Choose other cases, or all."
        )

    rows: list[Row] = []
    pictures: list[Picture] = []
    problems: list[str] = [f"{case.id}: {doubt}" for case in cases for doubt in case.doubts]
    done, total = 0, STEPS * len(cases) * len(loaded)
    for case in cases:
        # Models that look at a case alike share its preparation, which costs seconds.
        shared: dict[tuple[Any, ...], AlignedCase] = {}
        for label, (bundle, engine) in loaded.items():
            config = bundle.config
            look = (config.modalities, config.tile, config.stride, bundle.preprocessing)
            try:
                if look not in shared:
                    shared[look] = lay_out(case, bundle)
                seen = seen_in_training(shared[look], bundle)
                if seen:
                    problems.append(f"{case.id}: {label} {seen}")

                def part(share: float, done: int = done) -> None:
                    progress(done + int(share * STEPS), total)

                for picture in _one_case(
                    label, engine, shared[look], protocol, max_slices, perceptual, part
                ):
                    row = replace(picture.row, trained_on=bool(seen))
                    rows.append(row)
                    pictures.append(replace(picture, row=row))
            except UserError as error:
                problems.append(f"{case.id}: {error}")
            done += STEPS
            progress(done, total)
    if not rows:
        raise TrainerError("No case could be evaluated: " + "; ".join(sorted(set(problems))))
    return Evaluation(
        protocol,
        {label: bundle for label, (bundle, _) in loaded.items()},
        rows,
        pictures,
        sorted(set(problems)),
        str(weights) if weights else f"{NOT_COMPUTED}: no weights were given. {HOW.rstrip('.')}",
        {case.id: names_of(case) for case in cases if any(r.case == case.id for r in rows)},
        weights,
        only.told if only else "",
    )


def labels(models: Sequence[Path]) -> list[str]:
    """Name models by file, or by folder where the file is a run's best or last weights.

    Raises:
        TrainerError: two would have one name.
    """
    names = [
        p.resolve().parent.name + OF_A_RUN[p.stem] if p.stem in OF_A_RUN else p.stem for p in models
    ]
    if len(set(names)) < len(names):
        raise TrainerError(f"Two of the models have one name: {', '.join(names)}. Rename one file.")
    return names


def _one_case(
    label: str,
    engine: Engine,
    laid_out: AlignedCase,
    protocol: str,
    max_slices: int,
    perceptual: Distance | None,
    part: Callable[[float], None],
) -> Iterator[Picture]:
    loaded, everything, fov = laid_out.case, laid_out.prepared, laid_out.fov
    present = tuple(loaded.volumes)
    slices = _chosen_slices(everything, max_slices)
    real = {m: _planes(everything, everything.images[m])[..., slices] for m in present}
    inside = _planes(everything, everything.fov)[..., slices]
    subsets = [x for n in range(1, len(present) + 1) for x in combinations(present, n)]
    wanted = set(slices.tolist())
    tiles = tuple(t for t in everything.tiles if t.index in wanted)
    for number, subset in enumerate(subsets):

        def told(p: Progress, number: int = number) -> None:
            part((number + p.done / max(1, p.total)) / len(subsets))

        served = tuple(m for m in present if engine.bundle.config.serves(subset, m))
        if not served:
            continue
        request = Request(subset, served, fov=fov)
        images = {m: everything.images[m] for m in subset}
        given = replace(everything, images=images, tiles=tiles)
        result = engine.run(loaded, given, request, progress=told)
        for m in served:
            scale = everything.normalisers[m]
            values = scale.forward(result.volumes[m].voxels, everything.fov)
            made = _planes(everything, values)[..., slices]
            # A T2 may be black inside the ultrasound's field of view; nothing is known there.
            mask = inside & (real[m] > -1)
            if not mask.any():
                continue
            truth = np.where(mask, real[m], np.float32(-1))
            made = np.where(mask, made, np.float32(-1))
            scores = _score(truth, made, mask, protocol, perceptual)
            middle = int(np.argmax(mask.sum(axis=(0, 1))))
            yield Picture(
                Row(label, loaded.name, subset, m, scores),
                truth[..., middle],
                made[..., middle],
                {n: real[n][..., middle] for n in subset},
            )


def _planes(prepared: PreparedInput, array: NDArray[Any]) -> NDArray[Any]:
    """Put the slicing axis last."""
    return np.moveaxis(array, prepared.axis, -1)


def _chosen_slices(prepared: PreparedInput, limit: int) -> NDArray[np.int64]:
    """Return slices with a field of view; at most ``limit`` of them, evenly spaced."""
    seen = np.flatnonzero(_planes(prepared, prepared.fov).any(axis=(0, 1)))
    if limit and len(seen) > limit:
        places = (np.arange(limit) + 0.5) / limit * len(seen)
        seen = seen[places.astype(np.int64)]
    return seen


def _score(
    real: Floats,
    made: Floats,
    mask: NDArray[np.bool_],
    protocol: str,
    perceptual: Distance | None,
) -> dict[str, float]:
    if protocol == "authors":
        per_slice = slice_scores(real, made)
        scores = {
            name: float(np.mean([s[name] for s in per_slice])) if per_slice else float("nan")
            for name in ("psnr", "ssim", "l1")
        }
    else:
        scores = {
            "psnr": metrics.psnr(real, made, mask),
            "ssim": metrics.ssim(real, made, mask),
            "mae": metrics.mae(real, made, mask),
            "psnr_gain": metrics.psnr(real, metrics.match_gain(real, made, mask), mask),
        }
    if perceptual:
        scores["lpips"] = perceptual.volumes(real, made)
    return scores
