"""What the name of one file of a cohort tells: whose it is, which image, taken when, what for."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from core.io.modality import LABEL_WORDS, guess_from_text, names_in, plain, words_in
from core.modalities import SWEPT

IMAGE, FIELD, LABEL, MADE, EXPECTED = "image", "fov", "label", "made", "expected"
"""What a file is for: an image, a field of view, a map of labels, made by a model, or the expected
echo of an ultrasound (:mod:`trainer.cohort.expected`)."""
BEFORE, DURING, AFTER = "before", "during", "after"
"""When it was taken, as seen from the opening of the dura or the resection."""

_A, _Z = r"(?<![^\W\d_])", r"(?![^\W\d_])"
_OPENING = r"dura\w*|duro\w*|resect\w*|res|op|operati\w*|surg\w*|imri"
_CONTRAST = r"(?![-_ ]?(?:contrast|gd|gad|km|ce))"
_STAGES = (
    (BEFORE, rf"{_A}(?:pre[-_ ]?(?:{_OPENING})?|before){_Z}{_CONTRAST}"),
    (AFTER, rf"{_A}(?:post[-_ ]?(?:{_OPENING})?|after){_Z}{_CONTRAST}"),
    (DURING, rf"{_A}(?:during|intra[-_ ]?(?:op|operati\w*)?){_Z}{_CONTRAST}"),
)
_ROLES = (
    (MADE, rf"{_A}(?:synthetic|synthesi[sz]ed|synth|fake|predict\w*|sigma|uncertainty){_Z}"),
    (LABEL, LABEL_WORDS[0]),
    (EXPECTED, rf"{_A}{EXPECTED}{_Z}"),
    (LABEL, LABEL_WORDS[1]),
    (FIELD, rf"{_A}fov{_Z}|field[-_ ]?of[-_ ]?view"),
)
_MASK = re.compile(rf"{_A}mask{_Z}")
_PLAIN = rf"{_A}(?:mri?|imri|ax|axial|tra|sag|sagittal|cor|coronal|2d|3d|space|tse|fse|blade|w"
_PLAIN += rf"|images?|img|scan|vol|volume|native|orig|original|raw|nifti|nii|dicom|dcm){_Z}"
_HOW = re.compile(r"_(?:acq|run|rec|desc|ce|dir|part|echo|space)-[^_]*", re.IGNORECASE)
"""BIDS entities that say how an image was made; ``sub`` and ``ses`` say whose it is."""
_MADE_HERE = re.compile(r"_desc-(?:synthetic|sigma|sample\d+)_", re.IGNORECASE)
"""What ``synthesize --bids`` calls its images."""
_SESSION = re.compile(r"[-_ ](?:ses|session|visit|timepoint|tp)[-_ ]?[^-_ ]*$", re.IGNORECASE)
_EDGES = "-_. "


@dataclass(frozen=True)
class NameParts:
    """What one name tells.

    Attributes:
        role: :data:`IMAGE`, :data:`FIELD`, :data:`LABEL`, :data:`MADE` or :data:`EXPECTED`.
        modalities: those it names; none, one, or (nobody can tell which) several.
        reason: sentence fragment saying what a single modality rests on.
        stage: :data:`BEFORE`, :data:`DURING`, :data:`AFTER`, or empty.
        lead: the name in front of the first word that describes the image: the case, mostly.
        tail: what is left behind it (``registered``), or the case where it comes last.
    """

    role: str
    modalities: tuple[str, ...]
    reason: str
    stage: str
    lead: str
    tail: str

    @property
    def bare(self) -> bool:
        """Whether the name only describes: nothing in it names a case."""
        return not (self.lead or self.tail)


def parse_name(stem: str, modalities: Sequence[str]) -> NameParts:
    """Read a name.

    Args:
        stem: name of a file without its ending, or of a folder.
        modalities: the model's own names; a word that is one of them counts as well.
    """
    text = unicodedata.normalize("NFC", _HOW.sub("", stem))
    lowered = plain(text)
    kinds = [one.modality for one in names_in(text)]
    spans = [(one.start, one.stop) for one in words_in(text)]
    reason = guess_from_text(text, "its name")[1] if len(kinds) == 1 else ""
    own = _own_words(lowered, modalities)
    if not kinds and len(own) == 1:
        ((word, spans),) = own.items()
        kinds, reason = [word], f"its name contains “{word}”"
    role, marks = IMAGE, []
    made_here = _MADE_HERE.search(stem) is not None
    for name, pattern in _ROLES:
        if hits := [m.span() for m in re.finditer(pattern, lowered)]:
            role, marks = name, hits
            break
    stage = ""
    for name, pattern in _STAGES:
        if hits := [m.span() for m in re.finditer(pattern, lowered)]:
            # An ultrasound of this kind is always taken during surgery; before and after say more.
            if name != DURING or not stage:
                stage = name if not stage else ""
            marks = [*marks, *hits]
    if set(kinds) & set(SWEPT) and stage == DURING and re.search(rf"{_A}intra", lowered):
        stage = ""
    masks = [m.span() for m in _MASK.finditer(lowered)]
    lead, tail = _around(text, lowered, [*spans, *marks, *masks])
    if masks and role == IMAGE:
        # A mask of nothing else but the case is its field of view; any other marks a structure.
        role = FIELD if not tail and set(kinds) <= set(SWEPT) else LABEL
    role = MADE if made_here else role
    return NameParts(role, tuple(dict.fromkeys(kinds)), reason, stage, lead, tail)


def _own_words(lowered: str, modalities: Sequence[str]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for modality in modalities:
        pattern = rf"(?<![^\W_]){re.escape(plain(modality))}(?![^\W_])"
        if hits := [m.span() for m in re.finditer(pattern, lowered)]:
            found[modality] = hits
    return found


def _around(text: str, lowered: str, spans: Sequence[tuple[int, int]]) -> tuple[str, str]:
    """Return what stands before and behind the words that describe, without describing words."""
    plain_spans = [m.span() for m in re.finditer(_PLAIN, lowered)]
    first = min((start for start, _ in spans), default=len(text))
    lead = text[:first].strip(_EDGES)
    # Describing words right in front of the first one are no part of the case's name.
    while hit := next((s for s in plain_spans if s[1] == len(lead) and s[0] >= 0), None):
        lead = lead[: hit[0]].strip(_EDGES)
        plain_spans.remove(hit)
    dropped = [*spans, *plain_spans]
    words = [
        m.group(0)
        for m in re.finditer(r"[^\W_]+", text)
        if m.start() >= first and not any(a <= m.start() < b for a, b in dropped)
    ]
    return lead, "-".join(words)


def case_key(name: str) -> str:
    """Return what two spellings of one case's name share."""
    return re.sub(r"[-_. ]+", "-", plain(name)).strip("-")


def patient_of(case: str) -> str:
    """Return the patient of a case: its name without a session, and without before and after."""
    told = parse_name(_SESSION.sub("", case), ())
    return "-".join(filter(None, (told.lead, told.tail))) or case
