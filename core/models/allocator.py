"""Keep glibc from giving the network's buffers back to the system after every layer.

Activations of a tile are tens of megabytes. By default glibc maps and unmaps each one, and the page
faults cost as much as the arithmetic. Keeping the memory roughly doubles inference on Linux; it
does nothing elsewhere.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP = 1 << 30


def keep_memory() -> bool:
    """Raise glibc's map and trim thresholds to 1 GiB; tell whether that was possible."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl and others
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEEP)) and bool(mallopt(_M_TRIM_THRESHOLD, _KEEP))
