"""The answer as a tool call: what becomes of the events of hosts that tell a call in their own way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon.pipeline.answer_tool import AnswerEvents, AnswerTool
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.items import Message
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.json_schema import output_type
from antiphon.pipeline.streams.grammar import check_grammar


class City(msgspec.Struct):
    name: str


TOOL = AnswerTool.beside(None, output_type(City))
ARGUMENTS = '{"name":"Rome"}'
WHERE: dict[str, Any] = {"item_id": "fc", "output_index": 0}


def call(arguments: str = ARGUMENTS, **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc", "call_id": "c", "name": "City", "arguments": arguments, **fields}


def translated(*middle: ev.Event, output: dict[str, Any] | None = None) -> list[ev.Event]:
    base: dict[str, Any] = {"id": "r", "status": "in_progress", "output": []}
    done = {"id": "r", "status": "completed", "output": [output or call(status="completed")]}
    told = [ev.ResponseCreated.new(response=base), *middle, ev.ResponseCompleted.new(response=done)]
    sent = [type(event).from_json(event.replace(sequence_number=at * 10).raw) for at, event in enumerate(told)]
    events = AnswerEvents(TOOL)
    return [made for event in sent for made in events.translate(event)]


ADDED = ev.OutputItemAdded.new(item=call("", status="in_progress"), output_index=0)
DELTAS = [ev.FunctionCallArgumentsDelta.new(delta=piece, **WHERE) for piece in ('{"name":', '"Rome"}')]
DONE = ev.FunctionCallArgumentsDone.new(arguments=ARGUMENTS, **WHERE)
ITEM_DONE = ev.OutputItemDone.new(item=call(status="completed"), output_index=0)


@pytest.mark.parametrize(
    "middle",
    [
        [ADDED, *DELTAS, DONE, ITEM_DONE],
        [ADDED, *DELTAS, ITEM_DONE],
        [ADDED, DONE, ITEM_DONE],
        [ADDED, ITEM_DONE],
        [ev.OutputItemAdded.new(item=call(), output_index=0), DONE, ITEM_DONE],
        [ADDED, *DELTAS, ev.FunctionCallArgumentsDone.new(arguments="", **WHERE), ITEM_DONE],
    ],
    ids=["in pieces", "without done", "without deltas", "items only", "whole at once", "empty done"],
)
def test_a_call_told_in_any_way_becomes_one_message(middle: list[ev.Event]) -> None:
    events = translated(*middle)

    assert check_grammar(events) == []
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "".join(event.delta for event in events if isinstance(event, ev.OutputTextDelta)) == ARGUMENTS
    assert [event.text for event in events if isinstance(event, ev.OutputTextDone)] == [ARGUMENTS]
    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    (item,) = last.response.output
    assert isinstance(item, Message)
    assert (item.id, item.text, item.status) == ("fc", ARGUMENTS, "completed")


def test_calls_of_other_functions_are_left_alone() -> None:
    other = call(name="other")
    middle = [
        ev.OutputItemAdded.new(item={**other, "arguments": ""}, output_index=0),
        *DELTAS,
        DONE,
        ev.OutputItemDone.new(item=other, output_index=0),
    ]

    events = translated(*middle, output=other)

    assert [event.type for event in events[1:-1]] == [event.type for event in middle]
    assert isinstance(last := events[-1], ev.ResponseCompleted)
    assert [made.name for made in last.response.function_calls] == ["other"]


def test_a_response_without_the_call_is_the_same_object() -> None:
    response = Response.new(output=[call(name="other")])

    assert TOOL.read(response) is response


def test_its_name_is_unlike_every_tools() -> None:
    tools: list[Any] = [{"name": "City"}, {"type": "web_search"}, {"name": "City_2"}]

    assert AnswerTool.beside(tools, output_type(City)).name == "City_3"


def test_a_translated_event_knows_the_number_that_the_host_gave_it() -> None:
    events = translated(ADDED, *DELTAS, DONE, ITEM_DONE)  # numbered 0, 10, 20, …

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.resume_after for event in events] == [0, 10, 10, 20, 30, 40, 40, 50, 60]
    assert [event.original.sequence_number for event in events if event.original] == [0, 10, 10, 20, 30, 40, 40, 50, 60]
