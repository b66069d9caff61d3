"""The trainer wizard: from a folder of cases to a run; it computes nothing itself."""

__all__ = ["controller"]
