"""Reading and writing volumes: any known file → :class:`core.volume.Volume`, and back.

Reading libraries are imported when a file is opened, not when this package is.
"""

from core.io.header import Header
from core.io.label_names import label_names
from core.io.place import OutputError, output_folder
from core.io.reader import find, read, read_headers
from core.io.search import survey
from core.io.sniff import ENDINGS
from core.io.writer import WRITTEN, write

__all__ = [
    "ENDINGS",
    "WRITTEN",
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
    "write",
]
