"""Messages between the window and the engine process: length-prefixed JSON.

A message is a JSON object with a ``type``. On the pipe it is preceded by its length in bytes as an
unsigned 32-bit little-endian number. Voxels never travel in a message; they lie in shared memory
(:mod:`app.processes.shared_memory`) and the message carries their description.

Window → engine
    ``volume``     key, array, shape, affine, modality, source: keep this volume under ``key``;
                   with ``like`` (a key) instead of ``array`` it is that one, moved
    ``forget``     keys: drop volumes
    ``preflight``  job, task: lay the task out and say what it will cost
    ``run``        job, task: synthesise
    ``shares``     job, task: the experts' precision shares of the slice under the focus
    ``cancel``     job: stop at the next tile
    ``release``    drop the arrays of the last run
    ``quit``
Engine → window
    ``ready``      devices
    ``held``       key
    ``preflight``  job, tiles, seconds (low, high), memory (MB now, MB at the peak), device,
                   warnings, told (what was found out about this computer)
    ``prepared``   job, shape, affine, arrays (target → array), fov (array), tiles
    ``progress``   job, stage, done, total, seconds_left, regions; warnings and told, once
    ``shares``     job, shape, affine, experts, axis, index, levels (level → array)
    ``done``       job, see :class:`app.processes.engine.backend.EngineBackend`
    ``cancelled``  job
    ``failed``     job, kind (``user``, ``memory``, ``defect``), sentence
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

Message = dict[str, Any]

_LENGTH = struct.Struct("<I")
LIMIT = 16 << 20
"""No message is longer, in bytes; a longer one means that the pipe carries something else."""


class ProtocolError(Exception):
    """The pipe carries something that is no message."""


def pack(message: Mapping[str, Any]) -> bytes:
    """Return a message as bytes for the pipe."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > LIMIT:
        raise ProtocolError(f"a message of {len(body)} bytes is longer than {LIMIT}")
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Collects bytes in pieces of any size and gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return the messages they complete.

        Raises:
            ProtocolError: a length beyond the limit, or a body that is not a JSON object with a
                ``type``.
        """
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LIMIT:
                raise ProtocolError(f"a message announces {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                message = json.loads(body)
            except ValueError as error:
                raise ProtocolError(f"a message is not JSON ({error})") from error
            if not isinstance(message, dict) or not isinstance(message.get("type"), str):
                raise ProtocolError("a message has no type")
            messages.append(message)
        return messages


class JsonLines:
    """Reads a command's ``--events``: one JSON object with an ``event`` per line of its output."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes and return the events they complete.

        Raises:
            ProtocolError: a line that is not a JSON object with an ``event``, or has no end.
        """
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LIMIT:
            raise ProtocolError(f"a line of over {LIMIT} bytes has no end")
        events: list[Message] = []
        for line in filter(None, (x.strip() for x in lines)):
            try:
                event = json.loads(line)
            except ValueError as error:
                raise ProtocolError(f"a line is not JSON ({error})") from error
            if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                raise ProtocolError("a line has no event")
            events.append(event)
        return events
