"""Events that are made here keep the grammar of the API."""

from __future__ import annotations

from typing import Any

import pytest
from hand_made import answer

from antiphon.pipeline import events as ev
from antiphon.pipeline.assembler import Assembler, replay
from antiphon.pipeline.grammar import check_grammar
from antiphon.pipeline.response import Response
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

    events = [*assembler.start(), *assembler.end(status=status)]

    assert isinstance(events[-1], kind)
    assert check_grammar(events) == []


def test_a_response_says_when_it_was_made() -> None:
    first = Assembler({"id": "resp_1"}).start()[0]

    assert isinstance(first, ev.ResponseCreated)
    assert first.response.created_at > 1_700_000_000
