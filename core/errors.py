"""The root of every error a user can cause.

Each room of the engine has one subclass. Its message is a sentence for the user: it names the
file, what was expected, what was found and what to do. Everything else is a defect of ours and is
not caught anywhere.
"""

import os

from core.files import refusal, shown


class UserError(Exception):
    """Something the user can put right; ``str(error)`` is the sentence to show.

    A sentence names files, and the name of a file may be no text: it is made one here.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(shown(sentence))


def disk_sentence(error: OSError) -> str:
    """Return what a user can do about a disk that refused, with the file's name.

    Raises:
        OSError: the error itself, where it is no matter of a user's disk and files.
    """
    why = refusal(error)
    if not why:
        raise error
    name = os.path.basename(os.fsdecode(error.filename or ""))
    if not name:
        return f"{why[0].upper()}{why[1:]}, then try again."
    return f"{shown(name)}: expected to read or write it; {why}, then try again."


class Cancelled(Exception):
    """The user stopped a job; nothing was changed."""


class WorkerLost(MemoryError):
    """The system ended a worker process, most likely for want of memory."""
