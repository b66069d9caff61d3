"""``mhvae-studio import-weights``: a checkpoint of the paper's authors becomes a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from app.cli.terminal import answer
from core.models.base.config import ModelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("checkpoint", type=Path, metavar="CP.pth")
    parser.add_argument("--out", type=Path, metavar="MODEL.safetensors")
    parser.add_argument(
        "--modalities",
        type=_names,
        metavar="A,B",
        help="our names for the checkpoint's modalities, in the file's order",
    )
    parser.add_argument(
        "--decoders",
        type=_names,
        metavar="A,B",
        help="which modality each numbered image decoder makes (2023 checkpoints)",
    )
    parser.add_argument("--tile", type=_size, metavar="H,W", help="pixels it was trained on")
    parser.add_argument(
        "--spacing", type=float, metavar="MM", help="mm per pixel it was trained on"
    )
    parser.add_argument(
        "--orientation",
        metavar="LPS",
        help="directions (R or L, A or P, S or I) in which rows, columns and slices of "
        "its training images count up",
    )
    parser.add_argument(
        "--orientation-of",
        type=Path,
        metavar="FILE",
        help="take the orientation from how an image it was trained on is stored",
    )
    parser.add_argument("--squeeze-excitation", type=_yes, metavar="yes|no")
    parser.add_argument("--residual", type=_yes, metavar="yes|no")
    parser.add_argument("--last-activation", choices=("tanh", "identity"))
    parser.add_argument("--clamp", type=float)
    parser.add_argument(
        "--authors-defaults",
        action="store_true",
        help="accept the defaults of the authors' training script for what is not stated; the "
        "orientation has none",
    )
    parser.add_argument("--name", help="name of the model; the checkpoint's unless told otherwise")
    parser.add_argument(
        "--inspect", action="store_true", help="say what the weights tell by themselves, and stop"
    )
    parser.add_argument("--events", action="store_true", help="answer in lines for the window")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from dataclasses import replace

    if args.inspect:
        return _inspect(args)
    if args.out is None:
        raise ModelError("Say where the model goes: --out MODEL.safetensors.")
    from core.models.cost import parameters
    from core.models.published.checkpoint import Unstated, import_checkpoint
    from core.models.weights import save

    bundle, model = import_checkpoint(
        args.checkpoint,
        modalities=args.modalities,
        stated=Unstated(
            tile=args.tile,
            spacing=args.spacing,
            orientation=_orientation(args),
            squeeze_excitation=args.squeeze_excitation,
            residual=args.residual,
            last_activation=args.last_activation,
            clamp=args.clamp,
            decoders=args.decoders,
        ),
        authors_defaults=args.authors_defaults,
    )
    saved = save(replace(bundle, name=args.name or bundle.name), model, args.out)
    if args.events:
        print(json.dumps({"event": "imported"}), flush=True)
        return 0
    answer(
        {
            "model": str(args.out),
            "name": saved.name,
            "modalities": list(saved.config.modalities),
            "levels": saved.config.levels,
            "parameters": parameters(model),
            "tile": list(saved.config.tile),
            "spacing_mm": list(saved.preprocessing.spacing),
            "slices": f"{saved.preprocessing.orientation}: {saved.preprocessing.slicing.sentence}",
            "assumed": saved.card["assumed"],
            "sha256": saved.sha256,
        },
        as_json=args.json,
    )
    return 0


def _orientation(args: argparse.Namespace) -> str | None:
    """Return the orientation that was stated, in letters or by an image."""
    stated: str | None = args.orientation
    if args.orientation_of is None:
        return stated
    from core.io import read_headers

    if stated:
        raise ModelError("Give --orientation or --orientation-of, not both.")
    header = read_headers(args.orientation_of)[0]
    if header.grid is None:
        raise ModelError(header.problem)
    return header.grid.axis_codes


def _inspect(args: argparse.Namespace) -> int:
    """Say what the shapes tell, and the authors' defaults for what they do not."""
    from core.models.published.checkpoint import Unstated, infer, read_checkpoint

    found = infer(read_checkpoint(args.checkpoint), args.checkpoint.name, args.modalities)
    filled = Unstated().with_authors_defaults(found)
    assert filled.tile is not None
    defaults = {
        "tile": ",".join(map(str, filled.tile)),
        "spacing": f"{filled.spacing:g}",
        "squeeze-excitation": "yes" if filled.squeeze_excitation else "no",
        "residual": "yes" if filled.residual else "no",
        "last-activation": filled.last_activation,
        "clamp": f"{filled.clamp:g}",
    }
    if found.numbered_decoders:
        defaults["decoders"] = ",".join(found.modalities)
    told = {**asdict(found), "defaults": defaults}
    if args.events:
        print(json.dumps({"event": "inspected", **told}), flush=True)
    else:
        answer(told, as_json=args.json)
    return 0


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition(",")
    return int(height), int(width)


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise argparse.ArgumentTypeError("expected yes or no")
    return text == "yes"
