"""The events of several responses as those of one."""

from __future__ import annotations

from typing import Any

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.replay import replay
from antiphon.pipeline.streams.splice import Splice
from antiphon.testing import function_call, message


def response(*items: dict[str, Any], **fields: Any) -> Response:
    return Response.new(**{"id": "resp_1", "model": "m", "status": "completed", "output": list(items), **fields})


def inner(*items: dict[str, Any]) -> list[ev.Event]:
    """Return the events of a round between its beginning and its end."""
    return [event for event in replay(response(*items)) if not isinstance(event, ev.LifecycleEvent)]


def follow(splice: Splice, events: list[ev.Event]) -> list[ev.Event]:
    for event in events:
        splice.follow(event)
    return splice.assembler.take()


def test_numbers_and_indexes_go_on_over_all_rounds() -> None:
    splice = Splice()
    first = follow(splice, inner(message("Hi there", "msg_1"), function_call("f", {})))
    splice.next_round()
    second = follow(splice, inner(message("Bye", "msg_2")))

    events: list[Any] = [*first, *second]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert {event.output_index for event in first} == {0, 1}  # type: ignore[attr-defined]
    assert {event.output_index for event in second} == {2}  # type: ignore[attr-defined]
    assert [item["id"] for item in map(_dict, splice.assembler.output)] == ["msg_1", "fc_call_scripted", "msg_2"]


def _dict(raw: Any) -> Any:
    import json

    return json.loads(bytes(raw))


def test_an_event_that_is_in_its_place_is_handed_on_as_it_is() -> None:
    splice = Splice()
    given = inner(message("Hi", "msg_1"))
    given = [event.replace(sequence_number=number) for number, event in enumerate(given)]

    assert all(one is other for one, other in zip(follow(splice, given), given, strict=True))


def test_an_id_that_is_taken_gets_a_suffix_in_all_its_events() -> None:
    splice = Splice()
    follow(splice, inner(message("One", "msg")))
    splice.next_round()
    events: list[Any] = follow(splice, inner(message("Two", "msg")))

    assert {getattr(event, "item_id", None) or event.item.id for event in events} == {"msg_2"}
    assert [item["id"] for item in map(_dict, splice.assembler.output)] == ["msg", "msg_2"]


def test_unknown_events_are_only_numbered() -> None:
    splice = Splice()
    splice.assembler.number = 7
    (event,) = follow(splice, [ev.decode_event("", b'{"type":"response.odd","sequence_number":0,"extra":[1]}')])

    assert event.sequence_number == 7
    assert event.to_dict()["extra"] == [1]


def test_usage_is_added_up_number_by_number() -> None:
    splice = Splice()
    splice.add_usage(response())
    assert splice.usage is None
    splice.add_usage(response(usage={"input_tokens": 1, "cost": 0.5, "note": "a", "details": {"x": 1}}))
    splice.add_usage(response(usage={"input_tokens": 2, "cost": None, "note": "b", "details": {"x": 2, "y": 3}}))

    assert splice.usage == {"input_tokens": 3, "cost": 0.5, "note": "b", "details": {"x": 3, "y": 3}}
