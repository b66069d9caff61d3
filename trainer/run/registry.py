"""Which folders hold this user's runs: the default one, and those they added."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from core.files import write_text
from trainer.run.state import default_folder, find_runs


def _list() -> Path:
    return default_folder().with_name("run-folders.json")


def added_folders() -> list[Path]:
    """Return the folders the user added, in their order; a damaged list is an empty one."""
    try:
        found = json.loads(_list().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(p) for p in found if isinstance(p, str)] if isinstance(found, list) else []


def add_folder(folder: Path) -> None:
    """Remember a folder of runs, or one run, that lies elsewhere."""
    folder = folder.resolve()
    if folder not in (default_folder().resolve(), *added_folders()):
        _write([*added_folders(), folder])


def forget_folder(folder: Path) -> None:
    """Take a folder from the list; nothing in it is touched."""
    _write(p for p in added_folders() if p != folder.resolve())


def known_runs() -> list[Path]:
    """Return every run this user has, in the default folder and in added ones."""
    return find_runs([default_folder(), *added_folders()])


def _write(folders: Iterable[Path]) -> None:
    path = _list()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps([str(p) for p in folders], indent=1))
