"""Options and steps that several sub-commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.cli.terminal import Reporter
from core.case import Case
from core.errors import UserError
from core.models.bundle import Bundle
from core.registration.alignment_choice import Search
from core.registration.methods import DEFAULT_METHOD, METHODS, THROUGH_THE_MODEL
from core.registration.register import register
from core.synthesis.request import PreparedInput, Request, Synthesis
from core.volume import Volume

if TYPE_CHECKING:
    from core.synthesis.synthesize import Engine


class CommandError(UserError):
    """Arguments that do not fit together."""


def add_method(parser: argparse.ArgumentParser) -> None:
    """Declare ``--method``."""
    parser.add_argument(
        "--method",
        default=DEFAULT_METHOD,
        choices=(*METHODS, THROUGH_THE_MODEL),
        help=f"how to compare the images (default: {DEFAULT_METHOD}); through the model makes the "
        "one from the other first",
    )


def add_transform(parser: argparse.ArgumentParser) -> None:
    """Declare ``--transform`` and ``--inverse``."""
    parser.add_argument(
        "--transform",
        type=Path,
        metavar="FILE",
        help="an ITK transform (.tfm, .txt, .h5) that resamples the moving onto the fixed volume",
    )
    parser.add_argument(
        "--inverse", action="store_true", help="the transform was made for the other direction"
    )


def searcher(args: argparse.Namespace) -> Search:
    """Return what does the search: through the model only where torch may be loaded."""
    if args.method != THROUGH_THE_MODEL:
        return register
    from core.registration.through_model import through_model

    return through_model(args.model, args.device)


def request_of(
    args: argparse.Namespace,
    bundle: Bundle,
    subset: tuple[str, ...],
    targets: tuple[str, ...],
    fov: Literal["auto", "whole"] | Volume,
) -> Request:
    """Return what the options ask for."""
    return Request(
        subset=subset,
        targets=targets,
        temperature=bundle.draws(args.samples, args.temperature),
        samples=args.samples,
        seed=args.seed,
        fov=fov,
        batch=args.batch,
    )


def checked(engine: Engine, prepared: PreparedInput, report: Reporter) -> PreparedInput:
    """Look whether the inputs are like the model's training, and say it before the synthesis."""
    known = len(prepared.warnings)
    prepared = engine.check(prepared)
    for sentence in prepared.warnings[known:]:
        report.warn(sentence)
    return prepared


def measure(case: Case, result: Synthesis, prepared: PreparedInput) -> dict[str, Any]:
    """Compare every target with its real volume, where the case has one."""
    from core.synthesis.score import compare_with_truth

    measured = {}
    for m, volume in result.volumes.items():
        if m in case.volumes:
            _, scores = compare_with_truth(
                volume, case.volumes[m], result.fov, prepared.normalisers[m]
            )
            if scores:
                measured[m] = {
                    "psnr_db": round(scores["PSNR"], 3),
                    "ssim": round(scores["SSIM"], 4),
                    "mae": round(scores["MAE"], 3),
                }
    return measured
