"""``mhvae-studio sweep``: what an ultrasound probe on the brain would see, by the model."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.cli.options import CommandError, checked
from app.cli.terminal import Reporter, answer, output_folder
from core.case import Case
from core.errors import UserError
from core.modalities import SWEPT
from core.models.bundle import find
from core.synthesis.devices import DEVICES

if TYPE_CHECKING:
    from core.synthesis.sweep_plan import Place, SweepPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="MODALITY=PATH",
        help="a volume the model may see; repeat for several",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="a label map to carry along")
    parser.add_argument("--probe", default="convex", choices=("convex", "linear"))
    parser.add_argument("--width", type=float, default=30.0, metavar="MM", help="of the face")
    parser.add_argument("--depth", type=float, default=60.0, metavar="MM", help="of the image")
    parser.add_argument(
        "--entry",
        default="auto",
        metavar="R,A,S|auto",
        help="where the probe stands, mm; auto: on the brain's surface, nearest to the target",
    )
    parser.add_argument("--target", required=True, metavar="R,A,S", help="what it looks at, mm")
    parser.add_argument(
        "--sweeps", type=int, default=1, metavar="N", help="turned by 180/N degrees each"
    )
    parser.add_argument("--length", type=float, default=60.0, metavar="MM", help="of a sweep")
    parser.add_argument(
        "--turn", type=float, default=0.0, metavar="DEG", help="of the probe about its beam"
    )
    parser.add_argument(
        "--tilt", type=float, default=0.0, metavar="DEG", help="of the frames about their face"
    )
    parser.add_argument("--step", type=float, default=0.5, metavar="MM", help="between frames")
    parser.add_argument("--pixel", type=float, default=0.5, metavar="MM", help="of the frames")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results")
    parser.add_argument("--model", metavar="NAME|FILE", help="the built-in one unless told")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--temperature", type=float, metavar="T", help="of the noise")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="tiles per network pass")
    parser.add_argument("--no-png", action="store_true", help="leave out the single pictures")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from core.io import read
    from core.synthesis.open_engine import open_engine
    from core.synthesis.request import Request, prepare_input
    from core.synthesis.sweep_export import Watched, cut_out, export_sweep, labels_in
    from core.synthesis.sweep_field import brain_on_grid, field_of, surface_in

    target = _point("--target", args.target)
    entry = None if args.entry == "auto" else _point("--entry", args.entry)
    plan = _plan(args, entry or target, target)
    if entry is not None:
        plan.laid()  # what cannot be is told before anything is read
    bundle = find(args.model)
    inputs = _inputs(args.input, bundle.config.modalities)
    made = next((m for m in SWEPT if m in bundle.config.modalities and m not in inputs), "")
    if not made:
        raise CommandError(
            f"A sweep shows an ultrasound made of other volumes; {bundle.name} can make none of "
            f"{', '.join(inputs)}. Leave the ultrasound out, or choose another model."
        )
    output_folder(args.out)
    report = Reporter()
    with report.stage("read"):
        volumes = {m: replace(read(p), modality=m) for m, p in inputs.items()}
        labels = None if args.labels is None else read(args.labels)
        case = Case("command line", volumes)
    with report.stage("place"):
        brain = brain_on_grid(case, bundle)
        surface = surface_in(case, bundle).above(np.array(target))
        plan = replace(plan, entry_ras=entry or _rounded(surface))
        field = field_of(plan.laid(), brain)
        request = Request(
            tuple(m for m in bundle.config.modalities if m in inputs),
            (made,),
            bundle.draws(1, args.temperature),
            seed=args.seed,
            fov=field,
            batch=args.batch,
        )
        prepared = prepare_input(case, bundle, request)
    with report.stage("load model"):
        engine = open_engine(bundle, args.device, tiles=len(prepared.tiles), tell=report.warn)
    with report.stage("check the input"):
        prepared = checked(engine, prepared, report)
    with report.stage("synthesise"):
        result = engine.run(
            case,
            prepared,
            request,
            progress=lambda p: report.progress(p.stage, p.done, p.total, p.seconds_left),
        )
    volume, field = cut_out(result.volumes[made], field)
    marks = {
        **result.provenance["targets"][made],
        "field_of_view": "virtual sweep",
        "probe": plan.to_dict(),
    }
    with report.stage("write"):
        carried = None
        if labels is not None:
            carried = labels_in(labels, field, args.labels.name)
        outputs = export_sweep(
            plan,
            volume,
            args.out,
            marks=marks,
            labels=carried,
            pictures=not args.no_png,
            watched=Watched(lambda what, done, all_: report.progress(what, done, all_, None)),
        )
    answer(
        {
            "outputs": outputs,
            "entry": plan.entry_ras,
            "frames": sum(len(sweep.offsets) for sweep in plan.laid()),
            "tiles": len(prepared.tiles),
            "model": bundle.name,
            "device": engine.device,
            "seconds": report.timings,
            "warnings": list(prepared.warnings),
            "notice": f"Synthetic. {bundle.intended_use}",
        },
        as_json=args.json,
    )
    return 0


def _plan(args: argparse.Namespace, entry: Place, target: Place) -> SweepPlan:
    from core.synthesis.sweep_plan import LIMITS, SweepPlan

    given = {
        "width_mm": args.width, "depth_mm": args.depth, "length_mm": args.length,
        "step_mm": args.step, "pixel_mm": args.pixel, "sweeps": args.sweeps,
        "turn_deg": args.turn, "tilt_deg": args.tilt,
    }  # fmt: skip
    for name, (low, high) in LIMITS.items():
        if not low <= given[name] <= high:
            raise CommandError(
                f"--{name.partition('_')[0]} {given[name]:g}: expected {low:g} to {high:g}. "
                "Change it."
            )
    return SweepPlan(entry, target, args.probe, **given)


def _rounded(point: Any) -> Place:
    right, anterior, superior = (round(float(x), 3) for x in point)
    return right, anterior, superior


def _inputs(texts: list[str], modalities: tuple[str, ...]) -> dict[str, Path]:
    pairs = {}
    for text in texts:
        modality, equals, path = text.partition("=")
        if not equals or not path or modality not in modalities:
            raise CommandError(
                f"--input {text}: expected MODALITY=PATH with one of {', '.join(modalities)}."
            )
        pairs[modality] = Path(path)
    if not pairs:
        raise CommandError(f"sweep needs --input MODALITY=PATH, such as {modalities[-1]}=a.nii.")
    return pairs


def _point(option: str, text: str) -> Place:
    try:
        right, anterior, superior = (float(part) for part in text.split(","))
        if not np.isfinite([right, anterior, superior]).all():
            raise ValueError
    except ValueError:
        raise UserError(
            f"{option} {text}: expected three numbers of mm, right, anterior, superior, such as "
            f"{option}=12.5,-30,40. Write {option}= in front of a negative number."
        ) from None
    return right, anterior, superior
