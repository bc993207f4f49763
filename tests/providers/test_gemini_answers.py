"""Recorded generateContent answers, plain and streamed, come out as grammatical responses with the same content."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from gemini_calls import events_of, kept_by, told
from gemini_recordings import PLAIN, STREAMS, Said, assert_same, chunks_of, named
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api import items
from antiphon.pipeline.streams.grammar import check_grammar


def signatures_in(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["thoughtSignature"]] if "thoughtSignature" in value else []
        return own + [found for member in value.values() for found in signatures_in(member)]
    return [found for member in value for found in signatures_in(member)] if isinstance(value, list | tuple) else []


def test_there_are_recordings_to_read() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 22
    assert len(STREAMS) >= 10


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_plain_answer_says_the_same(recording: Recording) -> None:
    events = told(recording.body)

    assert check_grammar(events) == []
    assert_same(end_of(events), Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording) -> None:
    events, stream = events_of([recording.body])

    assert stream.is_done
    assert check_grammar(events) == []
    assert_same(end_of(events), Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_every_signature_is_kept(recording: Recording) -> None:
    events = events_of([recording.body])[0] if recording in STREAMS else told(recording.body)

    assert signatures_in(kept_by(end_of(events))) == signatures_in(Said(chunks_of(recording.body)).parts)


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    events, _ = events_of([recording.body])

    said = Said(chunks_of(recording.body))
    assert [event.delta for event in events if isinstance(event, ev.OutputTextDelta)] == said.texts
    assert [event.delta for event in events if isinstance(event, ev.ReasoningSummaryTextDelta)] == said.thoughts


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_citations_stand_where_their_text_is(recording: Recording) -> None:
    events = events_of([recording.body])[0] if recording in STREAMS else told(recording.body)
    response = end_of(events)

    texts = [
        (message.text, part["annotations"])
        for message in response.output
        if isinstance(message, items.Message)
        for part in message.to_dict()["content"]
    ]
    segments = {
        support["segment"]["text"]
        for grounding in Said(chunks_of(recording.body)).grounding
        for support in grounding.get("groundingSupports") or ()
    }
    cited = {
        text[each["start_index"] : each["end_index"]]
        for text, annotations in texts
        for each in annotations
        if "start_index" in each
    }
    ends = {text[: each["index"]] for text, annotations in texts for each in annotations if "index" in each}
    assert cited <= segments
    assert all(any(end.endswith(segment) for end in ends) for segment in segments - cited)


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_is_the_same_at_every_cut(recording: Recording) -> None:
    body = recording.body
    whole = [event.raw for event in events_of([body])[0]]

    for cuts in cuts_of(recording.name, len(body)):
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert [event.raw for event in events_of(pieces)[0]] == whole, cuts[:10]


def cuts_of(name: str, size: int) -> Iterator[list[int]]:
    """Yield where to cut: at every single place of a small stream, at many seeded ones of a larger."""
    if size <= 4096:
        yield from ([at] for at in range(1, size))
        yield list(range(1, size))
        return
    chance = random.Random(name)
    for _ in range(40):
        yield sorted(chance.sample(range(1, size), chance.choice([1, 2, 10, 100])))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_breaks_has_no_end(recording: Recording) -> None:
    """Cut before the chunk that says why it ends, nothing claims that the answer is whole."""
    body = recording.body
    at = body.rfind(b"data:", 0, body.find(b'"finishReason"'))
    events, stream = events_of([body[:at]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)
