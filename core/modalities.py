"""The kinds of image known by name, from ``assets/modalities.toml``; no name stands in the code."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from core.assets import MODALITIES


@dataclass(frozen=True)
class Modality:
    """One entry of the table; a modality that goes by several kinds of words has several.

    Attributes:
        name: as volumes, models and files call it.
        words: regular expressions on lower-case names, in terms of ``{A}``, ``{Z}``, ``{PLANE}``
            (see :mod:`core.io.modality`).
        swept: whether it has an image only where a probe passed.
        dicom: values of the DICOM tag Modality that say it.
        authors: what the authors' checkpoints call it; empty when they do not know it.
        gamma: largest |ln γ| of the random intensity curve in training; 0 for none.
        bids: its suffix in a BIDS data set; empty where BIDS has none.
    """

    name: str
    words: tuple[str, ...]
    swept: bool = False
    dicom: tuple[str, ...] = ()
    authors: str = ""
    gamma: float = 0.0
    bids: str = ""


_FILE = tomllib.loads(MODALITIES.read_text(encoding="utf-8"))


def _entry(values: dict[str, Any]) -> Modality:
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return Modality(**given)


TABLE = tuple(_entry(values) for values in _FILE["modality"])
"""Every entry, in the order in which names are looked for."""
PAPER: tuple[str, ...] = tuple(_FILE["paper"])
"""What the paper's model knows, in its order; the default wherever modalities are asked for."""
OFFERED: tuple[str, ...] = tuple(_FILE["offered"])
"""Names that are offered where no model is known yet."""
GAMMA = {one.name: one.gamma for one in TABLE if one.gamma}
"""Modality → its largest |ln γ| in training."""
BIDS = {one.name: one.bids for one in TABLE if one.bids}
"""Modality → its suffix in a BIDS data set."""
SWEPT = tuple(dict.fromkeys(one.name for one in TABLE if one.swept))
"""Modalities with an image only where a probe passed, where no model says so itself."""


def reference_of(names: Iterable[str]) -> str:
    """Return the modality whose grid and field of view count: a swept one, else the first.

    Raises:
        ValueError: there is none.
    """
    known = list(names)
    if not known:
        raise ValueError("No modality to choose from.")
    return next((m for m in SWEPT if m in known), known[0])
