"""The folder of a run: events, lock, control, state; no torch."""

__all__ = [
    "balance",
    "crash",
    "curves",
    "environment",
    "events",
    "folder",
    "learning",
    "registry",
    "state",
    "watch",
]
