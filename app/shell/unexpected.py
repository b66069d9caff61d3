"""Errors nobody caught, in slots, threads and destructors: told in the window, kept in the log."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import Counter
from types import TracebackType

from PySide6.QtCore import QObject, Qt, Signal

from app.shell.log import LOGGER
from app.state.messages import Messages

FRAMES = 12
"""Places of a traceback that are kept, the innermost."""
REPEATS = 5
"""How often one place is logged: a broken picture fails again with every repaint."""


class UnexpectedErrors(QObject):
    """Takes over Python's three hooks for uncaught errors until :meth:`close`.

    The text of an error is left out: it may hold a file's or a patient's name. Its kind and the
    places in the code it passed through say what those who mend it need.

    Args:
        messages: where the user is told.
        parent: owner.
    """

    _met = Signal(str)

    def __init__(self, messages: Messages, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._messages = messages
        self._seen: Counter[str] = Counter()
        # Queued: it may come from any thread, or in the middle of a repaint.
        self._met.connect(self._tell, Qt.ConnectionType.QueuedConnection)
        self._before = sys.excepthook, threading.excepthook, sys.unraisablehook
        sys.excepthook = self._error
        threading.excepthook = self._thread_error
        sys.unraisablehook = self._lost_error

    def close(self) -> None:
        """Give the hooks back."""
        sys.excepthook, threading.excepthook, sys.unraisablehook = self._before

    def _error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if issubclass(kind, Exception):
            self._keep(kind, trace, "in the window")
        self._before[0](kind, error, trace)

    def _thread_error(self, args: threading.ExceptHookArgs) -> None:
        if issubclass(args.exc_type, Exception):
            self._keep(args.exc_type, args.exc_traceback, "in a thread")
        self._before[1](args)

    def _lost_error(self, args: sys.UnraisableHookArgs) -> None:
        if issubclass(args.exc_type, Exception):
            self._keep(args.exc_type, args.exc_traceback, "where nobody could be told")
        self._before[2](args)

    def _keep(self, kind: type[BaseException], trace: TracebackType | None, where: str) -> None:
        places = places_of(trace)
        last = f"{kind.__name__} at {places[-1] if places else 'an unknown place'}"
        self._seen[last] += 1
        if self._seen[last] <= REPEATS:
            LOGGER.error("unexpected %s %s: %s", kind.__name__, where, " > ".join(places))
        if self._seen[last] == 1:
            self._met.emit(last)

    def _tell(self, what: str) -> None:
        self._messages.error(
            f"The program met a defect ({what}) and goes on. Save your work; if something looks "
            "wrong, start the program again. Help, Diagnostic report has what to send."
        )


def places_of(trace: TracebackType | None) -> list[str]:
    """Return where an error passed through, innermost last: module, function and line, no paths."""
    return [
        f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}:{line}"
        for frame, line in traceback.walk_tb(trace)
    ][-FRAMES:]
