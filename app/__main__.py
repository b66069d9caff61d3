"""``python -m app`` is ``mhvae-studio``: the window, or with a sub-command the terminal.

It is also where the packaged program begins. That program is its own interpreter: multiprocessing
starts its children from it, ``engine`` is how the window starts its engine process, and ``decoder``
how native decoders are kept out of either; people never type them.
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
    if sys.argv[1:2] == ["decoder"]:
        from core.io.native_worker import main as decoder

        return decoder()
    from app.cli import main as command_line

    return command_line()


if __name__ == "__main__":
    sys.exit(main())
