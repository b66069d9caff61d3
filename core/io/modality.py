"""Guess what kind of image a file holds, and say why. A guess is shown, never acted on."""

from __future__ import annotations

import re

# First match wins; the order separates names that contain one another (T2-FLAIR is FLAIR).
_NAMES: tuple[tuple[str, str], ...] = (
    ("iUS", r"(?<![a-z])(?:i|3d|2d)?us(?:g)?(?![a-z])|ultra-?so(?:und|nic)|sonogra"),
    ("FLAIR", r"flair|dark-?fluid"),
    ("T2star", r"t2[-_ ]?(?:\*|star)|(?<![a-z])(?:swi|swan|gre-?t2)(?![a-z])"),
    ("T2", r"(?<![a-z])t2(?![0-9])"),
    (
        "ceT1",
        r"(?<![a-z])(?:ce[-_ ]?t1|t1[-_ ]?(?:ce|c|gd|gad|post|km)(?![a-z])|t1c(?![a-z]))"
        r"|t1.*(?<![a-z])(?:gd|gad|post|contrast|km|\+c)(?![a-z])"
        r"|(?<![a-z])(?:gd|gad|post)(?![a-z]).*t1",
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


def guess_from_dicom(
    kind: str,
    description: str,
    echo: float | None,
    repetition: float | None,
    inversion: float | None,
    contrast: bool,
) -> tuple[str, str]:
    """Guess from DICOM tags.

    Args:
        kind: Modality tag (``"MR"``, ``"US"``, …).
        description: SeriesDescription, or empty.
        echo: EchoTime, ms.
        repetition: RepetitionTime, ms.
        inversion: InversionTime, ms.
        contrast: whether a contrast agent is named.

    Returns:
        The modality (empty when nothing tells) and the reason.
    """
    if kind in ("US", "IVUS"):
        return "iUS", f"DICOM modality {kind}"
    if kind != "MR":
        return "", f"DICOM modality {kind or 'missing'}"
    modality, reason = guess_from_text(description, "series description")
    if modality == "T1" and contrast:
        return "ceT1", f"{reason}, and a contrast agent is named"
    if modality and modality != "iUS":
        return modality, reason
    if echo is None or repetition is None:
        return "", ""
    times = f"TE {echo:g} ms, TR {repetition:g} ms"
    if inversion is not None and inversion > 1500 and echo >= 60:
        return "FLAIR", f"{times}, TI {inversion:g} ms"
    if echo >= 60 and repetition >= 1500:
        return "T2", times
    if echo <= 30 and repetition <= 1000:
        return ("ceT1", f"{times}, contrast agent named") if contrast else ("T1", times)
    return "", ""
