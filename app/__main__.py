"""``python -m app`` is ``mhvae-studio``: the window, or with a sub-command the terminal.

It is also where the packaged program begins. That program is its own interpreter: multiprocessing
starts its children from it, and ``engine`` is how the window starts its engine process; people
never type it.
"""

from __future__ import annotations

import multiprocessing
import sys


def main() -> int:
    """Run what the arguments ask for and return the exit status."""
    multiprocessing.freeze_support()
    if sys.argv[1:2] == ["engine"]:
        from app.processes.engine.__main__ import main as engine

        return engine()
    from app.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
