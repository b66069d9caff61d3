"""Guess what kind of image a file holds, and say why: the one table of guesses of the program."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import modalities

if TYPE_CHECKING:
    from core.io.dicom_tags import Image

_A = r"(?<![^\W\d_])"
"""Not behind a letter of any alphabet."""
_Z = r"(?![^\W\d_])"
"""Not before a letter of any alphabet."""
_PLANE = r"(?:ax|axial|tra|sag|cor|tse|fse|pre|post)?"
"""What is written in front of a weighting without a space: ``AxT2``."""

_TABLE = tuple(
    (one.name, re.compile("|".join(one.words).format(A=_A, Z=_Z, PLANE=_PLANE)))
    for one in modalities.TABLE
)
_DICOM = {kind: one.name for one in modalities.TABLE for kind in one.dicom}
LABEL_WORDS = (
    rf"{_A}(?:labels?|seg|dseg|segmentations?|annotations?|parcellation|roi){_Z}",
    r"(?:brain|head|skull|tumou?r|lesion|ventric\w*|cavity|resection)[-_ ]?mask",
)
"""Patterns of small letters by which a name says that the file is a map of labels, whatever image
it was drawn on (``SEG-tumor-MR-3D_AX_T2``)."""
_ONTO = re.compile(r"(?:[-_ ](?:reg(?:istered)?|resampled))?[-_ ](?:to|2|in|on|onto)[-_ ]")
"""Between two modalities: the first was brought to the second (``iUS-to-T2``)."""


@dataclass(frozen=True)
class Named:
    """A modality that a text names.

    Attributes:
        modality: a name of the table :mod:`core.modalities`.
        words: the part of the text that says so.
        start: where it begins, and
        stop: where it ends, in characters of the text as :func:`plain` gives it.
    """

    modality: str
    words: str
    start: int
    stop: int


def plain(text: str) -> str:
    """Return a text as names are compared: small letters, one way to write each of them.

    A name that came from another system may be spelt with combining accents.
    """
    return unicodedata.normalize("NFC", text).lower()


def _spaced(lowered: str) -> str:
    """Blank the letters of scripts that put no space between words (``患者T2``)."""
    return "".join(" " if unicodedata.category(c) == "Lo" else c for c in lowered)


def names_labels(text: str) -> bool:
    """Tell whether a file's name says that it is a map of labels."""
    lowered = plain(text)
    return any(re.search(pattern, lowered) for pattern in LABEL_WORDS)


def words_in(text: str) -> list[Named]:
    """Return every word of a text that stands for a modality, in the order of the text."""
    lowered = _spaced(plain(text))
    found: list[Named] = []
    for modality, pattern in _TABLE:
        for match in pattern.finditer(lowered):
            if all(match.end() <= one.start or match.start() >= one.stop for one in found):
                found.append(Named(modality, match.group(0), match.start(), match.end()))
    return sorted(found, key=lambda one: one.start)


def names_in(text: str) -> list[Named]:
    """Return every modality that a text names, in the order of the text, none twice.

    What a longer name contains does not count (the T2 of T2-FLAIR), nor what an image was brought
    to (the T2 of ``iUS-to-T2``).
    """
    lowered, found = plain(text), words_in(text)
    # A sequence is called FLAIR, or T2*, beside the weighting it has: T2_tse_FLAIR is no T2.
    special = {one.modality for one in found}
    if special & {"FLAIR", "T2star", "T2map"}:
        found = [one for one in found if one.modality != "T2"]
    if "ceT1" in special:
        found = [one for one in found if one.modality != "T1"]
    kept: dict[str, Named] = {}
    for n, one in enumerate(found):
        if n and _ONTO.fullmatch(lowered[found[n - 1].stop : one.start]):
            break
        kept.setdefault(one.modality, one)
    return list(kept.values())


def guess_from_text(text: str, what: str) -> tuple[str, str]:
    """Guess from a file name or a series description.

    Args:
        text: the name, without folders.
        what: what to call the text in the reason (``"file name"``).

    Returns:
        The modality (empty when nothing tells, or when two are named) and the reason.
    """
    found = names_in(text)
    if len(found) != 1:
        return "", ""
    return found[0].modality, f"{what} contains “{found[0].words.strip(' -_')}”"


def guess_from_dicom(image: Image, place: str) -> tuple[str, str]:
    """Guess from DICOM tags: what it is called, then how it was acquired, then where it lies.

    Args:
        image: the tags of one of the series' files.
        place: name of the folder that holds the series, or of the file that holds all of it.

    Returns:
        The modality (empty when nothing tells) and the reason.
    """
    if image.kind in _DICOM:
        return _DICOM[image.kind], f"DICOM modality {image.kind}"
    if image.kind not in ("MR", "OT", ""):
        return "", f"DICOM modality {image.kind}"
    # A scanner that names its kind does not make the other: no magnetic resonance is an ultrasound.
    impossible = modalities.SWEPT if image.kind == "MR" else ()
    for text, what in ((image.description, "series description"), (image.protocol, "protocol")):
        modality, reason = guess_from_text(text, what)
        if modality == "T1" and image.contrast:
            return "ceT1", f"{reason}, and a contrast agent is named"
        if modality and modality not in impossible:
            return modality, reason
    modality, reason = _guess_from_times(image)
    if modality:
        return modality, reason
    modality, reason = guess_from_text(place, "file name" if image.multiframe else "folder name")
    return ("", "") if modality in impossible else (modality, reason)


def _guess_from_times(image: Image) -> tuple[str, str]:
    echo, repetition, inversion = image.echo, image.repetition, image.inversion
    if echo is None or repetition is None:
        return "", ""
    times = f"TE {echo:g} ms, TR {repetition:g} ms"
    if inversion is not None and inversion > 1500 and echo >= 60:
        return "FLAIR", f"{times}, TI {inversion:g} ms"
    if echo >= 60 and repetition >= 1500:
        return "T2", times
    if echo <= 30 and repetition <= 1000:
        return ("ceT1", f"{times}, contrast agent named") if image.contrast else ("T1", times)
    return "", ""
