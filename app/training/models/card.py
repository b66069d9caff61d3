"""A model's card as a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.training.models.store import facts
from core.models.bundle import Bundle
from core.pages import render

MEASURES = {"psnr": "PSNR", "ssim": "SSIM", "mae": "MAE", "db": "dB", "minus1": "−1"}
"""Words of a metric's key that are written otherwise."""


def card_html(bundle: Bundle, sha256: str) -> str:
    """Return the page; every text from the file is escaped.

    Args:
        bundle: the model.
        sha256: hash of its file; empty while it is being computed.
    """
    return render(
        "card.html",
        name=bundle.name,
        rows=[(label, _value(value)) for label, value in facts(bundle).items()],
        sha256=sha256 or "being computed…",
        file=bundle.path.name if bundle.path else "",
    )


def _value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_words(str(k)): _number(v) for k, v in value.items()}
    return str(value)


def _words(name: str) -> str:
    """Turn a metric's key into words: ``psnr/T2>iUS`` → ``PSNR, T2 → iUS``."""
    kind, slash, direction = name.partition("/")
    kind = {"psnr": "PSNR, dB", "ssim": "SSIM", "l1": "L1"}.get(kind) or " ".join(
        MEASURES.get(word, word) for word in kind.split("_")
    )
    return f"{kind}, {direction.replace('>', ' → ')}" if slash else kind


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
