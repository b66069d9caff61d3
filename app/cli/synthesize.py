"""``mhvae-studio synthesize``: files in, the missing modality out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from app.cli.options import CommandError, add_transform, checked, measure, request_of
from app.cli.outputs import (
    DICOM,
    dicom_source,
    kept_samples,
    write_picture,
    write_result,
    write_sample,
)
from app.cli.terminal import FORMATS, Reporter, answer, output_folder, peak_memory
from core.case import Case
from core.files import shown
from core.modalities import reference_of
from core.models.bundle import Bundle, find
from core.registration.alignment import moved
from core.registration.alignment_choice import AlignmentChoice, align, record
from core.synthesis.devices import DEVICES
from core.synthesis.request import forget_volumes, on_grid, prepare_input
from core.volume import Volume

MASK = "mask"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="MODALITY=PATH",
        help="a volume the model may see: a file or a DICOM folder; repeat for several",
    )
    parser.add_argument(
        "--cohort",
        type=Path,
        metavar="DIR",
        help="many cases instead of --input: a folder of them or a CSV that lists them; finished "
        "cases are kept, so a stopped run goes on where it was",
    )
    parser.add_argument(
        "--bids",
        action="store_true",
        help="of a cohort: results as BIDS derivatives, in DIR/derivatives/mhvae-studio",
    )
    add_alignment(parser)
    parser.add_argument(
        "--target",
        action="append",
        default=[],
        metavar="MODALITY",
        help="what to make; the model's other modalities unless told otherwise",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="MODALITY=PATH",
        help="a real volume of a target, to measure against; the model does not see it",
    )
    parser.add_argument(
        "--fov",
        default="auto",
        metavar="auto|whole|FILE",
        help="where to synthesise: the iUS's field of view or a brain mask (auto), everything "
        "(whole), or a mask file",
    )
    parser.add_argument(
        "--model", metavar="NAME|FILE", help="the built-in model unless told otherwise"
    )
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="of the noise; 0 is the expected image. The model's own unless told otherwise",
    )
    parser.add_argument("--samples", type=int, default=1, metavar="N", help="draws to average")
    parser.add_argument(
        "--keep-samples",
        action="store_true",
        help="write every draw as well, sample-01-…; needs --samples and a temperature",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="tiles per network pass")
    parser.add_argument(
        "--grid", default="input", choices=("input", "model"), help="grid of the saved volumes"
    )
    parser.add_argument(
        "--format", default="nii.gz", choices=(*FORMATS, DICOM), help="dicom: a series in a folder"
    )
    parser.add_argument(
        "--dicom-patient",
        default="keep",
        choices=("keep", "new"),
        help="keep: of the DICOM input, its patient, study and frame of reference; new: a patient "
        "without a name",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_alignment(parser: argparse.ArgumentParser) -> None:
    """Declare how volumes that do not lie on each other are brought together."""
    parser.add_argument(
        "--register",
        default="none",
        choices=("none", "rigid", "affine"),
        help="first bring the other volumes onto the model's first modality (the iUS)",
    )
    add_transform(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.cohort is not None:
        from app.cli.synthesize_cohort import run as run_cohort

        return run_cohort(args)
    if args.bids:
        raise CommandError("--bids lays out a cohort's results; give the cases with --cohort DIR.")
    if not args.input:
        raise CommandError("synthesize needs --input MODALITY=PATH, or --cohort DIR.")
    report = Reporter()
    bundle = find(args.model)
    inputs = _pairs(args.input, "--input", bundle)
    truths = _pairs(args.truth, "--truth", bundle)
    targets = tuple(dict.fromkeys(args.target)) or _default_targets(bundle, inputs)
    _check(bundle, inputs, truths, targets)
    output_folder(args.out)
    with report.stage("read"):
        case = _read(inputs, truths)
        fov = args.fov if args.fov in ("auto", "whole") else _read_one(MASK, Path(args.fov))
    case, aligned = _aligned(args, case, report)
    subset = tuple(m for m in bundle.config.modalities if m in inputs)
    request = request_of(args, bundle, subset, targets, fov)
    with report.stage("prepare"):
        prepared = prepare_input(case, bundle, request)
    with report.stage("load model"):
        from core.synthesis.open_engine import open_engine

        engine = open_engine(bundle, args.device, tiles=len(prepared.tiles), tell=report.warn)
    with report.stage("check the input"):
        prepared = checked(engine, prepared, report)
    with kept_samples(args, prepared, request, args.out) as each:
        with report.stage("synthesise"):
            result = engine.run(
                case,
                prepared,
                request,
                each=each,
                progress=lambda p: report.progress(p.stage, p.done, p.total, p.seconds_left),
            )
        measured = measure(case, result, prepared)
        tiles, checks, warnings = len(prepared.tiles), prepared.checked, prepared.warnings
        grid, used = None if args.grid == "model" else prepared.reference, engine.device
        # What the network saw is as large as what it made, and no longer needed.
        del prepared, engine
        forget_volumes()
        with report.stage("write"):
            source = dicom_source(args, inputs)
            saved = result if grid is None else on_grid(result, grid)
            outputs = write_result(saved, measured, args.out, args.format, source)
            del saved
            for number in range(len(next(iter(each.values()), ()))):
                outputs |= write_sample(args, result, each, number, grid, source)
            outputs["picture"] = write_picture(case, result, args.out)
    answer(
        {
            "outputs": outputs,
            "sources": {m: shown(v.source) for m, v in case.volumes.items()},
            "subset": list(request.subset),
            "targets": list(targets),
            "tiles": tiles,
            "model": bundle.name,
            "model_sha256": bundle.sha256,
            "device": used,
            "seconds": report.timings,
            "peak_memory_mb": round(peak_memory() / 1e6),
            **({"metrics": measured} if measured else {}),
            **({"alignment": aligned} if aligned else {}),
            **({"input_check": checks} if checks else {}),
            "warnings": [
                *(w for v in case.volumes.values() for w in v.warnings),
                *warnings,
            ],
            "notice": f"Synthetic. {bundle.intended_use}",
        },
        as_json=args.json,
    )
    return 0


def _aligned(
    args: argparse.Namespace, case: Case, report: Reporter
) -> tuple[Case, dict[str, dict[str, object]]]:
    """Bring the other volumes onto the one whose grid decides (the iUS, where there is one)."""
    choice = AlignmentChoice(
        args.register, transform=args.transform, inverse=args.inverse, seed=args.seed
    )
    if not choice.changes:
        return case, {}
    first = reference_of(case.volumes)
    others = [m for m in case.volumes if m != first]
    if not others:
        raise CommandError(
            f"--register and --transform bring a volume onto another; only {first} was given. Give "
            "the other one with --input or --truth."
        )
    volumes, notes = dict(case.volumes), {}
    with report.stage("align"):
        for m in others:
            result = align(
                choice,
                volumes[first],
                volumes[m],
                progress=lambda p: report.progress(p.stage, p.done, p.total, p.seconds_left),
            )
            volumes[m] = moved(volumes[m], result.alignment.matrix)
            notes[m] = record(result)
            if result.doubtful:
                report.warn(f"The alignment of {m} is doubtful. {result.reason}")
    return Case(case.name, volumes), notes


def _pairs(texts: list[str], option: str, bundle: Bundle) -> dict[str, Path]:
    pairs: dict[str, Path] = {}
    for text in texts:
        modality, equals, path = text.partition("=")
        if not equals or not path or not modality:
            raise CommandError(
                f"{option} {text}: expected MODALITY=PATH, for example {option} "
                f"{bundle.config.modalities[-1]}=scan.nii.gz."
            )
        if modality in pairs:
            raise CommandError(f"{option} {modality} was given twice; give one path per modality.")
        pairs[modality] = Path(path)
    return pairs


def _default_targets(bundle: Bundle, inputs: Mapping[str, Path]) -> tuple[str, ...]:
    missing = tuple(m for m in bundle.config.modalities if m not in inputs)
    return missing or bundle.config.modalities


def _check(
    bundle: Bundle, inputs: Mapping[str, Path], truths: Mapping[str, Path], targets: tuple[str, ...]
) -> None:
    for names in (tuple(inputs), targets):
        bundle.config.check_subset(names)
    for m in truths:
        if m not in targets or m in inputs:
            raise CommandError(
                f"--truth {m}: expected a target that is not an input; inputs are "
                f"{', '.join(inputs)}, targets {', '.join(targets)}. A reconstruction is measured "
                "against its own input without --truth."
            )


def _read(inputs: Mapping[str, Path], truths: Mapping[str, Path]) -> Case:
    volumes = {m: _read_one(m, path) for m, path in {**inputs, **truths}.items()}
    return Case("command line", volumes)


def _read_one(modality: str, path: Path) -> Volume:
    """Read a volume; one that calls itself something else than it was given as gets a warning."""
    from core.io import find, read

    header = find(path)
    volume = replace(read(header), modality=modality)
    if modality == MASK or header.modality in ("", modality):
        return volume
    other = (
        f"{volume.source} was given as {modality}, but seems to be {header.modality} "
        f"({header.modality_reason}). Check that it is the right file."
    )
    return replace(volume, warnings=(*volume.warnings, other))
