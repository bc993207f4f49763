"""Wrong calls are refused before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon.pipeline.errors import InvalidParameter
from antiphon.testing import message, scripted


@pytest.mark.parametrize(
    ("given", "said", "param"),
    [
        ({"temperature": "hot"}, "temperature is str; float is expected", "temperature"),
        ({"temperature": float("nan")}, "temperature is nan; a finite number is expected", "temperature"),
        ({"top_p": -float("inf")}, "top_p is -inf; a finite number is expected", "top_p"),
        ({"temperature": "half \ud83d"}, "temperature is str; float is expected", "temperature"),
        ({"metadata": range(3)}, "metadata is range; an object is expected", "metadata"),
        ({"max_output_tokens": 1.5}, "max_output_tokens is float; int is expected", "max_output_tokens"),
        ({"max_output_tokens": 0}, "max_output_tokens is 0; at least 1 is expected", "max_output_tokens"),
        ({"metadata": "x"}, "metadata is str; an object is expected", "metadata"),
        ({"include": ["a", 3]}, "include[1] is int; str is expected", "include"),
        ({"store": "yes"}, "store is str; bool is expected", "store"),
        ({"stream_options": {}}, "stream_options is given without stream=True", "stream_options"),
        ({"previous_response_id": "a", "conversation": "b"}, "exclude each other", "conversation"),
    ],
)
def test_a_wrong_parameter_is_named(mode: Mode, given: dict[str, Any], said: str, param: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        with pytest.raises(InvalidParameter) as caught:
            await mode.call(client.chain, model="openai/m", **given)

        assert said in str(caught.value)
        assert caught.value.param == param
        assert client.requests == []

    mode.run(body)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "input is int; text or a list of items is expected"),
        ({"role": "user"}, "input is dict; text or a list of items is expected"),
        (["Hi"], "input[0] is str; an item is expected"),
        ([{"role": "user", "content": "Hi"}, None], "input[1] is NoneType; an item is expected"),
    ],
)
def test_a_wrong_input_is_named(mode: Mode, value: Any, said: str) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter) as caught:
            await mode.call(scripted("Hello.").chain, value, model="openai/m")

        assert said in str(caught.value)
        assert caught.value.param == "input"

    mode.run(body)


def test_a_missing_input_is_named_with_the_fix(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="input is missing") as caught:
            await mode.call(scripted("Hello.").chain, None, model="openai/m")

        assert 'input="Hi"' in str(caught.value)

    mode.run(body)


@pytest.mark.parametrize("given", [{"prompt": {"id": "p"}}, {"previous_response_id": "resp_1"}, {"conversation": "c"}])
def test_what_brings_its_own_input_needs_none(mode: Mode, given: dict[str, Any]) -> None:
    async def body() -> None:
        assert (await mode.call(scripted("Hello.").chain, None, model="openai/m", **given)).output_text == "Hello."

    mode.run(body)


def test_items_of_a_former_response_are_input(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        first = await mode.call(client.chain, model="openai/m")
        await mode.call(client.chain, [*first.output, {"role": "user", "content": "More"}], model="openai/m")

        assert client.requests[1]["input"] == [message("Hello."), {"role": "user", "content": "More"}]

    mode.run(body)


@pytest.mark.parametrize("value", ["", []])
def test_an_empty_input_is_the_hosts_to_judge(mode: Mode, value: Any) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(client.chain, value, model="openai/m")

        assert client.requests[0]["input"] == value

    mode.run(body)
