"""Recorded answers of Converse as events of the API: what they say, how it is cut, and what only the host can read."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from converse_recordings import ALL, PLAIN, STREAMS, answer_in, assert_same, blocks_of, events_in, named
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.converse import ConverseStream, sealed, tell_whole
from antiphon.providers.dialects.converse_answer import ConverseAnswer
from antiphon.providers.dialects.envelope import unseal

ANSWERS = [*PLAIN, *STREAMS]
SMALL = 2 * 1024


def fresh() -> ConverseAnswer:
    fields = {"model": "m", "created_at": 1}
    return ConverseAnswer(fields, "bedrock", lambda blocks: sealed("bedrock", "m", blocks), token="t")


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], ConverseStream]:
    stream = ConverseStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


def told(recording: Recording) -> list[ev.Event]:
    """Return the events of a recording, plain or streamed."""
    if recording in STREAMS:
        return events_of([recording.body])[0]
    answer = fresh()
    assert tell_whole(json.loads(recording.body), answer)
    return answer.take()


def test_there_are_recordings_to_read() -> None:
    if not ALL:
        pytest.skip("no recordings here")
    assert (len(PLAIN), len(STREAMS)) == (20, 5)


@pytest.mark.parametrize("recording", ANSWERS, ids=named)
def test_an_answer_says_the_same(recording: Recording) -> None:
    events = told(recording)

    assert check_grammar(events) == []
    assert_same(end_of(events), answer_in(recording))


@pytest.mark.parametrize("recording", ANSWERS, ids=named)
def test_blocks_that_only_the_host_can_read_are_kept_as_they_are(recording: Recording) -> None:
    kept: list[Any] = []
    for item in end_of(told(recording)).to_dict()["output"]:
        if (envelope := unseal(item.get("encrypted_content"))) is not None:
            kept += envelope.blocks

    assert kept == [block for block in blocks_of(answer_in(recording)) if is_own(block)]


def is_own(block: dict[str, Any]) -> bool:
    return not ("text" in block or ("toolUse" in block and block["toolUse"].get("type") != "server_tool_use"))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    """Text is neither cut nor joined, and comes in its order."""
    events, stream = events_of([recording.body])

    assert stream.is_done
    sent = [event["delta"]["text"] for _, event in events_in(recording.body) if "text" in event.get("delta", ())]
    assert [event.delta for event in events if isinstance(event, ev.OutputTextDelta)] == sent


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_is_the_same_at_every_cut(recording: Recording) -> None:
    body = recording.body
    whole = [event.raw for event in events_of([body])[0]]

    for cuts in cuts_of(recording.name, len(body)):
        pieces = [body[a:b] for a, b in pairwise([0, *cuts, len(body)])]
        assert [event.raw for event in events_of(pieces)[0]] == whole, cuts[:10]


def cuts_of(name: str, size: int) -> Iterator[list[int]]:
    """Yield where to cut: at every single place of a small stream, at many seeded ones of a larger."""
    yield list(range(1, size))
    if size <= SMALL:
        yield from ([at] for at in range(1, size))
        return
    chance = random.Random(name)
    for _ in range(40):
        yield sorted(chance.sample(range(1, size), chance.choice([1, 2, 10, 100])))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_breaks_has_no_end(recording: Recording) -> None:
    """Cut before the event that says why it ends, nothing claims that the answer is whole."""
    body = recording.body
    events, stream = events_of([body[: body.find(b"messageStop") - 20]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_without_its_last_event_ends_without_usage(recording: Recording) -> None:
    body = recording.body
    events, stream = events_of([body[: body.find(b"\x08metadata") - 20]])

    assert stream.is_done
    assert check_grammar(events) == []
    assert end_of(events).usage is None
