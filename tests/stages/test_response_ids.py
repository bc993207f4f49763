"""Public ids outside, the hosts' own inside."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Mode
from hand_made import sse, streamed_body, text_events
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import (
    APIError,
    InvalidModel,
    InvalidParameter,
    NotFoundError,
    StreamInterrupted,
    UnknownProvider,
)
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.providers.response_ids import ResponseId, decode_id, deployment_of, encode_id
from antiphon.testing import ScriptedClient, ScriptedHost, message, scripted

OPENAI = "https://api.openai.com/v1"
KEY_ENV = "ANTIPHON_ID_KEY"
SAID = {"output": [message("Hello.")], "id": "resp_up_1", "previous_response_id": "resp_up_0"}


def litellm(provider: str, upstream: str) -> str:
    text = f"litellm:custom_llm_provider:{provider};model_id:None;response_id:{upstream}"
    return "resp_" + base64.b64encode(text.encode()).decode()


async def get(mode: Mode, client: Client, response_id: str, **keywords: Any) -> Any:
    return await mode.either(
        lambda: client.get_responses(response_id, **keywords), lambda: client.aget_responses(response_id, **keywords)
    )


def urls(client: ScriptedClient) -> list[str]:
    return [request.url for request in client.host.requests]


# --- outwards -----------------------------------------------------------------------------------------------------


def test_a_response_carries_public_ids(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(SAID)

        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.id == encode_id("resp_up_1", "openai")
        assert response.previous_response_id == encode_id("resp_up_0", "openai")
        assert response.to_dict()["id"] == response.id

    mode.run(body)


def test_every_event_that_carries_the_response_has_the_id_of_the_plain_one(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(SAID)
        plain = await mode.call(client.chain, model="openai/m")
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        events = await mode.events(stream)

        carrying = [event for event in events if isinstance(event, ev.LifecycleEvent)]
        assert len(carrying) == 3
        assert {event.response.id for event in carrying} == {plain.id} == {stream.response.id}
        assert {event.response.previous_response_id for event in carrying} == {encode_id("resp_up_0", "openai")}
        assert all("resp_up" not in event.raw.decode() for event in events)
        assert antiphon.check_grammar(events) == []

    mode.run(body)


def test_the_id_is_there_before_the_stream_has_ended(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(SAID)
        stream = await mode.call(client.chain, model="openai/m", stream=True)

        await mode.next(stream)
        assert stream.response is not None
        assert stream.response.id == encode_id("resp_up_1", "openai")
        await mode.close(stream)

    mode.run(body)


def test_nothing_else_of_a_response_is_changed(mode: Mode) -> None:
    async def body() -> None:
        # The id stands in other fields too, and there it stays.
        said = {**SAID, "metadata": {"about": "resp_up_1", "x": '"resp_up_1"'}, "of_tomorrow": {"id": "resp_up_1"}}
        response = await mode.call(scripted(said).chain, model="openai/m")

        assert response.metadata == said["metadata"]
        assert response.to_dict()["of_tomorrow"] == {"id": "resp_up_1"}
        assert decode_id(response.id).upstream == "resp_up_1"

    mode.run(body)


@pytest.mark.parametrize("odd", ["resp;1;x", "a\0b", "ü/../?", 'quo"te\\', "</script>", "resp_ap2_x"])
def test_a_hosts_odd_id_goes_there_and_back(mode: Mode, odd: str) -> None:
    async def body() -> None:
        client = scripted({"id": odd}, {"id": odd})
        response = await mode.call(client.chain, model="openai/m")
        again = await mode.call(client.chain, model="openai/m", previous_response_id=response.id)

        assert again.id == response.id
        assert client.requests[1]["previous_response_id"] == odd

    mode.run(body)


def test_a_response_without_an_id_has_none(mode: Mode) -> None:
    async def body() -> None:
        response = await mode.call(scripted({"id": ""}).chain, model="openai/m")

        assert response.id == ""
        assert response.previous_response_id is None

    mode.run(body)


def test_a_chain_of_two_such_stages_encodes_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        twice = presets.responses.before("response_ids", antiphon.ResponseIds())
        client = scripted(SAID, chain=twice)
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.id == encode_id("resp_up_1", "openai")

    mode.run(body)


def test_without_the_stage_ids_are_the_hosts(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(SAID, chain=presets.responses.without("response_ids"))
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.id == "resp_up_1"

    mode.run(body)


def test_a_compaction_keeps_its_id_since_nothing_is_stored_under_it() -> None:
    compacted = {"body": {"id": "resp_c", "object": "response.compaction", "output": []}}

    assert scripted(compacted).compact_responses("Hi", "openai/m").id == "resp_c"


# --- errors -------------------------------------------------------------------------------------------------------

FAILED = {"status": "failed", "id": "resp_up_1", "error": {"code": "server_error", "message": "it broke"}}


def failing_stream(*, shown: bool) -> dict[str, Any]:
    assembler = Assembler({"id": "resp_up_1", "created_at": 1, "model": "m"})
    assembler.start()
    if shown:
        message = assembler.message({"id": "msg_1"})
        message.text("Hel")
        message.close(status="incomplete")
    assembler.end(status="failed", error=FAILED["error"])
    return streamed_body(assembler.take())


async def failure(mode: Mode, client: Client, streamed: bool) -> APIError:
    async def act() -> None:
        found = await mode.call(client.chain, model="openai/m", num_retries=0, stream=streamed)
        if streamed:
            await mode.events(found)

    with pytest.raises(APIError) as caught:
        await act()
    return caught.value


def test_the_response_of_an_error_carries_the_public_id(mode: Mode) -> None:
    async def body() -> None:
        error = await failure(mode, scripted(FAILED), False)

        assert error.response is not None
        assert error.response.id == encode_id("resp_up_1", "openai")

    mode.run(body)


@pytest.mark.parametrize("shown", [False, True], ids=["before content", "after content"])
def test_the_response_of_a_streamed_error_carries_the_public_id(mode: Mode, shown: bool) -> None:
    async def body() -> None:
        error = await failure(mode, scripted(failing_stream(shown=shown)), True)

        assert error.response is not None
        assert error.response.status == "failed"
        assert error.response.id == encode_id("resp_up_1", "openai")

    mode.run(body)


@pytest.mark.parametrize("cut", [1, 6])
def test_the_partial_response_of_a_broken_stream_carries_the_public_id(mode: Mode, cut: int) -> None:
    async def body() -> None:
        client = scripted(streamed_body(text_events("Hello", " there")[:cut]))
        error = await failure(mode, client, True)

        assert isinstance(error, StreamInterrupted)
        assert error.response is not None
        assert error.response.id == encode_id("resp_1", "openai")

    mode.run(body)


def test_the_response_of_an_outcome_carries_the_public_id(mode: Mode) -> None:
    async def body() -> None:
        ends: list[antiphon.CallEnded] = []
        watch = antiphon.Observe(on_call_end=ends.append)
        client = scripted(failing_stream(shown=True), chain=presets.responses.before("log", watch))
        await failure(mode, client, True)

        outcome = ends[0].outcome
        assert isinstance(outcome.error, APIError)
        assert outcome.error.response is not None
        assert outcome.response is not None
        assert outcome.error.response.id == outcome.response.id == encode_id("resp_up_1", "openai")

    mode.run(body)


# --- inwards ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "public",
    [encode_id("resp_up_0", "openai"), litellm("openai", "resp_up_0"), litellm("None", "resp_up_0"), "resp_up_0"],
)
def test_hosts_get_their_own_ids(mode: Mode, streamed: bool, public: str) -> None:
    async def body() -> None:
        client = scripted(SAID)
        await mode.response(client.chain, model="openai/m", previous_response_id=public, streamed=streamed)

        assert client.requests[0]["previous_response_id"] == "resp_up_0"

    mode.run(body)


@pytest.mark.parametrize("public", [encode_id("resp_7", "openai"), litellm("openai", "resp_7")])
def test_a_public_id_is_enough_to_get_a_response(mode: Mode, public: str) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_7"})
        response = await get(mode, client, public)

        assert urls(client) == [f"{OPENAI}/responses/resp_7"]
        assert response.id == encode_id("resp_7", "openai")
        assert response.meta.provider == "openai"

    mode.run(body)


def test_a_public_id_leads_to_the_provider_that_made_it(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    made = b'{"id": "resp_7", "object": "response", "status": "completed", "output": []}'

    async def body() -> None:
        client = Client()
        try:
            response = await mode.call(client.chain, "Hi", model="openai_compatible/m")
            again = await get(mode, client, response.id)
            assert again.id == response.id
        finally:
            await mode.close(client)

    with replaying(Answer.json(made)) as server:
        monkeypatch.setenv("OPENAI_COMPATIBLE_API_BASE", f"{server.url}/v1")
        mode.run(body)

    assert [path_of(received) for received in server.requests] == ["/v1/responses", "/v1/responses/resp_7"]


@pytest.mark.parametrize("named", ["openai", None])
def test_naming_the_same_provider_is_fine(mode: Mode, named: str | None) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_7"})
        await get(mode, client, encode_id("resp_7", "openai"), custom_llm_provider=named)

        assert urls(client) == [f"{OPENAI}/responses/resp_7"]

    mode.run(body)


def test_an_alias_is_the_same_provider(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_7"})
        public = encode_id("resp_7", "openai_compatible")
        await get(mode, client, public, custom_llm_provider="custom_openai", api_base="http://host.invalid/v1")

        assert urls(client) == ["http://host.invalid/v1/responses/resp_7"]

    mode.run(body)


Bad = tuple[dict[str, Any], type[Exception], str]
REFUSED: dict[str, Bad] = {
    "another provider": (
        {"model": "groq/m", "previous_response_id": encode_id("resp_1", "openai")},
        InvalidParameter,
        "previous_response_id belongs to openai, and the call goes to groq",
    ),
    "another provider, by LiteLLM": (
        {"model": "groq/m", "previous_response_id": litellm("openai", "resp_1")},
        InvalidParameter,
        "belongs to openai",
    ),
    "another provider, named apart": (
        {"model": "m", "custom_llm_provider": "openai", "previous_response_id": encode_id("resp_1", "local")},
        InvalidParameter,
        "belongs to local, and the call goes to openai",
    ),
    "an unknown provider": (
        {"model": "openai/m", "previous_response_id": litellm("of_tomorrow", "resp_1")},
        UnknownProvider,
        'there is no provider "of_tomorrow"',
    ),
    "another address": (
        {"model": "openai/m", "previous_response_id": encode_id("resp_1", "openai", "0123456789ab")},
        InvalidParameter,
        "kept at another address of openai than https://api.openai.com/v1",
    ),
    "a damaged id": (
        {"model": "openai/m", "previous_response_id": "resp_ap1_!"},
        InvalidParameter,
        "the response id is damaged",
    ),
    "a signed id": (
        {"model": "openai/m", "previous_response_id": encode_id("resp_1", "openai", "", b"key")},
        InvalidParameter,
        "no key is set",
    ),
    "no model": (
        {"previous_response_id": encode_id("resp_1", "openai")},
        InvalidModel,
        "a name is expected",
    ),
    "a host that keeps nothing": (
        {"model": "local/smollm2", "previous_response_id": "resp_1", "api_base": "http://host.invalid/v1"},
        NotFoundError,
        "response resp_1 of local is not kept here",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_continued_there_is_refused_before_anything_is_sent(
    mode: Mode, streamed: bool, case: str
) -> None:
    given, error, said = REFUSED[case]

    async def body() -> None:
        host = ScriptedHost(["Hello."])
        client = Client(transport=host)
        with pytest.raises(error) as caught:
            await mode.call(client.chain, api_key="k", stream=streamed, **given)

        assert said in str(caught.value)
        assert host.requests == []

    mode.run(body)


def test_what_is_continued_elsewhere_gets_the_next_move() -> None:
    given, error, _ = REFUSED["another provider"]
    with pytest.raises(error) as caught:
        scripted("Hello.").chain.invoke("Hi", **given)

    assert isinstance(caught.value, InvalidParameter)
    assert caught.value.param == "previous_response_id"
    assert "send the whole conversation as input" in str(caught.value)


@pytest.mark.parametrize("name", ["compact_responses", "count_input_tokens"])
def test_the_other_calls_that_continue_a_response_check_it_too(name: str) -> None:
    client = scripted("Hello.")
    with pytest.raises(InvalidParameter, match="belongs to local"):
        getattr(client, name)("Hi", "openai/m", previous_response_id=encode_id("resp_1", "local"))

    assert client.requests == []


# --- addresses ----------------------------------------------------------------------------------------------------


def test_an_id_of_another_address_leads_only_back_there(mode: Mode) -> None:
    async def body() -> None:
        base = "https://eu.example/v1"
        client = scripted({"id": "resp_7"})
        response = await mode.call(client.chain, model="openai/m", api_base=base)
        assert decode_id(response.id) == ResponseId("resp_7", "openai", deployment_of(base, OPENAI))

        again = await get(mode, client, response.id, api_base=base)
        assert again.id == response.id
        for elsewhere in ({}, {"api_base": "https://us.example/v1"}):
            with pytest.raises(InvalidParameter, match="another address of openai") as caught:
                await get(mode, client, response.id, **elsewhere)
            assert "api_base" in str(caught.value)
        assert len(client.host.requests) == 2

    mode.run(body)


def test_an_id_of_the_usual_address_does_not_lead_elsewhere(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_7"})
        with pytest.raises(InvalidParameter, match="another address"):
            await get(mode, client, encode_id("resp_7", "openai"), api_base="https://elsewhere.example/v1")

        assert client.host.requests == []

    mode.run(body)


def test_an_error_about_the_address_names_the_parameter_that_is_wrong() -> None:
    given, _, _ = REFUSED["another address"]
    with pytest.raises(InvalidParameter) as caught:
        scripted("Hello.").chain.invoke("Hi", **given)

    assert caught.value.param == "previous_response_id"


def test_an_id_of_litellm_does_not_say_its_address(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_7"})
        await get(mode, client, litellm("openai", "resp_7"), api_base="https://eu.example/v1")

        assert urls(client) == ["https://eu.example/v1/responses/resp_7"]

    mode.run(body)


# --- signed -------------------------------------------------------------------------------------------------------


def test_ids_are_signed_when_the_environment_has_a_key(
    mode: Mode, streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_ENV, "canary")

    async def body() -> None:
        client = scripted(SAID)
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)
        assert response.id == encode_id("resp_up_1", "openai", "", b"canary")
        assert response.previous_response_id == encode_id("resp_up_0", "openai", "", b"canary")

        await mode.call(client.chain, model="openai/m", previous_response_id=response.id)
        assert client.requests[1]["previous_response_id"] == "resp_up_1"
        assert "canary" not in repr(client.chain)

    mode.run(body)


@pytest.mark.parametrize(
    ("public", "said"),
    [
        (encode_id("resp_7", "openai"), "is not signed"),
        (litellm("openai", "resp_7"), "is not signed"),
        (encode_id("resp_7", "openai", "", b"another"), "signature is wrong"),
        (encode_id("resp_7", "openai", "", b"canary")[:-1], "signature is wrong"),
    ],
)
@pytest.mark.parametrize("name", ["response_id", "previous_response_id"])
def test_with_a_key_no_other_id_chooses_a_provider(
    mode: Mode, monkeypatch: pytest.MonkeyPatch, public: str, said: str, name: str
) -> None:
    monkeypatch.setenv(KEY_ENV, "canary")

    async def body() -> None:
        client = scripted("Hello.")
        given: dict[str, Any] = {"model": "openai/m", "previous_response_id": public}
        with pytest.raises(InvalidParameter, match=said):
            await (get(mode, client, public) if name == "response_id" else mode.call(client.chain, **given))
        assert client.host.requests == []

    mode.run(body)


def test_a_hosts_own_id_is_no_claim_and_passes_with_a_key(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "canary")

    async def body() -> None:
        client = scripted({"id": "resp_7"})
        await get(mode, client, "resp_7", custom_llm_provider="openai")

        assert urls(client) == [f"{OPENAI}/responses/resp_7"]

    mode.run(body)


def test_the_variable_is_a_setting_and_its_key_is_read_once(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "mine")

    async def body() -> None:
        client = scripted(SAID, chain=presets.responses.with_(response_ids={"key_env": "MY_KEY"}))
        first = await mode.call(client.chain, model="openai/m")
        monkeypatch.setenv("MY_KEY", "changed")
        second = await mode.call(client.chain, model="openai/m")

        assert first.id == second.id == encode_id("resp_up_1", "openai", "", b"mine")

    mode.run(body)


def test_an_empty_key_is_none(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "")

    async def body() -> None:
        response = await mode.call(scripted(SAID).chain, model="openai/m")

        assert response.id == encode_id("resp_up_1", "openai")

    mode.run(body)


# --- the other operations -----------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Client, str], Any]] = {
    "get": lambda client, public: client.get_responses(public),
    "cancel": lambda client, public: client.cancel_responses(public),
    "delete": lambda client, public: client.delete_responses(public),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_comes_back_carries_the_id_that_went_in(name: str) -> None:
    public = encode_id("resp_7", "openai")
    body = {"id": "resp_7", "object": "response", "status": "cancelled", "output": [], "deleted": True}

    assert CALLS[name](scripted({"body": body}), public).id == public


def test_a_resumed_stream_carries_public_ids(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"headers": {"content-type": "text/event-stream"}, "body": sse(text_events("Hi.")[3:])})
        public = encode_id("resp_1", "openai")
        stream = await get(mode, client, public, stream=True, starting_after=2)
        response = await mode.until_done(stream)

        assert response.id == public

    mode.run(body)
