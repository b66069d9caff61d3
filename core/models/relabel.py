"""Gives a model file another name or description, its weights untouched, and without torch."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

from core.files import replacing
from core.models.base.config import ModelError
from core.models.bundle import KEY, Bundle, header

_HEAD = 8
"""A safetensors file begins with the length of its JSON header, eight bytes, little-endian."""


def relabel(path: Path, name: str) -> Bundle:
    """Write another name into a model file; its old name and hash go into the card.

    Args:
        path: the file; replaced when the new one is whole.
        name: what people will read.

    Returns:
        The new description.

    Raises:
        ModelError: the name is empty, the file is no model, or it cannot be written.
    """
    name = " ".join(name.split())
    if not name:
        raise ModelError("A model needs a name; nothing was changed.")
    old = header(path)
    was = [*old.card.get("renamed_from", []), {"name": old.name, "sha256": old.sha256}]
    return describe(path, replace(old, name=name, card={**old.card, "renamed_from": was}))


def describe(path: Path, new: Bundle) -> Bundle:
    """Write another description into a model file, byte for byte the same weights behind it.

    Args:
        path: the file; replaced when the new one is whole.
        new: the description; of the same configuration.

    Returns:
        The description as it is read again.

    Raises:
        ModelError: the file cannot be written.
    """
    try:
        with replacing(path) as part, path.open("rb") as source, part.open("wb") as target:
            length = int.from_bytes(source.read(_HEAD), "little")
            head = json.loads(source.read(length))
            head["__metadata__"] = {**head["__metadata__"], KEY: new.to_json()}
            text = json.dumps(head, separators=(",", ":")).encode()
            text += b" " * (-len(text) % _HEAD)  # the weights begin at a multiple of eight
            target.write(len(text).to_bytes(_HEAD, "little") + text)
            shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        raise ModelError(
            f"{path.name} could not be written ({error.strerror}); it is as it was."
        ) from error
    return header(path)
