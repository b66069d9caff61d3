"""What is done to voxels: intensity, resampling, masks, metrics; no torch."""

__all__ = [
    "brain_mask",
    "compound",
    "field_of_view",
    "intensity",
    "metrics",
    "preprocess",
    "resample",
]
