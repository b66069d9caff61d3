"""A working folder in which files lie that are named like the program's and Python's own."""

from __future__ import annotations

from pathlib import Path

import pytest

NAMES = ("app.py", "core/__init__.py", "trainer/__init__.py", "random.py", "pickle.py", "numpy.py")


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the folder the working one; whatever of it runs leaves a line in the file returned."""
    said = folder / "ran.txt"
    for name in NAMES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(said)!r}, 'a').write({name!r} + '\\n')\nraise SystemExit(9)\n")
    monkeypatch.chdir(folder)
    return said
