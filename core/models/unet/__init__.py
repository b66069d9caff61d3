"""A plain U-Net: the smallest family there can be, and the baseline that every other must beat."""

__all__ = ["config", "model"]
