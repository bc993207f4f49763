"""Recorded conversations with tools, held again by the Tools stage: real answers of real hosts, round by round."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Mode
from recordings import Recording, load
from tool_calls import Shelf, close_all, mcp, talk

from antiphon.pipeline.api.items import McpCall

# Group → the model that is asked, and how.
GROUPS: dict[str, dict[str, Any]] = {
    "json-openai-responses-phase-live": {"model": "openai/m"},
    "json-openai-responses-thinking-with-tool-calls": {"model": "openai/m"},
    "stream-responses-tool-use-streaming": {"model": "openai/m"},
    "json-deepseek-responses-function-tool": {"model": "deepseek/m", "dialect": "responses"},
    "stream-deepseek-responses-function-tool-stream": {"model": "deepseek/m", "dialect": "responses"},
    "json-reused-tool-call-ids-gpt-5-5": {"model": "openai/m"},
    "stream-reused-tool-call-ids-stream": {"model": "openai/m"},
    "stream-tools-streaming-variant-d": {"model": "openai/m", "dialect": "chat"},
    "json-crusoe-tool-calling": {"model": "crusoe/m", "dialect": "chat"},
    "json-compatible-api-with-tool-calls-without-id": {"model": "gemini/m", "dialect": "chat"},
    "json-snowflake-thinking": {"model": "snowflake/m", "dialect": "chat", "api_base": "https://snowflake.example/v1"},
    "json-strict-true-tool-native-output": {"model": "anthropic/m", "dialect": "anthropic"},
}
# After which the user says something.
MOST = {"json-reused-tool-call-ids-gpt-5-5": 3}
FOLDERS = ("openai-responses", "responses-*", "openai-chat", "chat-*", "anthropic-messages")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def conversation(group: str) -> list[Recording]:
    turns = [each for folder in FOLDERS for each in load(folder) if each.group == group]
    assert turns, group
    return sorted(turns, key=lambda each: each.turn)


def offered(recording: Recording) -> list[dict[str, Any]]:
    """Return the functions of a recorded request, in the terms of the Responses API or of chat completions."""
    tools = recording.request_body["tools"]
    return [tool.get("function", tool) for tool in tools if tool.get("function", tool).get("name")]


@pytest.mark.parametrize("group", GROUPS)
def test_a_recorded_conversation_is_held_again(mode: Mode, group: str) -> None:
    turns = [turn for turn in conversation(group) if turn.turn <= MOST.get(group, turn.turns)]
    asked = GROUPS[group]

    def run(**arguments: Any) -> str:
        return "the result"

    async def body() -> None:
        shelf = Shelf()
        for tool in offered(turns[0]):
            shelf._tools[tool["name"]] = run
            schema = tool.get("parameters") or tool.get("input_schema") or {"type": "object"}
            shelf._definitions[tool["name"]] = {"inputSchema": schema}
        answers = [{"status": turn.status, "headers": turn.headers, "body": turn.body} for turn in turns]
        call = talk(*answers, mcp_servers={"rec": shelf})
        streamed = turns[0].kind == "stream"
        response = await call(mode, "Hi", streamed=streamed, tools=[mcp("rec")], num_retries=0, **asked)

        calls = [item for item in response.output if isinstance(item, McpCall)]
        assert len(call.requests) == len(turns)
        assert len(calls) == len(shelf.called) >= len(turns) - 1
        assert all(
            (item.server_label, item.output, item.status) == ("rec", "the result", "completed") for item in calls
        )
        assert [json.loads(item.arguments or "{}") for item in calls] == [given for _, given in shelf.called]
        assert json.dumps(call.requests[-1]).count("the result") == len(calls)
        assert response.status == "completed"
        assert response.output_text
        ids = [item.to_dict().get("id") for item in response.output]
        assert len(set(ids)) == len(ids)

    mode.run(body)
