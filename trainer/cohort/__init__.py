"""The cases of a training: found, paired, checked, split, prepared; no torch."""

__all__ = [
    "cache",
    "cache_size",
    "case",
    "check",
    "likeness",
    "listing",
    "names",
    "pairs",
    "prepare",
    "prepare_files",
    "scan",
    "split",
]
