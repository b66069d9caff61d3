"""A plain U-Net: the smallest family there can be, and the baseline that every other must beat."""
