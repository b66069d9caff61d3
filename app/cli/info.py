"""``mhvae-studio info``: what a file, a series or a model holds, or what this computer offers."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

from app.cli.terminal import answer
from core.models.bundle import SCHEMA, Bundle, available, find
from core.torch_build import torch_build
from core.version import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("path", nargs="?", metavar="FILE|DIR|MODEL")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.path is None:
        answer(_computer(), as_json=args.json)
    elif args.path.endswith(".safetensors") or args.path in {b.name for b in available()}:
        answer(_model(find(args.path)), as_json=args.json)
    else:
        _volumes(Path(args.path), as_json=args.json)
    return 0


def _computer() -> dict[str, Any]:
    import psutil
    import torch

    from core.synthesis.backends import devices

    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return {
        "version": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_build": torch_build().words,
        "system": f"{platform.system()} {platform.machine()}",
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "devices": devices(),
        "gpus": gpus,
        "models": [b.name for b in available()],
        "notice": "Research use only.",
    }


def _model(bundle: Bundle) -> dict[str, Any]:
    from itertools import combinations

    from core.models.cost import macs, parameters
    from core.models.mhvae.config import MHVAEConfig
    from core.models.weights import build

    config, modalities = bundle.config, bundle.config.modalities
    subsets = [s for n in range(1, len(modalities) + 1) for s in combinations(modalities, n)]
    import torch

    with torch.device("meta"):
        count = parameters(build(config))
    return {
        "name": bundle.name,
        "modalities": list(modalities),
        "family": config.family,
        "levels": config.levels,
        "tile": list(config.tile),
        "spacing_mm": list(bundle.preprocessing.spacing),
        "plane": bundle.preprocessing.plane,
        "orientation": bundle.preprocessing.orientation,
        **({"fusion": config.fusion} if isinstance(config, MHVAEConfig) else {}),
        "parameters": count,
        "macs_per_tile": {
            "+".join(s): macs(config, s, made)
            for s in subsets
            if (made := [m for m in modalities if config.serves(s, m)])
        },
        "schema": SCHEMA,
        "sha256": bundle.sha256,
        "intended_use": bundle.intended_use,
        "card": dict(bundle.card),
    }


def _volumes(path: Path, *, as_json: bool) -> None:
    from core.io import read_headers

    found = []
    for one in read_headers(path):
        grid = one.grid
        found.append(
            {
                "source": one.source,
                "format": one.format,
                "problem": one.problem,
                **(
                    {
                        "shape": list(grid.shape),
                        "spacing_mm": [round(float(s), 4) for s in grid.spacing],
                        "orientation": grid.axis_codes,
                        "affine": [[round(float(v), 6) for v in row] for row in grid.affine],
                    }
                    if grid is not None
                    else {}
                ),
                "stored_as": one.dtype,
                "modality": one.modality,
                "modality_reason": one.modality_reason,
                "warnings": list(one.warnings),
                **({"remarks": list(one.remarks)} if one.remarks else {}),
            }
        )
    if as_json:
        answer({"volumes": found}, as_json=True)
        return
    for n, values in enumerate(found):
        if n:
            print()
        answer(values, as_json=False)
