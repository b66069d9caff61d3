"""Scores, statistics and the report."""

__all__ = ["evaluate", "report"]
