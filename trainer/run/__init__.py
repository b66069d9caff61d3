"""The folder of a run: events, lock, control, state; no torch."""

__all__ = [
    "balance",
    "crash",
    "curves",
    "descent",
    "environment",
    "events",
    "folder",
    "learning",
    "registry",
    "state",
    "watch",
]
