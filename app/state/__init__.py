"""The one observable session and the values in it; knows no widget."""

__all__ = [
    "layers",
    "levels",
    "messages",
    "pair",
    "record",
    "results",
    "session",
    "settings",
    "synthesis",
    "undo",
    "values",
]
