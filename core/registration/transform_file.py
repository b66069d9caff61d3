"""What an ITK transform file says in plain numbers, read without ITK.

ITK takes a file that ends before its parameters, or that has one too few, for the identity. So the
numbers are read here as well, and what ITK made of them must be the same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError

_MOST = 1 << 26
"""Bytes of a text that is read for its numbers; an affine map needs a few hundred."""
_COMPOSITE = "CompositeTransform"
_HEADER = b"#Insight Transform File V"
_COUNTS = {
    "AffineTransform": 12,
    "MatrixOffsetTransformBase": 12,
    "Rigid3DTransform": 12,
    "Euler3DTransform": 6,
    "VersorRigid3DTransform": 6,
    "VersorTransform": 3,
    "QuaternionRigidTransform": 7,
    "Similarity3DTransform": 7,
    "ScaleVersor3DTransform": 9,
    "ScaleSkewVersor3DTransform": 15,
    "TranslationTransform": 3,
    "ScaleTransform": 3,
    "IdentityTransform": 0,
}
"""Parameters that the kinds of 3-D affine transforms have; ITK takes more without a word."""


class TransformFileError(UserError):
    """A transform file whose numbers are not all there; the sentence does not name the file."""


@dataclass(frozen=True)
class Part:
    """One transform of a chain.

    Attributes:
        kind: ITK's name of it (``AffineTransform_double_3_3``).
        parameters: what is optimised, and
        fixed: what is not (a centre of rotation).
    """

    kind: str
    parameters: tuple[float, ...]
    fixed: tuple[float, ...]


def parts_of(path: Path) -> list[Part] | None:
    """Read the numbers of a text or MATLAB transform file.

    Returns:
        The transforms in their order, without the one that only holds the chain; ``None`` for a
        format that is not read here (HDF5).

    Raises:
        TransformFileError: numbers are missing, or are none.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(_MOST)
    if path.suffix.lower() in (".h5", ".hdf5"):
        return None
    if path.suffix.lower() == ".mat":
        found = _from_matlab(start)
    elif start.startswith(_HEADER):
        found = _from_text(start.decode("utf-8", "replace"))
    else:
        raise TransformFileError("the file is damaged or of another kind")
    for part in found:
        name, _, space = part.kind.partition("_")
        if space.endswith("3_3") and _COUNTS.get(name, len(part.parameters)) != len(
            part.parameters
        ):
            raise TransformFileError(
                f"its {name} has {len(part.parameters)} parameters, not {_COUNTS[name]}"
            )
    return found


def _from_text(text: str) -> list[Part]:
    if not text.endswith("\n"):
        # 63.125 cut to 63.1 is a number too, and nothing but the missing line break tells.
        raise TransformFileError(
            "its last line has no end, so a number may be cut short (a line break puts it right "
            "if the file is whole)"
        )
    found: list[dict[str, str]] = []
    announced = 0
    for line in text.splitlines():
        announced += line.startswith("#Transform ")
        key, colon, value = line.partition(":")
        key = key.strip()
        if line.startswith("#") or not colon:
            continue
        if key == "Transform":
            found.append({key: value.strip()})
        elif key in ("Parameters", "FixedParameters"):
            if not found or key in found[-1]:
                raise TransformFileError(f"{key} stand where no transform was named")
            found[-1][key] = value
    chained = [one for one in found if not one["Transform"].startswith(_COMPOSITE)]
    if not chained:
        # ITK takes a chain of nothing for the identity.
        raise TransformFileError("the file ends before its first transform")
    if announced > len(found):
        raise TransformFileError("the file ends before its last transform")
    return [
        Part(
            one["Transform"],
            _numbers(one, "Parameters"),
            _numbers(one, "FixedParameters"),
        )
        for one in chained
    ]


def _numbers(part: dict[str, str], key: str) -> tuple[float, ...]:
    if key not in part:
        raise TransformFileError(f"the file ends before the {key} of its {part['Transform']}")
    try:
        return tuple(float(word) for word in part[key].split())
    except ValueError as error:
        raise TransformFileError(f"the {key} of its {part['Transform']} are not numbers") from error


def _from_matlab(data: bytes) -> list[Part]:
    """Read level 4 of the format: a name and its numbers, once for a transform, once for fixed."""
    found: list[tuple[str, tuple[float, ...]]] = []
    at = 0
    while at < len(data):
        head = data[at : at + 20]
        if len(head) < 20:
            raise TransformFileError("the file ends within a header")
        kind, rows, columns, imaginary, length = struct.unpack("<5i", head)
        count = rows * columns
        ends = at + 20 + length + 8 * count
        if kind != 0 or imaginary or not 0 < length < 256 or not 0 <= count < 1 << 20:
            raise TransformFileError("the file is damaged or of another kind")
        if ends > len(data):
            raise TransformFileError("the file ends within its numbers")
        name = data[at + 20 : at + 20 + length].rstrip(b"\0").decode("latin-1")
        found.append((name, struct.unpack(f"<{count}d", data[ends - 8 * count : ends])))
        at = ends
    if len(found) != 2 or found[1][0] != "fixed":
        raise TransformFileError("the file does not hold one transform and its fixed parameters")
    return [Part(found[0][0], found[0][1], found[1][1])]
