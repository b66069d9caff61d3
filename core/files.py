"""Files that are there whole or not at all: written beside their target, then moved into place."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path


def shown(name: str) -> str:
    """Return a file's name as text that can be written anywhere.

    Linux takes any bytes for a name; those that are no UTF-8 are read as Latin-1, in which most
    such names were given.
    """
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("latin-1")


_REFUSED = {
    errno.ENOSPC: "the disk is full. Free some space",
    errno.EDQUOT: "your share of the disk is used up. Free some space",
    errno.EFBIG: "files may not be that large there. Choose another disk",
    errno.EACCES: "it is closed or read-only. Get the right to it, or choose another",
    errno.EPERM: "it is closed or read-only. Get the right to it, or choose another",
    errno.EROFS: "the disk is read-only. Choose another folder",
    errno.EIO: "the disk or the network failed. Check it",
    errno.ESTALE: "the network folder went away. Connect it again",
    errno.ENOENT: "it is not there, or no longer. Look for it",
    errno.ENOTDIR: "a part of its path is no folder. Look for it",
    errno.EISDIR: "a folder has that name. Choose another name",
    errno.ENAMETOOLONG: "the name is too long for this disk. Choose a shorter one",
    errno.ELOOP: "links lead in a circle. Mend the link",
    errno.EBUSY: "another program holds it. Close that program",
    errno.EMFILE: "too many files are open. Close other programs",
    errno.ENFILE: "too many files are open. Close other programs",
}


def refusal(error: OSError) -> str:
    """Return why the system refused, and what to do, as the end of a sentence without its stop.

    Empty for what is no matter of a user's disk and files.
    """
    return _REFUSED.get(error.errno or 0, "")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden path beside ``path`` to write to; the block's end moves it into place.

    The hidden name keeps the target's endings, which many writers go by. After any exception the
    old file is as it was and nothing is left beside it. One process at a time may write a target.

    Raises:
        OSError: the written file cannot be moved into place.
    """
    part = path.with_name(f".part-{path.name}")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, newline: str | None = None) -> None:
    """Write UTF-8 text; ``newline`` as in :func:`open`.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", newline=newline)
