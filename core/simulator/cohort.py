"""Many simulated cases as files: resumable, in several processes, with progress and cancel."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from core.files import replacing, write_text
from core.marks import SIMULATED_MARK
from core.simulator.case import Echo, SimulatedCase, simulate_case
from core.simulator.physics import PhysicsName
from core.volume import Volume
from core.worker_pool import worker_pool

Progress = Callable[[int, int], None]


def write_cohort(
    n: int,
    seed: int,
    out: Path,
    anatomy: Path | None = None,
    spacing: float = 0.5,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    physics: PhysicsName = "train",
    lc2_share: float = 0.0,
    scanner: int | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Path]:
    """Write ``n`` cases, seeds ``seed`` … ``seed + n - 1``, as flat files into ``out``.

    A case is ``Case1000-T2.nii.gz``, ``-iUS``, ``-iUS-expected``, ``-fov``, ``-labels`` and last
    ``Case1000.json``; one whose JSON exists is skipped, so a stopped cohort goes on where it was.

    Args:
        n: number of cases.
        seed: of the first case; it is also the first case's number.
        out: folder, made when missing.
        anatomy: folder with label maps or tissue maps; None for anatomy from formulas.
        spacing: voxel size of the ultrasound, mm.
        workers: processes; 1 stays in this process.
        progress: called with (finished, n) at the start and after every case.
        physics: ``"train"`` or ``"test"``.
        lc2_share: how many training cases (as a fraction) show a mix of T2 and its edges instead of
            sound.
        scanner: number of the one scanner of all cases; None has another for every case.
        cancelled: asked between cases; True stops and keeps what is finished.

    Returns:
        The JSON files of the finished cases, in order of their seeds.

    Raises:
        SimulatorError: see ``simulate_case``.
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = [out / f"Case{number:03d}.json" for number in range(seed, seed + n)]
    todo = []
    for index, path in enumerate(files):
        if not path.is_file():
            turn = int((index + 1) * lc2_share) > int(index * lc2_share)
            echo: Echo = "lc2" if turn and physics == "train" else "physical"
            todo.append((seed + index, out, anatomy, spacing, physics, echo, scanner))
    done = n - len(todo)
    stop = cancelled or (lambda: False)
    report = progress or (lambda finished, total: None)
    report(done, n)
    if workers <= 1:
        for job in todo:
            if stop():
                break
            write_case(*job)
            done += 1
            report(done, n)
        return [path for path in files if path.is_file()]
    with worker_pool(workers) as pool:
        pending = {pool.submit(write_case, *job) for job in todo}
        while pending:
            ready, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in ready:
                future.result()
                done += 1
                report(done, n)
            if stop():
                pool.shutdown(cancel_futures=True)
                break
    return [path for path in files if path.is_file()]


def write_case(
    seed: int,
    out: Path,
    anatomy: Path | None,
    spacing: float,
    physics: PhysicsName,
    echo: Echo,
    scanner: int | None = None,
) -> Path:
    """Simulate one case and write its files; the JSON comes last and says the case is whole."""
    case = simulate_case(
        seed, spacing=spacing, anatomy=anatomy, physics=physics, echo=echo, scanner=scanner
    )
    return save_case(case, out, f"Case{seed:03d}")


def save_case(case: SimulatedCase, out: Path, name: str) -> Path:
    """Write a case's volumes and JSON as ``out/name-…``; returns the JSON's path."""
    fov = replace(case.labels, voxels=case.fov.astype(np.float32), modality="fov")
    for modality, volume in case.volumes.items():
        save_volume(volume, out / f"{name}-{modality}.nii.gz", integer=False)
    if case.expected is not None:
        save_volume(case.expected, out / f"{name}-iUS-expected.nii.gz", integer=False)
    save_volume(fov, out / f"{name}-fov.nii.gz", integer=True)
    save_volume(case.labels, out / f"{name}-labels.nii.gz", integer=True)
    path = out / f"{name}.json"
    write_text(path, json.dumps({"case": name, **case.meta}, indent=1))
    return path


def save_volume(volume: Volume, path: Path, *, integer: bool) -> None:
    """Write uint8 labels, or an image rounded to 1/8 unit as int16, beside and then into place."""
    if integer:
        data = volume.voxels.astype(np.uint8)
        slope = 1.0
    else:
        slope = 0.125
        data = np.rint(volume.voxels / slope).clip(-32768, 32767).astype(np.int16)
    image: Any = nib.Nifti1Image(data, volume.grid.affine)
    image.header.set_slope_inter(slope, 0.0)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = SIMULATED_MARK.encode()
    image.set_qform(volume.grid.affine, 1)
    image.set_sform(volume.grid.affine, 1)
    with replacing(path) as part:
        nib.save(image, part)
