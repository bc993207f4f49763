"""What every keyword of a LiteLLM call does here."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon.keywords import DROPPED, OF_CHAT, REFUSED, REFUSED_PREFIXES, RENAMED, translate
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import AntiphonError, InvalidParameter, UnknownKeyword
from antiphon.stages import presets
from antiphon.testing import ScriptedClient, scripted


async def ask(mode: Mode, client: ScriptedClient, /, **keywords: Any) -> Any:
    """Ask through the client's own entry point, which takes LiteLLM's keywords."""
    given: dict[str, Any] = {"input": "Hi", "model": "openai/m", **keywords}
    return await mode.either(lambda: client.responses(**given), lambda: client.aresponses(**given))


def test_no_keyword_is_in_two_tables_or_ours_already() -> None:
    tables = [*RENAMED, *DROPPED, *REFUSED, *OF_CHAT]
    ours = {*CreateParams.__struct_fields__, *presets.responses.options, "timeout", "hooks", "trace"}

    assert len(tables) == len(set(tables))
    assert not ours.intersection(tables)
    assert set(RENAMED.values()) <= ours


# --- implemented under another name ---------------------------------------------------------------------------------


def test_headers_are_extra_headers_which_win(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await ask(mode, client, headers={"X-A": "1", "X-B": "1"}, extra_headers={"x-b": "2"})

        sent = [(name.lower(), value) for name, value in client.host.requests[0].headers if name.lower()[:2] == "x-"]
        assert sent == [("x-a", "1"), ("x-b", "2")]

    mode.run(body)


def test_headers_of_the_wrong_type_are_refused(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="headers is str; a dict is expected"):
            await ask(mode, scripted("Hello."), headers="x: y")

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"reasoning_effort": "low"}, {"effort": "low"}),
        ({"reasoning_effort": "low", "reasoning": {"summary": "auto"}}, {"summary": "auto"}),
    ],
)
def test_reasoning_effort_is_reasoning_which_wins(mode: Mode, given: dict[str, Any], sent: dict[str, Any]) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await ask(mode, client, **given)

        assert client.requests[0]["reasoning"] == sent

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "drop"),
    [
        ({"drop_params": True}, "report"),
        ({"drop_params": "true"}, "report"),
        ({"drop_params": False}, "error"),
        ({"drop_params": True, "drop": "ignore"}, "ignore"),
    ],
)
def test_drop_params_is_drop_which_wins(given: dict[str, Any], drop: str) -> None:
    assert translate(given) == ({"drop": drop}, [])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"use_chat_completions_api": True}, {"dialect": "chat"}),
        ({"use_chat_completions_api": True, "dialect": "responses"}, {"dialect": "responses"}),
        ({"use_chat_completions_api": False}, {}),
    ],
)
def test_use_chat_completions_api_is_a_dialect_which_wins(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert translate(given) == (kept, [])


def test_stream_timeout_is_the_timeout_of_streams() -> None:
    assert translate({"stream_timeout": 3, "timeout": 9, "stream": True})[0] == {"timeout": 3, "stream": True}
    assert translate({"stream_timeout": 3, "timeout": 9, "stream": False})[0] == {"timeout": 9, "stream": False}
    assert translate({"stream_timeout": 3})[0] == {}


@pytest.mark.parametrize("name", RENAMED)
def test_every_renamed_keyword_reaches_the_call(mode: Mode, name: str) -> None:
    values: dict[str, Any] = {
        "headers": {"x-a": "1"},
        "reasoning_effort": "low",
        "drop_params": True,
        "stream_timeout": 30,
        "max_agentic_loops": 3,
        "use_chat_completions_api": True,
        "vertex_ai_project": "p",
        "vertex_ai_location": "l",
        "vertex_ai_credentials": "{}",
        "aws_bedrock_runtime_endpoint": "https://bedrock.example",
    }
    unread = {RENAMED[name]} if name.startswith("vertex_") else set()  # of a provider that is not Google's

    async def body() -> None:
        response = await ask(mode, scripted("not asked"), mock_response="Hello.", **{name: values[name]})

        assert response.output_text == "Hello."
        assert {item.name for item in response.meta.dropped} == unread

    mode.run(body)


# --- dropped and reported -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DROPPED)
def test_every_dropped_keyword_is_reported_with_its_reason(mode: Mode, name: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        response = await ask(mode, client, **{name: "x"})

        assert [(item.name, item.reason) for item in response.meta.dropped] == [(name, DROPPED[name])]
        assert client.requests == [{"model": "m", "input": "Hi"}]

    mode.run(body)


def test_a_stream_and_an_error_report_what_was_dropped_too(mode: Mode) -> None:
    async def body() -> None:
        stream = await ask(mode, scripted("Hello."), litellm_call_id="x", stream=True)
        await mode.until_done(stream)
        with pytest.raises(AntiphonError) as caught:
            await ask(mode, scripted({"status": 400, "body": {}}), litellm_call_id="x")

        assert [item.name for item in stream.meta.dropped] == ["litellm_call_id"]
        assert caught.value.meta is not None
        assert [item.name for item in caught.value.meta.dropped] == ["litellm_call_id"]

    mode.run(body)


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_CHAT)
def test_a_keyword_of_chat_completions_is_a_type_error_with_its_hint(mode: Mode, name: str) -> None:
    async def body() -> None:
        with pytest.raises(UnknownKeyword, match="of chat completions") as caught:
            await ask(mode, scripted("Hello."), **{name: "x"})

        assert (caught.value.param, caught.value.hint) == (name, OF_CHAT[name])

    mode.run(body)


@pytest.mark.parametrize("name", REFUSED)
def test_every_refused_keyword_is_a_type_error_with_its_hint(mode: Mode, name: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        with pytest.raises(UnknownKeyword) as caught:
            await ask(mode, client, **{name: "x"})

        assert isinstance(caught.value, TypeError)
        assert (caught.value.param, caught.value.hint) == (name, REFUSED[name])
        assert client.requests == []

    mode.run(body)


@pytest.mark.parametrize("prefix", REFUSED_PREFIXES)
def test_further_keywords_of_a_cloud_are_refused(mode: Mode, prefix: str) -> None:
    async def body() -> None:
        with pytest.raises(UnknownKeyword, match=f'"{prefix}region" of LiteLLM is not taken here') as caught:
            await ask(mode, scripted("Hello."), **{f"{prefix}region": "x"})
        assert caught.value.hint == REFUSED_PREFIXES[prefix]

    mode.run(body)


@pytest.mark.parametrize("name", [*RENAMED, *DROPPED, *REFUSED, *(f"{prefix}x" for prefix in REFUSED_PREFIXES)])
def test_none_is_not_given_whatever_the_keyword(mode: Mode, name: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        response = await ask(mode, client, **{name: None})

        assert client.requests == [{"model": "m", "input": "Hi"}]
        assert response.meta.dropped == ()

    mode.run(body)
