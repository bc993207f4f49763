"""Stream events: choice of the class, sparse and odd events, errors in their several forms."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from wire_walk import attributes, walk

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.events import decode_event
from antiphon.pipeline.api.response import Response

FIXTURES = Path(__file__).parents[2] / "fixtures" / "responses"
FIELDS: dict[str, list[str]] = json.loads((FIXTURES / "api_names.json").read_bytes())["events"]

ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
VALUES: dict[str, Any] = {
    "annotation": {"type": "file_path", "file_id": "file_1", "index": 0},
    "item": ITEM,
    "logprobs": [{"token": "a", "logprob": -1.5}],
    "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "timeout"}}],
    "part": {"type": "summary_text", "text": "a"},
    "response": {"id": "resp_1", "output": [ITEM]},
}
NESTED = {*VALUES, "error"}


def sample(kind: str) -> dict[str, Any]:
    """Return an event of the type with all its documented fields."""
    found: dict[str, Any] = {"type": kind}
    for field in FIELDS[kind]:
        number = field.endswith("index") or field == "sequence_number"
        found.setdefault(field, VALUES.get(field, 5 if number else f"the {field}"))
    if kind == "response.shell_call_output_content.delta":
        found["delta"] = {"stdout": "a"}
    return found


def decode(found: object, name: str = "") -> Any:
    return decode_event(name, json.dumps(found).encode())


@pytest.mark.parametrize("kind", ev.EVENTS)
def test_every_event_is_read_by_name_and_without(kind: str) -> None:
    found = sample(kind)
    for name in (kind, kind, ""):  # the first decode of a name makes the decoder
        event = decode(found, name)

        assert type(event) is ev.EVENTS[kind]
        assert event in list(walk(event))
        assert json.loads(event.raw) == found
        for field, value in found.items():
            if field not in NESTED and isinstance(value, str | int):
                assert getattr(event, field) == value


@pytest.mark.parametrize("kind", ev.EVENTS)
def test_every_field_of_a_sparse_event_has_a_default(kind: str) -> None:
    event = decode({"type": kind}, kind)

    assert {getattr(event, name) for name in attributes(type(event)) if name.endswith("index")} <= {-1}
    assert event.sequence_number == -1
    assert getattr(event, "item_id", "") == ""
    assert list(walk(event))


def test_nested_objects_of_events_are_typed() -> None:
    added = decode(sample("response.output_item.added"))
    part = decode(sample("response.reasoning_summary_part.added"))
    delta = decode(sample("response.output_text.delta"))
    shell = decode(sample("response.shell_call_output_content.delta"))

    assert added.item.id == "msg_1"
    assert part.part.text == "a"
    assert delta.logprobs[0].logprob == -1.5
    assert (shell.delta.stdout, shell.delta.stderr) == ("a", None)


def test_type_narrows_an_event() -> None:
    event = decode_event("", b'{"type":"response.output_text.delta","delta":"a"}')

    if event.type == "response.output_text.delta":
        assert event.delta == "a"
    else:
        pytest.fail("another type")


def test_a_lifecycle_event_always_has_a_response() -> None:
    assert decode({"type": "response.created"}).response == Response()
    assert decode({"type": "response.created", "response": None}).response == Response()
    assert decode({"type": "response.completed", "response": "?"}).response.output == ()


def test_an_absent_or_null_item_reads_as_none() -> None:
    assert decode({"type": "response.output_item.added", "item": None}).item is None
    assert decode({"type": "response.output_item.added"}).item is None


@pytest.mark.parametrize(
    ("name", "kind", "cls"),
    [
        ("response.output_text.delta", "response.refusal.delta", ev.RefusalDelta),
        ("message", "response.refusal.delta", ev.RefusalDelta),
        ("response.output_text.delta", "acme.delta", ev.UnknownEvent),
        ("acme.delta", "acme.delta", ev.UnknownEvent),
    ],
)
def test_the_type_in_the_json_has_the_last_word(name: str, kind: str, cls: type[ev.Event]) -> None:
    event = decode({"type": kind, "delta": "a", "sequence_number": 3}, name)

    assert type(event) is cls
    assert event.type == kind
    assert event.sequence_number == 3


@pytest.mark.parametrize("odd", [{}, {"type": None}, {"type": 7}])
def test_the_name_stands_in_for_a_missing_type(odd: dict[str, Any]) -> None:
    event = decode({**odd, "delta": "a"}, "response.output_text.delta")
    unknown = decode({**odd, "delta": "a"}, "acme.delta")

    assert type(event) is ev.OutputTextDelta
    assert event.delta == "a"
    assert type(unknown) is ev.UnknownEvent
    assert str(unknown.type) == "acme.delta"


def test_fields_of_another_type_read_as_their_default() -> None:
    found = {"type": "response.output_text.delta", "delta": None, "output_index": "0", "sequence_number": 2.5}

    event = decode(found, "response.output_text.delta")

    assert type(event) is ev.OutputTextDelta
    assert (event.delta, event.output_index, event.sequence_number) == ("", -1, -1)
    assert json.loads(event.raw) == found


@pytest.mark.parametrize(
    ("data", "delta"),
    [
        (b'{"type":"response.output_text.delta","delta":"\\ud83d"}', "\ud83d"),
        ('{"type":"response.output_text.delta","delta":"a\u2028b\u0085"}'.encode(), "a\u2028b\u0085"),
        (b'{"type":"response.output_text.delta","delta":"a","odd":NaN}', "a"),
        (b'{"type":"response.output_text.delta","delta":"a\xff"}', "a\ufffd"),
        (b'{"delta":"a","delta":"b","type":"response.output_text.delta"}', "b"),
    ],
    ids=["lone surrogate", "line separators", "NaN", "bad UTF-8", "double key"],
)
def test_odd_but_legal_json_is_read(data: bytes, delta: str) -> None:
    event = decode_event("response.output_text.delta", data)

    assert type(event) is ev.OutputTextDelta
    assert event.delta == delta
    assert event.raw == data


@pytest.mark.parametrize("data", [b"[DONE]", b"null", b"[1]", b'"x"', b"", b'{"type":', b'{"a":' * 100_000])
@pytest.mark.parametrize("name", ["", "response.output_text.delta", "error"])
def test_what_is_no_object_is_an_error(name: str, data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_event(name, data)


@pytest.mark.parametrize(
    ("name", "found", "facts"),
    [
        ("error", {"type": "error", "code": "c", "message": "m", "param": "p", "sequence_number": 4}, ("m", "c", "p")),
        (
            "error",
            {"type": "error", "error": {"type": "t", "code": "c", "message": "m", "param": "p"}},
            ("m", "c", "p"),
        ),
        ("", {"error": {"message": "m", "code": 429}}, ("m", "429", None)),
        ("", {"error": "m"}, ("m", None, None)),
        ("error", {"error": {"message": "m"}}, ("m", None, None)),
        ("error", {"type": "server_error", "code": 500, "message": "m"}, ("m", "500", None)),
        ("error", {"type": "error"}, ("", None, None)),
        ("error", {"type": "error", "message": None, "code": ["?"], "param": 3}, ("", None, None)),
    ],
)
def test_all_forms_of_an_error_read_alike(name: str, found: dict[str, Any], facts: tuple[Any, ...]) -> None:
    event = decode(found, name)

    assert type(event) is ev.ErrorEvent
    assert (event.message, event.code, event.param) == facts
    assert json.loads(event.raw) == found


def test_the_other_names_of_raw_reasoning_are_read_and_kept() -> None:
    found = {"type": "response.reasoning.delta", "item_id": "rs_1", "content_index": 0, "delta": "Hm", "extra": 1}

    event = decode(found, "response.reasoning.delta")
    done = decode({"type": "response.reasoning.done", "text": "Hm."})

    assert type(event) is ev.ReasoningTextDelta
    assert (event.delta, event.item_id) == ("Hm", "rs_1")
    assert json.loads(event.raw) == found
    assert type(done) is ev.ReasoningTextDone
    assert done.text == "Hm."


def test_replace_changes_one_field_and_keeps_the_unknown_ones() -> None:
    event = decode(sample("response.output_text.delta") | {"obfuscation": "x"})

    changed = event.replace(sequence_number=9, item_id="msg_9")

    assert type(changed) is ev.OutputTextDelta
    assert changed.to_dict() == event.to_dict() | {"sequence_number": 9, "item_id": "msg_9"}


def test_events_survive_pickling() -> None:
    event = decode(sample("response.completed"))

    copy = pickle.loads(pickle.dumps(event))

    assert copy == event
    assert copy.raw == event.raw


def test_the_fixture_stream_decodes() -> None:
    text = (FIXTURES / "stream.sse").read_bytes()
    events = [decode_event(name.decode(), data) for name, data in re.findall(rb"event: (.*)\ndata: (.*)\n", text)]

    assert [type(event).__name__ for event in events] == [
        "ResponseCreated",
        "OutputItemAdded",
        "ContentPartAdded",
        "OutputTextDelta",
        "UnknownEvent",
        "OutputTextDone",
        "ContentPartDone",
        "OutputItemDone",
        "ResponseCompleted",
    ]
    assert {type(event) for event in events} & ev.TERMINAL == {ev.ResponseCompleted}
    assert [event.sequence_number for event in events] == list(range(9))
    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    assert last.response.output_text == "Sun\u2028"
