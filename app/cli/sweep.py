"""``mhvae-studio sweep``: what an ultrasound probe on the brain would see, by the model."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from app.cli.options import CommandError, checked
from app.cli.terminal import Reporter, answer, output_folder
from core.case import Case
from core.errors import UserError
from core.grid import Grid
from core.modalities import SWEPT
from core.models.bundle import find
from core.synthesis.devices import DEVICES
from core.volume import Volume


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


_LIMITS = {
    "width": (5.0, 200.0), "depth": (5.0, 250.0), "length": (0.0, 200.0), "step": (0.05, 20.0),
    "pixel": (0.1, 5.0), "sweeps": (1, 20),
}  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from core.image.preprocess import working_grid
    from core.image.resample import resample_mask
    from core.io import read, write
    from core.synthesis.open_engine import open_engine
    from core.synthesis.request import Request, prepare_input
    from core.synthesis.virtual_sweep import (
        ProbeShape,
        SweepError,
        box_of,
        brain_of,
        entry_above,
        place,
        swept_field,
    )

    for name, (low, high) in _LIMITS.items():
        if not low <= getattr(args, name) <= high:
            raise CommandError(
                f"--{name} {getattr(args, name):g}: expected {low:g} to {high:g}. Change it."
            )
    target = _point("--target", args.target)
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
        labels = None if args.labels is None else read(args.labels).canonical()
        case = Case("command line", volumes)
    with report.stage("place"):
        first = next(iter(volumes.values()))
        brain = brain_of(first)
        surface = entry_above(brain, target)
        entry = surface if args.entry == "auto" else _point("--entry", args.entry)
        shape = ProbeShape(args.probe, args.width, args.depth)
        sweeps = place(
            shape, entry, target, sweeps=args.sweeps, length=args.length, step=args.step,
            pixel=args.pixel,
        )  # fmt: skip
        grid = working_grid(first, bundle.preprocessing.spacing)
        seen = resample_mask(brain.voxels > 0, brain.grid, grid)
        field = swept_field(sweeps, grid, seen)
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
    start, shape_of_box = box_of(field)
    box = field.grid.crop(start, shape_of_box)
    volume, field = (_cut(v, box) for v in (result.volumes[made], field))
    marks: dict[str, Any] = {
        **result.provenance["targets"][made],
        "field_of_view": "virtual sweep",
        "probe": {
            "kind": shape.kind, "width_mm": shape.width, "depth_mm": shape.depth,
            "entry_ras": [round(float(x), 3) for x in entry],
            "target_ras": [round(float(x), 3) for x in target],
            "sweeps": args.sweeps, "length_mm": args.length, "step_mm": args.step,
        },
    }  # fmt: skip
    with report.stage("write"):
        outputs = {made: str(write(volume, args.out / f"sweep-{made}.nii.gz", marks=marks))}
        carried = None
        if labels is not None:
            carried = _labels_in(labels, field)
            if not carried.voxels.any():
                raise SweepError(
                    f"{args.labels.name}: expected labels in the sweep; it sees none of them. Move "
                    "the target onto what is labelled, or leave out --labels."
                )
            outputs["labels"] = str(write(carried, args.out / "sweep-labels.nii.gz"))
        for n, sweep in enumerate(sweeps, 1):
            outputs |= _write_frames(args, report, n, sweep, volume, carried)
    answer(
        {
            "outputs": outputs,
            "entry": [round(float(x), 2) for x in entry],
            "frames": len(sweeps) * len(sweeps[0].offsets),
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


def _cut(volume: Volume, box: Grid) -> Volume:
    """Return the part of a volume that a box of its own voxels holds."""
    start = np.rint(volume.grid.to_voxel(box.to_world((0, 0, 0)))).astype(int)
    cut = tuple(slice(int(a), int(a) + n) for a, n in zip(start, box.shape, strict=True))
    return replace(volume, voxels=np.ascontiguousarray(volume.voxels[cut]), grid=box)


def _write_frames(
    args: argparse.Namespace, report: Reporter, n: int, sweep: Any, volume: Volume,
    labels: Volume | None,
) -> dict[str, str]:  # fmt: skip
    """Write one sweep: tracked frames, and pictures in pairs."""
    from core.io.sweep_writer import ENDING, write_sweep

    def progress(done: int, total: int) -> None:
        report.progress(f"frames of sweep {n}", done, total, None)

    # What no real volume tells the unit of is made in 0 to 255.
    images = np.clip(np.rint(sweep.frames(volume, progress=progress)), 0, 255).astype(np.uint8)
    stem, outputs = f"sweep-{n}", {}
    path = args.out / f"{stem}{ENDING}"
    write_sweep(path, images, sweep.calibration, sweep.poses, synthetic=True)
    outputs[f"sweep {n}"] = str(path)
    classes = None
    if labels is not None:
        classes = sweep.frames(labels, nearest=True).astype(np.uint8)
        path = args.out / f"{stem}-labels{ENDING}"
        write_sweep(path, classes, sweep.calibration, sweep.poses, synthetic=False)
        outputs[f"sweep {n} labels"] = str(path)
    if not args.no_png:
        outputs[f"sweep {n} pictures"] = str(_write_pictures(args.out / stem, images, classes))
    return outputs


def _write_pictures(folder: Path, images: Any, classes: Any) -> Path:
    from PIL import Image, PngImagePlugin

    from core.marks import SYNTHETIC_MARK

    folder.mkdir(exist_ok=True)
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", SYNTHETIC_MARK)
    for k in range(images.shape[2]):
        picture = Image.fromarray(np.ascontiguousarray(images[:, :, k].T))
        picture.save(folder / f"frame-{k:04d}.png", pnginfo=told)
        if classes is not None:
            label = Image.fromarray(np.ascontiguousarray(classes[:, :, k].T))
            label.save(folder / f"frame-{k:04d}-labels.png")
    return folder


def _labels_in(labels: Volume, field: Volume) -> Volume:
    from core.image.resample import resample

    values = np.rint(resample(labels.voxels, labels.grid, field.grid, order=0))
    if values.min() < 0 or values.max() > 255:
        raise CommandError(
            f"--labels: expected label numbers from 0 to 255, which the pictures can hold; found "
            f"{values.min():.0f} to {values.max():.0f}. Renumber them."
        )
    inside = np.where(field.voxels > 0, values, 0).astype(np.float32)
    return Volume(inside, field.grid, "", "labels of the sweep")


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


def _point(option: str, text: str) -> Any:
    try:
        point = np.array([float(part) for part in text.split(",")])
        if point.shape != (3,) or not np.isfinite(point).all():
            raise ValueError
    except ValueError:
        raise UserError(
            f"{option} {text}: expected three numbers of mm, right, anterior, superior, such as "
            f"{option}=12.5,-30,40. Write {option}= in front of a negative number."
        ) from None
    return point
