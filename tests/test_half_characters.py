"""Half a character (one of UTF-16's two surrogates), as hosts cut answers and callers cut inputs.

JSON can say it, as `"\\ud83d"`, and UTF-8 cannot. So it passes through the library as it is, and whoever writes text
down, in a log, a trace, a metric or a span, replaces it. Nothing of a call is lost for it.
"""

from __future__ import annotations

import io
import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pydantic
import pytest
from conftest import Mode
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import antiphon
from antiphon import AntiphonError, BadRequestError, OpenTelemetry, PromptCache, events, presets
from antiphon.mcp import jsonrpc
from antiphon.pipeline.api.wire import Raw, encode, merge
from antiphon.providers.cache_marks import Prompt, marker_of
from antiphon.testing import function_call, scripted

HALF = "\ud83d"
OTHER_HALF = "\ude00"

REFUSED: dict[str, Any] = {"status": 400, "body": {"error": {"message": f"what is {HALF}?", "code": f"c{HALF}"}}}


def answer(text: str = f"cut {HALF}", **fields: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": f"msg_{HALF}", "role": "assistant", "status": "completed", "content": [part]}
    usage = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    return {
        "id": f"resp_{HALF}",
        "status": "completed",
        "model": f"m{HALF}",
        "output": [message],
        "usage": usage,
        "metadata": {f"k{HALF}": HALF},
        **fields,
    }


ANSWERS = {
    "answered": answer(),
    "refused": REFUSED,
    "failed in a 200": answer(status="failed", error={"code": f"c{HALF}", "message": HALF}),
}


@pytest.fixture
def own_logging() -> Iterator[None]:
    logger = logging.getLogger("antiphon")
    before = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.setLevel(before[0])
    logger.propagate, logger.handlers[:] = before[1:]


@pytest.mark.usefixtures("own_logging")
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize("said", ANSWERS)
def test_whoever_watches_a_call_is_told_of_it_in_text_that_anything_can_read(
    mode: Mode, streamed: bool, said: str, as_json: bool, tmp_path: Path
) -> None:
    written, spans, metrics = io.StringIO(), InMemorySpanExporter(), antiphon.Metrics()
    antiphon.configure_logging("DEBUG", json=as_json, stream=written)
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    chain = presets.responses.before(0, OpenTelemetry(tracer_provider=tracers, content="full"))
    client = scripted(
        ANSWERS[said],
        chain=chain.with_(log={"content": "full"}),
        hooks=[antiphon.Trace(tmp_path / "run.jsonl"), metrics],
    )

    async def body() -> None:
        try:
            await mode.response(
                client.chain,
                f"Hi {HALF}",
                model=f"openai/m{HALF}",
                metadata={"session_id": f"s{HALF}", "tags": [HALF]},
                streamed=streamed,
            )
        except AntiphonError:
            assert said != "answered"
        await mode.close(client)

    mode.run(body)

    assert client.hook_errors == 0
    lines = written.getvalue().encode().splitlines()
    assert any(b'"event":"call"' in line or b"event='call'" in line for line in lines)
    if as_json:
        assert all(msgspec.json.decode(line) for line in lines)
    with (tmp_path / "run.jsonl").open("rb") as file:
        (call,) = antiphon.read_trace(file)
    assert (call.model, bool(antiphon.render_trace([call]))) == ("openai/m\ufffd", True)
    assert 'model="m\ufffd"'.encode() in metrics.text().encode()
    for span in spans.get_finished_spans():
        shown = [span.name, span.status.description or "", *map(str, (span.attributes or {}).values())]
        assert "".join(shown).encode()
    assert len(spans.get_finished_spans()) == 1


def test_an_answer_is_handed_on_as_it_came(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(answer())
        response = await mode.response(client.chain, f"Hi {HALF}", model="openai/m", streamed=streamed)

        assert response.output_text == f"cut {HALF}"
        assert response.metadata == {f"k{HALF}": HALF}
        again = pickle.loads(pickle.dumps(response))
        for one in (response, again):
            assert json.loads(one.raw)["output"][0]["content"][0]["text"] == f"cut {HALF}"
            assert json.loads(one.raw)["id"] == one.id == response.id

    mode.run(body)


def test_its_id_leads_back_to_it_and_is_gone_on_from(mode: Mode, streamed: bool, store_url: str) -> None:
    async def body() -> None:
        client = scripted(answer(), answer("second"), answer("a branch"), answer(), state_store=store_url)
        first = await mode.response(client.chain, HALF, model="openai/m", streamed=streamed)
        for text in ("second", "a branch"):
            next_one = await mode.response(
                client.chain, HALF, model="openai/m", previous_response_id=first.id, streamed=streamed
            )
            assert next_one.output_text == text
        got = await mode.either(lambda: client.get_responses(first.id), lambda: client.aget_responses(first.id))

        assert got.output_text == f"cut {HALF}"
        assert client.host.requests[-1].url.endswith("/responses/resp_%ED%A0%BD")
        await mode.close(client)

    mode.run(body)


@pytest.fixture(params=["memory://", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url: str = request.param
    return f"sqlite:///{tmp_path / 'kept.db'}" if url == "sqlite" else url


def test_what_a_caller_adds_to_the_body_is_sent_names_and_all(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        extra = {f"k{HALF}": {HALF: HALF}}
        await mode.response(client.chain, model="openai/m", extra_body=extra, streamed=streamed)

        assert client.requests[0][f"k{HALF}"] == {HALF: HALF}

    mode.run(body)


def test_a_prompt_that_holds_one_gets_its_key(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.before("dispatch", PromptCache()))
        await mode.call(client.chain, HALF, model="openai/gpt-5", instructions=f"{HALF} " * 9000)

        assert client.requests[0]["prompt_cache_key"].startswith("antiphon-")

    mode.run(body)


def test_a_prompt_that_holds_one_is_marked() -> None:
    marker = marker_of("anthropic", "claude-sonnet-4-5")
    assert marker is not None
    system = [{"type": "text", "text": f"{HALF} " * 9000}]
    messages = [{"role": "user", "content": [{"type": "text", "text": HALF}]}]
    marked = Prompt(encode({"system": system, "messages": messages}), marker).marked(
        beginning=True, conversation=True, ttl=""
    )

    assert json.loads(marked)["system"] == [{**system[0], "cache_control": {"type": "ephemeral"}}]
    assert json.loads(marked)["messages"] == messages


def test_a_checkpoint_holds_rows_with_it(tmp_path: Path) -> None:
    keywords: dict[str, Any] = {"model": "openai/m", "checkpoint": tmp_path / "rows.sqlite", "order": "input"}
    first = list(scripted(answer(), REFUSED).map([HALF, "b"], concurrency=1, **keywords))
    again = list(scripted("never asked").map([HALF, "b"], retry_failed=False, **keywords))

    for good, bad in (first, again):
        assert good.response is not None
        assert good.response.output_text == f"cut {HALF}"
        assert isinstance(bad.error, BadRequestError)
        assert bad.error.message == f"what is {HALF}?"
        assert bad.error.code == f"c{HALF}"


class Struct(msgspec.Struct):
    name: str


class Model(pydantic.BaseModel):
    name: str


@pytest.mark.parametrize("kind", [Struct, Model], ids=["msgspec", "pydantic"])
@pytest.mark.parametrize("text", ['{"name":"cut \\ud83d"}', '{"name":"cut \ud83d"}'], ids=["escaped", "itself"])
def test_a_typed_answer_has_it_replaced(mode: Mode, streamed: bool, kind: Any, text: str) -> None:
    async def body() -> None:
        client = scripted(answer(text))
        response: Any = await mode.response(client.chain, model="openai/m", text_format=kind, streamed=streamed)

        assert response.output_parsed == kind(name="cut \ufffd")

    mode.run(body)


def test_a_function_is_given_it_replaced_and_may_return_it(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[str] = []

        def repeat(text: str) -> str:
            """Say it again."""
            seen.append(text)
            return HALF

        client = scripted({"output": [function_call("repeat", {"text": HALF})]}, "Done.")
        response = await mode.response(client.chain, model="openai/m", tools=[repeat], streamed=streamed)

        assert (seen, response.output_text) == (["\ufffd"], "Done.")
        assert client.requests[-1]["input"][-1]["output"] == HALF

    mode.run(body)


def test_an_mcp_server_is_sent_it_replaced() -> None:
    (message,) = jsonrpc.decode(jsonrpc.request(1, "tools/call", {"arguments": {HALF: [HALF]}}))

    assert message.params == {"arguments": {"\ufffd": ["\ufffd"]}}


def test_both_halves_in_two_pieces_are_the_character_that_is_said_at_the_end() -> None:
    message = answer(f"{HALF}{OTHER_HALF}".encode("utf-16", "surrogatepass").decode("utf-16"))["output"][0]
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    whole = answer(output=[message])
    stream: list[events.Event] = [
        events.ResponseCreated.new(response={**whole, "status": "in_progress", "output": []}),
        events.OutputItemAdded.new(item={**message, "content": [], "status": "in_progress"}, output_index=0),
        events.ContentPartAdded.new(part={"type": "output_text", "text": "", "annotations": []}, **place),
        events.OutputTextDelta.new(delta=HALF, **place),
        events.OutputTextDelta.new(delta=OTHER_HALF, **place),
        events.OutputTextDone.new(text="\U0001f600", **place),
        events.ContentPartDone.new(part=message["content"][0], **place),
        events.OutputItemDone.new(item=message, output_index=0),
        events.ResponseCompleted.new(response=whole),
    ]
    stream = [event.replace(sequence_number=at) for at, event in enumerate(stream)]

    assert antiphon.check_grammar(stream) == []
    wrong = [event.replace(text="other") if event.type == "response.output_text.done" else event for event in stream]
    assert [violation.rule for violation in antiphon.check_grammar(wrong)] == ["text", "text"]


def test_structs_with_raw_fields_and_names_are_written() -> None:
    class Record(msgspec.Struct, omit_defaults=True):
        text: str
        raw: Raw = Raw(b"null")
        left: int = 0

    assert json.loads(encode(Record(HALF, Raw(b'{"a":1}')))) == {"text": HALF, "raw": {"a": 1}}
    assert json.loads(merge(b'{"a": 1}', {HALF: HALF})) == {"a": 1, HALF: HALF}
