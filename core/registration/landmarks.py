"""Point pairs between two volumes: read, write, measure the error of a map, fit a map."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.files import write_text
from core.registration.alignment import AlignError, Alignment, Matrix, nearest_rotation

SCHEMA = 1
SUFFIXES = (".json", ".csv", ".fcsv")
COLUMNS = ("name", "fixed_x", "fixed_y", "fixed_z", "moving_x", "moving_y", "moving_z")
_ENDS = ("-fixed.fcsv", "-moving.fcsv")

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Landmark:
    """One anatomical point seen in both volumes.

    Attributes:
        name: for people.
        fixed: RAS+ mm in the fixed volume.
        moving: RAS+ mm in the moving volume's header space, before any alignment.
    """

    name: str
    fixed: Point
    moving: Point


def target_registration_error(
    landmarks: Sequence[Landmark], matrix: Matrix
) -> tuple[NDArray[np.float64], float, float]:
    """Return the error of a map at each pair (n,), their mean and their maximum, mm.

    Raises:
        AlignError: no landmarks.
    """
    if not landmarks:
        raise AlignError("There are no landmarks to measure with. Place or load point pairs first.")
    fixed, moving = _arrays(landmarks)
    errors = np.linalg.norm(moving @ matrix[:3, :3].T + matrix[:3, 3] - fixed, axis=1)
    return errors, float(errors.mean()), float(errors.max())


def align_by_landmarks(landmarks: Sequence[Landmark], kind: str) -> Alignment:
    """Fit the map that brings the moving points onto the fixed ones (least squares).

    Args:
        landmarks: at least three not on one line (rigid), four not in one plane (affine).
        kind: ``"rigid"`` or ``"affine"``.

    Raises:
        AlignError: too few points, or points that leave a direction open.
    """
    if kind not in ("rigid", "affine"):
        raise AlignError(f"Landmarks give a rigid or an affine map; found {kind}.")
    needed = 3 if kind == "rigid" else 4
    shape = "on one line" if kind == "rigid" else "in one plane"
    fixed, moving = _arrays(landmarks)
    spread = np.linalg.svd(moving - moving.mean(0), compute_uv=False) if len(moving) else ()
    # Less than a millimetre across decides nothing: a placing error would turn the volume.
    if len(landmarks) < needed or float(spread[needed - 2]) < 1.0:
        raise AlignError(
            f"An alignment by landmarks ({kind}) needs at least {needed} pairs that do not lie "
            f"{shape}; found {len(landmarks)}. Place more pairs, spread over the image."
        )
    matrix = np.eye(4)
    if kind == "affine":
        matrix[:3] = np.linalg.lstsq(np.c_[moving, np.ones(len(moving))], fixed, rcond=None)[0].T
    else:
        covariance = (fixed - fixed.mean(0)).T @ (moving - moving.mean(0))
        matrix[:3, :3] = nearest_rotation(covariance)
        matrix[:3, 3] = fixed.mean(0) - matrix[:3, :3] @ moving.mean(0)
    return Alignment(matrix, "landmarks", f"{len(landmarks)} pairs, {kind}")


def write_landmarks(path: Path | str, landmarks: Sequence[Landmark]) -> tuple[Path, ...]:
    """Write point pairs as ``.json``, ``.csv``, or two 3D Slicer lists.

    Args:
        path: ``name.fcsv`` becomes ``name-fixed.fcsv`` and ``name-moving.fcsv``, as a Slicer list
            holds one set of points.
        landmarks: what to write.

    Returns:
        The files written.

    Raises:
        AlignError: another suffix, or no permission.
    """
    path = Path(path)
    suffix = _suffix(path)
    if suffix == ".json":
        rows = [{"name": p.name, "fixed": p.fixed, "moving": p.moving} for p in landmarks]
        content = {"schema": SCHEMA, "space": "RAS mm", "landmarks": rows}
        texts = {path: json.dumps(content, indent=1, ensure_ascii=False) + "\n"}
    elif suffix == ".csv":
        stream = io.StringIO()
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows((p.name, *p.fixed, *p.moving) for p in landmarks)
        texts = {path: stream.getvalue()}
    else:
        fixed, moving = _both(path)
        texts = {
            fixed: _slicer([(p.name, p.fixed) for p in landmarks]),
            moving: _slicer([(p.name, p.moving) for p in landmarks]),
        }
    for target, text in texts.items():
        try:
            write_text(target, text)
        except OSError as error:
            raise AlignError(
                f"{target.name}: the landmarks could not be written. Choose a folder you may "
                "write to."
            ) from error
    return tuple(texts)


def read_landmarks(path: Path | str) -> tuple[Landmark, ...]:
    """Read point pairs.

    Args:
        path: ``.json`` or ``.csv`` as :func:`write_landmarks` writes them, or one of a pair of
            3D Slicer lists ``name-fixed.fcsv`` and ``name-moving.fcsv`` (RAS or LPS, as they say).

    Raises:
        AlignError: missing, damaged, of another kind, or the two lists differ in length.
    """
    path = Path(path)
    suffix = _suffix(path)
    try:
        if suffix == ".fcsv":
            fixed, moving = (_points(one) for one in _both(path))
            if len(fixed) != len(moving):
                raise AlignError(
                    f"{path.name}: expected as many fixed as moving points; found {len(fixed)} and "
                    f"{len(moving)}. Give every point its partner, in the same order."
                )
            return tuple(
                Landmark(name, a, b) for (name, a), (_, b) in zip(fixed, moving, strict=True)
            )
        text = path.read_text(encoding="utf-8-sig")
        if suffix == ".json":
            return tuple(
                Landmark(str(row["name"]), _point(row["fixed"]), _point(row["moving"]))
                for row in json.loads(text)["landmarks"]
            )
        return tuple(
            Landmark(
                row["name"],
                _point([row[c] for c in COLUMNS[1:4]]),
                _point([row[c] for c in COLUMNS[4:]]),
            )
            for row in csv.DictReader(io.StringIO(text))
        )
    except FileNotFoundError as error:
        raise AlignError(
            f"{Path(error.filename or path).name}: there is no such file of landmarks. Check the "
            "name; 3D Slicer lists come in pairs, name-fixed.fcsv and name-moving.fcsv."
        ) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError, csv.Error) as error:
        raise AlignError(
            f"{path.name}: expected point pairs (JSON, CSV with the columns {', '.join(COLUMNS)}, "
            "or two 3D Slicer lists); the file is damaged or of another kind. Export it again."
        ) from error


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise AlignError(
            f"{path.name}: expected landmarks as {', '.join(SUFFIXES)}. Choose one of these."
        )
    return suffix


def _both(path: Path) -> tuple[Path, Path]:
    """Return the two Slicer lists that ``path`` is one of, or is the common name of."""
    stem = path.name.removesuffix(".fcsv")
    for end in _ENDS:
        if path.name.endswith(end):
            stem = path.name.removesuffix(end)
    return path.with_name(stem + _ENDS[0]), path.with_name(stem + _ENDS[1])


def _slicer(points: Sequence[tuple[str, Point]]) -> str:
    stream = io.StringIO()
    stream.write("# Markups fiducial file version = 5.0\n# CoordinateSystem = RAS\n")
    stream.write("# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n")
    table = csv.writer(stream, lineterminator="\n")
    for number, (name, (x, y, z)) in enumerate(points, start=1):
        table.writerow((number, x, y, z, 0, 0, 0, 1, 1, 1, 0, name, "", ""))
    return stream.getvalue()


def _points(path: Path) -> list[tuple[str, Point]]:
    """Read one 3D Slicer list; version 4 numbers its spaces, version 5 names them."""
    flip, rows = 1.0, []
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            if key.strip() == "CoordinateSystem":
                flip = -1.0 if value.strip().upper() in ("LPS", "1") else 1.0
            continue
        if line.strip():
            rows.append(next(csv.reader([line])))
    return [
        (
            row[11] if len(row) > 11 else row[0],
            _point([flip * float(row[1]), flip * float(row[2]), row[3]]),
        )
        for row in rows
    ]


def _point(values: Sequence[object]) -> Point:
    x, y, z = (float(str(v)) for v in values)
    if not np.isfinite([x, y, z]).all():
        raise ValueError("a coordinate is not finite")
    return x, y, z


def _arrays(landmarks: Sequence[Landmark]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    fixed = np.array([p.fixed for p in landmarks], dtype=np.float64).reshape(-1, 3)
    moving = np.array([p.moving for p in landmarks], dtype=np.float64).reshape(-1, 3)
    return fixed, moving
