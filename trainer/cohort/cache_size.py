"""What prepared cases take on the disk, and how that is made free again."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import TrainerError

OURS = re.compile(r"[0-9a-f]{16}(\.\d+\.part)?\.(npy|npz|json)")
"""Names of the files that preparing cases writes; nothing else in a cache is ever touched."""


@dataclass(frozen=True)
class Prepared:
    """What a cache holds: how many prepared cases, and bytes, with what was left over."""

    cases: int
    size: int


def prepared_in(cache: Path) -> Prepared:
    """Return what a cache holds; nothing where there is no such folder."""
    cases = size = 0
    for file in _files(cache):
        with contextlib.suppress(OSError):  # gone meanwhile
            size += file.stat().st_size
            cases += file.suffix == ".npy" and ".part" not in file.name
    return Prepared(cases, size)


def empty(cache: Path) -> int:
    """Delete the prepared cases in a cache, and the folder if nothing else is in it.

    The next check, estimate or training prepares them again.

    Returns:
        bytes made free.

    Raises:
        TrainerError: a file cannot be deleted; those before it are.
    """
    freed = 0
    # What says that a case is whole goes first: a case half deleted is then prepared anew.
    for file in sorted(_files(cache), key=lambda f: f.suffix != ".json"):
        try:
            size = file.stat().st_size
            file.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise TrainerError(
                f"{file.name} in {cache} could not be deleted ({error.strerror or error}); "
                f"{freed / 2**30:.1f} GiB were freed before. Close what uses it and try again."
            ) from error
        freed += size
    with contextlib.suppress(OSError):  # something else lies there
        cache.rmdir()
    return freed


def _files(cache: Path) -> list[Path]:
    try:
        return [f for f in cache.iterdir() if OURS.fullmatch(f.name) and f.is_file()]
    except OSError:
        return []
