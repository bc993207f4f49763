"""Calls whose input or answer must not pass."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import outcomes

from antiphon import Guard, Request, Response, presets
from antiphon.pipeline.errors import GuardTripped, StageError
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.testing import scripted


def no_numbers(request: Request) -> str | None:
    return "it has digits" if any(char.isdigit() for char in str(request.params.input)) else None  # type: ignore[union-attr]


async def polite(response: Response) -> str | None:
    return None if "please" in response.output_text else "it lacks manners"


def test_an_input_that_must_not_pass_is_never_sent(mode: Mode, streamed: bool) -> None:
    client = scripted("Hello.", chain=presets.responses.before("resolve", Guard(on_input=no_numbers)))

    async def body() -> GuardTripped:
        assert (await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m")).output_text == "Hello."
        with pytest.raises(GuardTripped) as caught:
            await mode.response(client.chain, "Hi 5", streamed=streamed, model="openai/m")
        return caught.value

    error = mode.run(body)

    assert (error.side, error.reason, error.response) == ("input", "it has digits", None)
    assert error.message == "guard no_numbers stopped the input: it has digits"
    assert len(client.requests) == 1


def test_an_answer_that_must_not_pass_is_not_shown(mode: Mode, streamed: bool) -> None:
    seen: list[str] = []
    chain = presets.responses.before("resolve", Guard(on_output=polite), outcomes(seen, "inside"))
    client = scripted("Do it, please.", "Do it.", chain=chain)

    async def body() -> GuardTripped:
        reply = await mode.call(client.chain, "Hi", model="openai/m", stream=streamed)
        if streamed:
            events = await mode.events(reply)
            assert check_grammar(events) == []
            assert reply.response.output_text == "Do it, please."
        else:
            assert reply.output_text == "Do it, please."
        with pytest.raises(GuardTripped) as caught:
            await mode.call(client.chain, "Hi", model="openai/m", stream=streamed)
        return caught.value

    error = mode.run(body)

    assert (error.side, error.reason) == ("output", "it lacks manners")
    assert error.response is not None
    assert error.response.output_text == "Do it."
    assert seen == ["inside:completed", "inside:completed"]


def test_streams_come_live_where_only_the_input_is_checked(mode: Mode) -> None:
    client = scripted("One two three.", chain=presets.responses.before("resolve", Guard(on_input=no_numbers)))

    async def body() -> Any:
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True)
        await mode.next(stream)
        return stream.outcome, await mode.until_done(stream)

    outcome, response = mode.run(body)

    assert outcome is None
    assert response.output_text == "One two three."


def test_a_check_says_text_or_nothing() -> None:
    client = scripted("Hello.", chain=presets.responses.before("resolve", Guard(on_input=lambda request: True)))

    with pytest.raises(StageError, match="returned bool; None or a text"):
        client.responses("Hi", "openai/m")


def test_calls_on_a_stored_response_pass(mode: Mode) -> None:
    chain = presets.responses.before("resolve", Guard(on_input=no_numbers, on_output=polite))
    client = scripted({"id": "resp_5"}, chain=chain)

    async def body() -> Any:
        return await mode.either(
            lambda: client.get_responses("resp_5", custom_llm_provider="openai"),
            lambda: client.aget_responses("resp_5", custom_llm_provider="openai"),
        )

    assert mode.run(body).status == "completed"
