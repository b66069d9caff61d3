"""Does the spread of samples hold the truth, and which sampling factors make it hold more of it.

Usage: python benchmarks/spread.py COHORT [--model NAME|FILE] [--tiles 8] [--search-tiles 2]
[--samples 16] [--groups 5-7/3-4/1-2] [--values 0.7,1.5,2,3] [--factors F,…] [--out FILE.json]
[--write]. COHORT is written by ``mhvae-studio simulate``, best with held-out heads and physics.

The ultrasound is drawn from the T2 on a few tiles of every case, spread over its slices, and
compared with the true one inside the field of view, on [-1, 1]. Where the truth's voxels are larger
than the model's, both are averaged over them in the slice first, so that no grain is asked for that
the truth cannot hold:

- **inside**: share of the truth within the central 90 % of the samples, the quantiles 0.05 and 0.95
  at places p (n + 1) among n; of 16 these are the extremes, and 15/17 = 0.88 would be right;
- **width** of that interval, and **CRPS**, the continuous ranked probability score, fair to a few
  samples (Ferro 2014): it falls only where the samples lie nearer to the truth or fit it better;
- **speckle**: sd of the log of display values 1-255 in white matter two pixels from other tissue,
  over the truth's;
- **spectrum**: power of samples over that of the truth in rings of 0.1/mm between 0.2 and 0.8/mm,
  or nine tenths of what the truth's own voxels can hold; mean of the decibels, and of their sizes.

On every other case factors are chosen: for one group of levels after another (1 is the finest), of
some values the one that holds most of the truth while CRPS and spectrum get no worse than without
factors and speckle no farther from 1. They are reported on the other cases. ``--factors``, coarsest
first, reports given ones instead. ``--write`` stores them in the model file when they help there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sample_measures import BAND, Found, mean_of, measured, no_worse, pooled  # noqa: E402

from core.case import Case  # noqa: E402
from core.errors import UserError  # noqa: E402
from core.image.resample import resample  # noqa: E402
from core.io import read  # noqa: E402
from core.models.bundle import Bundle, find  # noqa: E402
from core.models.relabel import describe  # noqa: E402
from core.models.sampling import Sampling  # noqa: E402
from core.models.weights import load  # noqa: E402
from core.simulator import Tissue  # noqa: E402
from core.synthesis.backends import TorchPass  # noqa: E402
from core.synthesis.noise import tile_noise  # noqa: E402
from core.synthesis.request import Request, Tile, forget_volumes, prepare_input  # noqa: E402
from core.synthesis.tiles import Tiling  # noqa: E402
from trainer.evaluation.statistics import summarise  # noqa: E402

Floats = NDArray[np.float32]
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]
SOURCE, TARGET = "T2", "iUS"
VIEW = 0.2
"""Least share of a tile inside the field of view."""
MEASURED_ON = "simulated cases"


@dataclass(frozen=True, eq=False)
class Tiles:
    """A few tiles of one case.

    Attributes:
        name: of the case.
        tiling, tiles: where they lie; their noise depends on that.
        given, truth: (n, H, W) float32 in [-1, 1].
        inside: (n, H, W) the field of view.
        white: (n, H, W) white matter two pixels from other tissue; empty without labels.
        pixel: mm.
        pool: pixels along a side of one of the truth's voxels.
        highest: cycles/mm up to which the truth has a spectrum.
    """

    name: str
    tiling: Tiling
    tiles: tuple[Tile, ...]
    given: Floats
    truth: Floats
    inside: Mask
    white: Mask
    pixel: float
    pool: int
    highest: float

    def few(self, count: int) -> Tiles:
        """Return so many of them, spread evenly."""
        at = np.unique(np.linspace(0, len(self.tiles) - 1, count).round().astype(int))
        arrays = {k: getattr(self, k)[at] for k in ("given", "truth", "inside", "white")}
        return replace(self, tiles=tuple(self.tiles[n] for n in at), **arrays)

    def judged(self, drawn: Floats) -> Found:
        """Measure samples (samples, n, H, W) of them."""
        return measured(
            pooled(drawn, self.pool),
            pooled(self.truth, self.pool),
            pooled(self.inside, self.pool) == 1,
            pooled(self.white, self.pool) == 1,
            self.pixel * self.pool,
            self.highest,
        )


def tiles_of(cohort: Path, name: str, bundle: Bundle, count: int) -> Tiles:
    """Cut a few tiles of a case, spread over its slices."""
    case = Case(name, {m: read(cohort / f"{name}-{m}.nii.gz") for m in (TARGET, SOURCE)})
    ready = prepare_input(case, bundle, Request((TARGET, SOURCE), (TARGET,)))
    planes = {m: ready.slices(image) for m, image in ready.images.items()}
    fov = ready.slices(ready.fov).astype(np.float32)
    white = np.zeros_like(fov)
    labels = cohort / f"{name}-labels.nii.gz"
    if labels.is_file():
        known = read(labels).canonical()
        tissue = np.round(resample(known.voxels, known.grid, ready.grid, order=0))
        cross = np.zeros((3, 3, 3), bool)
        cross[1] = ndimage.generate_binary_structure(2, 1)
        own = (ready.slices(tissue) == Tissue.WHITE) & (fov > 0)
        white = ndimage.binary_erosion(own, cross, iterations=2).astype(np.float32)

    def cut(stack: Floats, tiles: Sequence[Tile], fill: float) -> Floats:
        return np.stack([ready.tiling.cut(stack[t.index], t.origin, fill) for t in tiles])

    order = sorted(ready.tiles, key=lambda t: (t.index, t.origin))
    order = [t for t in order if cut(fov, [t], 0).mean() >= VIEW] or order
    at = np.unique(np.linspace(0, len(order) - 1, count + 2).round().astype(int))
    chosen = tuple(order[n] for n in (at[1:-1] if len(at) > count else at))
    spacing = bundle.preprocessing.spacing
    across = [n for n in range(3) if n != ready.axis]
    coarsest = max(float(case.volumes[TARGET].grid.spacing.max()), *(spacing[n] for n in across))
    made = Tiles(
        name=name,
        tiling=ready.tiling,
        tiles=chosen,
        given=cut(planes[SOURCE], chosen, -1),
        truth=cut(planes[TARGET], chosen, -1),
        inside=cut(fov, chosen, 0) > 0,
        white=cut(white, chosen, 0) > 0,
        pixel=spacing[across[0]],
        pool=max(1, round(coarsest / spacing[across[0]])),
        highest=min(BAND[1], 0.9 * 0.5 / coarsest),
    )
    forget_volumes()
    return made


def draw(
    run: TorchPass, bundle: Bundle, case: Tiles, factors: Sequence[float], samples: int
) -> Floats:
    """Return (samples, n, H, W), every tile by itself."""
    made = []
    for n, tile in enumerate(case.tiles):
        place = run.model, bundle.preprocessing, case.tiling, [tile]
        noises = [tile_noise(*place, 0, k, factors) for k in range(samples)]
        answer = run({SOURCE: case.given[n : n + 1, None]}, (TARGET,), 1.0, noises)
        made.append(answer[TARGET][:, 0])
    return np.stack(made, axis=1)


def choose(
    measure: Callable[[tuple[float, ...]], Found],
    levels: int,
    groups: Sequence[Sequence[int]],
    values: Sequence[float],
) -> tuple[float, ...]:
    """Return factors, coarsest first, chosen for one group of levels after another.

    Args:
        measure: what factors lead to on the cases they are chosen on.
        levels: how many there are.
        groups: of levels, 1 being the finest.
        values: that a factor may have beside 1.
    """
    best = (1.0,) * levels
    plain = at_best = measure(best)
    for group in groups:
        start = best
        for value in values:
            tried = tuple(value if levels - n in group else f for n, f in enumerate(start))
            found = measure(tried)
            if found.inside > at_best.inside and no_worse(found, plain):
                best, at_best = tried, found
    return best


def groups_of(text: str, levels: int) -> list[list[int]]:
    """Read ``5-7/3-4/1-2``; levels a model does not have are left out."""
    found = []
    for part in text.split("/"):
        first, _, last = part.partition("-")
        group = [n for n in range(int(first), int(last or first) + 1) if 1 <= n <= levels]
        found += [group] if group else []
    return found


def compare(before: Sequence[Found], after: Sequence[Found]) -> tuple[list[str], bool]:
    """Return a table of both, and whether the factors help: more held for certain, none worse."""
    lines = [f"{'':14}{'without':>24}{'with factors':>24}{'difference':>24}"]
    gained = 0.0
    for key in asdict(before[0]):
        a, b = ([asdict(r)[key] for r in rows] for rows in (before, after))
        cells = [summarise(x) for x in (a, b, [y - x for x, y in zip(a, b, strict=True)])]
        told = (f"{s.mean:.3f} [{s.low:.3f}, {s.high:.3f}]" for s in cells)
        lines.append(f"{key:14}" + "".join(f"{text:>24}" for text in told))
        gained = cells[2].low if key == "inside" else gained
    return lines, gained > 0 and no_worse(mean_of(after), mean_of(before))


def main(words: Sequence[str] | None = None) -> None:
    """Choose, report and, when asked and good, store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--cases", type=int, help="how many, chosen on and reported on together")
    parser.add_argument("--tiles", type=int, default=8, help="of a case that is reported on")
    parser.add_argument("--search-tiles", type=int, default=2, help="of one that is chosen on")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--groups", default="5-7/3-4/1-2")
    parser.add_argument("--values", default="0.7,1.5,2,3")
    parser.add_argument("--factors", help="coarsest first; nothing is chosen then")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    parser.add_argument("--out", type=Path, help="JSON of every case")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args(words)
    if args.threads:
        torch.set_num_threads(args.threads)
    end = f"-{SOURCE}.nii.gz"
    names = sorted(p.name.removesuffix(end) for p in args.cohort.glob(f"*{end}"))
    try:
        bundle = find(args.model)
        bundle.config.check((SOURCE,), (TARGET,))
        if len(names[: args.cases]) < 2 or args.samples < 2 or not bundle.config.levels:
            raise UserError(
                f"{args.cohort.name}: expected two cases or more, two samples or more and a model "
                f"with latent levels; found {len(names[: args.cases])} cases, {args.samples} "
                f"samples and {bundle.config.levels} levels. Choose another."
            )
        count = max(args.tiles, args.search_tiles)
        cases = [tiles_of(args.cohort, n, bundle, count) for n in names[: args.cases]]
    except UserError as error:
        raise SystemExit(f"Error: {error}") from error
    assert bundle.path is not None
    run = TorchPass(load(bundle.path)[1], "cpu")
    levels = bundle.config.levels

    def rows_of(some: Sequence[Tiles], factors: Sequence[float]) -> list[Found]:
        return [c.judged(draw(run, bundle, c, factors, args.samples)) for c in some]

    own, others = [c.few(args.search_tiles) for c in cases[::2]], cases[1::2]

    def measure(factors: tuple[float, ...]) -> Found:
        found = mean_of(rows_of(own, factors))
        told = ", ".join(f"{k} {v:.4f}" for k, v in asdict(found).items())
        print(f"{'/'.join(f'{f:g}' for f in factors)}: {told}", file=sys.stderr, flush=True)
        return found

    if args.factors:
        factors = tuple(float(f) for f in args.factors.split(","))
    else:
        values = [float(v) for v in args.values.split(",")]
        factors = choose(measure, levels, groups_of(args.groups, levels), values)
    before = rows_of(others, (1.0,) * levels)
    after = rows_of(others, factors)
    lines, helps = compare(before, after)
    print(f"{bundle.name}: factors, coarsest first: {', '.join(f'{f:g}' for f in factors)}")
    print(f"chosen on {len(own)} cases, reported on {len(others)} others, {SOURCE} to {TARGET}")
    print("\n".join(lines))
    print("they help" if helps else "they do not help")
    if args.out:
        cells = [{"case": c.name, "before": asdict(a), "after": asdict(b)}
                 for c, a, b in zip(others, before, after, strict=True)]  # fmt: skip
        args.out.write_text(json.dumps({"factors": factors, "helps": helps, "cases": cells}))
    if args.write and helps:
        held = f"{MEASURED_ON}, holds {mean_of(after).inside:.0%} of the truth"
        calibrated = Sampling(factors, TARGET, held)
        describe(bundle.path, replace(bundle, sampling={**bundle.sampling, SOURCE: calibrated}))
        print(f"stored in {bundle.path.name}")


if __name__ == "__main__":
    main()
