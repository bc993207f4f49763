"""Amazon's binary event streams (`application/vnd.amazon.eventstream`), decoded from bytes.

A message is framed by big-endian numbers and ends with a checksum of all before it:

    total length u32 | length of headers u32 | CRC-32 of these eight bytes u32 | headers | payload | CRC-32 u32
    header: length of name u8 | name | type u8 | value

What a message is stands in its headers: `:message-type` is "event" (named by `:event-type`), "exception" (a modelled
error, named by `:exception-type`, told in the payload) or "error" (any other, told in `:error-code` and
`:error-message`).

Source: Amazon Transcribe Developer Guide, Event stream encoding, from memory; botocore 1.44 (`botocore.eventstream`),
read 2026-11, for types of headers and limits. A test compares both decoders.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from ...pipeline.api.wire import encode
from ...pipeline.errors import APIResponseError
from ...pipeline.streams.sse import Frame
from ...pipeline.wording import quoted

MEDIA_TYPE: Final = "application/vnd.amazon.eventstream"

EXCEPTION: Final = "exception/"
"""What the name of a frame begins with that reports an error; the error's type follows."""

MAX_HEADERS_BYTES: Final = 128 * 1024
MAX_PAYLOAD_BYTES: Final = 24 * 1024 * 1024

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_NUMBERS: Final = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_FLAGS: Final = {0: True, 1: False}
_BYTES, _TEXT, _TIMESTAMP, _UUID = 6, 7, 8, 9


class Message(msgspec.Struct, frozen=True):
    """One message.

    Args:
        headers: text, numbers, booleans or bytes; a timestamp as milliseconds, a UUID as its 16 bytes.
        payload: mostly JSON.
    """

    headers: dict[str, Any]
    payload: bytes

    def frame(self) -> Frame:
        """Return name and data, as other event streams have them; an error's name begins with `EXCEPTION`."""
        headers = self.headers
        match headers.get(":message-type", "event"):
            case "exception":
                return f"{EXCEPTION}{headers.get(':exception-type', '')}", self.payload
            case "error":
                said = {"message": str(headers.get(":error-message") or "the stream reports an error")}
                return f"{EXCEPTION}{headers.get(':error-code', '')}", encode(said)
            case _:
                return str(headers.get(":event-type", "")), self.payload


class MessageDecoder:
    """Feed it bytes as they come; it yields the messages that they complete."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that end in `data`; take all of them.

        Raises:
            APIResponseError: what comes next is damaged, or over a size limit. Messages before it were yielded.
        """
        pending = self._pending
        pending += data
        while len(pending) >= _PRELUDE.size:
            total, headers = _lengths(bytes(pending[: _PRELUDE.size]))
            if len(pending) < total:
                return
            whole = bytes(pending[:total])
            del pending[:total]
            yield _message(whole, headers)


class FrameDecoder:
    """The same, as frames of name and data: what takes the place of `SSEDecoder` where a host streams so."""

    __slots__ = ("_messages",)

    def __init__(self) -> None:
        self._messages = MessageDecoder()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that end in `data`. Raises as `MessageDecoder.feed`."""
        return (message.frame() for message in self._messages.feed(data))

    def finish(self) -> list[Frame]:
        """Return nothing: a message without its end says nothing."""
        return []


def _lengths(prelude: bytes) -> tuple[int, int]:
    """Return the length of a message and of its headers."""
    total, headers, crc = _PRELUDE.unpack(prelude)
    if zlib.crc32(prelude[:8]) != crc:
        raise _damaged("the checksum of its lengths is wrong")
    payload = total - headers - _PRELUDE.size - _CRC.size
    if payload < 0:
        raise _damaged("its headers are longer than itself")
    if headers > MAX_HEADERS_BYTES or payload > MAX_PAYLOAD_BYTES:
        raise APIResponseError(
            f"one message of the stream has {headers} bytes of headers and {payload} of payload; the most are "
            f"{MAX_HEADERS_BYTES} and {MAX_PAYLOAD_BYTES}"
        )
    return total, headers


def _message(data: bytes, headers: int) -> Message:
    end = len(data) - _CRC.size
    if zlib.crc32(data[:end]) != _CRC.unpack_from(data, end)[0]:
        raise _damaged("its checksum is wrong")
    start = _PRELUDE.size + headers
    try:
        return Message(_headers(data[_PRELUDE.size : start]), data[start:end])
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise _damaged(f"its headers cannot be read: {error}") from None


def _headers(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        name = _cut(data, at + 1, name_end).decode()
        if name in found:
            raise ValueError(f"two are named {quoted(name)}")
        found[name], at = _value(data, name_end + 1, data[name_end])
    return found


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    """Return the value of a header and where the next one begins."""
    if kind in _FLAGS:
        return _FLAGS[kind], at
    if kind == _TIMESTAMP:
        kind = 5
    if kind in _NUMBERS:
        form = _NUMBERS[kind]
        return form.unpack_from(data, at)[0], at + form.size
    if kind == _UUID:
        return _cut(data, at, at + 16), at + 16
    if kind not in (_BYTES, _TEXT):
        raise ValueError(f"type {kind} is not known")
    start = at + _LENGTH.size
    end = start + _LENGTH.unpack_from(data, at)[0]
    value = _cut(data, start, end)
    return (value.decode() if kind == _TEXT else value), end


def _cut(data: bytes, start: int, end: int) -> bytes:
    if end > len(data):
        raise ValueError("one is cut")
    return data[start:end]


def _damaged(why: str) -> APIResponseError:
    return APIResponseError(f"a message of the binary event stream is damaged: {why}")
