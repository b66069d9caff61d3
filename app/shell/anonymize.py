"""Takes paths, file names and names of people out of sentences before they leave the computer."""

from __future__ import annotations

import contextlib
import getpass
import platform
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath

_ENDINGS = (
    r"nii\.gz|mhvae\.json|nii|nrrd|nhdr|mh[ad]|mnc|dcm|ima|hdr|img|raw|zraw|tfm|xfm|h5|hdf5|mat|txt"
    r"|csv|fcsv|tsv|png|jpe?g|html|json|jsonl|safetensors|pth|pt|zip|gz|bin|par|rec|mgz|log|ini"
)
_LOCATION = re.compile(
    r"""(?:file:/+|\\\\|[A-Za-z]:[\\/]|~[\\/]|(?<![\w.<])/(?=[^\s/]))[^\n"'“”‘’<>|:;,()]*"""
)
_QUOTED = re.compile(r"""(?<!\w)(["'“‘«])[^"'“”‘’«»\n]{1,200}["'”’»](?!\w)""")
_FILE = re.compile(rf"""[^\n:;,"()\[\]]*\.(?:{_ENDINGS})\b""", re.IGNORECASE)
_SUBJECT = re.compile(r"^[^\n:]{1,300}(?=: expected\b)", re.MULTILINE)
_DICOM_NAME = re.compile(r"[^\s:;,]*\^[^\s:;,]*")
_ADDRESS = re.compile(r"\S+@\S+")
_RELATIVE = re.compile(r"[^\s:;,()<>]*[^\s:;,()<>/\\\d][\\/][^\s:;,()<>]*[A-Za-z][^\s:;,()<>]*")
_SHORTEST = 2


def anonymize(text: str, private: Iterable[str] = (), public: Iterable[str] = ()) -> str:
    """Return a text without what could name a person, a file or a place on the disk.

    When in doubt a word goes: a file name with blanks takes the words before it along.

    Args:
        text: sentences for people.
        private: names that are known to be in use: files, folders, volumes, projects.
        public: words that stay although they are among ``private``, such as modalities.

    Returns:
        The text with ``<path>``, ``<file>``, ``<name>`` and ``<quoted>`` in place of them.
    """
    names = _parts([*private, *_own_names()]) - {word.lower() for word in public}
    text = _SUBJECT.sub("<file>", text)
    text = _LOCATION.sub("<path>", text)
    text = _QUOTED.sub("<quoted>", text)
    text = _DICOM_NAME.sub("<name>", text)
    text = _ADDRESS.sub("<name>", text)
    text = _replace(text, names)
    text = _FILE.sub("<file>", text)
    text = _RELATIVE.sub("<path>", text)
    return text


def _replace(text: str, names: set[str]) -> str:
    """Put ``<name>`` for whole words, the longest first."""
    if not names:
        return text
    words = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w<])(?:{words})(?![\w>])", "<name>", text, flags=re.IGNORECASE)


def _parts(names: Iterable[str]) -> set[str]:
    """Return names, the parts of their paths, and these without their endings, in lower case."""
    found: set[str] = set()
    for name in names:
        for part in PureWindowsPath(name).parts:  # both kinds of slashes part them
            stem = re.sub(rf"\.(?:{_ENDINGS})$", "", part, flags=re.IGNORECASE)
            found |= {part.lower(), stem.lower()}
            found |= {w.lower() for w in re.split(r"[\s_.^,-]+", stem) if len(w) > _SHORTEST}
    return {name for name in found if len(name) >= _SHORTEST and not name.isdigit()}


def _own_names() -> list[str]:
    """Return the user's name, this computer's name and the home folder."""
    found = [platform.node(), *platform.node().split(".")[:1], str(Path.home())]
    with contextlib.suppress(OSError, KeyError, ImportError):  # not every user has a name
        found.append(getpass.getuser())
    return [name for name in found if name]
