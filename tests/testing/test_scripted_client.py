"""The kit for users' own tests."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import Mode
from hand_made import answer, host
from scripted_mcp import scripted_mcp

from antiphon import Timeouts
from antiphon.pipeline.api.items import McpCall
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    AntiphonError,
    APIConnectionError,
    APITimeoutError,
    InternalServerError,
    RateLimitError,
    SetupError,
)
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.testing import function_call, message, scripted


def test_answers_come_in_turn_and_the_last_repeats(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("One.", "Two.")

        found = [await mode.response(client.chain, model="openai/m", streamed=streamed) for _ in range(3)]

        assert [response.output_text for response in found] == ["One.", "Two.", "Two."]
        assert len({response.id for response in found}) == 3

    mode.run(body)


ANSWERS: dict[str, Any] = {
    "text": "Hello.",
    "item": message("Hello."),
    "items": [message("Hel", "m1"), message("lo.", "m2")],
    "fields": {"output": [message("Hello.")]},
    "response": answer("Hello."),
    "function": lambda body: f"{body['input']}llo."[-6:].replace("Hillo.", "Hello."),
    "function of fields": lambda body: {"output": [message("Hello.")]},
    "http": {"status": 200, "body": answer("Hello.").raw},
}


@pytest.mark.parametrize("form", ANSWERS)
def test_an_answer_has_many_forms(mode: Mode, streamed: bool, form: str) -> None:
    async def body() -> None:
        response = await mode.response(scripted(ANSWERS[form]).chain, model="openai/m", streamed=streamed)

        assert response.output_text == "Hello."

    mode.run(body)


@pytest.mark.parametrize("model", ["anthropic/claude-opus-4-8", "gemini/gemini-2.5-pro", "deepseek/deepseek-chat"])
def test_hosts_of_other_formats_are_scripted_in_the_same_terms(mode: Mode, streamed: bool, model: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        response = await mode.response(client.chain, model=model, streamed=streamed)

        assert response.output_text == "Hello."
        assert response.meta is not None
        assert response.meta.provider == model.split("/")[0]
        assert client.requests[0]["input"] == "Hi"

    mode.run(body)


@pytest.mark.parametrize("model", ["openai/m", "ollama/m"])
def test_a_script_that_takes_too_long_is_a_host_that_does(mode: Mode, streamed: bool, model: str) -> None:
    def slow(body: Any) -> str:
        time.sleep(0.03)
        return "Late."

    async def body() -> None:
        client = scripted(slow)
        limits = [("total", Timeouts(total=0.02)), *([("first_event", Timeouts(first_event=0.02))] if streamed else [])]
        for limit, timeout in limits:
            with pytest.raises(APITimeoutError) as caught:
                await mode.response(client.chain, model=model, streamed=streamed, timeout=timeout, num_retries=0)
            assert (caught.value.limit, caught.value.limit_s) == (limit, 0.02)
        assert (await mode.response(client.chain, model=model, streamed=streamed, timeout=5)).output_text == "Late."

    mode.run(body)


def test_a_server_of_tools_on_this_machine_is_really_asked(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        with scripted_mcp() as server:
            calls = {"output": [function_call("add", {"a": 1, "b": 2})]}
            client = scripted(calls, "done it is", mcp_servers={"sums": server.url})
            tools = [{"type": "mcp", "server_label": "sums", "require_approval": "never"}]
            response = await mode.response(client.chain, model="ollama/m", streamed=streamed, tools=tools)

            _, called, said = response.output
            assert isinstance(called, McpCall)
            assert (called.output, said.type) == ("3", "message")
            assert len(client.requests) == 2
            await mode.close(client)

    mode.run(body)


def test_a_server_of_tools_elsewhere_is_not_asked(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("never said", mcp_servers={"sums": "https://sums.example/mcp"})
        tools = [{"type": "mcp", "server_label": "sums", "require_approval": "never"}]
        with pytest.raises(AntiphonError, match="about to leave this machine"):
            await mode.response(client.chain, model="openai/m", streamed=streamed, tools=tools, mcp_execute="local")

        assert client.requests == []
        await mode.close(client)

    mode.run(body)


def test_an_answer_may_be_a_function_call(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"output": [function_call("add", {"a": 1, "b": 2}, call_id="c1")]})
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        (call,) = response.function_calls
        assert (call.name, call.arguments, call.call_id) == ("add", '{"a":1,"b":2}', "c1")

    mode.run(body)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (APIConnectionError("refused"), APIConnectionError),
        ({"status": 500, "body": "oops"}, InternalServerError),
        ({"status": 429, "body": {"error": {"message": "slow down"}}}, RateLimitError),
        (ZeroDivisionError("in the test"), ZeroDivisionError),
    ],
)
def test_an_answer_may_be_a_failure(mode: Mode, streamed: bool, failure: Any, error: type[Exception]) -> None:
    async def body() -> None:
        with pytest.raises(error):
            await mode.call(scripted(failure).chain, model="openai/m", num_retries=0, stream=streamed)

    mode.run(body)


def test_streams_keep_the_grammar(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"output": [message("Let me see."), function_call("f", {})]})
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        assert check_grammar(await mode.events(stream)) == []

    mode.run(body)


def test_requests_are_there_to_be_looked_at(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(client.chain, "Hi", model="openai/m", temperature=0.5)

        assert client.requests == [{"model": "m", "input": "Hi", "temperature": 0.5}]
        assert client.host.requests[0].url == "https://api.openai.com/v1/responses"

    mode.run(body)


def test_a_chain_of_the_users_is_tested_whole(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("never asked", chain=Chain([host("My own.")]))

        assert (await mode.call(client.chain)).output_text == "My own."
        assert client.requests == []

    mode.run(body)


def test_an_empty_script_is_refused() -> None:
    with pytest.raises(SetupError, match="a scripted host needs at least one answer"):
        scripted()
