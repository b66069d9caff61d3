"""How the program starts itself anew, from source or as the packaged executable."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def program_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of ``mhvae-studio ARGUMENTS``, from source or frozen."""
    if getattr(sys, "frozen", False):
        return [sys.executable, *arguments]
    return [sys.executable, "-m", "app", *arguments]


def engine_command() -> list[str]:
    """Return the command that starts the engine process, from source or frozen."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "engine"]
    return [sys.executable, "-m", "app.processes.engine"]


def variables() -> dict[str, str]:
    """Return a child's environment: ours, with this program's packages first."""
    if getattr(sys, "frozen", False):
        return dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": paths}
