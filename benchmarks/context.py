"""Through which levels does the input reach the image: experts taken away, level by level.

Usage: python benchmarks/context.py MODEL COHORT [--cases 8] [--tiles 32] [--inputs T2]
[--target iUS] [--json]. MODEL is a name or a file; COHORT a folder or a CSV, prepared as for
training (and kept where a training would look for it).

The model makes the target from the inputs on the mean path, on whole-pixel tiles around the middle
of the field of view, once as it is and once for every line of the table with the inputs' experts
left out of the product at some levels, so that the prior decides there. Level 1 is the finest. The
columns are mean absolute differences inside the field of view, in grey values of the model's range
of 2, averaged over tiles: to the intact image (what these levels carry), to the real image, and to
the expected echo where the cases have one. A model that uses context changes when its coarse levels
lose their experts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from core.errors import UserError  # noqa: E402
from core.models.bundle import Bundle, find  # noqa: E402
from core.models.mhvae.model import MHVAE  # noqa: E402
from core.models.weights import load  # noqa: E402
from trainer.cohort.cache import cache_cases  # noqa: E402
from trainer.cohort.scan import scan  # noqa: E402
from trainer.errors import TrainerError  # noqa: E402
from trainer.loop.data import cache_folder  # noqa: E402
from trainer.loop.tiles import Batch, fixed_tiles  # noqa: E402
from trainer.plan.fine_tune import begin_from  # noqa: E402
from trainer.plan.schema import Plan  # noqa: E402


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        without: levels whose experts were left out; none for the intact model.
        intact: difference to the intact model's image.
        real: difference to the real image; ``None`` when no tile has one.
        expected: the same to the expected echo.
    """

    without: tuple[int, ...]
    intact: float
    real: float | None
    expected: float | None


def removals(levels: int) -> list[tuple[int, ...]]:
    """Return what is taken away, line by line: nothing, each level, and all from each level on."""
    each = [(n,) for n in range(1, levels + 1)]
    from_each = [tuple(range(n, levels + 1)) for n in range(1, levels)]
    return [(), *each, *from_each]


def table(model: MHVAE, tiles: Batch, inputs: Sequence[str], target: str) -> list[Row]:
    """Measure every line on some tiles that all have the inputs."""
    intact = images(model, tiles, inputs, target)
    rows = []
    for without in removals(model.config.levels):
        made = images(model, tiles, inputs, target, without) if without else intact
        present = tiles.present[target]
        expected = tiles.has_expected.get(target, torch.zeros_like(present))
        rows.append(
            Row(
                without,
                distance(made, intact, tiles.fov, torch.ones_like(present)) or 0.0,
                distance(made, tiles.images[target], tiles.fov, present),
                distance(made, tiles.missing_target(target), tiles.fov, expected),
            )
        )
    return rows


def images(
    model: MHVAE,
    tiles: Batch,
    inputs: Sequence[str],
    target: str,
    without: Collection[int] = (),
) -> Tensor:
    """Return (B, 1, H, W): the target, made on the mean path, one tile at a time."""
    made = []
    with torch.inference_mode():
        for row in range(len(tiles.fov)):
            given = {m: tiles.images[m][row : row + 1] for m in inputs}
            out = model(given, temperature=0.0, outputs=(target,), kl=False, without=without)
            made.append(out.images[target])
    return torch.cat(made)


def distance(made: Tensor, other: Tensor, fov: Tensor, rows: Tensor) -> float | None:
    """Return the mean absolute difference inside the field of view of some rows."""
    if not rows.any():
        return None
    inside = fov[rows]
    area = inside.sum(dim=(1, 2, 3)).clamp_min(1)
    return float((((made - other)[rows].abs() * inside).sum(dim=(1, 2, 3)) / area).mean())


def tiles_of(
    bundle: Bundle, cohort: Path, inputs: Sequence[str], cases: int, count: int
) -> tuple[Batch, int]:
    """Return whole-pixel tiles of the first cases that have the inputs, and how many those are.

    Raises:
        TrainerError: no case has them.
    """
    plan = begin_from(Plan(cohort=str(cohort)), bundle)
    names = bundle.config.modalities
    found = scan(cohort, names)
    cache = cache_folder(cohort, found)
    wanted = [c for c in found if set(inputs) <= c.files.keys()][:cases]
    prepared, problems = cache_cases(wanted, plan.data, names, cache)
    for problem in problems:
        print(f"left out: {problem}", file=sys.stderr)
    tiles = fixed_tiles(prepared, replace(plan, start_from=""), count)
    if tiles is None:
        raise TrainerError(
            f"{cohort.name} holds no case with {' and '.join(inputs)} that can be used; expected "
            "at least one."
        )
    return tiles, len(prepared)


def text(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    lines = ["without experts at     to intact   to real   to expected echo"]
    for row in rows:
        levels = row.without
        name = "-" if not levels else f"level {levels[0]}" if len(levels) == 1 else (
            f"levels {levels[0]} to {levels[-1]}"
        )  # fmt: skip
        values = [f"{row.intact:9.4f}"]
        values += ["        -" if v is None else f"{v:9.4f}" for v in (row.real, row.expected)]
        lines.append(f"{name:<20}" + " ".join(f"{v:>11}" for v in values))
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--tiles", type=int, default=32)
    parser.add_argument("--inputs", default="T2", help="for example T2, or T2,FLAIR")
    parser.add_argument("--target", default="iUS")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: all cores")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args(words)
    if args.threads:
        torch.set_num_threads(args.threads)
    inputs = tuple(args.inputs.split(","))
    try:
        bundle = find(args.model)
        bundle.config.check_subset((*inputs, args.target))
        tiles, cases = tiles_of(bundle, args.cohort, inputs, args.cases, args.tiles)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from error
    assert bundle.path is not None
    model = load(bundle.path)[1]
    if not isinstance(model, MHVAE):
        raise SystemExit("Error: only an MHVAE has levels to look at.")
    rows = table(model, tiles, inputs, args.target)
    if args.json:
        facts = {"model": bundle.name, "cases": cases, "tiles": len(tiles.fov)}
        print(json.dumps({**facts, "rows": [asdict(row) for row in rows]}))
        return
    print(f"{bundle.name}: {'+'.join(inputs)} to {args.target}, {len(tiles.fov)} tiles of ", end="")
    print(f"{cases} cases, mean absolute difference on a range of 2")
    print(text(rows))


if __name__ == "__main__":
    main()
