"""What an estimate found, in words: the lines below its verdict."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

NAMES = ("Whole run", "Done by", "Steps", "A step", "Memory", "Disk", "Rate")


def facts_of(found: dict[str, Any]) -> dict[str, str]:
    """Return the lines below the verdict; empty where nothing is known."""
    if "total_seconds" not in found:
        return dict.fromkeys(NAMES, "–")
    total, preparing = float(found["total_seconds"]), float(found["preparing_seconds"])
    end = datetime.now() + timedelta(seconds=total)
    before = f", {duration(preparing)} of it preparing the cases" if preparing >= 1 else ""
    gib = {n: f"{found[n] / 1024:.1f} GiB" for n in ("need_mb", "there_mb", "free_mb")}
    where = "a GPU" if found["device"] == "cuda" else "the CPU"
    how = "" if found["measured"] else ", told from steps of one and two tiles"
    values = (
        f"about {duration(total)}{before}",
        f"{end:%A, %d %B, %H:%M}, if it starts now",
        f"{found['steps']}, every slice about {found['epochs']:{places(found['epochs'])}} times",
        f"{found['step_seconds']:{places(found['step_seconds'])}} s on {where}{how}",
        f"{gib['need_mb']} of {gib['there_mb']}, {gib['free_mb']} free now",
        _disk(found),
        str(found.get("rate") or "not tested"),
    )
    return dict(zip(NAMES, values, strict=True))


def _disk(found: dict[str, Any]) -> str:
    """Say what prepared cases will take, and where."""
    more, free = (float(found.get(n, 0)) / 1024 for n in ("disk_mb", "disk_free_mb"))
    if not found.get("cache"):
        return "–"
    return f"{more:.1f} GiB of {free:.0f} GiB free, for prepared cases in {found['cache']}"


def places(value: float) -> str:
    """Return the format of a number with as many digits as it deserves."""
    return ".0f" if value >= 10 else ".1f" if value >= 1 else ".2f"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 86400:.1f} days"
