"""Memory and time of a whole volume at the paper's size, with random weights.

Usage: python benchmarks/volume.py [CHECKOUT]. Runs ``synthesize`` on 40, 80 and 160 slices of
192x192 as a user would, each in a process of its own; with a checkout of the authors' MMHVAE
repository also their network on 8, 16 and 32 slices as one batch, the way their script feeds a
volume, to extrapolate its memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def ours(folder: Path, slices: int) -> dict[str, float]:
    sys.path.insert(0, str(ROOT))
    import numpy as np
    import torch

    from core.grid import Grid
    from core.io import write
    from core.models import bundle as bundles
    from core.models import weights
    from core.models.mhvae.config import MHVAEConfig
    from core.models.mhvae.model import MHVAE
    from core.volume import Volume

    model = folder / "random.safetensors"
    if not model.exists():
        torch.manual_seed(0)
        config = MHVAEConfig(final_blocks=6)
        weights.save(bundles.Bundle(config, name="random"), MHVAE(config), model)
    rng = np.random.default_rng(0)
    voxels = rng.random((192, 192, slices), dtype=np.float32) + 1
    path = folder / f"T2-{slices}.nii.gz"
    write(Volume(voxels, Grid(voxels.shape, np.diag([0.5, 0.5, 0.5, 1])), "T2"), path)
    command = [sys.executable, "-c", "from app.cli import main; raise SystemExit(main())"]
    command += ["synthesize", "--input", f"T2={path}", "--model", str(model), "--fov", "whole"]
    command += ["--out", str(folder / "out"), "--json"]
    start = time.perf_counter()
    answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    values = json.loads(answer.stdout)
    return {
        "seconds": time.perf_counter() - start,
        "synthesise": values["seconds"]["synthesise"],
        "peak_mb": values["peak_memory_mb"],
    }


def authors(checkout: Path, slices: int) -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    from authors import authors_model, images

    model = authors_model(checkout)
    with torch.inference_mode():
        model({"t2": images(slices)["t2"]}, temp=0.7)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?")
    parser.add_argument("--authors-slices", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.authors_slices:
        authors(args.checkout, args.authors_slices)
        return
    with tempfile.TemporaryDirectory() as folder:
        for slices in (40, 80, 160):
            row = ours(Path(folder), slices)
            print(
                f"ours, {slices} slices: {row['seconds']:.1f} s in all, network "
                f"{row['synthesise']:.1f} s, peak {row['peak_mb']:.0f} MB"
            )
    if args.checkout:
        peaks = {}
        for slices in (8, 16, 32):
            command = [sys.executable, __file__, str(args.checkout)]
            command += ["--authors-slices", str(slices)]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[slices] = float(answer.stdout.splitlines()[-1])
            print(f"authors, {slices} slices: peak {peaks[slices]:.0f} MB")
        slope = (peaks[32] - peaks[8]) / 24
        print(f"authors: {slope:.0f} MB a slice, 160 slices {peaks[32] + 128 * slope:.0f} MB")


if __name__ == "__main__":
    main()
