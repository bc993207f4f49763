"""A mock server of others, which speaks all the formats on one port, answers through every dialect.

The server is `@copilotkit/aimock` of npm: scripted by what the user says, faithful in what it frames, and written by
nobody who wrote the codecs here.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode
from node_tools import MISSING, install, node_path

import antiphon
from antiphon import check_grammar

PACKAGE = "@copilotkit/aimock@1.43.0"
TEXT = "Hello there, you all. ä\U0001f600"
SAID = "It is sunny in Paris."
FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "weather", "hasToolResult": True}, "response": {"content": SAID}},
        {
            "match": {"userMessage": "weather"},
            "response": {"toolCalls": [{"name": "get_weather", "arguments": '{"city": "Paris"}'}]},
        },
        {"match": {"userMessage": "hello"}, "response": {"content": TEXT}},
    ]
}
TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Tell the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]

# Where each format lives on the server.
CALLS = {
    "responses": {"model": "openai/gpt-5", "dialect": "responses", "path": "/v1"},
    "chat": {"model": "openai/gpt-5", "dialect": "chat", "path": "/v1"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-5", "path": ""},
    "gemini": {"model": "gemini/gemini-2.5-flash", "path": "/v1beta"},
    "converse": {"model": "bedrock/anthropic.claude-3-5-sonnet-20241022-v2:0", "dialect": "converse", "path": ""},
    "cohere": {"model": "cohere/command-a-03-2025", "dialect": "cohere", "path": "/v2"},
}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(node_path() is None, reason=MISSING)]


@pytest.fixture(scope="module")
def aimock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Install and start the server; return its address."""
    path = node_path()
    assert path is not None
    folder = tmp_path_factory.mktemp("aimock")
    (folder / "fixtures.json").write_text(json.dumps(FIXTURES))
    program = install(folder, PACKAGE, path=path) / "llmock"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "log"
    with log.open("wb") as out:
        command = [str(program), "-p", str(port), "-f", str(folder / "fixtures.json"), "--strict"]
        env = {**os.environ, "PATH": path}
        server = subprocess.Popen(command, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait_for(port, server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    ends_at = time.monotonic() + 30
    while time.monotonic() < ends_at:
        assert server.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize("dialect", CALLS)
def test_a_conversation_with_a_tool_goes_through(dialect: str, aimock: str, mode: Mode, streamed: bool) -> None:
    call: dict[str, Any] = {**CALLS[dialect], "tools": TOOLS, "api_key": "none"}
    call["api_base"] = aimock + call.pop("path")

    async def ask(input: Any) -> antiphon.Response:
        reply = await mode.responses(input=input, stream=streamed, **call)
        if not streamed:
            response: antiphon.Response = reply
            return response
        assert check_grammar(await mode.events(reply)) == []
        assert reply.response is not None
        return reply.response  # type: ignore[no-any-return]

    async def body() -> None:
        hello = await ask("hello")
        assert hello.output_text == TEXT
        assert hello.meta is not None
        assert hello.meta.dialect == dialect
        asked = await ask("What is the weather?")
        (made,) = asked.function_calls
        assert (made.name, json.loads(made.arguments)) == ("get_weather", {"city": "Paris"})
        output = {"type": "function_call_output", "call_id": made.call_id, "output": "sunny"}
        said = await ask([{"role": "user", "content": "What is the weather?"}, *asked.output, output])
        assert said.output_text == SAID

    mode.run_calls(body)
