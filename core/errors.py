"""The root of every error a user can cause.

Each room of the engine has one subclass. Its message is a sentence for the user: it names the
file, what was expected, what was found and what to do. Everything else is a defect of ours and is
not caught anywhere.
"""

from core.files import shown


class UserError(Exception):
    """Something the user can put right; ``str(error)`` is the sentence to show.

    A sentence names files, and the name of a file may be no text: it is made one here.
    """

    def __init__(self, sentence: str = "") -> None:
        super().__init__(shown(sentence))


class Cancelled(Exception):
    """The user stopped a job; nothing was changed."""
