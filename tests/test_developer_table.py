"""The table "Where a change goes" names files that are there, and few of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def rows() -> dict[str, list[str]]:
    """Return change → what its second column lists."""
    text = (ROOT / "docs" / "developer.md").read_text(encoding="utf-8")
    table = text.split("### Where a change goes")[1].split("\n\n")[1]
    cells = [line.strip("|").split("|") for line in table.splitlines()[2:]]
    return {cell[0].strip(): [part.strip() for part in cell[1].split(",")] for cell in cells}


def test_ten_changes_touch_few_files_that_exist() -> None:
    found = rows()
    assert len(found) == 10
    for change, parts in found.items():
        named = [path for part in parts for path in re.findall(r"`([^`]+)`", part)]
        assert named, change
        assert [path for path in named if not (ROOT / path).exists()] == [], change
    counts = sorted(len(parts) for parts in found.values())
    assert counts[-1] <= 3
    assert sum(count <= 2 for count in counts) >= 6
