"""The cases of a training: found, paired, checked, split, prepared; no torch."""

__all__ = ["cache", "check", "prepare", "prepare_case", "scan", "split"]
