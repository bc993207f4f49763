"""Ids of tool calls that begin anew with every response: unique outside, the host's own where it keeps the call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Mode
from replay_server import Answer, replaying

from antiphon.pipeline.api.items import FunctionCallOutput
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.scoped_calls import own_names, scoped

CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_0", "name": "f", "arguments": "{}"}
CUSTOM = {"type": "custom_tool_call", "id": "ct_1", "call_id": "call_1", "name": "g", "input": "x"}
TEXT = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": "Hi."}]}
WHERE: dict[str, Any] = {"aws_region_name": "us-east-1", "api_key": "canary-key-012345", "num_retries": 0}


def response(*output: Any, id: str = "resp_1") -> dict[str, Any]:
    return {"id": id, "object": "response", "status": "completed", "output": list(output)}


def test_every_kind_of_call_gets_the_name_of_its_response() -> None:
    found = scoped(Response.new(**response(CALL, TEXT, CUSTOM)))

    assert [item.to_dict() for item in found.output] == [
        {**CALL, "call_id": "resp_1:call_0"},
        TEXT,
        {**CUSTOM, "call_id": "resp_1:call_1"},
    ]


def test_what_needs_no_other_name_stays_the_same_object() -> None:
    plain, named = Response.new(**response(TEXT)), scoped(Response.new(**response(CALL)))

    assert scoped(plain) is plain
    assert scoped(named).to_dict() == named.to_dict()
    assert scoped(Response.new(**response(CALL, id=""))).function_calls[0].call_id == "call_0"


@pytest.mark.parametrize("given", ["Hi", None, [], [TEXT], ["text"]])
def test_input_without_results_stays(given: Any) -> None:
    assert own_names(given, "resp_1") == given


def test_results_for_a_kept_response_have_the_hosts_names() -> None:
    mine = {"type": "function_call_output", "call_id": "resp_1:call_0", "output": "1"}
    other = {**mine, "call_id": "resp_2:call_0"}

    assert own_names([mine, other], "resp_1") == [{**mine, "call_id": "call_0"}, other]
    (typed,) = own_names([FunctionCallOutput.new(**mine)], "resp_1")
    assert typed.call_id == "call_0"


def test_a_conversation_goes_on_at_the_host_by_its_own_names(mode: Mode, streamed: bool) -> None:
    first = Answer.json(json.dumps(response(CALL)).encode())
    second = Answer.json(json.dumps(response(TEXT, id="resp_2")).encode())
    if streamed:
        created = {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**response(), "status": "in_progress"},
        }
        added = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": CALL}
        done = {"type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": CALL}
        end = {"type": "response.completed", "sequence_number": 3, "response": response(CALL)}
        first = Answer.stream(
            b"".join(b"data: %s\n\n" % json.dumps(each).encode() for each in (created, added, done, end))
        )

    async def body() -> None:
        call = {"model": "bedrock_mantle/openai.gpt-5.5", "api_base": server.url, **WHERE}
        reply = await mode.responses(input="Hi", stream=streamed, **call)
        if streamed:
            events = await mode.events(reply)
            assert check_grammar(events) == []
            named = [each.item.call_id for each in events if each.type.startswith("response.output_item")]  # type: ignore[attr-defined]
            assert named == ["resp_1:call_0"] * 2
            reply = reply.response
        (made,) = reply.function_calls
        assert made.call_id == "resp_1:call_0"
        result = {"type": "function_call_output", "call_id": made.call_id, "output": "1"}
        await mode.responses(input=[result], previous_response_id=reply.id, **call)
        await mode.responses(input=[made, result], **call)

    with replaying(first, second) as server:
        mode.run_calls(body)

    kept, sent = (json.loads(each.body) for each in server.requests[1:])
    assert kept["previous_response_id"] == "resp_1"
    assert [item["call_id"] for item in kept["input"]] == ["call_0"]
    assert [item["call_id"] for item in sent["input"]] == ["resp_1:call_0"] * 2
