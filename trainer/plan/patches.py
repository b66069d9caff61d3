"""How many patches a PatchGAN scores; a plan is checked by it before torch is needed."""

from __future__ import annotations

from trainer.errors import TrainerError

FEWEST = 3
"""Scores along a side; with fewer there are no patches to speak of."""


def fits(tile: tuple[int, int], layers: int) -> bool:
    """Tell whether ``layers`` halvings of a tile leave at least 3x3 scores."""
    return min((tile[0] >> layers) - 2, (tile[1] >> layers) - 2) >= FEWEST


def score_map(tile: tuple[int, int], layers: int) -> tuple[int, int]:
    """Return height and width of the scores after ``layers`` halvings of a tile.

    Raises:
        TrainerError: fewer than 3x3.
    """
    size = ((tile[0] >> layers) - 2, (tile[1] >> layers) - 2)
    if not fits(tile, layers):
        raise TrainerError(
            f"With {layers} layers a tile of {tile[0]}x{tile[1]} pixels gives a score map of "
            f"{size[0]}x{size[1]}; a PatchGAN needs at least 3x3. Lower loss.gan_layers."
        )
    return size
