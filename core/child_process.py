"""How the program starts Python anew: its own modules, never what lies in the user's folder.

``python -m app`` looks into the working folder first, and so does a worker of multiprocessing. With
``-P`` (and ``PYTHONSAFEPATH`` for the children's own children) an ``app.py``, a ``core`` folder or
a ``random.py`` that happens to lie beside the user's images is never run.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SAFE_PATH = "PYTHONSAFEPATH"
"""Python's own variable; in a child's environment it does what ``-P`` does."""


def packaged() -> bool:
    """Tell whether this is the packaged program, which is its own interpreter."""
    return bool(getattr(sys, "frozen", False))


def python_module(name: str) -> list[str]:
    """Return the command that runs a module of ours from source; its arguments may follow."""
    return [sys.executable, "-P", "-m", name]


def child_environment() -> dict[str, str]:
    """Return a child's environment: ours, with this program's packages first."""
    if packaged():
        return dict(os.environ)
    root = str(Path(__file__).resolve().parents[1])
    # An empty entry would mean the working folder.
    others = [x for x in os.environ.get("PYTHONPATH", "").split(os.pathsep) if x and x != root]
    return {**os.environ, SAFE_PATH: "1", "PYTHONPATH": os.pathsep.join([root, *others])}
