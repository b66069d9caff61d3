"""Runs first in the packaged program: loads a library that was packed small, when it is imported.

SimpleITK is one library of 272 MB, most of it filters nobody calls here. On Linux the package holds
it compressed, in pieces that are unpacked side by side into memory, never to disk. Nothing happens
until somebody imports SimpleITK; the start of the window does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

MODULE = "SimpleITK._SimpleITK"
PACKED = "SimpleITK/_SimpleITK.packed"
PIECE = 16 << 20
"""Bytes of the library in one piece; the last one is shorter."""


def pack(library: Path, packed: Path) -> None:
    """Write the library's pieces, each behind its length (8 bytes, little-endian)."""
    import lzma

    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 2}]
    with library.open("rb") as source, packed.open("wb") as sink:
        while piece := source.read(PIECE):
            small = lzma.compress(piece, filters=filters)
            sink.write(len(small).to_bytes(8, "little") + small)


def unpack(packed: Path, into: int) -> None:
    """Write the library into an open file, its pieces unpacked by one thread a processor."""
    import lzma
    from concurrent.futures import ThreadPoolExecutor

    pieces, data, start = [], packed.read_bytes(), 0
    while start < len(data):
        end = start + 8 + int.from_bytes(data[start : start + 8], "little")
        pieces.append(data[start + 8 : end])
        start = end

    def put(number: int) -> None:
        whole, place = memoryview(lzma.decompress(pieces[number])), number * PIECE
        while whole:
            written = os.pwrite(into, whole, place)
            whole, place = whole[written:], place + written

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        list(pool.map(put, range(len(pieces))))


class _Loader(ExtensionFileLoader):
    """Unpacks, loads, and lets go of the unpacked file: what is mapped stays mapped."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Load from memory, or from a private file where memory may hold no programs."""
        handle = os.memfd_create("simpleitk", os.MFD_CLOEXEC)
        try:
            unpack(Path(self.path), handle)
            real = ExtensionFileLoader(self.name, f"/proc/self/fd/{handle}")
            try:
                return real.create_module(ModuleSpec(self.name, real, origin=real.path))
            except ImportError:
                return self._from_disk()
        finally:
            os.close(handle)

    def _from_disk(self) -> ModuleType:
        import tempfile

        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            unpack(Path(self.path), file.fileno())
            real = ExtensionFileLoader(self.name, file.name)
            return real.create_module(ModuleSpec(self.name, real, origin=file.name))


class Finder(MetaPathFinder):
    """Finds the one module that is packed."""

    def __init__(self, packed: Path) -> None:
        self.packed = packed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is, if it is the packed one."""
        if name != MODULE:
            return None
        place = str(self.packed)
        return spec_from_file_location(name, place, loader=_Loader(name, place))


if getattr(sys, "frozen", False):
    sys.meta_path.insert(0, Finder(Path(getattr(sys, "_MEIPASS", ""), PACKED)))
