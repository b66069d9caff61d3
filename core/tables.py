"""CSV tables for people: written whole, and with no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.files import replacing


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, exact: bool = False
) -> None:
    """Write one line per row.

    Args:
        path: of the CSV.
        columns: its head; what a row has beyond them is left out, what it lacks is empty.
        rows: column → value.
        exact: keep every text as it is, for a table that a program reads back.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        table.writeheader()
        for row in rows:
            table.writerow(row if exact else {k: _told(v) for k, v in row.items()})


def safe_cell(text: str) -> str:
    """Keep a spreadsheet from running a name as a formula, by a leading apostrophe."""
    text = "".join(" " if c in "\r\n\t\0" else c for c in text)
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") else text


def _told(value: Any) -> Any:
    return safe_cell(value) if isinstance(value, str) else value
