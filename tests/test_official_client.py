"""OpenAI's own Python package takes what this library makes, and both send the same requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, get_args
from urllib.parse import parse_qsl, urlsplit

import openai
import pydantic
import pytest
from conftest import Mode
from hand_made import answer, sse, text_events
from openai.types import responses as official
from recordings import Recording, load
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.replay import replay
from antiphon.testing import function_call, message, scripted

EVENTS: dict[str, type[pydantic.BaseModel]] = {
    get_args(cls.model_fields["type"].annotation)[0]: cls for cls in get_args(get_args(official.ResponseStreamEvent)[0])
}

REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "One thought."}]}
REFUSAL = {**message(""), "id": "msg_2", "content": [{"type": "refusal", "refusal": "I will not."}]}
CITED = message("As they say.", "msg_3")
CITED["content"][0]["annotations"] = [
    {"type": "url_citation", "url": "https://example.org", "title": "t", "start_index": 0, "end_index": 2}
]
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "f", "input": "x = 1"}
TOOLS = [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}]

ANSWERS: dict[str, Any] = {
    "text": "Hello there, you all.",
    "nothing": {"output": []},
    "empty text": "",
    "refusal": {"output": [REFUSAL]},
    "annotations": {"output": [CITED]},
    "calls": {"output": [function_call("f", {"a": [1]}), function_call("g", {}, "call_3")], "tools": TOOLS},
    "call without arguments": {"output": [{**function_call("f", {}), "arguments": ""}]},
    "empty summary": {"output": [{**REASONING, "summary": [{"type": "summary_text", "text": ""}]}]},
    "empty refusal": {"output": [{**REFUSAL, "content": [{"type": "refusal", "refusal": ""}]}]},
    "all": {"output": [REASONING, SEARCH, CITED, CUSTOM, function_call("f", {})]},
    "incomplete": {
        "output": [message("Hel")],
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
    },
}
BASE: dict[str, Any] = {
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
}


def official_response(response: Response) -> official.Response:
    """Return the response as the official class sees it, strictly validated."""
    return official.Response.model_validate_json(response.raw)


def official_event(event: ev.Event) -> Any:
    return EVENTS[event.type].model_validate_json(event.raw)


@pytest.mark.parametrize("case", ANSWERS)
def test_a_plain_response_is_one_of_theirs(case: str) -> None:
    response = scripted(ANSWERS[case]).responses("Hi", "openai/m")
    found = official_response(response)

    assert found.output_text == response.output_text
    assert found.id == response.id
    assert [item.type for item in found.output] == [item.to_dict()["type"] for item in response.output]
    assert json.loads(found.model_dump_json(exclude_unset=True)) == response.to_dict()


@pytest.mark.parametrize("case", ANSWERS)
def test_every_event_of_a_stream_is_one_of_theirs(case: str) -> None:
    for event in scripted(ANSWERS[case]).responses("Hi", "openai/m", stream=True):
        found = official_event(event)
        assert json.loads(found.model_dump_json(exclude_unset=True)) == event.to_dict()


@pytest.mark.parametrize("case", ANSWERS)
def test_every_event_of_our_own_making_is_one_of_theirs(case: str) -> None:
    given: Any = ANSWERS[case]
    fields: dict[str, Any] = {"output": [message(given)]} if isinstance(given, str) else given
    for event in replay(answer(**{**BASE, **fields})):
        official_event(event)


def test_the_echo_is_one_of_theirs() -> None:
    response = antiphon.responses("Say it.", "scripted/echo")

    assert official_response(response).output_text == "Say it."


# --- their client at a server of ours -----------------------------------------------------------------------------


def made(case: str) -> tuple[bytes, Response]:
    """Return a scripted stream as bytes, and its final response."""
    stream = scripted(ANSWERS[case]).responses("Hi", "openai/m", stream=True)
    events = list(stream)
    assert stream.response is not None
    return sse(events), stream.response


async def read(mode: Mode, url: str) -> list[Any]:
    """Return the events that the official client reads."""
    if mode.is_async:
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            stream = await client.responses.create(model="m", input="Hi", stream=True)
            return [event async for event in stream]
    with openai.OpenAI(api_key="k", base_url=url, max_retries=0) as client:
        return list(client.responses.create(model="m", input="Hi", stream=True))


THEIRS = pytest.mark.parametrize("mode", [Mode("sync"), Mode("asyncio")], ids=lambda mode: mode.name)


@THEIRS
@pytest.mark.parametrize("case", ANSWERS)
def test_their_client_reads_a_stream_of_ours_to_the_end(mode: Mode, case: str) -> None:
    body, response = made(case)

    with replaying(Answer.stream(body)) as server:
        events = mode.run(lambda: read(mode, f"{server.url}/v1"))

    assert events[0].type == "response.created"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert events[-1].response.output_text == response.output_text
    assert events[-1].response.id == response.id


@pytest.mark.parametrize("case", [case for case in ANSWERS if case != "incomplete"])
def test_their_helper_adds_our_events_up_to_our_response(case: str) -> None:
    body, response = made(case)

    with (
        replaying(Answer.stream(body)) as server,
        openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client,
        client.responses.stream(model="m", input="Hi") as stream,
    ):
        found = stream.get_final_response()

    assert found.output_text == response.output_text
    assert [item.model_dump()["id"] for item in found.output] == [item.to_dict()["id"] for item in response.output]


# --- the same requests --------------------------------------------------------------------------------------------

BODY = {**answer(**BASE).to_dict(), "id": "resp_7"}
PAGE = {"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}
COMPACTED = {"id": "resp_c", "object": "response.compaction", "created_at": 1, "output": [], "usage": None}
COUNT = {"object": "response.input_tokens", "input_tokens": 3}
STREAM = sse(text_events("Hello", " there."))
ODD = "r/../a?b"
INPUT = [{"role": "user", "content": "Hi"}]

Calls = tuple[Callable[[openai.OpenAI], Any], Callable[[dict[str, Any]], Any], Any]
BOTH: dict[str, Calls] = {
    "create": (
        lambda client: client.responses.create(
            model="m", input="Hi", store=False, metadata={"a": "b"}, temperature=0.5, conversation="conv_1"
        ),
        lambda base: antiphon.responses(
            "Hi",
            "openai_compatible/m",
            store=False,
            metadata={"a": "b"},
            temperature=0.5,
            conversation="conv_1",
            **base,
        ),
        BODY,
    ),
    "create with null": (
        lambda client: client.responses.create(model="m", input="Hi", instructions=None),
        lambda base: antiphon.responses("Hi", "openai_compatible/m", instructions=antiphon.NULL, **base),
        BODY,
    ),
    "create, streamed": (
        lambda client: list(client.responses.create(model="m", input="Hi", stream=True)),
        lambda base: list(antiphon.responses("Hi", "openai_compatible/m", stream=True, **base)),
        STREAM,
    ),
    "get": (
        lambda client: client.responses.retrieve("resp_7", include=["file_search_call.results"]),
        lambda base: antiphon.get_responses("resp_7", include=["file_search_call.results"], **base),
        BODY,
    ),
    "get, odd id": (
        lambda client: client.responses.retrieve(ODD),
        lambda base: antiphon.get_responses(ODD, **base),
        BODY,
    ),
    "get, streamed": (
        lambda client: list(client.responses.retrieve("resp_7", stream=True, starting_after=3)),
        lambda base: list(antiphon.get_responses("resp_7", stream=True, starting_after=3, **base)),
        sse(text_events("Hello", " there.")[4:]),
    ),
    "get, obfuscation": (
        lambda client: client.responses.retrieve("resp_7", include_obfuscation=False),
        lambda base: antiphon.get_responses("resp_7", include_obfuscation=False, **base),
        BODY,
    ),
    "delete": (
        lambda client: client.responses.delete("resp_7"),
        lambda base: antiphon.delete_responses("resp_7", **base),
        {"id": "resp_7", "object": "response", "deleted": True},
    ),
    "delete, empty answer": (
        lambda client: client.responses.delete("resp_7"),
        lambda base: antiphon.delete_responses("resp_7", **base),
        b"",
    ),
    "cancel": (
        lambda client: client.responses.cancel("resp_7"),
        lambda base: antiphon.cancel_responses("resp_7", **base),
        BODY,
    ),
    "input items": (
        lambda client: client.responses.input_items.list(
            "resp_7", after="msg_1", limit=2, order="asc", include=["message.input_image.image_url"]
        ),
        lambda base: antiphon.list_input_items(
            "resp_7", after="msg_1", limit=2, order="asc", include=["message.input_image.image_url"], **base
        ),
        PAGE,
    ),
    "compact": (
        lambda client: client.responses.compact(
            model="m", input=[{"role": "user", "content": "Hi"}], instructions="Brief."
        ),
        lambda base: antiphon.compact_responses(INPUT, "openai_compatible/m", instructions="Brief.", **base),
        COMPACTED,
    ),
    "count": (
        lambda client: client.responses.input_tokens.count(model="m", input="Hi", tool_choice="auto"),
        lambda base: antiphon.count_input_tokens("Hi", "openai_compatible/m", tool_choice="auto", **base),
        COUNT,
    ),
}


@pytest.mark.parametrize("name", BOTH)
def test_their_client_and_ours_send_the_same(name: str) -> None:
    theirs, ours, said = BOTH[name]
    is_stream = isinstance(said, bytes) and said.startswith(b"event:")
    data = said if isinstance(said, bytes) else json.dumps(said).encode()

    with replaying(Answer.stream(data) if is_stream else Answer.json(data)) as server:
        with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client:
            theirs(client)
        ours({"api_base": f"{server.url}/v1", "api_key": "k", "custom_llm_provider": "openai_compatible"})
        antiphon.close()

    one, other = server.requests
    assert one.line.split(" ")[0] == other.line.split(" ")[0]
    assert urlsplit(path_of(one)).path == urlsplit(path_of(other)).path
    assert sorted(parse_qsl(urlsplit(path_of(one)).query)) == sorted(parse_qsl(urlsplit(path_of(other)).query))
    assert (json.loads(one.body) if one.body else None) == (json.loads(other.body) if other.body else None)
    assert one.headers["authorization"] == other.headers["authorization"]


# --- recorded -----------------------------------------------------------------------------------------------------


def recorded(kind: str) -> list[Recording]:
    try:
        found = [*load("openai-responses", kind), *load("responses-*", kind)]
    except pytest.skip.Exception:
        return []
    return [each for each in found if urlsplit(each.url).path.endswith("/responses") and each.status == 200]


Fault = tuple[str, str, str]


def faults(cls: type[pydantic.BaseModel], value: Any) -> set[Fault]:
    """Return what the official class does not take: (its name, kind of fault, field)."""
    try:
        cls.model_validate(value)
    except pydantic.ValidationError as error:
        return {(cls.__name__, each["type"], str(each["loc"][-1])) for each in error.errors()}
    return set()


def event_faults(events: Iterable[dict[str, Any]]) -> set[Fault]:
    return {fault for event in events for fault in faults(EVENTS[event["type"]], event)}


def replayed(recording: Recording, url: str) -> Any:
    keywords: dict[str, Any] = {"stream": recording.kind == "stream", "extra_body": recording.request_body}
    return antiphon.responses("Hi", "openai_compatible/m", api_base=url, **keywords)


# Hosts break the official types themselves (older ones lack newer fields): what counts is that we add nothing.


@pytest.mark.parametrize("recording", [pytest.param(each, id=each.name) for each in recorded("stream")])
def test_the_events_of_a_replayed_stream_are_theirs_as_far_as_the_hosts_were(recording: Recording) -> None:
    with replaying(Answer.of(recording)) as server:
        events = list(replayed(recording, server.url))
        antiphon.close()

    sent = [json.loads(line[6:]) for line in recording.body.splitlines() if line.startswith(b"data: {")]
    assert {event.type for event in events} <= EVENTS.keys()
    assert event_faults(event.to_dict() for event in events) <= event_faults(sent)


@pytest.mark.parametrize("recording", [pytest.param(each, id=each.name) for each in recorded("json")])
def test_a_replayed_response_is_theirs_as_far_as_the_hosts_was(recording: Recording) -> None:
    with replaying(Answer.of(recording)) as server:
        response = replayed(recording, server.url)
        antiphon.close()

    assert faults(official.Response, response.to_dict()) == faults(official.Response, json.loads(recording.body))
