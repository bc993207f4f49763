"""Recorded messages, plain and streamed, come out as grammatical responses with the same content."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic_recordings import PLAIN, STREAMS, assert_same, events_in, message_in, named, of_kind
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.anthropic import AnthropicStream, sealed, tell_message
from antiphon.providers.dialects.anthropic_answer import AnthropicAnswer
from antiphon.providers.dialects.envelope import unseal

SMALL = 4 * 1024
USES = ("server_tool_use", "mcp_tool_use")


def fresh() -> AnthropicAnswer:
    fields = {"model": "asked-for", "created_at": 1}
    return AnthropicAnswer(fields, "anthropic", lambda blocks: sealed("anthropic", "m", blocks), token="t")


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], AnthropicStream]:
    stream = AnthropicStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


def told(recording: Recording) -> list[ev.Event]:
    """Return the events of a recording, plain or streamed."""
    if recording in STREAMS:
        return events_of([recording.body])[0]
    answer = fresh()
    assert tell_message(json.loads(recording.body), answer)
    return answer.take()


def test_there_are_recordings_to_read() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert len(PLAIN) >= 14
    assert len(STREAMS) >= 11


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_an_answer_says_the_same(recording: Recording) -> None:
    events = told(recording)

    assert check_grammar(events) == []
    assert_same(end_of(events), message_in(recording.body))


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_blocks_that_only_the_host_can_read_are_kept_as_they_are(recording: Recording) -> None:
    message = message_in(recording.body)
    kept: list[Any] = []
    for item in end_of(told(recording)).to_dict()["output"]:
        if (envelope := unseal(item.get("encrypted_content"))) is not None:
            kept += envelope.blocks

    assert kept == [block for block in message["content"] if block["type"] not in ("text", "tool_use")]


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_every_use_of_a_tool_at_the_host_is_an_item(recording: Recording) -> None:
    message = message_in(recording.body)
    found = [item for item in end_of(told(recording)).to_dict()["output"] if item["type"] in KINDS.values()]

    expected = [KINDS.get(block["name"], "anthropic_blocks") for block in of_kind(message, *USES)]
    assert [item["type"] for item in found if item["type"] != "anthropic_blocks"] == [
        kind for kind in expected if kind != "anthropic_blocks"
    ]
    assert all(item["status"] == "completed" for item in found)


KINDS = {
    "web_search": "web_search_call",
    "web_fetch": "web_search_call",
    "code_execution": "code_interpreter_call",
    "bash_code_execution": "code_interpreter_call",
}


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    """Text is neither cut nor joined, and comes in its order."""
    events, stream = events_of([recording.body])

    assert stream.is_done
    sent = [event["delta"]["text"] for event in events_in(recording.body) if "text" in event.get("delta", ())]
    assert [event.delta for event in events if isinstance(event, ev.OutputTextDelta)] == [text for text in sent if text]


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
    """Cut before the event that says why it ends, nothing claims that the answer is whole."""
    body = recording.body
    events, stream = events_of([body[: body.find(b"event: message_delta")]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)
