"""What hosts do not keep is kept here, and every call on a stored response works on it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode
from hand_made import Source, one_by_one, streamed_body, streaming, text_events
from talking_hosts import CALLS, Kind, TalkingHost, words

import antiphon
from antiphon import Client, Remember, presets
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    InvalidParameter,
    NotFoundError,
    SetupError,
    StoreError,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
    UnsupportedOperation,
    UnsupportedParameter,
)
from antiphon.pipeline.secret import FromEnv, Secret
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.store import Store, key_of, open_store
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.providers.response_ids import encode_id, is_kept
from antiphon.stages.state.shelf import Shelf
from antiphon.testing import ScriptedClient, function_call, message, scripted

GROQ: dict[str, Any] = {"model": "groq/m"}
OPENAI: dict[str, Any] = {"model": "openai/m"}


async def do(mode: Mode, client: Client, name: str, *args: Any, **keywords: Any) -> Any:
    """Call a method of the client, or its async twin."""
    plain: Callable[..., Any] = getattr(client, name)
    twin: Callable[..., Any] = getattr(client, f"a{name}")
    return await mode.either(lambda: plain(*args, **keywords), lambda: twin(*args, **keywords))


def texts(client: ScriptedClient, at: int = -1) -> list[str]:
    """Return the texts of the messages in a request's input."""
    given = client.requests[at]["input"]
    return [given] if isinstance(given, str) else [text_of(item) for item in given]


def text_of(item: Any) -> str:
    content = item.get("content") or item.get("output") or item.get("name") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


# --- ids and fields -------------------------------------------------------------------------------------------------


def test_a_response_that_its_host_does_not_keep_has_an_id_that_leads_here(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_up", "store": False, "output": [message("Hello.")]})
        response = await mode.response(client.chain, streamed=streamed, **GROQ)

        assert is_kept(response.id)
        assert response.store is True
        assert response.to_dict()["id"] == response.id
        assert response.meta is not None
        assert response.meta.upstream_id == "resp_up"
        again = await do(mode, client, "get_responses", response.id)
        assert again.to_dict() == response.to_dict()
        assert len(client.requests) == 1

    mode.run(body)


def test_every_event_of_a_stream_has_the_same_id(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_up", "output": [message("Hello there.")]})
        stream = await mode.call(client.chain, stream=True, **GROQ)
        events = await mode.events(stream)

        ids = {event.response.id for event in events if isinstance(event, ev.LifecycleEvent)}
        assert ids == {stream.response.id}
        assert is_kept(stream.response.id)
        assert antiphon.check_grammar(events) == []
        assert all(b"resp_up" not in event.raw for event in events)

    mode.run(body)


def test_a_host_that_keeps_responses_keeps_its_id_and_its_work(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1"}, {"id": "resp_2"})
        first = await mode.response(client.chain, "a", streamed=streamed, **OPENAI)
        await mode.response(client.chain, "b", streamed=streamed, previous_response_id=first.id, **OPENAI)

        assert first.id == encode_id("resp_1", "openai")
        assert (client.requests[1]["previous_response_id"], client.requests[1]["input"]) == ("resp_1", "b")

    mode.run(body)


def test_two_responses_of_a_host_with_one_id_are_two(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": [message("one")]}, {"id": "resp_1", "output": [message("two")]})
        responses = [await mode.call(client.chain, **GROQ) for _ in range(2)]

        found = [await do(mode, client, "get_responses", response.id) for response in responses]
        assert [response.output_text for response in found] == ["one", "two"]

    mode.run(body)


def test_what_is_not_to_be_stored_is_not(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        store = MemoryStore()
        client = scripted({"id": "resp_1"}, state_store=store)
        for call in (GROQ, OPENAI):
            response = await mode.response(client.chain, streamed=streamed, store=False, **call)
            assert not is_kept(response.id)

        assert store.used_bytes == 0

    mode.run(body)


def test_copies_of_what_hosts_keep_can_be_left_out(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        store = MemoryStore()
        client = scripted(
            {"id": "resp_1"}, chain=presets.responses.with_(remember={"copies": False}), state_store=store
        )
        await mode.response(client.chain, streamed=streamed, **OPENAI)
        assert store.used_bytes == 0
        assert is_kept((await mode.response(client.chain, streamed=streamed, **GROQ)).id)

    mode.run(body)


def test_asking_to_store_is_no_longer_more_than_the_host_takes() -> None:
    explanation = presets.responses.explain("Hi", store=True, api_key="k", **GROQ)

    assert explanation.dropped == ()
    assert explanation.request is not None
    assert explanation.request.body == {"model": "m", "input": "Hi"}


# --- going on -------------------------------------------------------------------------------------------------------


def test_the_host_gets_all_that_was_said_before(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("Hello.", "Fine.", "Bye.")
        first = await mode.response(client.chain, "Hi", streamed=streamed, instructions="Be brief.", **GROQ)
        second = await mode.response(
            client.chain,
            [{"role": "user", "content": "How are you?"}],
            streamed=streamed,
            previous_response_id=first.id,
            **GROQ,
        )
        await mode.response(client.chain, "Bye", streamed=streamed, previous_response_id=second.id, **GROQ)

        assert texts(client) == ["Hi", "Hello.", "How are you?", "Fine.", "Bye"]
        assert [item["type"] for item in client.requests[2]["input"]] == ["message"] * 5
        assert second.previous_response_id == first.id
        # Instructions are the call's own, and never handed down.
        assert "instructions" not in client.requests[1]
        assert "previous_response_id" not in client.requests[1]

    mode.run(body)


def test_calls_stay_with_their_results(mode: Mode) -> None:
    async def body() -> None:
        calling = {"output": [function_call("f", {}, "call_1"), function_call("g", {}, "call_2")]}
        client = scripted(calling, "Done.")
        first = await mode.call(client.chain, "Go", **GROQ)
        results = [{"type": "function_call_output", "call_id": f"call_{at}", "output": str(at)} for at in (2, 1)]
        await mode.call(client.chain, results, previous_response_id=first.id, **GROQ)

        sent = client.requests[1]["input"]
        assert [item["type"] for item in sent] == ["message", *["function_call"] * 2, *["function_call_output"] * 2]
        assert [item.get("call_id") for item in sent[1:]] == ["call_1", "call_2", "call_2", "call_1"]

    mode.run(body)


@pytest.mark.parametrize("background", [None, True])
def test_functions_that_are_run_here_are_part_of_the_turn(mode: Mode, background: bool | None) -> None:
    def weather(city: str) -> str:
        """Say what the weather is like."""
        return f"Sunny in {city}."

    async def body() -> None:
        client = scripted({"output": [function_call("weather", {"city": "Rome"}, "c")]}, "It is sunny.", "Bye.")
        first = await mode.call(client.chain, "Weather?", tools=[weather], background=background, **GROQ)
        if background:
            first = await do(mode, client, "poll_responses", first.id, interval_s=0.02)
        await mode.call(client.chain, "Thanks.", previous_response_id=first.id, **GROQ)

        assert first.output_text == "It is sunny."
        kinds = [item["type"] for item in client.requests[-1]["input"]]
        assert kinds == ["message", "function_call", "function_call_output", "message", "message"]
        assert texts(client) == ["Weather?", "weather", "Sunny in Rome.", "It is sunny.", "Thanks."]
        await mode.close(client)

    mode.run(body)


def test_items_of_the_model_go_back_as_they_came(mode: Mode) -> None:
    async def body() -> None:
        odd = {"type": "of_tomorrow", "id": "x_1", "new": [1, {"a": None}]}
        thought: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
        client = scripted({"output": [thought, odd, message("Hm.")]}, "Next.")
        first = await mode.call(client.chain, "Hi", **GROQ)
        await mode.call(client.chain, "And?", previous_response_id=first.id, **GROQ)

        assert client.requests[1]["input"][1:3] == [thought, odd]

    mode.run(body)


def test_no_host_gets_the_thoughts_of_another(mode: Mode) -> None:
    async def body() -> None:
        thought: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"}
        client = scripted({"id": "resp_1", "output": [thought, message("Hm.", "msg_1")]}, "Next.")
        first = await mode.call(client.chain, "Hi", **OPENAI)
        second = await mode.call(client.chain, "And?", previous_response_id=first.id, **GROQ)

        assert texts(client) == ["Hi", "Hm.", "And?"]
        assert all("id" not in item and "status" not in item for item in client.requests[1]["input"])
        assert [item.name for item in second.dropped] == ["reasoning of openai"]
        assert second.previous_response_id == first.id

    mode.run(body)


def test_a_compaction_is_not_silently_left_out_for_another_host(mode: Mode) -> None:
    async def body() -> None:
        compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}
        client = scripted({"id": "resp_1", "output": [message("Hm.")]}, "Next.")
        first = await mode.call(client.chain, [compaction, {"role": "user", "content": "Hi"}], **OPENAI)

        with pytest.raises(UnsupportedParameter, match="a compaction of openai, which groq cannot read"):
            await mode.call(client.chain, "And?", previous_response_id=first.id, **GROQ)

    mode.run(body)


def test_going_on_at_another_address_of_the_same_provider(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": [message("Hello.")]}, {"id": "resp_2"})
        first = await mode.call(client.chain, "Hi", api_base="https://eu.example/v1", **OPENAI)
        second = await mode.call(
            client.chain, "And?", api_base="https://us.example/v1", previous_response_id=first.id, **OPENAI
        )

        assert texts(client) == ["Hi", "Hello.", "And?"]
        assert second.previous_response_id == first.id

    mode.run(body)


def test_what_is_unknown_is_not_found(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        unknown = "resp_apk1_" + 32 * "0"
        with pytest.raises(NotFoundError, match=unknown) as caught:
            await mode.response(client.chain, previous_response_id=unknown, streamed=streamed, **GROQ)
        assert (caught.value.status, caught.value.param) == (404, "previous_response_id")
        for name in ("get_responses", "cancel_responses", "delete_responses", "list_input_items"):
            with pytest.raises(NotFoundError, match=unknown) as caught:
                await do(mode, client, name, unknown)
            assert caught.value.param == "response_id"

        assert client.requests == []

    mode.run(body)


def test_a_dry_run_shows_the_whole_input_and_keeps_nothing() -> None:
    store = MemoryStore()
    client = scripted("Hello.", state_store=store)
    first = client.responses("Hi", "groq/m")
    used = store.used_bytes

    explanation = client.chain.explain("And?", previous_response_id=first.id, **GROQ)

    assert explanation.request is not None
    assert [text_of(item) for item in explanation.request.body["input"]] == ["Hi", "Hello.", "And?"]
    assert store.used_bytes == used


# --- ends that are none, or not good ones ---------------------------------------------------------------------------


def test_an_incomplete_response_is_kept_and_gone_on_from(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        cut = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "f",
            "arguments": "{",
            "status": "incomplete",
        }
        cut_short = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        client = scripted({**cut_short, "output": [message("Hel"), cut]}, "Next.")
        first = await mode.response(client.chain, "Hi", streamed=streamed, **GROQ)
        assert (await do(mode, client, "get_responses", first.id)).status == "incomplete"

        await mode.response(client.chain, "Go on", streamed=streamed, previous_response_id=first.id, **GROQ)
        assert texts(client) == ["Hi", "Hel", "Go on"]

    mode.run(body)


def test_a_failed_response_is_kept(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        error = {"code": "server_error", "message": "it broke"}
        assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
        assembler.start()
        assembler.end(status="failed", error=error)
        said = streamed_body(assembler.take()) if streamed else {"id": "resp_1", "status": "failed", "error": error}
        client = scripted(said)
        with pytest.raises(APIError) as caught:
            await mode.response(client.chain, streamed=streamed, num_retries=0, **GROQ)

        assert caught.value.response is not None
        found = await do(mode, client, "get_responses", caught.value.response.id)
        assert (found.status, found.error.message) == ("failed", "it broke")

    mode.run(body)


def test_a_stream_that_breaks_is_kept_as_far_as_it_came(mode: Mode) -> None:
    async def body() -> None:
        broken = Source(*one_by_one(text_events("Hel", "lo", end=False)), APIConnectionError("reset"))
        chain = presets.responses.replace("dispatch", streaming(lambda: broken))
        client = Client(chain)
        stream = await mode.call(chain.bind(client.engine), stream=True, num_retries=0, api_key="k", **GROQ)
        with pytest.raises(antiphon.StreamInterrupted) as caught:
            await mode.events(stream)

        assert caught.value.response is not None
        found = await do(mode, client, "get_responses", caught.value.response.id)
        assert (found.status, found.output_text, found.error.message) == ("failed", "Hello", "reset")

    mode.run(body)


def test_a_stream_that_is_let_go_is_kept_as_far_as_it_was_read(mode: Mode) -> None:
    async def body() -> None:
        events = one_by_one(text_events("Hel", "lo", end=False))
        chain = presets.responses.replace("dispatch", streaming(lambda: Source(*events)))
        client = Client(chain)
        stream = await mode.call(chain.bind(client.engine), stream=True, api_key="k", **GROQ)
        for _ in events:
            await mode.next(stream)
        await mode.close(stream)

        assert stream.outcome.kind == "abandoned"
        found = await do(mode, client, "get_responses", stream.response.id)
        assert (found.status, found.output_text) == ("cancelled", "Hello")

    mode.run(body)


def test_a_response_is_kept_before_the_reader_sees_its_end(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        stream = await mode.call(client.chain, stream=True, **GROQ)
        while not isinstance(event := await mode.next(stream), ev.ResponseCompleted):
            pass

        assert (await do(mode, client, "get_responses", event.response.id)).output_text == "Hello."
        await mode.close(stream)

    mode.run(body)


# --- the other calls ------------------------------------------------------------------------------------------------


def test_a_response_is_streamed_again_from_any_event(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello there.")
        response = await mode.call(client.chain, **GROQ)

        whole = await mode.events(await do(mode, client, "get_responses", response.id, stream=True))
        rest = await mode.events(await do(mode, client, "get_responses", response.id, stream=True, starting_after=3))

        assert antiphon.check_grammar(whole) == []
        assert whole[-1].response.to_dict() == response.to_dict()  # type: ignore[attr-defined]
        assert [event.raw for event in rest] == [event.raw for event in whole[4:]]

    mode.run(body)


def test_what_is_deleted_is_gone(mode: Mode, any_store: Store) -> None:
    async def body() -> None:
        client = scripted("Hello.", state_store=any_store)
        response = await mode.call(client.chain, "secret", **GROQ)

        deleted = await do(mode, client, "delete_responses", response.id)

        assert (deleted.id, deleted.deleted) == (response.id, True)
        for name in ("get_responses", "delete_responses", "list_input_items"):
            with pytest.raises(NotFoundError):
                await do(mode, client, name, response.id)
        assert any_store.read([key_of(None, "response", response.id)]) == [None]

    mode.run(body)


def test_deleting_at_a_host_deletes_the_copy_here(mode: Mode) -> None:
    async def body() -> None:
        store = MemoryStore()
        client = scripted({"id": "resp_1"}, {"body": {"id": "resp_1", "deleted": True}}, "Hm.", state_store=store)
        response = await mode.call(client.chain, **OPENAI)
        await do(mode, client, "delete_responses", response.id)

        assert store.used_bytes == 0
        with pytest.raises(InvalidParameter, match="belongs to openai, and the call goes to groq"):
            await mode.call(client.chain, previous_response_id=response.id, **GROQ)

    mode.run(body)


def pages(given: list[Any]) -> list[str]:
    return [text_of(item.to_dict()) for item in given]


async def conversation_of_five(mode: Mode) -> tuple[ScriptedClient, str]:
    client = scripted("b", "d", "f")
    first = await mode.call(client.chain, "a", **GROQ)
    second = await mode.call(client.chain, "c", previous_response_id=first.id, **GROQ)
    third = await mode.call(client.chain, "e", previous_response_id=second.id, **GROQ)
    return client, third.id


def test_input_items_are_all_that_the_model_was_given_newest_first(mode: Mode) -> None:
    async def body() -> None:
        client, response_id = await conversation_of_five(mode)
        page = await do(mode, client, "list_input_items", response_id)

        assert pages(page.data) == ["e", "d", "c", "b", "a"]
        assert page.has_more is False
        assert (page.first_id, page.last_id) == (page.data[0].to_dict()["id"], page.data[-1].to_dict()["id"])
        assert len({item.to_dict()["id"] for item in page.data}) == 5
        again = await do(mode, client, "list_input_items", response_id)
        assert again.raw == page.raw

    mode.run(body)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_input_items_go_both_ways(mode: Mode, order: Any) -> None:
    async def body() -> None:
        client, response_id = await conversation_of_five(mode)
        whole = await do(mode, client, "list_input_items", response_id, order=order)
        ids = [item.to_dict()["id"] for item in whole.data]

        async def shown(**cursor: Any) -> tuple[list[str], bool]:
            page = await do(mode, client, "list_input_items", response_id, order=order, **cursor)
            return [item.to_dict()["id"] for item in page.data], page.has_more

        assert await shown(limit=2) == (ids[:2], True)
        assert await shown(limit=2, after=ids[1]) == (ids[2:4], True)
        assert await shown(limit=2, after=ids[3]) == (ids[4:], False)
        assert await shown(after=ids[4]) == ([], False)
        assert await shown(limit=2, before=ids[4]) == (ids[2:4], True)
        assert await shown(limit=2, before=ids[2]) == (ids[:2], False)
        assert await shown(after=ids[0], before=ids[4]) == (ids[1:4], False)
        assert await shown(limit=2, after=ids[0], before=ids[4]) == (ids[1:3], True)

    mode.run(body)


def test_a_page_goes_on_through_all_pages(mode: Mode) -> None:
    async def body() -> None:
        client, response_id = await conversation_of_five(mode)
        page = await do(mode, client, "list_input_items", response_id, limit=2, order="asc")

        items = [item async for item in page] if mode.is_async else list(page)
        assert pages(items) == ["a", "b", "c", "d", "e"]

    mode.run(body)


@pytest.mark.parametrize(
    ("cursor", "said"),
    [({"limit": 0}, "limit is 0"), ({"limit": 101}, "limit is 101"), ({"after": "x"}, "no item of this response")],
)
def test_a_page_that_there_cannot_be_is_refused(cursor: dict[str, Any], said: str) -> None:
    client = scripted("Hello.")
    response = client.responses("Hi", "groq/m")

    with pytest.raises(InvalidParameter, match=said):
        client.list_input_items(response.id, **cursor)


def test_a_conversation_is_compacted_by_a_model(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("b", "They said a and b.", "Next.")
        first = await mode.call(client.chain, "a", **GROQ)
        compacted = await do(
            mode, client, "compact_responses", "c", "groq/m", previous_response_id=first.id, instructions="Brief."
        )

        assert (texts(client)[:3], len(texts(client))) == (["a", "b", "c"], 4)
        assert "Write down what is needed to go on" in texts(client)[3]
        assert client.requests[1]["instructions"] == "Brief."
        assert [text_of(item.to_dict()) for item in compacted.output[:2]] == ["a", "c"]
        assert text_of(compacted.output[2].to_dict()).endswith("They said a and b.")
        assert compacted.usage is not None
        assert compacted.meta is not None
        await mode.call(client.chain, [*compacted.output, {"role": "user", "content": "d"}], **GROQ)
        assert len(client.requests[2]["input"]) == 4

    mode.run(body)


def test_a_host_that_compacts_gets_what_it_does_not_know(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("b", {"body": {"id": "resp_c", "object": "response.compaction", "output": []}})
        first = await mode.call(client.chain, "a", **GROQ)
        await do(mode, client, "compact_responses", "c", "openai/m", previous_response_id=first.id)

        assert client.host.requests[1].url.endswith("/responses/compact")
        assert texts(client) == ["a", "b", "c"]

    mode.run(body)


def test_a_summary_that_is_none_is_an_error(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"output": [function_call("f", {})]})
        with pytest.raises(APIResponseError, match="the model wrote no summary"):
            await do(mode, client, "compact_responses", "c", "groq/m")

    mode.run(body)


def test_counting_tokens_counts_what_was_said_before(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("b", {"body": {"object": "response.input_tokens", "input_tokens": 3}})
        first = await mode.call(client.chain, "a", **GROQ)
        await do(mode, client, "count_input_tokens", "c", "openai/m", previous_response_id=first.id)

        assert texts(client) == ["a", "b", "c"]

    mode.run(body)


@pytest.mark.parametrize("name", ["get_responses", "cancel_responses", "delete_responses", "list_input_items"])
def test_a_hosts_own_response_that_it_does_not_serve_is_refused_as_before(name: str) -> None:
    client = scripted("Hello.")
    with pytest.raises(UnsupportedOperation, match="groq does not serve"):
        getattr(client, name)(encode_id("resp_1", "groq"))

    assert client.requests == []


def test_a_copy_serves_what_its_host_does_not(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": [message("Hello.")]})
        response = await mode.call(client.chain, "Hi", model="xai/m")
        page = await do(mode, client, "list_input_items", response.id)

        assert pages(page.data) == ["Hi"]
        assert len(client.requests) == 1

    mode.run(body)


HALF = (
    rb'{"id":"r","object":"response","status":"completed","output":[{"type":"message","id":"m","role":"assistant",'
    + (rb'"status":"completed","content":[{"type":"output_text","text":"half \ud83d","annotations":[]}]}],"of":NaN}')
)


@pytest.mark.parametrize("given", ["half \ud83d", [{"role": "user", "content": "half \ud83d"}]], ids=["text", "items"])
def test_odd_json_of_hosts_and_callers_is_kept_too(mode: Mode, given: Any) -> None:
    async def body() -> None:
        client = scripted({"body": HALF, "headers": {"content-type": "application/json"}}, "Next.")
        first = await mode.call(client.chain, given, conversation="c", **GROQ)
        assert first.meta.notes == ()
        assert (await do(mode, client, "get_responses", first.id)).output_text == "half \ud83d"

        await mode.call(client.chain, "And?", previous_response_id=first.id, **GROQ)
        assert texts(client) == ["half \ud83d"] * 2 + ["And?"]
        await mode.call(client.chain, "And?", conversation="c", **GROQ)
        assert texts(client) == ["half \ud83d"] * 2 + ["And?"]

    mode.run(body)


# --- conversations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["support-42", {"id": "support-42"}])
def test_a_conversation_has_a_name_that_the_caller_gives_it(mode: Mode, streamed: bool, given: Any) -> None:
    async def body() -> None:
        client = scripted("b", "d", "f")
        for text, call in (("a", GROQ), ("c", {"model": "openai/m"}), ("e", GROQ)):
            response = await mode.response(client.chain, text, streamed=streamed, conversation=given, **call)
            assert response.conversation is not None
            assert response.conversation.id == "support-42"

        assert texts(client) == ["a", "b", "c", "d", "e"]
        assert all("conversation" not in request for request in client.requests)

    mode.run(body)


def test_a_conversation_keeps_what_is_not_stored_as_a_response(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("b", "d")
        await mode.call(client.chain, "a", conversation="c", store=False, **GROQ)
        await mode.call(client.chain, "c", conversation="c", **GROQ)

        assert texts(client) == ["a", "b", "c"]

    mode.run(body)


def test_what_failed_was_not_said(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"status": 500, "body": {"error": {"message": "no"}}}, "Yes.")
        with pytest.raises(APIError):
            await mode.response(client.chain, "a", conversation="c", num_retries=0, streamed=streamed, **GROQ)
        await mode.response(client.chain, "b", conversation="c", streamed=streamed, **GROQ)

        assert texts(client) == ["b"]

    mode.run(body)


def test_a_hosts_own_conversation_is_left_to_it(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        await mode.call(client.chain, conversation="conv_1", **OPENAI)

        assert client.requests[0]["conversation"] == "conv_1"

    mode.run(body)


def test_what_a_hosts_own_conversation_holds_is_missed_elsewhere(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": [message("Hello.")]})
        first = await mode.response(client.chain, conversation={"id": "conv_1"}, streamed=streamed, **OPENAI)
        with pytest.raises(NotFoundError, match="conversation conv_1 of openai, which resp_1 of openai goes on from"):
            await mode.response(client.chain, previous_response_id=first.id, streamed=streamed, **GROQ)
        assert len(client.requests) == 1

    mode.run(body)


def test_input_items_of_a_conversation_are_those_of_its_time(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("b", "d", "f")
        await mode.call(client.chain, "a", conversation="c", **GROQ)
        second = await mode.call(client.chain, "c", conversation="c", **GROQ)
        await mode.call(client.chain, "e", conversation="c", **GROQ)
        page = await do(mode, client, "list_input_items", second.id, order="asc")
        assert pages(page.data) == ["a", "b", "c"]

        await mode.call(client.chain, "x", previous_response_id=second.id, **GROQ)
        assert texts(client) == ["a", "b", "c", "d", "x"]

    mode.run(body)


# --- stores and tenants ---------------------------------------------------------------------------------------------


def test_a_tenant_does_not_find_what_another_has(mode: Mode, any_store: Store) -> None:
    async def body() -> None:
        a, b, nobody = (scripted("Hello.", state_store=any_store, tenant=tenant) for tenant in ("a", "b", None))
        response = await mode.call(a.chain, "Hi", conversation="c", **GROQ)

        for other in (b, nobody):
            for name in ("get_responses", "cancel_responses", "delete_responses", "list_input_items"):
                with pytest.raises(NotFoundError):
                    await do(mode, other, name, response.id)
            with pytest.raises(NotFoundError):
                await mode.call(other.chain, previous_response_id=response.id, **GROQ)
            await mode.call(other.chain, "x", conversation="c", **GROQ)
            assert texts(other) == ["x"]
        assert (await do(mode, a, "get_responses", response.id)).id == response.id

    mode.run(body)


def test_what_one_client_keeps_another_finds(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        url = f"sqlite:///{tmp_path}/state.db"
        one = scripted("Hello.", state_store=url)
        response = await mode.call(one.chain, "Hi", **GROQ)
        await mode.close(one)

        other = scripted("Fine.", state_store=url)
        await mode.call(other.chain, "And?", previous_response_id=response.id, **GROQ)
        assert texts(other) == ["Hi", "Hello.", "And?"]
        await mode.close(other)

    mode.run(body)


def test_where_the_store_comes_from(mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call's own first, then the stage's, the client's, the environment's."""

    async def body() -> None:
        url = {name: f"sqlite:///{tmp_path}/{name}.db" for name in ("call", "stage", "client", "environment")}
        monkeypatch.setenv("ANTIPHON_STORE", url["environment"])
        chain = presets.responses.with_(remember={"state_store": url["stage"]})
        cases: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("environment", {}, {}),
            ("client", {"state_store": url["client"]}, {}),
            ("stage", {"chain": chain, "state_store": url["client"]}, {}),
            ("call", {"chain": chain, "state_store": url["client"]}, {"state_store": url["call"]}),
        ]
        for name, settings, call in cases:
            client = scripted("Hello.", **settings)
            response = await mode.call(client.chain, **GROQ, **call)
            await mode.close(client)

            store = open_store(url[name])
            assert store.read([key_of(None, "response", response.id)]) != [None]
            store.close()

    mode.run(body)


def test_a_store_may_be_handed_to_a_call(mode: Mode) -> None:
    async def body() -> None:
        store = MemoryStore()
        client = scripted("Hello.")
        response = await mode.call(client.chain, state_store=store, **GROQ)

        with pytest.raises(NotFoundError):
            await do(mode, client, "get_responses", response.id)
        assert (await do(mode, client, "get_responses", response.id, state_store=store)).id == response.id

    mode.run(body)


def test_what_is_no_store_is_refused() -> None:
    with pytest.raises(SetupError, match="state_store is bool"):
        scripted("Hello.").responses("Hi", "groq/m", state_store=True)  # type: ignore[call-overload]
    with pytest.raises(InvalidParameter, match='there is no store "mysql://"'):
        scripted("Hello.", state_store="mysql://host/db").responses("Hi", "groq/m")


def test_a_password_in_the_url_of_a_store_is_shown_nowhere() -> None:
    stage = Remember(state_store="postgresql://me:hunter2@host/db")

    assert "hunter2" not in repr(stage)
    assert stage.state_store == Secret("postgresql://me:hunter2@host/db")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(stage)
    assert pickle.loads(pickle.dumps(Remember(FromEnv("STORE")))) == Remember(FromEnv("STORE"))


def test_the_url_may_stand_in_a_variable_that_the_stage_names(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        monkeypatch.setenv("MY_STORE", f"sqlite:///{tmp_path}/state.db")
        chain = presets.responses.with_(remember={"state_store": FromEnv("MY_STORE")})
        client = scripted("Hello.", chain=chain)
        await mode.call(client.chain, **GROQ)
        await mode.close(client)

        assert (tmp_path / "state.db").exists()

    mode.run(body)


class Failing(MemoryStore):
    """A store that can be told to fail."""

    fails = False

    def _entry(self, key: str, now: float) -> Any:
        self._check()
        return super()._entry(key, now)

    def write(self, key: str, value: bytes, **settings: Any) -> int:
        self._check()
        return super().write(key, value, **settings)

    def _check(self) -> None:
        if self.fails:
            raise StoreUnavailable("the store is away")


def test_a_store_that_fails_does_not_take_the_answer_away(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        store = Failing()
        client = scripted("Hello.", state_store=store)
        first = await mode.response(client.chain, streamed=streamed, **GROQ)
        store.fails = True

        response = await mode.response(client.chain, streamed=streamed, **GROQ)

        assert response.output_text == "Hello."
        assert response.meta is not None
        assert response.meta.notes == ("the response was not kept: the store is away",)
        with pytest.raises(StoreError, match="the store is away"):
            await mode.response(client.chain, previous_response_id=first.id, streamed=streamed, **GROQ)
        with pytest.raises(StoreError, match="the store is away"):
            await mode.call(client.chain, background=True, **GROQ)
        assert len(client.requests) == 2

    mode.run(body)


_MADE = b'"provider":"groq","deployment":"","model":"m","status":"completed"'


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (b'{"format":99,"of":"tomorrow"}', StoreSchemaNewer, "has format 99, and this version reads up to 1"),
        (b"\xff\xfe", StoreUnreadable, "is no record"),
        (b'{"a":1}', StoreUnreadable, "is no record"),
        (b"{%b,%b}" % (_MADE, b'"input":[],"response":[]'), StoreUnreadable, "a part of it is no object"),
        (b"{%b,%b}" % (_MADE, b'"input":["x"],"response":{}'), StoreUnreadable, "a part of it is no object"),
        (b"{%b,%b}" % (_MADE, b'"input":[],"response":{},"place":"\\ud83d"'), StoreUnreadable, "is no record"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_so(data: bytes, error: type[StoreError], said: str) -> None:
    store = MemoryStore()
    client = scripted("Hello.", state_store=store)
    response_id = "resp_apk1_" + 32 * "0"
    store.write(key_of(None, "response", response_id), data)

    with pytest.raises(error, match=said):
        client.get_responses(response_id)


def test_what_is_kept_expires(mode: Mode) -> None:
    async def body() -> None:
        clock = [0.0]
        store = MemoryStore(now=lambda: clock[0])
        client = scripted("Hello.", chain=presets.responses.with_(remember={"ttl_s": 60.0}), state_store=store)
        response = await mode.call(client.chain, **GROQ)
        clock[0] = 61.0

        with pytest.raises(NotFoundError, match="has expired"):
            await do(mode, client, "get_responses", response.id)

    mode.run(body)


def test_the_usual_store_is_bounded() -> None:
    client = scripted(lambda body: {"output": [message("x" * 1_000_000)]})
    first, *_, last = [client.responses("Hi", "groq/m").id for _ in range(70)]

    assert client.get_responses(last).id == last
    with pytest.raises(NotFoundError):
        client.get_responses(first)


# --- several kinds of hosts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stateless", "chat", "anthropic"])
def test_every_kind_of_host_serves_every_call(mode: Mode, streamed: bool, kind: Kind) -> None:
    async def body() -> None:
        host = TalkingHost()
        client = Client(transport=host)
        call = CALLS[kind]

        first = await mode.response(client.chain, "say A", streamed=streamed, **call)
        second = await mode.response(client.chain, "say B", streamed=streamed, previous_response_id=first.id, **call)

        assert words(host.seen[-1]) == [("user", "say A"), ("assistant", "A"), ("user", "say B")]
        assert (await do(mode, client, "get_responses", second.id)).output_text == "B"
        assert pages((await do(mode, client, "list_input_items", first.id)).data) == ["say A"]
        compacted = await do(mode, client, "compact_responses", None, previous_response_id=second.id, **call)
        assert [item.type for item in compacted.output] == ["message"] * 3
        assert (await do(mode, client, "delete_responses", first.id)).deleted
        await mode.close(client)

    mode.run(body)


@pytest.mark.parametrize(
    "ref", ["resp_apk1_" + 32 * "a", "openai~~resp_1", "x" * 200, "x" * 201, "a/b", "ü~~x", "a:b", ""]
)
def test_a_key_is_made_the_short_way_only_where_it_is_the_same(ref: str) -> None:
    for tenant in (None, "a", "a/b", "resp"):
        shelf = Shelf(MemoryStore(), tenant, None, None)  # type: ignore[arg-type]

        assert shelf._key(ref) == key_of(tenant, "response", ref)
