"""The native dialect from end to end: recorded exchanges, served over the loopback, through the public functions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Mode
from hand_made import sse, text_events
from recordings import load
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon.pipeline.api.events import Event
from antiphon.pipeline.api.params import NULL, CreateParams
from antiphon.pipeline.api.response import TERMINAL_STATUSES, Response
from antiphon.pipeline.errors import APIStatusError
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.response_ids import decode_id

FIXTURES = Path(__file__).parents[1] / "fixtures" / "responses"
KEY = "sk-canary-0123456789abcdef"


@dataclass(frozen=True)
class Exchange:
    """A request body, the path it went to, and the answer to it."""

    name: str
    path: str
    request: dict[str, Any]
    answer: Answer

    @property
    def is_stream(self) -> bool:
        return self.answer.is_chunked

    @property
    def is_error(self) -> bool:
        return self.answer.status >= 400

    @property
    def request_id(self) -> str | None:
        found = [
            self.answer.headers[name] for name in ("x-request-id", "apim-request-id") if name in self.answer.headers
        ]
        return found[0] if found else None


def own_exchanges() -> Iterator[Exchange]:
    for each in json.loads((FIXTURES / "exchanges.json").read_bytes())["exchanges"]:
        body = (FIXTURES / each["file"]).read_bytes() if "file" in each else json.dumps(each["body"]).encode()
        body = body.replace(b"\n", each.get("line_end", "\n").encode())
        yield Exchange(each["name"], "/v1/responses", each["request"], Answer(each["status"], each["headers"], body))


def recorded_exchanges() -> Iterator[Exchange]:
    for each in [*load("openai-responses"), *load("responses-*")]:
        path = urlsplit(each.url).path
        if each.method == "POST" and path.endswith("/responses"):
            yield Exchange(each.name, path, each.request_body, Answer.of(each))


def is_there() -> bool:
    try:
        load("openai-responses")
    except pytest.skip.Exception:
        return False
    return True


OWN = list(own_exchanges())
RECORDED = list(recorded_exchanges()) if is_there() else []
ALL = OWN + RECORDED
# Streams that break the grammar at the host, and are mended: MCP listings that stay open; other item ids at the end.
MENDED = {
    "openai-responses/stream-openai-responses-model-mcp-list-tools-stream-backfills-m",
    "responses-openrouter/stream-openai-responses-raw-cot-stream-openrouter",
}
PLAIN = [each for each in ALL if not each.is_stream and not each.is_error]
STREAMS = [each for each in ALL if each.is_stream]
ERRORS = [each for each in ALL if each.is_error]


def named(exchange: Exchange) -> str:
    return exchange.name


def keywords(exchange: Exchange, url: str) -> dict[str, Any]:
    """Return the call that should send the recorded request: what the API's types do not know goes into extra_body."""
    body = dict(exchange.request)
    known = {name: NULL if value is None else value for name, value in body.items() if name in PARAMS}
    extra = {name: value for name, value in body.items() if name not in PARAMS}
    return {
        **known,
        **({"extra_body": extra} if extra else {}),
        "model": f"openai_compatible/{body['model']}",
        "api_base": url + exchange.path.removesuffix("/responses"),
        "api_key": KEY,
        "num_retries": 0,
        "mcp_execute": "native",
    }


PARAMS = frozenset(CreateParams.__struct_fields__)


async def ask(mode: Mode, **call: Any) -> Any:
    return await mode.responses(**call)


def frames(body: bytes) -> list[dict[str, Any]]:
    """Return the JSON of a stream's events; these hosts send one data line for each."""
    found = re.findall(rb"^data: ?([^\r\n]*)", body, re.MULTILINE)
    return [json.loads(data) for data in found if data != b"[DONE]"]


def own_ids(found: dict[str, Any]) -> dict[str, Any]:
    """Return a response, or an event that carries one, with the host's own ids in place of the public ones."""
    if isinstance(found.get("response"), dict):
        return {**found, "response": own_ids(found["response"])}
    changed = {name: decode_id(found[name]).upstream for name in ("id", "previous_response_id") if found.get(name)}
    return {**found, **changed} if found.get("object") == "response" else found


def is_sparse(wire: list[dict[str, Any]]) -> bool:
    return any("sequence_number" not in event for event in wire)


def without_repairs(events: list[Event], wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events as JSON without what the repair of a sparse stream has added."""
    added = {"sequence_number", "output_index", "content_index"}
    found = [own_ids(event.to_dict()) for event in events]
    if not any(event["type"] == "response.function_call_arguments.done" for event in wire):
        found = [event for event in found if event["type"] != "response.function_call_arguments.done"]
    return [
        {name: value for name, value in event.items() if name in sent or name not in added}
        for event, sent in zip(found, wire, strict=True)
    ]


def without_mending(events: list[Event], wire: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events as JSON without the items closed for the host, and with its own ids and number at the end."""
    *found, end = [own_ids(event.to_dict()) for event in events]
    sent = wire[-1]["response"]["output"]
    output = [{**item, "id": own["id"]} for item, own in zip(end["response"]["output"], sent, strict=True)]
    mended = {**end, "sequence_number": wire[-1]["sequence_number"], "response": {**end["response"], "output": output}}
    return [*found[: len(wire) - 1], mended]


def test_there_is_something_to_replay() -> None:
    assert len(OWN) >= 10
    if not is_there():
        pytest.skip("no recordings here")
    assert len(RECORDED) >= 70
    assert len([each for each in RECORDED if each.is_stream]) >= 15
    assert len([each for each in RECORDED if each.is_error]) >= 4


@pytest.mark.parametrize("exchange", PLAIN, ids=named)
def test_a_whole_answer_arrives_as_it_was_sent(exchange: Exchange, mode: Mode) -> None:
    with replaying(exchange.answer) as server:
        response = mode.run_calls(lambda: ask(mode, **keywords(exchange, server.url)))

    (received,) = server.requests
    assert path_of(received) == exchange.path
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(received.body) == exchange.request
    assert isinstance(response, Response)
    assert own_ids(response.to_dict()) == json.loads(exchange.answer.body)
    assert [json.loads(item.raw) for item in response.output] == json.loads(exchange.answer.body)["output"]
    assert response.meta is not None
    assert response.meta.status == exchange.answer.status
    assert response.meta.request_id == exchange.request_id
    assert KEY not in repr(response.meta)


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
def test_a_stream_arrives_as_it_was_sent(exchange: Exchange, mode: Mode) -> None:
    async def body() -> tuple[list[Event], Any]:
        stream = await ask(mode, **keywords(exchange, server.url))
        return await mode.events(stream), stream

    with replaying(exchange.answer) as server:
        events, stream = mode.run_calls(body)

    wire = frames(exchange.answer.body)
    (received,) = server.requests
    assert json.loads(received.body) == exchange.request
    assert check_grammar(events) == []
    if exchange.name in MENDED:
        assert without_mending(events, wire) == wire
    else:
        assert without_repairs(events, wire) == wire
        assert own_ids(stream.response.to_dict()) == wire[-1]["response"]
        if not is_sparse(wire):
            assert [own_ids(event.to_dict()) for event in events] == wire
    assert stream.outcome.kind == "completed"
    assert stream.meta.request_id == exchange.request_id


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
def test_how_a_stream_is_cut_into_packets_makes_no_difference(exchange: Exchange) -> None:
    wire = frames(exchange.answer.body)
    size = len(exchange.answer.body)
    cuts = tuple(sorted(random.Random(exchange.name).sample(range(1, size), 100)))
    answer = Answer(200, exchange.answer.headers, exchange.answer.body, cuts)

    with replaying(answer) as server:
        events = list(antiphon.responses(**keywords(exchange, server.url)))
        antiphon.close()

    told = without_mending if exchange.name in MENDED else without_repairs
    assert told(events, wire) == wire


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
def test_the_text_of_a_stream_is_that_of_its_response(exchange: Exchange) -> None:
    with replaying(exchange.answer) as server:
        text = "".join(antiphon.responses(**keywords(exchange, server.url)).text)
        response = antiphon.responses(**keywords(exchange, server.url)).until_done()
        antiphon.close()

    assert text == response.output_text


@pytest.mark.parametrize("exchange", PLAIN, ids=named)
def test_a_whole_answer_to_a_streamed_call_is_told_as_a_stream(exchange: Exchange) -> None:
    call = {**exchange.request, "stream": True}
    with replaying(exchange.answer) as server:
        events = list(antiphon.responses(**keywords(Exchange("", exchange.path, call, exchange.answer), server.url)))
        antiphon.close()

    # The end of a background response that is still queued is told by the only event there is for it.
    is_final = json.loads(exchange.answer.body)["status"] in TERMINAL_STATUSES
    assert {broken.rule for broken in check_grammar(events)} <= (set() if is_final else {"status"})
    assert own_ids(events[-1].to_dict())["response"] == json.loads(exchange.answer.body)


CLASSES = {400: antiphon.BadRequestError, 404: antiphon.NotFoundError, 429: antiphon.RateLimitError}


@pytest.mark.parametrize("exchange", ERRORS, ids=named)
def test_an_error_says_what_the_host_said(exchange: Exchange, mode: Mode) -> None:
    async def body() -> APIStatusError:
        with pytest.raises(APIStatusError) as caught:
            await ask(mode, **keywords(exchange, server.url))
        return caught.value

    with replaying(exchange.answer) as server:
        error = mode.run_calls(body)

    said = json.loads(exchange.answer.body)["error"]
    assert type(error) is CLASSES[404 if said.get("code") == "model_not_found" else exchange.answer.status]
    assert json.loads(server.requests[0].body) == exchange.request
    assert error.message == said["message"]
    assert error.code == (said.get("code") or said.get("type"))
    assert error.param == said.get("param")
    assert error.status == exchange.answer.status
    assert error.request_id == exchange.request_id
    assert error.provider == "openai_compatible"
    assert error.model == exchange.request["model"]
    assert error.attempts == 1
    assert error.body == json.loads(exchange.answer.body)


@pytest.mark.parametrize("content_type", ["Text/Event-Stream", " text/event-stream;charset=UTF-8", "TEXT/EVENT-STREAM"])
def test_a_stream_is_one_however_its_type_is_written(content_type: str) -> None:
    (exchange,) = [each for each in OWN if each.is_stream][:1]
    answer = Answer(200, {"content-type": content_type}, exchange.answer.body, chunked=True)

    with replaying(answer) as server:
        response = antiphon.responses(**keywords(exchange, server.url)).until_done()
        antiphon.close()

    assert response.status == "completed"


ANY = ["", "text/plain; charset=utf-8", "application/octet-stream", "application/json"]


@pytest.mark.parametrize("content_type", ANY)
def test_a_stream_of_any_type_is_known_by_its_beginning(content_type: str, mode: Mode) -> None:
    """Gateways made of a few lines hand a stream on without its type, or with another."""
    headers = {"content-type": content_type} if content_type else {}
    call = {"input": "Hi", "model": "openai_compatible/m", "api_key": KEY, "stream": True}

    async def body() -> list[Event]:
        stream = await mode.responses(**call, api_base=server.url)
        return await mode.events(stream)

    with replaying(Answer(200, headers, b"\n" + sse(text_events("Hi", "!")), chunked=True)) as server:
        events = mode.run_calls(body)

    assert [event.type for event in events] == [event.type for event in text_events("Hi", "!")]


@pytest.mark.parametrize("content_type", ANY)
def test_json_of_any_type_is_a_plain_answer_to_a_streamed_call(content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    body = b' {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": []}'

    with replaying(Answer(200, headers, body)) as server:
        stream = antiphon.responses("Hi", "openai_compatible/m", api_base=server.url, api_key=KEY, stream=True)
        assert stream.until_done().status == "completed"
        antiphon.close()
