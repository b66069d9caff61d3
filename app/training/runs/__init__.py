"""Watching training runs: their list, the page of one, comparison and report."""
