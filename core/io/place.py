"""Where results go: tried before the work, not after it."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import UserError
from core.files import refusal

_TRIAL = 1 << 20
"""Bytes: a full disk still takes empty files."""


class OutputError(UserError):
    """A place that results cannot be written to."""


def output_folder(path: Path) -> None:
    """Make the folder for results, and write to it, before any work is done.

    Raises:
        OutputError: it cannot be made or written to.
    """
    trial = path / f".mhvae-write-test-{os.getpid()}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        try:
            trial.write_bytes(bytes(_TRIAL))
        finally:
            trial.unlink(missing_ok=True)
    except OSError as error:
        why = (refusal(error) or str(error.strerror)).partition(".")[0]
        raise OutputError(
            f"{path}: results cannot be written there ({why}). Expected a folder you may write to, "
            "with room in it; choose another with --out."
        ) from error
