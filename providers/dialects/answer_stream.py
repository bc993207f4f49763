"""The stream decoder of all codecs but the native one: what frames say is told to an answer, which makes the events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

import msgspec

from ...pipeline.api.events import Event
from ...pipeline.errors import APIError, APIResponseError
from ...pipeline.secret import Secret
from ...pipeline.streams.sse import Frame, SSEDecoder
from ...pipeline.wording import quoted
from .answer import Answer
from .failures import excerpt
from .half_characters import HalfCharacters

A = TypeVar("A", bound=Answer)


class FrameDecoder(Protocol):
    """Turns bytes into frames: `SSEDecoder`, or what takes its place."""

    def feed(self, data: bytes) -> Iterable[Frame]:
        """Return the frames that end in `data`.

        Raises:
            APIResponseError: bytes that are no frame; an iterator raises it behind the frames before them.
        """
        ...

    def finish(self) -> Iterable[Frame]:
        """Return the frames that only the end of the stream completes."""
        ...


class AnswerStream(Generic[A]):
    """Decodes one event stream. A codec says in `tell` what a frame means.

    Args:
        answer: a fresh one.
        secrets: what no message may show.
        frames: a fresh decoder, for a host that does not send server-sent events.
    """

    __slots__ = ("_frames", "_halves", "_secrets", "answer", "error")

    def __init__(self, answer: A, secrets: tuple[Secret | None, ...] = (), frames: FrameDecoder | None = None) -> None:
        self._frames = frames or SSEDecoder()
        self._halves = HalfCharacters()
        self._secrets = secrets
        self.answer = answer
        self.error: APIError | None = None

    def tell(self, name: str, payload: bytes) -> None:
        """Tell the answer what one frame says.

        Raises:
            msgspec.DecodeError: it cannot be read.
        """
        raise NotImplementedError

    @property
    def is_done(self) -> bool:
        """Whether the terminal event has come."""
        return self.answer.is_done

    def feed(self, data: bytes) -> list[Event]:
        return self._events(self._halves.join(self._frames.feed(data)))

    def finish(self) -> list[Event]:
        events = self._events(self._halves.finish(self._frames.finish()))
        self.error = None  # a chunk that the end cuts in two is no malformed one: the stream broke
        if not self.is_done and self.answer.has_ended:
            self.answer.end()  # some hosts never send a mark of the end
            events += self.answer.take()
        return events

    def _events(self, frames: Iterable[Frame]) -> list[Event]:
        answer, tell = self.answer, self.tell
        try:
            for name, payload in frames:
                if answer.is_done:
                    break  # what follows the end is no part of the response
                try:
                    tell(name, payload)
                except (msgspec.DecodeError, RecursionError) as error:
                    self.error = APIResponseError(
                        f"a chunk of the stream cannot be read ({error}): "
                        f"{quoted(excerpt(payload, self._secrets)[:120])}"
                    )
                    break
        except APIResponseError as error:  # the events before the damage are told first
            self.error = error
        return answer.take()
