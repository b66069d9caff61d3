"""Scores, statistics and the report."""

__all__ = ["before_after", "choice", "evaluate", "report"]
