"""Outputs that are JSON, and not what the API promises, as small gateways make them: what can be read is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Mode

from antiphon.testing import scripted

TEXT = {"type": "output_text", "text": "Kept.", "annotations": []}


def message(content: Any) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


OUTPUTS: dict[str, tuple[Any, str]] = {
    "no object among the items": ([None, [], 1.5, message([TEXT]), "x"], "Kept."),
    "no object among the parts": ([message([None, TEXT, 5])], "Kept."),
    "content that is a text": ([message("Kept.")], "Kept."),
    "content that is a number": ([message(5)], ""),
    "a text that is a number": ([message([{**TEXT, "text": 5}, TEXT])], "Kept."),
    "annotations that are a number": ([message([{**TEXT, "annotations": 5}])], "Kept."),
    "a refusal that is a number": ([message([{"type": "refusal", "refusal": 5}, TEXT])], "Kept."),
    "a summary that is a number": ([{"type": "reasoning", "id": "rs_1", "summary": 4}, message([TEXT])], "Kept."),
    "an object": ({"a": 1}, ""),
    "a text": ("Lost.", ""),
    "nothing": (None, ""),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_what_can_be_read_is_read_and_gone_on_from(mode: Mode, streamed: bool, case: str) -> None:
    output, text = OUTPUTS[case]

    async def body() -> None:
        client = scripted({"status": "completed", "output": output}, "Next.")
        # A host without state of its own: the conversation is kept here, and sent again.
        call: dict[str, Any] = {"custom_llm_provider": "groq", "api_key": "k", "model": "m", "streamed": streamed}
        response = await mode.response(client.chain, "First?", **call)
        following = await mode.response(client.chain, "And?", previous_response_id=response.id, **call)

        assert (response.output_text, following.output_text) == (text, "Next.")
        if not streamed:
            assert response.to_dict()["output"] == output  # as it came
        sent = [item for item in client.requests[-1]["input"] if isinstance(item, dict)]
        assert len(sent) == len(client.requests[-1]["input"])
        assert [item["role"] for item in (sent[0], sent[-1])] == ["user", "user"]
        assert ("Kept." in json.dumps(sent)) == bool(text)

    mode.run(body)


def test_arguments_that_are_an_object_are_those_of_the_call(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": "add",
            "arguments": {"a": 1, "b": 2},
        }
        client = scripted({"status": "completed", "output": [call]}, "Three.")

        def add(a: int, b: int = 0) -> int:
            """Add."""
            return a + b

        response = await mode.response(client.chain, model="openai/m", tools=[add], streamed=streamed)

        assert [getattr(item, "output", None) for item in response.output] == [None, "3", None]
        assert response.output_text == "Three."

    mode.run(body)


def test_arguments_that_are_an_object_in_a_stream_are_those_of_the_call(mode: Mode) -> None:
    call: dict[str, Any] = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "add",
        "status": "completed",
    }
    done = {**call, "arguments": {"a": 1}}
    place: dict[str, Any] = {"item_id": "fc_1", "output_index": 0}
    stream: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**call, "arguments": ""}},
        {"type": "response.function_call_arguments.done", "arguments": {"a": 1}, **place},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": [done]}},
    ]
    said = "".join(f"data: {json.dumps({**event, 'sequence_number': at})}\n\n" for at, event in enumerate(stream))

    async def body() -> None:
        seen: list[int] = []

        def add(a: int) -> int:
            """Add."""
            seen.append(a)
            return a

        client = scripted({"headers": {"content-type": "text/event-stream"}, "body": said}, "One.")
        response = await mode.response(client.chain, model="openai/m", tools=[add], streamed=True)

        assert (seen, response.output_text) == ([1], "One.")

    mode.run(body)
