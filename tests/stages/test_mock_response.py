"""`mock_response=`: an answer without a host, through the whole chain."""

from __future__ import annotations

import pytest
from conftest import Mode

import antiphon
from antiphon import presets

CHAIN = presets.responses


def test_a_text_stands_for_the_hosts_answer(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        response = await mode.response(CHAIN, model="openai/gpt-5", mock_response="Mocked.", streamed=streamed)

        assert response.output_text == "Mocked."
        assert response.meta is not None
        assert response.meta.provider == "openai"

    mode.run(body)


def test_fields_stand_for_the_hosts_response(mode: Mode, streamed: bool) -> None:
    fields = {"output": [antiphon.testing.function_call("f", {"x": 1})]}

    async def body() -> None:
        response = await mode.response(CHAIN, model="openai/gpt-5", mock_response=fields, streamed=streamed)

        assert [call.name for call in response.function_calls] == ["f"]

    mode.run(body)


def test_an_exception_stands_for_the_hosts_failure(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(antiphon.RateLimitError, match="slow down"):
            await mode.call(
                CHAIN, model="openai/gpt-5", mock_response=antiphon.RateLimitError("slow down"), num_retries=0
            )

    mode.run(body)
