"""The words and the colour that mark what is not a patient's image; every room takes them here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WORD = "SYNTHETIC"
"""Begins the mark; also the key of a header that has keys, so never change what files hold."""
RESEARCH_USE = "research use only"
SYNTHETIC_MARK = f"{WORD} - {RESEARCH_USE}"
"""Over every pane, in every picture, header and sidecar of what a model made."""
UNFINISHED_MARK = f"{WORD} IMAGE, not whole yet. {RESEARCH_USE.capitalize()}."
"""Beside a picture that is still being made."""
SYNTHETIC_RGB = (255, 145, 20)
"""Colour of the frame around what a model made; red, green, blue, 0 to 255."""
SYNTHETIC_SENTENCE = f"Synthetic images, made by a model. {RESEARCH_USE.capitalize()}."
"""Beside numbers and pictures of what a model made."""
SIMULATED_MARK = f"Simulated data, {RESEARCH_USE}"
"""In every file of the simulator, whose images are of nobody."""

SAMPLING = "sampling"
"""Key in a provenance: what samples were drawn with, of a model that was calibrated for it."""
VARIABILITY = "model variability, not error"
"""What a σ map shows of a model that was never calibrated."""


def spread_words(provenance: Mapping[str, Any]) -> str:
    """Say what the σ map of a synthesis shows.

    Args:
        provenance: of the target; one without factors is of a model that was never calibrated.
    """
    told = provenance.get(SAMPLING)
    measured_on = told.get("measured_on") if isinstance(told, Mapping) else None
    return f"spread of samples, calibrated on {measured_on}" if measured_on else VARIABILITY


def synthetic_notice(intended_use: str = "") -> str:
    """Return the notice of a saved volume's provenance.

    Args:
        intended_use: what the model that made it says; without a model, its research use.
    """
    return f"{WORD} IMAGE. {intended_use or RESEARCH_USE.capitalize() + '.'}"
