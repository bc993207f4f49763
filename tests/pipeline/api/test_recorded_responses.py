"""Everything in the recorded exchanges of the Responses API decodes to typed objects, and encodes to what came."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from recordings import Recording, load
from wire_walk import walk

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.events import decode_event
from antiphon.pipeline.api.items import read_item
from antiphon.pipeline.api.response import CompactedResponse, InputTokens, Response
from antiphon.pipeline.api.returned import Returned
from antiphon.pipeline.api.tools import read_tool
from antiphon.pipeline.api.wire import Wire, encode

RECORDINGS = [*load("openai-responses"), *load("responses-*")]
CLASSES: dict[str, type[Returned]] = {
    "response": Response,
    "response.compaction": CompactedResponse,
    "response.input_tokens": InputTokens,
}
UNKNOWN: set[str] = set()
"""Types that the recordings may hold and this library leaves untyped, each with its reason. None so far."""

REQUESTS = [each for each in RECORDINGS if each.method == "POST" and each.url.endswith(("/responses", "/compact"))]
STREAMS = [each for each in RECORDINGS if b"event-stream" in each.headers.get("content-type", "").encode()]
PLAIN = [  # but conversations, which are not part of the library
    each
    for each in RECORDINGS
    if each not in STREAMS and each.status == 200 and json.loads(each.body)["object"] != "conversation"
]


def name_of(recording: Recording) -> str:
    return recording.name


def check(found: Wire, wire: object) -> None:
    """Read everything in the object, and compare its encoding with the JSON that it came from."""
    unknown = {each.to_dict().get("type") for each in walk(found) if type(each).__name__.startswith("Unknown")}

    assert unknown <= UNKNOWN
    assert json.loads(found.raw) == wire
    assert json.loads(encode([found])) == [wire]


def stream(recording: Recording) -> list[tuple[str, bytes]]:
    """Split the server-sent events into name and data; the recorded hosts send one data line each."""
    found: list[tuple[str, bytes]] = []
    for block in re.split(rb"\r?\n\r?\n", recording.body):
        fields = dict(re.findall(rb"^(event|data): ?([^\r\n]*)", block, re.MULTILINE))
        if fields.get(b"data", b"[DONE]") != b"[DONE]":
            found.append((fields.get(b"event", b"").decode(), fields[b"data"]))
    return found


def test_the_recordings_are_there() -> None:
    assert len(REQUESTS) >= 60
    assert len(STREAMS) >= 15
    assert len(PLAIN) >= 50


@pytest.mark.parametrize("recording", REQUESTS, ids=name_of)
def test_input_items_and_tools_of_requests_are_typed(recording: Recording) -> None:
    body: dict[str, Any] = recording.request_body
    given = body.get("input", [])

    for item in given if isinstance(given, list) else []:
        check(read_item(json.dumps(item).encode()), item)
    for tool in body.get("tools", []):
        check(read_tool(json.dumps(tool).encode()), tool)


@pytest.mark.parametrize("recording", PLAIN, ids=name_of)
def test_whole_answers_are_typed(recording: Recording) -> None:
    wire = json.loads(recording.body)
    found = CLASSES[wire["object"]].from_json(recording.body)

    check(found, wire)
    assert found.raw == recording.body
    if isinstance(found, Response):
        check_response(found, wire)


def check_response(found: Response, wire: dict[str, Any]) -> None:
    parts = [part for item in wire["output"] if item["type"] == "message" for part in item["content"]]

    assert found.id == wire["id"]
    assert found.status == wire["status"]
    assert found.created_at == wire["created_at"]
    assert found.output_text == "".join(part["text"] for part in parts if part["type"] == "output_text")
    assert [call.call_id for call in found.function_calls] == [
        item["call_id"] for item in wire["output"] if item["type"] == "function_call"
    ]
    assert [json.loads(item.raw) for item in found.output] == wire["output"]
    if wire.get("usage"):
        assert found.usage is not None
        assert found.usage.total_tokens == wire["usage"]["total_tokens"]


@pytest.mark.parametrize("recording", STREAMS, ids=name_of)
def test_streamed_events_are_typed(recording: Recording) -> None:
    sent = stream(recording)
    events = [decode_event(name, data) for name, data in sent]

    for event, (name, data) in zip(events, sent, strict=True):
        wire = json.loads(data)
        check(event, wire)
        assert event.type == wire["type"]
        assert name in ("", event.type)
        assert event.raw == data
        assert event.sequence_number == wire["sequence_number"]
        assert type(decode_event("", data)) is type(event)
    assert [type(event) in ev.TERMINAL for event in events] == [False] * (len(events) - 1) + [True]


@pytest.mark.parametrize("recording", STREAMS, ids=name_of)
def test_streamed_text_adds_up_to_the_final_response(recording: Recording) -> None:
    events = [decode_event(name, data) for name, data in stream(recording)]
    last = events[-1]

    assert isinstance(last, ev.ResponseCompleted)
    assert (
        "".join(each.delta for each in events if each.type == "response.output_text.delta") == last.response.output_text
    )
