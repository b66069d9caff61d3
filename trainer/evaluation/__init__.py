"""Scores, statistics and the report."""
