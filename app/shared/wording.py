"""How times are said to people."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a time for people: ``"8 s"``, ``"3 min 20 s"``, ``"1 h 05 min"``."""
    whole = max(1, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest // 10 * 10:02d} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
