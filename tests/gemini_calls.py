"""Answers for tests of the Gemini codec."""

from __future__ import annotations

from typing import Any

from antiphon.pipeline import events as ev
from antiphon.pipeline import items
from antiphon.pipeline.response import Response
from antiphon.providers.dialects.envelope import Envelope, seal, unseal
from antiphon.providers.dialects.gemini import GeminiStream, hear_all
from antiphon.providers.dialects.gemini_answer import GeminiAnswer
from antiphon.providers.dialects.gemini_wire import read_chunks

FIELDS = {"model": "asked-for", "created_at": 1}


def sealed(blocks: tuple[Any, ...]) -> str:
    return seal(Envelope("p", "m", "gemini", "parts", blocks))


def fresh() -> GeminiAnswer:
    return GeminiAnswer(FIELDS, sealed, token="t")


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], GeminiStream]:
    stream = GeminiStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


def told(body: bytes) -> list[ev.Event]:
    answer = fresh()
    hear_all(read_chunks(body), answer)
    return answer.take()


def end_of(events: list[ev.Event]) -> Response:
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last.response


def kept_by(response: Response) -> list[Any]:
    found: list[Any] = []
    for item in response.output:
        if isinstance(item, items.Reasoning):
            envelope = unseal(item.encrypted_content)
            assert envelope is not None
            found += envelope.blocks
    return found
