"""``python -m app`` is ``mhvae-studio``: the window, or with a sub-command the terminal.

``engine`` is how a frozen program starts its own engine process; people never type it.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["engine"]:
        from app.engine_process import main as engine

        sys.exit(engine())
    from app.cli import main

    sys.exit(main())
