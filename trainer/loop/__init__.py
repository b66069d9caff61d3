"""The training loop and what goes round in it."""

__all__ = [
    "estimate",
    "estimate_verdict",
    "loop",
    "rate_test",
    "terms",
]
