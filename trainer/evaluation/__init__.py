"""Scores, statistics and the report."""

__all__ = [
    "before_after",
    "choice",
    "costs",
    "evaluate",
    "figure",
    "report",
    "table",
    "table_files",
]
