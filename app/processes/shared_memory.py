"""Arrays that two processes see at once.

One side creates an array and describes it in a message; the other attaches and unlinks the name at
once. From then on the memory lives exactly as long as somebody maps it, so nothing is left behind
when either process is killed.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker, shared_memory
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Spec = dict[str, Any]
"""``{"name": str, "shape": [int, …], "dtype": str}``."""

_patching = threading.Lock()


@contextmanager
def _untracked() -> Iterator[None]:
    """Keep Python's resource tracker away: it would unlink what the other side still uses.

    From 3.13 on the class has an option for this; before, the tracker's two functions step aside
    for the moment of the call.
    """
    with _patching:
        kept = resource_tracker.register, resource_tracker.unregister
        resource_tracker.register = resource_tracker.unregister = lambda *_: None
        try:
            yield
        finally:
            resource_tracker.register, resource_tracker.unregister = kept


class _Segment(shared_memory.SharedMemory):
    """Shared memory that is not tracked and whose closing never disturbs arrays still in use."""

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0) -> None:
        with _untracked():
            super().__init__(name, create, size)

    def unlink(self) -> None:
        with _untracked():
            try:
                super().unlink()
            except FileNotFoundError:
                return  # the other side was quicker

    def close(self) -> None:
        try:
            super().close()
        except BufferError:
            return  # an array still looks at it; `_sweep` tries again later


_sweeping = threading.Lock()
_open: list[_Segment] = []
"""Every segment this process maps; closed when its last array is gone."""


def _sweep() -> None:
    """Close the segments that no array looks at any more."""
    with _sweeping:
        for segment in list(_open):
            segment.close()
            if segment.buf is None:
                _open.remove(segment)


class SharedArray:
    """A numpy array in shared memory.

    Attributes:
        array: the voxels; they stay valid as long as anybody holds them.
        spec: what the other process needs to attach.
    """

    def __init__(self, segment: _Segment, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        assert segment.buf is not None
        self._segment = segment
        count = int(np.prod(shape, dtype=np.int64))
        flat = np.frombuffer(segment.buf, dtype=dtype, count=count)
        self.array: NDArray[Any] = flat.reshape(shape)
        with _sweeping:  # only now that an array looks at it; a sweep before would close it
            _open.append(segment)
        self.spec: Spec = {
            "name": segment.name,
            "shape": list(shape),
            "dtype": np.dtype(dtype).name,
        }

    @classmethod
    def create(cls, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> SharedArray:
        """Make a new array of zeros."""
        _sweep()
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        # The maker's process id is in the name, so that a leak has an owner. 31 characters at most.
        name = f"mhvae-{os.getpid()}-{secrets.token_hex(4)}"
        return cls(_Segment(name, create=True, size=max(size, 1)), shape, dtype)

    @classmethod
    def copy_of(cls, values: NDArray[Any]) -> SharedArray:
        """Make a new array with the same shape, type and values."""
        made = cls.create(values.shape, values.dtype)
        np.copyto(made.array, values)
        return made

    @classmethod
    def attach(cls, spec: Mapping[str, Any]) -> SharedArray:
        """Map an array that the other process created, and take its name away.

        Raises:
            FileNotFoundError: the other process is gone, and the array with it.
        """
        _sweep()
        segment = _Segment(name=str(spec["name"]))
        made = cls(segment, tuple(int(n) for n in spec["shape"]), spec["dtype"])
        segment.unlink()
        return made

    def unlink(self) -> None:
        """Take the name away; the memory stays until nobody maps it."""
        self._segment.unlink()

    def release(self) -> None:
        """Let go of the array on this side; other holders of it keep the memory alive."""
        del self.array
        _sweep()


def drop_arrays(message: Any) -> None:
    """Take away the names of all arrays a message describes, when nobody will attach them."""
    if isinstance(message, Mapping):
        if {"name", "shape", "dtype"} <= set(message):
            with suppress(FileNotFoundError):
                SharedArray.attach(message).release()
        else:
            for value in message.values():
                drop_arrays(value)
