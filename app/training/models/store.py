"""The folder of this user's models: put in, rename, copy out, remove. Built-in ones stay."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core import assets
from core.errors import UserError
from core.files import replacing
from core.models.bundle import SUFFIX, Bundle, header, user_models
from core.models.model_card import model_facts
from core.models.relabel import relabel


class StoreError(UserError):
    """A model that cannot be put, renamed, copied or removed."""


def kind_of(bundle: Bundle) -> str:
    """Return ``"built-in"``, ``"imported"``, ``"trained"`` or ``"other"``."""
    if bundle.path is not None and bundle.path.parent == assets.MODELS:
        return "built-in"
    if "assumed" in bundle.card:
        return "imported"
    return "trained" if "training" in bundle.card else "other"


def is_user_model(bundle: Bundle) -> bool:
    """Tell whether a model lies in the user's own folder."""
    return bundle.path is not None and bundle.path.parent.resolve() == user_models().resolve()


def put(path: Path) -> Bundle:
    """Copy a model file into the user's folder; the same file twice is there once.

    Raises:
        StoreError: it cannot be copied.
        ModelError: it is no model.
    """
    bundle = header(path)
    folder = user_models()
    if path.parent.resolve() == folder.resolve():
        return bundle
    size = path.stat().st_size
    same = [p for p in sorted(folder.glob(f"[!.]*{SUFFIX}")) if p.stat().st_size == size]
    for other in same:
        known = header(other)
        if known.sha256 == bundle.sha256:
            return known
    return header(_copy(path, free_path(bundle.name)))


def rename(bundle: Bundle, name: str) -> Bundle:
    """Give one of the user's models another name.

    Raises:
        StoreError: it is not the user's.
        ModelError: the name is empty, or the file cannot be written.
    """
    return relabel(_mine(bundle), name)


def export(bundle: Bundle, place: Path) -> Path:
    """Copy a model to a place of the user's choice.

    Raises:
        StoreError: it cannot be written.
    """
    assert bundle.path is not None
    return _copy(bundle.path, place)


def remove(bundle: Bundle) -> None:
    """Delete one of the user's models.

    Raises:
        StoreError: it is not the user's, or cannot be deleted.
    """
    path = _mine(bundle)
    try:
        path.unlink()
    except OSError as error:
        raise StoreError(f"{path.name} could not be removed ({error.strerror}).") from error


def free_path(name: str) -> Path:
    """Return a path in the user's folder for a model of this name that nothing lies at yet."""
    folder = user_models()
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "model"
    path, number = folder / f"{stem}{SUFFIX}", 2
    while path.exists():
        path = folder / f"{stem}-{number}{SUFFIX}"
        number += 1
    return path


def facts(bundle: Bundle) -> Mapping[str, Any]:
    """Return what a model's card says, and what kind of model it is."""
    return {"Kind": kind_of(bundle), **model_facts(bundle)}


def _mine(bundle: Bundle) -> Path:
    if bundle.path is None or not is_user_model(bundle):
        raise StoreError(
            f"{bundle.name} is not in your model folder: built-in models stay as they are, and "
            "files elsewhere are yours to move. Export a copy, or add it to the list first."
        )
    return bundle.path


def _copy(source: Path, target: Path) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            shutil.copyfile(source, part)
    except OSError as error:
        raise StoreError(
            f"{target.name} could not be written ({error.strerror}). Choose a folder you may write "
            "to, with free space."
        ) from error
    return target
