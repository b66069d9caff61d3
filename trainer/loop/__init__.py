"""The training loop and what goes round in it."""

__all__ = [
    "estimate",
    "loop",
    "terms",
]
