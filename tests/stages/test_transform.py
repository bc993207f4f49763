"""The call in the target's format."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import APIError, InvalidParameter, UnsupportedOperation, UnsupportedParameter
from antiphon.pipeline.function_stages import before
from antiphon.pipeline.request import Request
from antiphon.pipeline.secret import Secret
from antiphon.testing import scripted


@before
def picky(request: Request) -> Request:
    """Make the target one that takes neither `user` nor `truncation`."""
    assert request.target is not None
    unsupported = {"user": "", "truncation": ""}
    return request.replace(target=msgspec.structs.replace(request.target, unsupported=unsupported))


PICKY = presets.responses.before("transform", picky)


async def call(mode: Mode, chain: Chain = PICKY, *, streamed: bool = False, **given: Any) -> tuple[Any, dict[str, Any]]:
    client = scripted("Hello.", chain=chain)
    response = await mode.response(client.chain, model="openai/m", streamed=streamed, **given)
    return response, client.requests[0]


def test_parameters_are_sent_by_their_names(mode: Mode) -> None:
    async def body() -> None:
        _, sent = await call(mode, temperature=0.5, tools=[{"type": "web_search"}], metadata={"a": "b"})

        assert sent == {
            "model": "m",
            "input": "Hi",
            "temperature": 0.5,
            "tools": [{"type": "web_search"}],
            "metadata": {"a": "b"},
        }

    mode.run(body)


def test_what_the_host_does_not_take_is_dropped_and_reported(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        response, sent = await call(mode, user="me", truncation="auto", temperature=1, streamed=streamed)

        assert set(sent) - {"stream"} == {"model", "input", "temperature"}
        assert [(item.name, item.reason) for item in response.meta.dropped] == [
            ("truncation", "openai does not take it"),
            ("user", "openai does not take it"),
        ]

    mode.run(body)


@pytest.mark.parametrize("by", ["the stage", "the call"])
def test_it_may_be_an_error_instead(mode: Mode, by: str) -> None:
    async def body() -> None:
        chain = PICKY.with_(transform={"drop": "error"}) if by == "the stage" else PICKY
        given: dict[str, Any] = {"drop": "error"} if by == "the call" else {}

        with pytest.raises(UnsupportedParameter, match="openai does not take user") as caught:
            await call(mode, chain, user="me", **given)

        assert caught.value.param == "user"
        assert 'pass drop="report"' in str(caught.value)

    mode.run(body)


def test_it_may_be_ignored(mode: Mode) -> None:
    async def body() -> None:
        response, sent = await call(mode, user="me", drop="ignore")

        assert "user" not in sent
        assert response.meta.dropped == ()

    mode.run(body)


def test_another_policy_is_refused(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match='drop is "quietly"'):
            await call(mode, user="me", drop="quietly")

    mode.run(body)


def test_a_repeat_reports_what_was_dropped_once(mode: Mode) -> None:
    async def body() -> None:
        limited = {"status": 429, "body": {"error": {"message": "slow down"}}}
        client = scripted(limited, limited, "Hello.", chain=PICKY.with_(retry={"base_delay_s": 0}))

        response = await mode.call(client.chain, model="openai/m", user="me")

        assert [item.name for item in response.meta.dropped] == ["user"]

    mode.run(body)


def test_extras_win_over_parameters_and_headers(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(
            client.chain,
            model="openai/m",
            temperature=0.1,
            extra_body={"temperature": 0.9, "seed": 7},
            extra_headers={"X-Team": "blue", "User-Agent": "mine"},
            extra_query={"v": "2"},
        )

        headers = {name.lower(): value for name, value in client.host.requests[0].headers}
        assert client.requests[0]["temperature"] == 0.9
        assert client.requests[0]["seed"] == 7
        assert (headers["x-team"], headers["user-agent"]) == ("blue", "mine")
        assert client.host.requests[0].url.endswith("/responses?v=2")

    mode.run(body)


def test_a_header_or_query_field_of_none_is_left_out(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        headers, query = {"X-Team": None, "User-Agent": None}, {"a": None, "b": True, "c": [1, 2]}
        await mode.call(client.chain, model="openai/m", extra_headers=headers, extra_query=query)

        (sent,) = client.host.requests
        assert not {"x-team", "user-agent"} & {name.lower() for name, _ in sent.headers}
        assert sent.url.endswith("/responses?b=true&c=1&c=2")

    mode.run(body)


@pytest.mark.parametrize("headers", [{"x-team": Secret("canary-1")}, {"x-token": "canary-1"}], ids=["secret", "named"])
def test_a_secret_header_that_the_host_repeats_is_masked(mode: Mode, headers: dict[str, Any]) -> None:
    async def body() -> None:
        client = scripted({"status": 400, "body": {"error": {"message": "bad canary-1, not None"}}})
        with pytest.raises(APIError) as caught:
            await mode.call(client.chain, model="openai/m", extra_headers={**headers, "x-api-key": None})

        assert caught.value.message == "bad ***, not None"

    mode.run(body)


def test_a_header_may_be_a_secret(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(client.chain, model="openai/m", extra_headers={"x-token": Secret("canary")})

        assert dict(client.host.requests[0].headers)["x-token"] == Secret("canary")

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"extra_headers": {"x-user": b"ann"}}, "extra_headers['x-user'] is bytes"),
        ({"extra_headers": {5: "ann"}}, "extra_headers has a name 5; text is expected"),
        ({"headers": {5: "ann"}, "extra_headers": {"x-user": "ann"}}, "extra_headers has a name 5; text is expected"),
        ({"extra_query": {"v": [1, None]}}, "extra_query['v'] is NoneType; text is expected"),
        ({"extra_query": {"v": [1, object()]}}, "extra_query['v'] is object"),
        ({"extra_query": {"v": "\ud800"}}, "extra_query cannot be encoded"),
    ],
)
def test_what_no_header_and_no_query_can_say_is_refused(mode: Mode, given: dict[str, Any], said: str) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        with pytest.raises(InvalidParameter) as caught:
            await mode.either(
                lambda: client.responses("Hi", "openai/m", **given),
                lambda: client.aresponses("Hi", "openai/m", **given),
            )

        assert said in str(caught.value)
        assert client.host.requests == []

    mode.run(body)


def test_what_is_kept_here_needs_a_stage_that_reads_it(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.without("remember"))
        with pytest.raises(UnsupportedOperation, match="no stage of this chain reads it") as caught:
            await mode.either(
                lambda: client.get_responses("resp_apk1_" + 32 * "0"),
                lambda: client.aget_responses("resp_apk1_" + 32 * "0"),
            )

        assert "place Remember after Resolve" in str(caught.value)
        assert client.requests == []

    mode.run(body)


@pytest.mark.parametrize("given", [{"model": "groq/m"}, {"model": "openai/m", "api_base": "https://eu.example/v1"}])
def test_what_others_keep_is_not_gone_on_from_without_it(mode: Mode, given: dict[str, Any]) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1"}, chain=presets.responses.without("remember"))
        first = await mode.call(client.chain, model="openai/m")
        with pytest.raises(InvalidParameter, match=r"belongs to openai|kept at another address") as caught:
            await mode.call(client.chain, previous_response_id=first.id, **given)

        assert caught.value.param == "previous_response_id"
        assert len(client.requests) == 1

    mode.run(body)


@pytest.mark.parametrize("given", ["half \ud83d", [{"role": "user", "content": "half \ud83d"}]], ids=["text", "items"])
@pytest.mark.parametrize("dialect", ["responses", "chat"])
def test_half_a_character_of_the_caller_is_sent_as_the_escape_that_it_is(dialect: str, given: Any) -> None:
    explanation = presets.responses.explain(given, model="openai/gpt-5", api_key="k", dialect=dialect)

    assert explanation.request is not None
    assert json.dumps(explanation.request.body).count(r"half \ud83d") == 1
    assert r"half \ud83d" in str(explanation)


LOOPED: dict[str, Any] = {"role": "user", "content": []}
LOOPED["content"].append(LOOPED)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi", "at": float("nan")}]}]},
            r"input\[0\].content\[0\].at is nan",
        ),
        ({"tools": [{"type": "function", "name": "f", "parameters": {"maximum": float("inf")}}]}, "maximum is inf"),
        ({"extra_body": {"seed": {"by": (1.0, float("-inf"))}}}, r"extra_body.seed.by\[1\] is -inf"),
        ({"input": [LOOPED]}, "holds itself"),
        ({"metadata": {"all": LOOPED}}, "holds itself"),
    ],
    ids=["input", "tools", "extra", "looped input", "looped metadata"],
)
def test_what_json_cannot_say_is_refused_and_not_sent_as_null(
    mode: Mode, given: dict[str, Any], said: str, streamed: bool
) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        with pytest.raises(InvalidParameter, match=said) as caught:
            await mode.response(client.chain, model="openai/m", streamed=streamed, **given)

        assert client.requests == []
        if "holds itself" not in said:
            assert caught.value.param == next(iter(given))

    mode.run(body)


def test_a_null_that_the_caller_means_is_sent(mode: Mode) -> None:
    async def body() -> None:
        _, sent = await call(mode, metadata={"a": None}, extra_body={"seed": None, "at": [1.5]})

        assert (sent["metadata"], sent["seed"], sent["at"]) == ({"a": None}, None, [1.5])

    mode.run(body)
