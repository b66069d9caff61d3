"""The engine process: ``python -m app.processes.engine``, or frozen ``mhvae-studio engine``."""

from __future__ import annotations

import os
import sys

from app.processes.engine.worker import Worker, claim_pipes


def lower_priority() -> None:
    """Give way to the window: a synthesis may wait, a scroll may not."""
    if sys.platform == "win32":
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(5)


def main() -> int:
    """Serve the window that started this process."""
    source, sink = claim_pipes()
    lower_priority()
    from app.processes.engine.backend import EngineBackend

    Worker(EngineBackend(), source, sink).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
