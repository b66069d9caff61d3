"""What a training process said before it died, kept in its run without names and paths."""

from __future__ import annotations

import contextlib
import faulthandler
import getpass
import platform
import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO

from core.errors import Cancelled, UserError
from core.files import write_text

FILE = "crash.txt"
RAW = (".stderr", ".fault")
"""What the process or the system wrote, before it is cleaned: error output, faulthandler's dump."""
LINES = 30

_IMAGES = r"[\w.+-]+\.(?:nii(?:\.gz)?|nrrd|nhdr|mh[ad]|mnc|dcm|ima|hdr|img|tfm|h5|csv|png)\b"
# A frame keeps its module, which says where to look, and nothing of where that lies.
_FRAME = re.compile(
    r'File "(?:[^"]*?[\\/])??((?:app|core|trainer|torch|numpy)[\\/][^"]*|[^"\\/]*)"'
)
_PATH = re.compile(r"""(?<![\w+>])(?:[A-Za-z]:)?(?:[\\/]|~[\\/])(?:[^\s"'<>|:;,()\\/]+[\\/]?)+""")


class CrashReport:
    """Use around a training: an exception leaves its summary, a crash faulthandler's dump.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._dump: IO[str] | None = None

    def __enter__(self) -> CrashReport:
        (self.run / FILE).unlink(missing_ok=True)
        if not faulthandler.is_enabled():  # who enabled it wants to read the dump elsewhere
            try:
                self._dump = (self.run / ".fault").open("w", encoding="utf-8")
            except OSError:
                return self
            faulthandler.enable(self._dump)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._dump is not None:
            faulthandler.disable()
            self._dump.close()
        for name in RAW:
            # Windows keeps it while it is this process's error output.
            with contextlib.suppress(OSError):
                (self.run / name).unlink(missing_ok=True)
        if isinstance(error, Exception) and not isinstance(error, Cancelled):
            _write(self.run, error_summary(error))


def error_summary(error: BaseException) -> str:
    """Return a user's mistake as its sentence, a defect with the places it passed through."""
    if isinstance(error, UserError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = [f'File "{f.filename}", line {f.lineno}, in {f.name}' for f in frames]
    return "\n".join([*places, f"{type(error).__name__}: {error}"])


def crash_report(run: Path) -> str:
    """Return what the dead process of a run said last; empty when it left nothing.

    What a killed process had no time to clean is cleaned and put into :data:`FILE` first.
    """
    raw = [text for name in RAW if (text := _read(run / name)).strip()]
    said = _read(run / FILE)
    if raw and not said:
        _write(run, "\n".join(raw))
        said = _read(run / FILE)
    for name in RAW:
        with contextlib.suppress(OSError):
            (run / name).unlink(missing_ok=True)
    return said.strip()


def clean(text: str, names: Iterable[str] = ()) -> str:
    """Take paths, image files' names, the user, the computer and ``names`` out of a text."""
    text = _FRAME.sub(lambda m: re.sub(r"[\\/]", ".", m[1].removesuffix(".py")), text)
    text = _PATH.sub("<path>", text)
    text = re.sub(_IMAGES, "<file>", text)
    for name in sorted({*names, *_own_names()}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text)
    return text


def _own_names() -> set[str]:
    """The user's and the computer's names, except words too short or common to be told apart."""
    found = {platform.node()}
    with contextlib.suppress(OSError, KeyError, ImportError):
        found.add(getpass.getuser())
    return {n for n in found if len(n) > 3 and n not in ("root", "user", "localhost")}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _write(run: Path, text: str) -> None:
    lines = [line for line in text.splitlines() if line.strip()]
    # The run's folder may be gone, or its disk full: the error itself is still told.
    with contextlib.suppress(OSError):
        write_text(run / FILE, clean("\n".join(lines[-LINES:])) + "\n")
