"""Recorded chat completions, plain and streamed, come out as grammatical responses with the same content."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from chat_recordings import PLAIN, STREAMS, Said, assert_same, chunks_of, named, said_by, text_in
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.chat import ChatStream, read_answer
from antiphon.providers.dialects.chat_answer import ChatAnswer
from antiphon.providers.dialects.envelope import Envelope, seal

FIELDS = {"model": "asked-for", "created_at": 1}
SMALL = 6 * 1024


def sealed(form: str, blocks: tuple[Any, ...]) -> str:
    return seal(Envelope("p", "m", "chat", form, blocks))


def fresh() -> ChatAnswer:
    return ChatAnswer(FIELDS, sealed, token="t")


def test_there_are_recordings_to_read() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 75
    assert len(STREAMS) >= 25


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], ChatStream]:
    stream = ChatStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_plain_answer_says_the_same(recording: Recording) -> None:
    answer = fresh()
    read_answer(recording.body, answer)
    events = answer.take()

    assert check_grammar(events) == []
    assert_same(end_of(events), Said([json.loads(recording.body)]))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording) -> None:
    events, stream = events_of([recording.body])

    assert stream.is_done
    assert check_grammar(events) == []
    assert_same(end_of(events), Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    """Text is neither cut nor joined, and comes in its order among reasoning and calls."""
    events, _ = events_of([recording.body])

    sent = [text for chunk in chunks_of(recording.body) for said in said_by(chunk) if (text := text_in(said))]
    assert [event.delta for event in events if isinstance(event, ev.OutputTextDelta)] == sent


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_is_the_same_at_every_cut(recording: Recording) -> None:
    body = recording.body
    whole = [event.raw for event in events_of([body])[0]]

    for cuts in cuts_of(recording.name, len(body)):
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert [event.raw for event in events_of(pieces)[0]] == whole, cuts[:10]


def cuts_of(name: str, size: int) -> Iterator[list[int]]:
    """Yield where to cut: at every single place of a small stream, at many seeded ones of a larger."""
    if size <= SMALL:
        yield from ([at] for at in range(1, size))
        yield list(range(1, size))
        return
    chance = random.Random(name)
    for _ in range(40):
        yield sorted(chance.sample(range(1, size), chance.choice([1, 2, 10, 100])))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_breaks_has_no_end(recording: Recording) -> None:
    """Cut before the first chunk that says why it ends, nothing claims that the answer is whole."""
    body = recording.body
    marks = [at for mark in (b'"finish_reason":"', b"[DONE]", b'"error":') if (at := body.find(mark)) >= 0]
    at = body.rfind(b"data:", 0, min(marks))
    events, stream = events_of([body[:at]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)
