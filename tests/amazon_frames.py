"""Messages of Amazon's binary event streams, written for tests."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any


def header(name: str, kind: int, value: bytes) -> bytes:
    """Return one header; `value` as it is on the wire, the length of text and bytes included."""
    return bytes([len(name)]) + name.encode() + bytes([kind]) + value


def text_header(name: str, value: str) -> bytes:
    data = value.encode()
    return header(name, 7, struct.pack(">H", len(data)) + data)


def message(headers: bytes, payload: bytes = b"") -> bytes:
    """Return a whole message, its checksums right."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    data = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return data + struct.pack(">I", zlib.crc32(data))


def event(name: str, payload: Any) -> bytes:
    """Return an event with a JSON payload."""
    return _typed("event", ":event-type", name, json.dumps(payload).encode())


def exception(name: str, message: str, **fields: Any) -> bytes:
    """Return a modelled error."""
    return _typed("exception", ":exception-type", name, json.dumps({"message": message, **fields}).encode())


def error(code: str, message: str) -> bytes:
    """Return an error that is not modelled; it has no payload."""
    return _message([(":message-type", "error"), (":error-code", code), (":error-message", message)], b"")


def _typed(kind: str, field: str, name: str, payload: bytes) -> bytes:
    return _message([(field, name), (":content-type", "application/json"), (":message-type", kind)], payload)


def _message(headers: Iterable[tuple[str, str]], payload: bytes) -> bytes:
    return message(b"".join(text_header(name, value) for name, value in headers), payload)
