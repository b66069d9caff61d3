"""The program's log: a few small files in the user's state folder, without names and paths.

Only what names nobody is written: starts, ends, states of the engine, and where in the code an
unexpected error happened. Sentences for the user stay in the window; they may name files.
"""

from __future__ import annotations

import logging
import platform
from logging.handlers import RotatingFileHandler
from pathlib import Path

from core.version import __version__

LOGGER = logging.getLogger("mhvae-studio")
BYTES, FILES = 200_000, 3
"""Size of one file, and how many older ones are kept."""
FORM = "%(asctime)s %(levelname)s %(message)s"


def log_file() -> Path:
    """Return where the log lies; neither it nor its folder need exist."""
    from platformdirs import user_state_path

    return user_state_path("mhvae-studio", appauthor=False) / "log" / "window.log"


def start_log(path: Path | None = None) -> None:
    """Write to the log from now on; a folder that cannot be written costs the log, not the program.

    Args:
        path: the file; default :func:`log_file`.
    """
    stop_log()
    path = path or log_file()
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # other handlers are for people, who have the message list
    handler: logging.Handler
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(path, maxBytes=BYTES, backupCount=FILES, encoding="utf-8")
    except OSError:
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter(FORM))
    LOGGER.addHandler(handler)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    LOGGER.info("start of version %s on %s", __version__, system)


def stop_log() -> None:
    """Close the log."""
    for handler in list(LOGGER.handlers):
        LOGGER.removeHandler(handler)
        handler.close()


def last_lines(count: int, path: Path | None = None) -> list[str]:
    """Return the end of the log; nothing where there is none."""
    try:
        text = (path or log_file()).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:]
