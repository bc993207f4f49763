"""Events that are made here keep the grammar of the API."""

from __future__ import annotations

from typing import Any

import pytest
from hand_made import answer

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.pipeline.streams.replay import replay
from antiphon.providers.scripted import function_call, message

REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
}
REFUSAL = {
    "type": "message",
    "id": "msg_r",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "refusal", "refusal": "I will not."}],
}
CITED = message("As they say.")
CITED["content"][0]["annotations"] = [{"type": "url_citation", "url": "https://example.com", "title": "t"}]
RAW_REASONING = {
    "type": "reasoning",
    "id": "rs_2",
    "summary": [],
    "content": [{"type": "reasoning_text", "text": "Hm, so."}],
    "encrypted_content": "x",
}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "run", "input": "print(1)"}
SPOKEN = message("So.")
SPOKEN["content"].append({"type": "output_audio", "data": "UklGRg==", "transcript": "So."})
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
NEW = {"type": "of_tomorrow", "id": "x_1", "made": {"of": ["light"]}}


def response(*output: dict[str, Any], **fields: Any) -> Response:
    return answer(output=list(output), **fields)


CASES = {
    "nothing": response(),
    "text": response(message("Hello there, you all.")),
    "spaces": response(message("  a \n\n b  ")),
    "empty text": response(message("")),
    "blank text": response(message("   ")),
    "refusal": response(REFUSAL),
    "annotations": response(CITED),
    "two messages": response(message("One.", "msg_1"), message("Two.", "msg_2")),
    "call": response(function_call("f", {"a": [1, 2]})),
    "call without arguments": response({**function_call("f", {}), "arguments": ""}),
    "reasoning": response(REASONING),
    "reasoning without summary": response({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}),
    "raw reasoning": response(RAW_REASONING),
    "custom call": response(CUSTOM),
    "part of another type": response(SPOKEN),
    "other items": response(SEARCH, NEW),
    "all": response(REASONING, SEARCH, message("So."), function_call("f", {}), NEW),
    "incomplete": response(message("Hel"), status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    "unicode": response(message("Grüße 👋🏽 \u2028 und mehr")),
}


@pytest.mark.parametrize("case", CASES)
def test_a_replay_keeps_the_grammar(case: str) -> None:
    assert check_grammar(replay(CASES[case])) == []


@pytest.mark.parametrize("case", CASES)
def test_a_replay_ends_with_the_response_itself(case: str) -> None:
    last = replay(CASES[case])[-1]

    assert isinstance(last, ev.LifecycleEvent)
    assert {name: value for name, value in last.response.to_dict().items() if value is not None} == CASES[
        case
    ].to_dict()


@pytest.mark.parametrize("case", CASES)
def test_a_replay_survives_the_wire(case: str) -> None:
    events = replay(CASES[case])

    assert [ev.decode_event(event.type, event.raw) for event in events] == events


@pytest.mark.parametrize("case", CASES)
def test_deltas_add_up_to_the_text(case: str) -> None:
    deltas = [event.delta for event in replay(CASES[case]) if isinstance(event, ev.OutputTextDelta)]

    assert "".join(deltas) == CASES[case].output_text


def test_text_comes_by_words() -> None:
    deltas = [event.delta for event in replay(CASES["text"]) if isinstance(event, ev.OutputTextDelta)]

    assert deltas == ["Hello", " there,", " you", " all."]


def test_the_head_is_in_progress_and_knows_no_end() -> None:
    first = replay(CASES["incomplete"])[0]

    assert isinstance(first, ev.ResponseCreated)
    assert first.response.status == "in_progress"
    assert first.response.output == ()
    assert first.response.incomplete_details is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [("completed", ev.ResponseCompleted), ("incomplete", ev.ResponseIncomplete), ("failed", ev.ResponseFailed)],
)
def test_the_status_decides_the_terminal_event(status: str, kind: type[ev.Event]) -> None:
    assembler = Assembler({"id": "resp_1", "model": "m"})

    assembler.start()
    assembler.end(status=status)
    events = assembler.take()

    assert isinstance(events[-1], kind)
    assert check_grammar(events) == []


def test_a_response_says_when_it_was_made() -> None:
    assembler = Assembler({"id": "resp_1"})
    assembler.start()
    first = assembler.take()[0]

    assert isinstance(first, ev.ResponseCreated)
    assert first.response.created_at > 1_700_000_000


# --- told piece by piece ----------------------------------------------------------------------------------------------


def assembled() -> Assembler:
    assembler = Assembler({"id": "resp_1", "model": "m"})
    assembler.start()
    return assembler


def ended(assembler: Assembler, **fields: Any) -> tuple[list[ev.Event], Response]:
    assembler.end(**fields)
    events = assembler.take()
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    assert check_grammar(events) == []
    return events, last.response


def test_events_are_handed_out_once() -> None:
    assembler = assembled()

    assert [event.type for event in assembler.take()] == ["response.created", "response.in_progress"]
    assert assembler.take() == []


def test_calls_are_written_side_by_side() -> None:
    assembler = assembled()
    first = assembler.function_call({"id": "fc_1", "call_id": "a", "name": "f"})
    second = assembler.function_call({"id": "fc_2", "call_id": "b", "name": "g"})
    for piece in ("{", "}"):
        first.write(piece)
        second.write(piece)
    second.close(status="completed")
    first.close(status="completed")
    _, response = ended(assembler)

    assert [(call["name"], call["arguments"], call["status"]) for call in response.to_dict()["output"]] == [
        ("f", "{}", "completed"),
        ("g", "{}", "completed"),
    ]


def test_a_refusal_after_text_is_a_part_of_its_own() -> None:
    assembler = assembled()
    writer = assembler.message({"id": "msg_1"})
    writer.text("Well, ")
    writer.text("no.")
    writer.refusal("I will not.")
    writer.close(status="completed")
    _, response = ended(assembler)

    assert response.to_dict()["output"][0]["content"] == [
        {"type": "output_text", "text": "Well, no.", "annotations": [], "logprobs": []},
        {"type": "refusal", "refusal": "I will not."},
    ]


def test_a_summary_has_parts_and_raw_reasoning_stands_beside_it() -> None:
    assembler = assembled()
    writer = assembler.reasoning({"id": "rs_1"})
    writer.summary("One.")
    writer.close_part()
    writer.summary("Two.")
    writer.text("Hm.")
    writer.fields["encrypted_content"] = "sealed"
    writer.close()
    _, response = ended(assembler)

    assert response.to_dict()["output"] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": "sealed",
            "summary": [{"type": "summary_text", "text": "One."}, {"type": "summary_text", "text": "Two."}],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        }
    ]


def test_logprobs_and_annotations_are_in_the_deltas_and_in_the_whole() -> None:
    assembler = assembled()
    writer = assembler.message({"id": "msg_1"})
    writer.text("Hi", [{"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}])
    writer.annotation({"type": "url_citation", "url": "https://example.com", "title": "t"})
    writer.close(status="completed")
    events, response = ended(assembler)

    (delta,) = [event for event in events if isinstance(event, ev.OutputTextDelta)]
    (part,) = response.to_dict()["output"][0]["content"]
    assert delta.logprobs[0].logprob == -0.5
    assert part["logprobs"] == [{"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}]
    assert part["annotations"][0]["url"] == "https://example.com"


def test_a_call_may_be_said_at_once() -> None:
    assembler = assembled()
    call = assembler.custom_tool_call({"id": "ctc_1", "call_id": "a", "name": "run"})
    call.close(said="", status="completed")
    events, response = ended(assembler)

    assert [event.type for event in events if "input" in event.type] == ["response.custom_tool_call_input.done"]
    assert response.to_dict()["output"][0]["input"] == ""
