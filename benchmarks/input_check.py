"""Calibrates and tests the check of inputs: false alarms on held-out cases, wrong inputs caught.

Usage:
  python benchmarks/input_check.py draw DIR --anatomy ANATOMY --heads N [--first N]
  python benchmarks/input_check.py measure DIR [DIR …] --model NAME --out FILE.json
  python benchmarks/input_check.py test FILE.json [FILE.json …] [--write MODEL.safetensors]

``draw`` renders T2 volumes of simulated heads, alternately of label maps that training never uses
and of others in unseen shapes, alternately a box and a whole head: three ordinary ones a head, and
a T1, a FLAIR, a CT and a fetal brain (a third of the size, white matter brighter than grey).
``measure`` takes those folders and cohorts of ``mhvae-studio simulate`` (their T2 and iUS are
ordinary cases) and writes the model's quantities. From ordinary volumes it makes more wrong ones:
inverted, noise, voxels scrambled, blocks scrambled, one modality given as the other; and knees.
``test`` leaves out one head after another, calibrates on the others, and counts; then also one
kind of wrong inputs after another, so that it is judged by a calibration that never met it.
``--write`` calibrates on all of them and stores the result in a model file.

T2 volumes in random contrast, an eighth of the training's, are counted apart: they are no T2 to
look at. So are images cut into cubes of 12 mm in another order: most of a tile looks as it should.
All volumes are simulated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from wrong_inputs import (  # noqa: E402
    CONTRASTS,
    DERIVED,
    contrast_of,
    draw_head_of,
    knee,
    shrunk,
)

from core.case import Case  # noqa: E402
from core.errors import UserError  # noqa: E402
from core.io import read, write  # noqa: E402
from core.models.bundle import find  # noqa: E402
from core.models.mhvae.model import MHVAE  # noqa: E402
from core.models.typical import Typical  # noqa: E402
from core.models.weights import load, save  # noqa: E402
from core.simulator.t2 import render_t2  # noqa: E402
from core.synthesis.input_check import quantities  # noqa: E402
from core.synthesis.request import Request, forget_volumes, prepare_input  # noqa: E402
from core.volume import Volume  # noqa: E402

ORDINARY, RANDOM = "ordinary", "random contrast"
APART = (RANDOM, "blocks scrambled")
"""Neither right nor wrong: counted, not calibrated with."""
TIMES = 3


@dataclass(frozen=True)
class Measured:
    """One volume given as one modality.

    Attributes:
        modality: what it was given as.
        kind: ``ordinary``, ``random contrast``, or how it is wrong.
        head: volumes of one head are never on both sides.
        values: the model's quantities.
    """

    modality: str
    kind: str
    head: str
    values: dict[str, float]


def draw(args: argparse.Namespace) -> None:
    for number in range(args.first, args.first + args.heads):
        anatomy, grid, rng = draw_head_of(number, args.anatomy)
        for n in range(TIMES + len(CONTRASTS)):
            kind = "T2" if n < TIMES else list(CONTRASTS)[n - TIMES]
            voxels, meta = render_t2(rng, anatomy, contrast_of(kind, rng))
            place = shrunk(grid, float(rng.uniform(0.30, 0.42))) if kind == "fetal" else grid
            name = f"{number:03d}-{n}-{kind}-{meta['contrast']}.nii.gz"
            write(Volume(voxels, place, "T2", name), args.folder / name)


def volumes(folder: Path) -> Iterator[tuple[str, str, str, Volume]]:
    """Yield (given as, kind, head, volume) of what a folder holds and what can be made of it.

    Whole heads cost ten times a box: of each, one ordinary volume, the T1 and the CT. Of every
    second pair only the ordinary volumes.
    """
    for path in sorted(folder.glob("[0-9]*-*-*.nii.gz")):
        number, n, kind, contrast = path.name.removesuffix(".nii.gz").split("-")[:4]
        head, whole = f"{folder.name}-{number}", bool(int(number) // 2 % 2)
        if whole and kind not in ("T1", "CT") and n != "0":
            continue
        volume = replace(read(path), modality="T2")
        ordinary = RANDOM if contrast == "random" else ORDINARY
        yield "T2", ordinary if kind == "T2" else kind, head, volume
        if n == "0" and not whole:
            for name, make in DERIVED.items():
                yield "T2", name, head, make(volume, int(number))
    for count, path in enumerate(sorted(folder.glob("*-iUS.nii.gz"))):
        stem = path.name.removesuffix("-iUS.nii.gz")
        head = f"{folder.name}-{stem}"
        ius = replace(read(path), modality="iUS")
        t2 = replace(read(folder / f"{stem}-T2.nii.gz"), modality="T2")
        meta = json.loads((folder / f"{stem}.json").read_text())
        random = meta["t2"]["contrast"] == "random"
        yield "iUS", ORDINARY, head, ius
        yield "T2", RANDOM if random else ORDINARY, head, t2
        if count % 2 == 0:
            yield "T2", "iUS given as T2", head, replace(ius, modality="T2")
            yield "iUS", "T2 given as iUS", head, replace(t2, modality="iUS")
            for name, make in DERIVED.items():
                yield "iUS", name, head, make(ius, count)


def measure(args: argparse.Namespace) -> None:
    bundle = find(args.model)
    assert bundle.path is not None
    model = load(bundle.path)[1]
    assert isinstance(model, MHVAE)
    found: list[Measured] = []

    def add(given: str, kind: str, head: str, volume: Volume) -> None:
        start = time.process_time()
        try:
            request = Request((given,), (given,))
            prepared = prepare_input(Case(head, {given: volume}), bundle, request)
        except UserError as error:
            print(f"{head} {kind}: refused before the check: {error}", file=sys.stderr)
            return
        middle = time.process_time()
        values = quantities(model, prepared, given)
        forget_volumes()
        found.append(Measured(given, kind, head, values))
        took = f"{middle - start:.1f} + {time.process_time() - middle:.1f} s"
        print(f"{given} {kind} {head}: {took}", file=sys.stderr, flush=True)
        args.out.write_text(json.dumps([vars(m) for m in found]))

    for n in range(args.knees):
        add("T2", "knee", f"knee-{n}", knee(n))
    for folder in args.folders:
        for one in volumes(folder):
            add(*one)


def calibrated(rows: Sequence[Measured], inside: float) -> Typical:
    """Calibrate on the ordinary and the wrong ones among some volumes of one modality."""
    right = [m for m in rows if m.kind == ORDINARY]
    wrong = [m for m in rows if m.kind not in (ORDINARY, *APART)]
    return Typical.fit(
        [m.values for m in right],
        [m.values for m in wrong],
        ([m.head for m in right], [m.head for m in wrong]),
        inside=inside,
    )


def warned(rows: Sequence[Measured], judged: Sequence[Measured], inside: float) -> list[bool]:
    """Return whether each of some volumes is warned of, by a calibration without their heads."""
    heads = {m.head for m in judged}
    typical = calibrated([m for m in rows if m.head not in heads], inside)
    return [typical.score(m.values) > typical.limit for m in judged]


def test(args: argparse.Namespace) -> None:
    rows = [Measured(**one) for path in args.files for one in json.loads(path.read_text())]
    typical: dict[str, Typical] = {}
    for modality in dict.fromkeys(m.modality for m in rows):
        own = [m for m in rows if m.modality == modality and m.values]
        found: dict[str, list[bool]] = {}
        unknown: dict[str, list[bool]] = {}
        for head in dict.fromkeys(m.head for m in own):
            here = [m for m in own if m.head == head]
            for m, answer in zip(here, warned(own, here, args.inside), strict=True):
                found.setdefault(m.kind, []).append(answer)
        for kind in (k for k in found if k not in (ORDINARY, *APART)):
            others = [m for m in own if m.kind != kind]
            for m in (m for m in own if m.kind == kind):
                unknown.setdefault(kind, []).extend(warned(others, [m], args.inside))
        false = found[ORDINARY]
        print(f"{modality}: {sum(false)} false alarms in {len(false)} held-out cases")
        for name, each in (("wrong ones", found), ("of a kind not calibrated with", unknown)):
            caught = [w for k in unknown for w in each[k]]
            print(f"  {name}: {sum(caught)} of {len(caught)} warned of ({np.mean(caught):.0%})")
        for kind in sorted(found):
            also = f", unknown {sum(unknown[kind])}" if kind in unknown else ""
            print(f"  {kind}: {sum(found[kind])} of {len(found[kind])}{also}")
        typical[modality] = calibrated(own, args.inside)
    if args.write:
        store(args.write, typical)


def store(path: Path, typical: Mapping[str, Typical]) -> None:
    """Write a calibration into a model file of float16 weights."""
    bundle, model = load(path)
    save(replace(bundle, typical=typical), model, path, half=True)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("draw")
    one.add_argument("folder", type=Path)
    one.add_argument("--anatomy", type=Path, required=True)
    one.add_argument("--heads", type=int, default=20)
    one.add_argument("--first", type=int, default=0)
    one.set_defaults(run=draw)
    two = commands.add_parser("measure")
    two.add_argument("folders", type=Path, nargs="+")
    two.add_argument("--model")
    two.add_argument("--knees", type=int, default=6)
    two.add_argument("--out", type=Path, required=True)
    two.set_defaults(run=measure)
    three = commands.add_parser("test")
    three.add_argument("files", type=Path, nargs="+")
    three.add_argument("--inside", type=float, default=0.95, help="share of cases not warned of")
    three.add_argument("--write", type=Path)
    three.set_defaults(run=test)
    args = parser.parse_args(words)
    args.run(args)


if __name__ == "__main__":
    main()
