"""Recorded answers of Cohere as events of the API: what they say, how it is cut, and how a conversation goes on."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from chat_calls import output
from cohere_calls import Sent
from cohere_recordings import ALL, PLAIN, STREAMS, answer_in, assert_same, events_in, named
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.cohere import CohereStream, sealed
from antiphon.providers.dialects.cohere_answer import CohereAnswer, tell_whole

ANSWERS = [*PLAIN, *STREAMS]
SMALL = 4 * 1024


def fresh() -> CohereAnswer:
    fields = {"model": "m", "created_at": 1}
    return CohereAnswer(fields, "cohere", lambda blocks: sealed("cohere", "m", blocks), token="t")


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], CohereStream]:
    stream = CohereStream(fresh())
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
    assert (len(PLAIN), len(STREAMS)) == (6, 2)


@pytest.mark.parametrize("recording", ANSWERS, ids=named)
def test_an_answer_says_the_same(recording: Recording) -> None:
    events = told(recording)

    assert check_grammar(events) == []
    assert_same(end_of(events), answer_in(recording))
    assert end_of(events).id == answer_in(recording)["id"]


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    """Text, plans and arguments are neither cut nor joined, and come in their order."""
    events, stream = events_of([recording.body])

    assert stream.is_done
    pieces = []
    for event in events_in(recording.body):
        match event.get("delta"):
            case {"message": {"content": {"text": text}}} | {"message": {"tool_plan": str(text)}}:
                pieces.append(text)
            case {"message": {"tool_calls": {"function": {"arguments": text}}}}:
                pieces.append(text)
            case _:
                pass
    deltas = (ev.OutputTextDelta, ev.FunctionCallArgumentsDelta)
    assert [event.delta for event in events if isinstance(event, deltas)] == [piece for piece in pieces if piece]


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
    body = recording.body
    events, stream = events_of([body[: body.find(b"event: message-end")]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)


@pytest.mark.parametrize("recording", ANSWERS, ids=named)
def test_a_recorded_answer_goes_back_as_it_was(recording: Recording) -> None:
    message = answer_in(recording)["message"]
    outputs = [output(call["id"]) for call in message.get("tool_calls") or ()]
    asked = {"role": "user", "content": "a"}

    sent = Sent(input=[asked, *end_of(told(recording)).output, *outputs, asked])

    found = sent.messages[1]
    assert in_list(found) == in_list(message)
    assert not sent.dropped


def in_list(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message with its content as a list: one text is also sent as such."""
    content = message.get("content")
    return {**message, "content": [{"type": "text", "text": content}]} if isinstance(content, str) else message


FOLLOWED = [
    (before, after)
    for before in ANSWERS
    for after in ANSWERS
    if before.group == after.group and before.turn + 1 == after.turn
]


@pytest.mark.parametrize(("before", "after"), FOLLOWED, ids=[after.name for _, after in FOLLOWED])
def test_the_next_call_is_the_one_that_was_recorded(before: Recording, after: Recording) -> None:
    """Another client's call, from the same answer; it forgets the plan, and writes an empty content."""
    recorded = after.request_body["messages"]
    results = [output(each["tool_call_id"], each["content"]) for each in recorded if each["role"] == "tool"]
    tools = [{"type": "function", **tool["function"]} for tool in after.request_body["tools"]]

    asked = {"role": "user", "content": recorded[0]["content"]}
    sent = Sent("command-r", input=[asked, *end_of(told(before)).output, *results], tools=tools)

    assert sent.messages[1].pop("tool_plan") == answer_in(before)["message"]["tool_plan"]
    expected = {**after.request_body, "messages": [without_nothing(message) for message in recorded]}
    assert sent.body == {name: value for name, value in expected.items() if name != "stream"}


def without_nothing(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


def test_there_is_a_conversation_to_go_on_with() -> None:
    if not ALL:
        pytest.skip("no recordings here")
    assert len(FOLLOWED) == 1


@pytest.mark.parametrize("recording", ALL, ids=named)
def test_a_recorded_call_is_what_this_library_sends(recording: Recording) -> None:
    """Where the input says the same; thoughts of another host, which that client sent, are not among it."""
    asked = recording.request_body
    if any(not isinstance(message["content"], str) for message in asked["messages"]):
        return
    given = {name: asked[name] for name in ("temperature",) if name in asked}
    if "tools" in asked:
        given["tools"] = [{"type": "function", **tool["function"]} for tool in asked["tools"]]
    if "tool_choice" in asked:
        given["tool_choice"] = asked["tool_choice"].lower()

    sent = Sent(asked["model"], input=asked["messages"], stream=asked["stream"], **given)

    assert {"stream": False, **sent.body} == asked
    assert not sent.dropped
