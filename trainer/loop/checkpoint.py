"""Checkpoints: written beside their place and moved into it, never half there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from core.files import replacing
from trainer.errors import TrainerError


def save(state: dict[str, Any], path: Path) -> None:
    """Write a state of tensors and plain values so that ``path`` is the old or the new, whole.

    Raises:
        OSError: no space or no permission; the old file is untouched and nothing is left beside it.
    """
    try:
        with replacing(path) as part, part.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:
        # torch reports a full disk as a RuntimeError of its archive writer, in its own words.
        why = error.strerror if isinstance(error, OSError) else "no space left, or the disk failed"
        raise OSError(f"{path.name} could not be written: {why}") from error


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; nothing but tensors and plain values is accepted.

    Raises:
        TrainerError: the file is damaged or not a checkpoint.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise TrainerError(f"The checkpoint {path.name} cannot be read: {error}.") from error
    return state


def listed(folder: Path) -> list[Path]:
    """Return the run's checkpoints, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def save_step(state: dict[str, Any], folder: Path, step: int, keep: int) -> Path:
    """Write the checkpoint of a step and drop all but the last ``keep``.

    Raises:
        OSError: see :func:`save`; older checkpoints stay.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    save(state, path)
    for old in listed(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def latest(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """Return the newest checkpoint that can be read, or ``None``.

    Raises:
        TrainerError: checkpoints exist and none can be read.
    """
    paths = listed(folder)
    for path in reversed(paths):
        try:
            return load(path, device)
        except TrainerError:
            continue
    if paths:
        raise TrainerError(
            f"None of the {len(paths)} checkpoints in {folder.parent.name} can be read. "
            "Start a new run, or restore the folder from a copy."
        )
    return None
