"""Events of Anthropic's Messages API inside Amazon's binary stream, as InvokeModelWithResponseStream sends them.

Each message of the stream is a `chunk` whose payload is {"bytes": <event in base64>, "p": <padding>}.
Source: the service model of botocore 1.44 (`InvokeModelWithResponseStream`), and recordings.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator

import msgspec

from ...pipeline.errors import APIResponseError
from ...pipeline.streams.sse import Frame
from .amazon_event_stream import EXCEPTION, FrameDecoder


class _Chunk(msgspec.Struct):
    bytes: str = ""


_chunk = msgspec.json.Decoder(_Chunk)


class InvokeFrames:
    """Takes the place of `SSEDecoder`: yields events without a name, and errors by theirs."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = FrameDecoder()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the events that end in `data`.

        Raises:
            APIResponseError: bytes that are no frame, or a frame that holds no event.
        """
        for name, payload in self._frames.feed(data):
            if name == "chunk":
                yield "", _inner(payload)
            elif name.startswith(EXCEPTION):
                yield name, payload

    def finish(self) -> list[Frame]:
        """Return nothing: a message without its end says nothing."""
        return []


def _inner(payload: bytes) -> bytes:
    try:
        return binascii.a2b_base64(_chunk.decode(payload).bytes, strict_mode=True)
    except (msgspec.DecodeError, binascii.Error):
        raise APIResponseError("a chunk of the stream holds no event in base64") from None
