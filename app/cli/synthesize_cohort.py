"""``mhvae-studio synthesize --cohort``: a whole data set, one model, one table of outcomes."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.cli.cohort_files import (
    TABLE,
    Bids,
    Files,
    Flat,
    record_of,
    told_of,
)
from app.cli.cohort_outputs import CaseWriter, sample_part
from app.cli.options import CommandError, measure, request_of
from app.cli.outputs import DICOM, check_samples, kept_samples
from app.cli.terminal import Reporter, answer, output_folder
from core.case import Case
from core.errors import UserError, disk_sentence
from core.files import replacing
from core.grid import Grid
from core.io import read, read_headers
from core.models.bundle import Bundle, find
from core.synthesis.request import Request, on_grid, prepare_input
from core.synthesis.synthesize import Engine
from core.tables import write_table
from trainer.cohort.case import CohortCase
from trainer.cohort.names import LABEL, case_key, parse_name
from trainer.cohort.scan import SUFFIXES, names_of, scan

COLUMNS = (
    "case", "outcome", "inputs", "sources", "files", "labels", "psnr_db", "ssim", "seconds",
    "reason",
)  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the command; the model is loaded once, finished cases are kept."""
    for option in ("input", "truth", "transform"):
        if getattr(args, option):
            raise CommandError(f"--cohort takes its volumes from the cohort; leave out --{option}.")
    if args.register != "none":
        raise CommandError("--cohort takes aligned cases; align them with mhvae-studio prepare.")
    bundle = find(args.model)
    check_samples(args, bundle.draws(args.samples, args.temperature))
    targets = tuple(dict.fromkeys(args.target))
    if not targets:
        raise CommandError("--cohort needs --target MODALITY: what to make of every case.")
    bundle.config.check_subset(targets)
    cases = scan(args.cohort, bundle.config.modalities)
    files = _files(args, cases)
    output_folder(files.root)
    if isinstance(files, Bids):
        files.describe()
    report = Reporter()
    start = time.perf_counter()
    from core.synthesis.open_engine import open_engine

    rows: list[dict[str, Any]] = []
    engine: Engine | None = None
    try:
        for case in cases:
            row = _kept(args, bundle, case, targets, files)
            if row is None:
                engine = engine or open_engine(bundle, args.device, tell=report.warn)
                row = _one(args, engine, bundle, case, targets, report, files)
            rows.append(row)
            left = (time.perf_counter() - start) / len(rows) * (len(cases) - len(rows))
            report.progress("cases", len(rows), len(cases), left)
    finally:
        write_table(files.root / TABLE, COLUMNS, rows)
    counts = {name: sum(r["outcome"] == name for r in rows) for name in ("done", "kept", "failed")}
    answer(
        {
            **counts,
            "table": str(files.root / TABLE),
            "model": bundle.name,
            "seconds": round(time.perf_counter() - start, 1),
            "problems": [f"{r['case']}: {r['reason']}" for r in rows if r["reason"]],
            "notice": f"Synthetic. {bundle.intended_use}",
        },
        as_json=args.json,
    )
    return 0 if counts["failed"] < len(cases) else 1


def _files(args: argparse.Namespace, cases: Sequence[CohortCase]) -> Files:
    if not args.bids:
        if args.out.resolve() == args.cohort.resolve():
            raise CommandError("--out is the cohort itself; choose another folder.")
        return Flat(args.out, "" if args.format == DICOM else args.format)
    if args.format != "nii.gz":
        raise CommandError("--bids writes NIfTI; leave out --format.")
    return Bids(args.out, args.cohort, cases, whole=args.fov == "whole")


def _one(
    args: argparse.Namespace,
    engine: Engine,
    bundle: Bundle,
    case: CohortCase,
    targets: tuple[str, ...],
    report: Reporter,
    files: Files,
) -> dict[str, Any]:
    """Synthesise one case; what goes wrong is a line of the table."""
    began = time.perf_counter()
    row: dict[str, Any] = {"case": case.id, "reason": ""}
    try:
        case.refuse()
        request, loaded = _load(args, bundle, case, targets)
        prepared = engine.check(prepare_input(loaded, bundle, request))
        with kept_samples(args, prepared, request, files.root) as each:
            result = engine.run(
                loaded,
                prepared,
                request,
                each=each,
                progress=lambda p: report.progress(case.id, p.done, p.total, p.seconds_left),
            )
            measured = measure(loaded, result, prepared)
            names = names_of(case)
            marks: dict[str, dict[str, Any]] = {
                m: {
                    **files.about(case, m, request.subset),
                    **result.provenance["targets"][m],
                    "sources": {n: names[n] for n in loaded.volumes},
                    **({"metrics": measured[m]} if m in measured else {}),
                }
                for m in targets
            }
            first = loaded.volumes[request.subset[0]].grid
            grid = None if args.grid == "model" else first
            writer = CaseWriter(args, files, case, request.subset)
            samples = writer.samples(result, each, grid, marks)
        saved = result if grid is None else on_grid(result, grid)
        labels = _carry_labels(case, saved.volumes[targets[0]].grid, files)
        row["labels"] = " ".join(labels["files"])
        row["reason"] = " ".join(
            [*(f"{doubt}." for doubt in case.doubts), *prepared.warnings, *labels["left"]]
        )
        row["inputs"] = " ".join(request.subset)
        row["sources"] = "; ".join(f"{m} {names[m]}" for m in loaded.volumes)
        row["files"] = " ".join([*(files.volume(case, m) for m in targets), *samples])
        scores = measured.get(targets[0], {})
        row |= {k: scores[k] for k in ("psnr_db", "ssim") if k in scores}
        row["outcome"], row["seconds"] = "done", round(time.perf_counter() - began, 1)
        key = _key(args, bundle, case, targets)
        for m in targets:
            # Last, because a mean that is there says that its case is finished.
            done = {"cohort": {"key": key, "row": row}}
            writer.put(saved.volumes[m], "", marks[m], done)
    except (UserError, OSError) as error:
        reason = disk_sentence(error) if isinstance(error, OSError) else str(error)
        row |= {"outcome": "failed", "reason": reason}
        row["seconds"] = round(time.perf_counter() - began, 1)
    return row


def _load(
    args: argparse.Namespace, bundle: Bundle, case: CohortCase, targets: tuple[str, ...]
) -> tuple[Request, Case]:
    subset = tuple(m for m in bundle.config.modalities if m in case.files and m not in targets)
    if not subset:
        raise CommandError(
            f"expected a volume to make {', '.join(targets)} of; the case has "
            f"{', '.join(case.files) or 'none'}. Add one, or choose another target."
        )
    # Inputs first: their grid is the one that the results and the label maps are on.
    names = (*subset, *(m for m in targets if m in case.files))
    volumes = {m: replace(read(case.files[m]), modality=m, source=m) for m in names}
    fov = args.fov if args.fov in ("auto", "whole") else read(args.fov)
    if args.fov == "auto" and case.fov is not None:
        fov = read(case.fov)
    return request_of(args, bundle, subset, targets, fov), Case(case.id, volumes)


def _ready(files: Files, name: str) -> Path:
    path = files.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def label_maps(case: CohortCase) -> list[Path]:
    """Return the label maps of a case: those the scan found, or for a listed case those beside it.

    Beside it means: in the folder of one of its files, named after the case and as a label map.
    """
    if case.labels:
        return sorted(case.labels)
    own = next(iter(case.files.values())).parent
    alone = case_key(own.name) == case_key(case.id) or own.name.startswith(("ses-", "anat"))
    found = []
    for path in own.iterdir():
        ending = next((s for s in SUFFIXES if path.name.lower().endswith(s)), "")
        told = parse_name(path.name.removesuffix(ending), ()) if ending else None
        if (
            told
            and told.role == LABEL
            and (alone or case_key(told.lead or told.tail) == case_key(case.id))
        ):
            found.append(path)
    return sorted(found)


def _carry_labels(case: CohortCase, grid: Grid, files: Files) -> dict[str, list[str]]:
    """Copy the label maps that lie on the result's grid; name the others."""
    copied, left = [], []
    for path in label_maps(case):
        header = read_headers(path)[0]
        if header.grid is None or not header.grid.same_as(grid):
            left.append(f"{path.name} lies on another grid and was not carried along.")
            continue
        name = files.label(case, path)
        if not name:
            left.append(f"{path.name} is no NIfTI, as BIDS wants it, and was not carried along.")
            continue
        with replacing(_ready(files, name)) as part:
            shutil.copyfile(path, part)
        copied.append(name)
    return {"files": copied, "left": left}


def _key(args: argparse.Namespace, bundle: Bundle, case: CohortCase, targets: Sequence[str]) -> str:
    """Name a finished case after everything that decides it."""
    stamps = [
        (p.name, p.stat().st_size, p.stat().st_mtime_ns)
        for p in (*case.files.values(), *([case.fov] if case.fov else []), *label_maps(case))
        if p.exists()
    ]
    settings = [args.temperature, args.samples, args.seed, args.fov, args.grid, args.format]
    settings += [args.bids, *(["samples"] if args.keep_samples else [])]
    settings += [args.dicom_patient] if args.format == DICOM else []
    decides = [bundle.sha256, list(targets), settings, stamps]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def _kept(
    args: argparse.Namespace,
    bundle: Bundle,
    case: CohortCase,
    targets: tuple[str, ...],
    files: Files,
) -> dict[str, Any] | None:
    """Return the line of a case that was made before, from the same files and settings."""
    row: dict[str, Any] | None = None
    try:
        key = _key(args, bundle, case, targets)
    except OSError:  # a file vanished meanwhile; whoever reads the case says which
        return None
    parts = [sample_part(n + 1) for n in range(args.samples)] if args.keep_samples else []
    for m in targets:
        name = files.volume(case, m)
        made = [name, *(files.volume(case, m, part) for part in parts)]
        try:
            told = told_of(record_of(files, name))
            if told["key"] != key or not all((files.root / x).exists() for x in made):
                return None
            row = {**told["row"], "outcome": "kept"}
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return row
