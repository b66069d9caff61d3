"""``mhvae-studio export``: a model for others: its file, its card, and ONNX where asked for."""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

from app.cli.options import CommandError
from app.cli.terminal import Reporter, answer, output_folder
from core.files import replacing, write_text
from core.models.bundle import SUFFIX, Bundle, find

CARD = "README.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument(
        "model", metavar="NAME|FILE|RUN", help="a model, or a training run's folder"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="INPUTS>TARGET",
        help="also as ONNX for one subset of inputs, for example 'T2>iUS' or 'iUS+T2>iUS'; "
        "repeat for several",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from core.models.model_card import model_card

    report = Reporter()
    folder = Path(args.model)
    bundle = find(str(folder / "model.safetensors") if folder.is_dir() else args.model)
    assert bundle.path is not None
    wanted = [_direction(text, bundle) for text in args.onnx]
    output_folder(args.out)
    stem = re.sub(r"[^\w.-]+", "-", bundle.name).strip("-.") or "model"
    target = args.out / f"{stem}{SUFFIX}"
    if target.resolve() != bundle.path.resolve():
        with replacing(target) as part:
            shutil.copyfile(bundle.path, part)
    files = {target.name: "weights and everything the program needs to use them"}
    worst = {}
    for subset, goal in wanted:
        with report.stage("ONNX"):
            from core.models.onnx_export import write_onnx
            from core.models.weights import load

            name = f"{stem}-{'-'.join(subset)}-to-{goal}.onnx"
            model = load(bundle.path)[1]
            with replacing(args.out / name) as part:
                worst[name] = write_onnx(bundle, model, subset, (goal,), part)
        files[name] = (
            f"ONNX: {goal} from {' and '.join(subset)}; tiles (B, 1, {bundle.config.tile[0]}, "
            f"{bundle.config.tile[1]}) in [-1, 1], and the noise of each level, of which zeros "
            f"give the expected image; within {worst[name]:.0e} of the model file"
        )
    write_text(args.out / CARD, model_card(bundle, files))
    answer(
        {
            "model": bundle.name,
            "folder": str(args.out),
            "files": [CARD, *files],
            **({"onnx_difference": worst} if worst else {}),
            "notice": bundle.intended_use,
        },
        as_json=args.json,
    )
    return 0


def _direction(text: str, bundle: Bundle) -> tuple[tuple[str, ...], str]:
    inputs, arrow, target = text.partition(">")
    if not arrow or not inputs or not target:
        names = bundle.config.modalities
        raise CommandError(
            f"--onnx {text}: expected inputs and a target, for example '{names[-1]}>{names[0]}' or "
            f"'{'+'.join(names)}>{names[0]}'."
        )
    subset = tuple(m for m in bundle.config.modalities if m in inputs.split("+"))
    bundle.config.check_subset(tuple(inputs.split("+")))
    bundle.config.check_subset((target,))
    return subset, target
