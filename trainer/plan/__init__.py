"""The plan of a run: every choice, with unit and default; no torch."""

__all__ = [
    "families",
    "fine_tune",
    "new",
    "patches",
    "presets",
    "schema",
]
