"""How the program starts itself anew, from source or as the packaged executable."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from core.child_process import packaged, python_module


def program_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of ``mhvae-studio ARGUMENTS``, from source or packaged."""
    return [*([sys.executable] if packaged() else python_module("app")), *arguments]


def engine_command() -> list[str]:
    """Return the command that starts the engine process, from source or packaged."""
    return [sys.executable, "engine"] if packaged() else python_module("app.processes.engine")
