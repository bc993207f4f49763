"""The partial response of a stream."""

from __future__ import annotations

from typing import Any

import pytest
from hand_made import text_events

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.snapshot import Snapshot


def snapshot_of(events: list[ev.Event]) -> Snapshot:
    snapshot = Snapshot()
    snapshot.follow(events)
    return snapshot


def output_of(events: list[ev.Event]) -> list[dict[str, Any]]:
    response = snapshot_of(events).response()
    assert response is not None
    return [item.to_dict() for item in response.output]


def opened() -> tuple[Assembler, list[ev.Event]]:
    assembler = Assembler({"id": "resp_1", "model": "m", "temperature": 0.5})
    assembler.start()
    return assembler, assembler.take()


def test_nothing_gives_nothing() -> None:
    assert Snapshot().response() is None


def test_the_head_gives_the_response_without_output() -> None:
    _, events = opened()
    response = snapshot_of(events).response()

    assert response is not None
    assert (response.id, response.status, response.temperature, response.output) == ("resp_1", "in_progress", 0.5, ())


def test_text_of_an_open_message_is_there() -> None:
    (message,) = output_of(text_events("Hel", "lo", end=False))

    assert message["content"] == [{"type": "output_text", "text": "Hello", "annotations": []}]
    assert message["status"] == "in_progress"


def test_following_in_pieces_is_following_at_once() -> None:
    events = text_events("a", "b", "c", end=False)
    snapshot = Snapshot()
    for event in events:
        snapshot.follow([event])

    assert snapshot.response() == snapshot_of(events).response()


def test_interleaved_parts_are_kept_apart() -> None:
    _, events = opened()
    added = ev.OutputItemAdded.new(output_index=0, item={"type": "message", "id": "msg_1", "content": []})
    where = {"item_id": "msg_1", "output_index": 0}
    deltas = [
        ev.OutputTextDelta.new(**where, content_index=part, delta=text)
        for part, text in [(0, "a"), (1, "x"), (0, "b"), (1, "y")]
    ]
    refusal = ev.RefusalDelta.new(**where, content_index=2, delta="no")

    (message,) = output_of([*events, added, *deltas, refusal])

    assert [part.get("text", part.get("refusal")) for part in message["content"]] == ["ab", "xy", "no"]


@pytest.mark.parametrize(
    ("kind", "item", "event", "field"),
    [
        ("function_call", {"arguments": ""}, ev.FunctionCallArgumentsDelta, "arguments"),
        ("custom_tool_call", {"input": ""}, ev.CustomToolCallInputDelta, "input"),
    ],
)
def test_arguments_of_an_open_call_are_there(kind: str, item: dict[str, Any], event: Any, field: str) -> None:
    _, events = opened()
    added = ev.OutputItemAdded.new(output_index=0, item={"type": kind, "id": "x", "call_id": "c", "name": "f", **item})
    deltas = [event.new(item_id="x", output_index=0, delta=delta) for delta in ("ab", "cd")]

    (call,) = output_of([*events, added, *deltas])

    assert call[field] == "abcd"
    assert call["name"] == "f"


def test_reasoning_of_an_open_item_is_there() -> None:
    _, events = opened()
    added = ev.OutputItemAdded.new(output_index=0, item={"type": "reasoning", "id": "rs_1", "summary": []})
    where = {"item_id": "rs_1", "output_index": 0}
    summary = ev.ReasoningSummaryTextDelta.new(**where, summary_index=0, delta="short")
    thought = ev.ReasoningTextDelta.new(**where, content_index=0, delta="long")

    (item,) = output_of([*events, added, summary, thought])

    assert item["summary"] == [{"type": "summary_text", "text": "short"}]
    assert item["content"] == [{"type": "reasoning_text", "text": "long"}]


def test_finished_items_are_kept_as_the_host_closed_them() -> None:
    assembler, events = opened()
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "extra": 1.50}
    writer = assembler.function_call({name: value for name, value in call.items() if name != "arguments"})
    writer.write("{}")
    writer.close()
    events += assembler.take()

    assert output_of(events) == [call]


def test_items_are_ordered_by_their_index() -> None:
    _, events = opened()
    for index in (2, 0):
        item = {"type": "message", "id": f"msg_{index}", "content": []}
        events.append(ev.OutputItemDone.new(output_index=index, item=item))
    events.append(ev.OutputItemAdded.new(output_index=1, item={"type": "message", "id": "msg_1", "content": []}))

    assert [item["id"] for item in output_of(events)] == ["msg_0", "msg_1", "msg_2"]


def test_deltas_without_an_open_item_do_no_harm() -> None:
    """Some hosts skip `output_item.added`."""
    _, events = opened()
    stray = ev.OutputTextDelta.new(item_id="?", output_index=0, content_index=0, delta="stray")

    assert output_of([*events, stray]) == []


def test_items_without_head_make_a_response_of_their_own() -> None:
    response = snapshot_of(text_events("a", end=False)[2:]).response()

    assert response is not None
    assert response.status == "in_progress"
    assert response.output_text == "a"


def test_the_terminal_event_is_the_last_word() -> None:
    events = text_events("a")
    snapshot = Snapshot()

    ended_at = snapshot.follow([*events, *text_events("more")])

    assert ended_at == len(events) - 1
    assert snapshot.response() is snapshot.final
    assert snapshot.final is not None
    assert snapshot.final.output_text == "a"


def test_an_error_event_ends_and_keeps_what_has_come() -> None:
    events = text_events("a", end=False)
    snapshot = Snapshot()

    ended_at = snapshot.follow([*events, ev.ErrorEvent.new(message="no")])

    response = snapshot.response()
    assert ended_at == len(events)
    assert snapshot.final is None
    assert response is not None
    assert response.output_text == "a"


def test_unknown_events_are_passed_over() -> None:
    unknown = ev.decode_event("response.new_thing", b'{"type":"response.new_thing","output_index":0}')

    (message,) = output_of([*text_events("a", end=False), unknown])

    assert message["content"][0]["text"] == "a"
