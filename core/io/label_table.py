"""What the numbers of a label map are called, where the file or one beside it says so."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from core.volume import VolumeError

LARGEST = 1 << 20
"""Bytes of a table of names; a longer file is something else."""

_ENDING = re.compile(r"(\.seg)?\.(nii|nii\.gz|nrrd|nhdr|mha|mhd|mgz|hdr|img)$", re.IGNORECASE)
_SNAP = re.compile(r'^\s*(\d+)(?:\s+[\d.]+){6}\s+"(.*)"\s*$')
_SEGMENT = re.compile(r"^(Segment\d+)_LabelValue$")


def label_names(path: Path) -> dict[int, str]:
    """Return label → name; empty where nobody says.

    Known are the segments of 3D Slicer (``.seg.nrrd``), and beside the volume a table with the
    columns ``index`` and ``name`` (``.tsv``, as in BIDS) or a label description of ITK-SNAP
    (``.label`` or ``.txt``), each with the volume's own name. What cannot be read names nothing.

    Args:
        path: the label map's file.
    """
    if path.name.lower().endswith((".nrrd", ".nhdr")) and path.is_file():
        from core.io import nrrd

        try:
            found = _segments(nrrd.read_keys(path))
        except (VolumeError, OSError):
            found = {}
        if found:
            return found
    stem = _ENDING.sub("", path.name)
    for suffix, read in ((".tsv", _table), (".label", _descriptions), (".txt", _descriptions)):
        beside = path.with_name(stem + suffix)
        try:
            if beside.is_file() and beside.stat().st_size <= LARGEST:
                found = read(beside.read_text(encoding="utf-8", errors="replace"))
                if found:
                    return found
        except OSError:
            continue
    return {}


def _segments(keys: dict[str, str]) -> dict[int, str]:
    found = {}
    for key, value in keys.items():
        named = _SEGMENT.match(key)
        name = keys.get(f"{named[1]}_Name", "") if named else ""
        if name and value.isdigit():
            found[int(value)] = name
    return found


def _table(text: str) -> dict[int, str]:
    found = {}
    for row in csv.DictReader(text.splitlines(), delimiter="\t"):
        number, name = (row.get("index") or "").strip(), (row.get("name") or "").strip()
        if number.isdigit() and name:
            found[int(number)] = name
    return found


def _descriptions(text: str) -> dict[int, str]:
    lines = (_SNAP.match(line) for line in text.splitlines())
    return {int(m[1]): m[2] for m in lines if m and m[2]}
