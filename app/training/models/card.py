"""A model's card as a page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from app.training.models.store import facts
from core.models.bundle import Bundle

MEASURES = {"psnr": "PSNR", "ssim": "SSIM", "mae": "MAE", "db": "dB", "minus1": "−1"}
"""Words of a metric's key that are written otherwise."""


def card_html(bundle: Bundle, sha256: str) -> str:
    """Return the page; every text from the file is escaped.

    Args:
        bundle: the model.
        sha256: hash of its file; empty while it is being computed.
    """
    rows = [(label, _value(value)) for label, value in facts(bundle).items()]
    rows.append(("SHA-256", f"<code>{sha256 or 'being computed…'}</code>"))
    if bundle.path is not None:
        rows.append(("File", escape(bundle.path.name)))
    body = "".join(
        f"<tr><td style='padding:3px 14px 3px 0' valign='top'><b>{escape(label)}</b></td>"
        f"<td style='padding:3px 0'>{value}</td></tr>"
        for label, value in rows
    )
    return f"<h2>{escape(bundle.name)}</h2><table>{body}</table>"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        rows = "".join(
            f"<tr><td style='padding-right:12px'>{escape(_words(str(k)))}</td>"
            f"<td>{escape(_number(v))}</td></tr>"
            for k, v in value.items()
        )
        return f"<table>{rows}</table>"
    return escape(str(value))


def _words(name: str) -> str:
    """Turn a metric's key into words: ``psnr/T2>iUS`` → ``PSNR, T2 → iUS``."""
    kind, slash, direction = name.partition("/")
    kind = {"psnr": "PSNR, dB", "ssim": "SSIM", "l1": "L1"}.get(kind) or " ".join(
        MEASURES.get(word, word) for word in kind.split("_")
    )
    return f"{kind}, {direction.replace('>', ' → ')}" if slash else kind


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
