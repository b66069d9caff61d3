"""Reading and writing volumes: any known file → :class:`core.volume.Volume`, and back.

A window that asks which endings there are must not wait for every reader: a name's module is
imported when the name is first asked for, and a format's library when a file is opened.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.io.dicom_writer import DicomSource, write_dicom
    from core.io.header import Header
    from core.io.label_table import label_names
    from core.io.place import OutputError, output_folder
    from core.io.reader import find, read, read_headers
    from core.io.search import survey
    from core.io.sniff import ENDINGS, WRITTEN
    from core.io.writer import write

__all__ = [
    "ENDINGS",
    "WRITTEN",
    "DicomSource",
    "Header",
    "OutputError",
    "dicom_tags",
    "find",
    "label_names",
    "limits",
    "modality",
    "native",
    "native_worker",
    "output_folder",
    "preview",
    "read",
    "read_headers",
    "sniff",
    "survey",
    "sweep_file",
    "sweep_writer",
    "write",
    "write_dicom",
]

_MODULES = {
    "DicomSource": "dicom_writer",
    "ENDINGS": "sniff",
    "WRITTEN": "sniff",
    "Header": "header",
    "OutputError": "place",
    "find": "reader",
    "label_names": "label_table",
    "output_folder": "place",
    "read": "reader",
    "read_headers": "reader",
    "survey": "search",
    "write": "writer",
    "write_dicom": "dicom_writer",
}


def __getattr__(name: str) -> Any:
    """Return a name of the room from its module (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value
