"""Asking again when the answer does not fit."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from conftest import Mode

from antiphon import Chain, OutputIncomplete, OutputInvalid, OutputRefused, Reask, StageError, presets
from antiphon.testing import ScriptedClient, function_call, message, scripted


class City(msgspec.Struct):
    name: str
    people: int


GOOD = '{"name": "Rome", "people": 3}'
BAD = '{"name": "Rome", "people": "many"}'
FAULT = "Expected `int`, got `str` - at `$.people`"
CHAIN = presets.responses.before("parse_output", Reask())


async def ask(
    mode: Mode, client: ScriptedClient, question: Any = "Which?", *, streamed: bool = False, **given: Any
) -> Any:
    keywords = {"model": "openai/m", "text_format": City, **given}
    return await mode.response(client.chain, question, streamed=streamed, **keywords)


def test_a_good_answer_is_asked_for_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(GOOD, chain=CHAIN)
        response = await ask(mode, client, streamed=streamed)

        assert response.output_parsed == City("Rome", 3)
        assert len(client.requests) == 1

    mode.run(body)


@pytest.mark.parametrize("output_mode", ["native", "tool", "prompt"])
def test_a_wrong_answer_goes_back_with_what_is_wrong_with_it(mode: Mode, output_mode: str) -> None:
    def call(people: Any) -> dict[str, Any]:
        return {"output": [function_call("City", {"name": "Rome", "people": people})]}

    async def body() -> None:
        answers: list[Any] = [call("many"), call(3)] if output_mode == "tool" else [BAD, GOOD]
        client = scripted(*answers, chain=CHAIN)
        response = await ask(mode, client, output_mode=output_mode)

        assert response.output_parsed == City("Rome", 3)
        assert len(response.meta.attempts) == 2
        question, answer, complaint = client.requests[1]["input"]
        assert question == {"role": "user", "content": "Which?"}
        assert answer["role"] == "assistant"
        assert answer["content"].replace(" ", "") == BAD.replace(" ", "")
        assert complaint["role"] == "user"
        assert FAULT in complaint["content"]
        first, second = client.requests
        assert {**second, "input": None} == {**first, "input": None}

    mode.run(body)


def test_a_list_of_items_is_kept_and_the_callers_own_is_left_alone(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(BAD, GOOD, chain=CHAIN)
        items = [{"role": "user", "content": "Hi"}]
        await ask(mode, client, items, previous_response_id="resp_0")

        assert [item["role"] for item in client.requests[1]["input"]] == ["user", "assistant", "user"]
        assert client.requests[1]["previous_response_id"] == "resp_0"
        assert items == [{"role": "user", "content": "Hi"}]

    mode.run(body)


def test_a_conversation_at_the_host_gets_only_the_complaint(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(BAD, GOOD, chain=CHAIN)
        await ask(mode, client, conversation="conv_1")

        assert len(client.requests[1]["input"]) == 1
        assert FAULT in client.requests[1]["input"][0]["content"]

    mode.run(body)


def test_an_empty_answer_is_not_sent_back(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"output": []}, GOOD, chain=CHAIN)
        await ask(mode, client)

        assert [item["role"] for item in client.requests[1]["input"]] == ["user", "user"]

    mode.run(body)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_it_asks_again_so_many_times_at_most(mode: Mode, most: int) -> None:
    async def body() -> None:
        client = scripted(BAD, chain=CHAIN.with_(reask={"max": most}))

        with pytest.raises(OutputInvalid) as caught:
            await ask(mode, client)

        assert len(client.requests) == most + 1
        assert caught.value.attempts == most + 1
        assert caught.value.validation == FAULT
        assert "input" in client.requests[-1]

    mode.run(body)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"output": [message(BAD)], "status": "incomplete"}, OutputIncomplete),
        ({"output": [{**message(""), "content": [{"type": "refusal", "refusal": "No."}]}]}, OutputRefused),
    ],
)
def test_an_answer_that_was_cut_or_refused_is_not_asked_for_again(
    mode: Mode, streamed: bool, answer: Any, kind: type[Exception]
) -> None:
    async def body() -> None:
        client = scripted(answer, GOOD, chain=CHAIN)

        with pytest.raises(kind):
            await ask(mode, client, streamed=streamed)

        assert len(client.requests) == 1

    mode.run(body)


def test_a_stream_passes_through_with_its_error(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(BAD, GOOD, chain=CHAIN)

        with pytest.raises(OutputInvalid):
            await ask(mode, client, streamed=True)

        assert len(client.requests) == 1

    mode.run(body)


def test_without_text_format_it_does_nothing(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(BAD, chain=Chain([Reask(2), presets.responses]))
        response = await ask(mode, client, streamed=streamed, text_format=None)

        assert response.output_text == BAD
        assert len(client.requests) == 1

    mode.run(body)


def test_its_setting_is_checked() -> None:
    assert repr(Reask(2)) == "Reask(max=2)"
    with pytest.raises(StageError, match="max is -1"):
        Reask(-1)
