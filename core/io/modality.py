"""Guess what kind of image a file holds, and say why. A guess is shown, never acted on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.io.dicom_tags import Image

# First match wins; the order separates names that contain one another (T2-FLAIR is FLAIR).
_NAMES: tuple[tuple[str, str], ...] = (
    ("iUS", r"(?<![a-z])(?:i|3d|2d)?us(?:g)?(?![a-z])|ultra-?so(?:und|nic)|sonogra"),
    ("FLAIR", r"flair|dark-?fluid"),
    ("T2star", r"t2[-_ ]?(?:\*|star)|(?<![a-z])(?:swi|swan|gre-?t2)(?![a-z])"),
    ("T2", r"(?<![a-z])t2(?![0-9])"),
    (
        "ceT1",
        r"(?<![a-z])(?:ce[-_ ]?t1|t1[-_ ]?(?:ce|c|gd|gad|post|km)(?![a-z])|t1c(?![a-z]))"
        r"|t1.*(?<![a-z])(?:gd|gad|post(?:[-_ ]?contrast)?|km|\+c)(?![a-z])"
        r"|t1.*(?<![a-z])(?<!no[-_ ])(?<!non[-_ ])(?<!pre[-_ ])(?<!without[-_ ])contrast(?![a-z])"
        r"|(?<![a-z])(?:gd|gad|post(?:[-_ ]?contrast)?)(?![a-z]).*t1",
    ),
    ("T1", r"(?<![a-z])t1(?![0-9])|mp-?rage|(?<![a-z])(?:spgr|bravo)(?![a-z])"),
)


def guess_from_text(text: str, what: str) -> tuple[str, str]:
    """Guess from a file name or a series description.

    Args:
        text: the name, without folders.
        what: what to call the text in the reason (``"file name"``).

    Returns:
        The modality (empty when nothing tells) and the reason.
    """
    lowered = text.lower()
    for modality, pattern in _NAMES:
        if found := re.search(pattern, lowered):
            return modality, f"{what} contains “{found.group(0)}”"
    return "", ""


def guess_from_dicom(image: Image, place: str) -> tuple[str, str]:
    """Guess from DICOM tags: what it is called, then how it was acquired, then where it lies.

    Args:
        image: the tags of one of the series' files.
        place: name of the folder that holds the series, or of the file that holds all of it.

    Returns:
        The modality (empty when nothing tells) and the reason.
    """
    if image.kind in ("US", "IVUS"):
        return "iUS", f"DICOM modality {image.kind}"
    if image.kind not in ("MR", "OT", ""):
        return "", f"DICOM modality {image.kind}"
    impossible = "iUS" if image.kind == "MR" else ""
    for text, what in ((image.description, "series description"), (image.protocol, "protocol")):
        modality, reason = guess_from_text(text, what)
        if modality == "T1" and image.contrast:
            return "ceT1", f"{reason}, and a contrast agent is named"
        if modality and modality != impossible:
            return modality, reason
    modality, reason = _guess_from_times(image)
    if modality:
        return modality, reason
    modality, reason = guess_from_text(place, "file name" if image.multiframe else "folder name")
    return ("", "") if modality == impossible else (modality, reason)


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
