"""Watching training runs: their list, the page of one, comparison and report."""

__all__ = ["launch", "window", "wording"]
