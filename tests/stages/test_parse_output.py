"""Typed answers by `text_format`."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import logging
import pickle
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from conftest import Mode

import antiphon
from antiphon import Chain, EventStream, OutputIncomplete, OutputInvalid, OutputRefused, Response, after, presets
from antiphon.pipeline.api.events import Event, OutputItemAdded, ResponseCompleted
from antiphon.pipeline.errors import APIError, InvalidParameter, OutputError, RateLimitError
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.testing import ScriptedClient, function_call, message, scripted


class City(msgspec.Struct):
    name: str
    people: int | None = None
    near: list[City] = []


class Ship(msgspec.Struct, tag="ship"):
    masts: int


class Car(msgspec.Struct, tag="car"):
    doors: int


class Trip(msgspec.Struct):
    by: Ship | Car
    to: City


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Words(TypedDict):
    first: str


class Colour(TypedDict):
    first: Literal["red", "green", "blue"]


class Model(pydantic.BaseModel):
    name: str
    size: Annotated[int, pydantic.Field(ge=1)] = 1


SCHEMA = {"title": "thing", "type": "object", "properties": {"a": {"type": "integer"}}}
ROME = '{"name": "Rome", "people": 3, "near": [{"name": "Ostia"}]}'
PARSED = City("Rome", 3, [City("Ostia")])

KINDS = [
    (City, ROME, PARSED),
    (Trip, '{"by": {"type": "ship", "masts": 3}, "to": {"name": "Rome"}}', Trip(Ship(3), City("Rome"))),
    (Point, '{"x": 1}', Point(1)),
    (Words, '{"first": "x"}', {"first": "x"}),
    (Model, '{"name": "m", "size": 2}', Model(name="m", size=2)),
    (SCHEMA, '{"a": 1, "more": [null]}', {"a": 1, "more": [None]}),
    ({"type": "json_object"}, '{"a": 1}', {"a": 1}),
]
IDS = ["recursive", "union", "dataclass", "TypedDict", "pydantic", "schema", "JSON mode"]


def test_pydantic_is_there_for_these_tests() -> None:
    assert importlib.util.find_spec("pydantic")


async def ask(mode: Mode, client: ScriptedClient, *, streamed: bool, **given: Any) -> Response:
    response = await mode.response(client.chain, model="openai/m", streamed=streamed, **{"text_format": City, **given})
    return response


@pytest.mark.parametrize(("kind", "text", "value"), KINDS, ids=IDS)
@pytest.mark.parametrize("output_mode", ["auto", "native", "tool", "prompt"])
def test_the_answer_comes_back_as_what_was_asked_for(
    mode: Mode, streamed: bool, output_mode: str, kind: Any, text: str, value: Any
) -> None:
    def answer(body: dict[str, Any]) -> Any:
        if output_mode == "tool":
            return {"output": [function_call(body["tools"][-1]["name"], json.loads(text))]}
        return f"Here:\n```json\n{text}\n```" if output_mode == "prompt" else text

    async def body() -> None:
        response = await ask(mode, scripted(answer), streamed=streamed, text_format=kind, output_mode=output_mode)

        assert response.output_parsed == value
        assert type(response.output_parsed) is type(value)
        assert response.status == "completed"
        assert response.meta is not None
        assert response.meta.provider == "openai"

    mode.run(body)


def test_native_sends_the_format_and_keeps_the_other_text_fields(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(ROME)
        text = {"verbosity": "low"}
        await ask(mode, client, streamed=streamed, text=text)

        sent = client.requests[0]["text"]
        assert sent["verbosity"] == "low"
        assert sent["format"].keys() == {"type", "name", "schema", "strict"}
        assert (sent["format"]["name"], sent["format"]["strict"]) == ("City", True)
        assert text == {"verbosity": "low"}

    mode.run(body)


@pytest.mark.usefixtures("own_catalogue")
def test_auto_asks_by_words_where_the_host_ignores_the_format(mode: Mode, streamed: bool) -> None:
    row = {"name": "wordy", "base_url": "http://127.0.0.1:1/v1", "key_required": False, "output_mode": "prompt"}
    antiphon.providers.register(row)

    async def body() -> None:
        client = scripted(ROME)
        response = await mode.response(client.chain, model="wordy/m", text_format=City, streamed=streamed)

        assert response.output_parsed == PARSED
        assert "text" not in client.requests[0]
        assert "JSON schema" in client.requests[0]["instructions"]

    mode.run(body)


def test_without_text_format_nothing_is_parsed_or_sent(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(ROME)
        response = await ask(mode, client, streamed=streamed, text_format=None, output_mode="tool")

        assert response.output_parsed is None
        assert client.requests[0].keys() - {"stream"} == {"model", "input"}

    mode.run(body)


@pytest.mark.parametrize("output_mode", ["native", "tool", "prompt"])
def test_an_explicit_format_wins_and_the_answer_is_read_all_the_same(
    mode: Mode, streamed: bool, output_mode: str
) -> None:
    async def body() -> None:
        client = scripted(ROME)
        form = {"format": {"type": "json_object"}}
        response = await ask(mode, client, streamed=streamed, text=form, output_mode=output_mode)

        assert client.requests[0].keys() - {"stream"} == {"model", "input", "text"}
        assert client.requests[0]["text"] == form
        assert response.output_parsed == PARSED

    mode.run(body)


def test_an_explicit_format_of_plain_text_wins_and_is_reported(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        response = await ask(mode, scripted("Rome."), streamed=streamed, text={"format": {"type": "text"}})

        assert response.output_parsed is None
        assert response.meta is not None
        assert [item.name for item in response.meta.dropped] == ["text_format"]

    mode.run(body)


def test_prompt_adds_the_schema_to_the_instructions(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(ROME)
        await ask(mode, client, streamed=streamed, output_mode="prompt", instructions="Be kind.")

        sent = client.requests[0]
        assert sent["instructions"].startswith("Be kind.\n\nAnswer with one JSON object")
        assert '"people"' in sent["instructions"]
        assert "text" not in sent

    mode.run(body)


@pytest.mark.parametrize(
    "text",
    [
        ROME,
        f"  \n{ROME}\n",
        f"```json\n{ROME}\n```",
        f"```\n{ROME}```",
        f"```json\n{ROME}",
        f"Sure! Here it is: {ROME} Enjoy.",
        f"Sure:\n\n```json\n{ROME}\n```\nThe name is `Rome`.",
    ],
)
def test_words_and_fences_around_the_json_are_tolerated(mode: Mode, text: str) -> None:
    async def body() -> None:
        response = await ask(mode, scripted(text), streamed=False, output_mode="prompt")

        assert response.output_parsed == PARSED
        assert response.output_text == text

    mode.run(body)


# --- tool mode ------------------------------------------------------------------------------------------------------


def city_call(arguments: dict[str, Any] | None = None, name: str = "City") -> dict[str, Any]:
    return function_call(name, {"name": "Rome"} if arguments is None else arguments)


def test_the_tool_is_forced_and_its_call_becomes_the_message(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted({"output": [city_call()]})
        response = await ask(mode, client, streamed=streamed, output_mode="tool")

        sent = client.requests[0]
        assert [tool["name"] for tool in sent["tools"]] == ["City"]
        assert sent["tools"][0]["strict"] is True
        assert sent["tool_choice"] == {"type": "function", "name": "City"}
        assert "text" not in sent
        assert response.function_calls == ()
        assert response.output_text == '{"name":"Rome"}'
        assert response.output_parsed == City("Rome")

    mode.run(body)


def test_beside_own_tools_some_tool_is_required_under_a_name_of_its_own(mode: Mode, streamed: bool) -> None:
    own = {"type": "function", "name": "City", "parameters": {}}

    async def body() -> None:
        client = scripted({"output": [city_call()]}, {"output": [city_call(name="City_2")]})

        first = await ask(mode, client, streamed=streamed, output_mode="tool", tools=[own])
        second = await ask(mode, client, streamed=streamed, output_mode="tool", tools=[own], tool_choice="auto")

        assert [tool["name"] for tool in client.requests[0]["tools"]] == ["City", "City_2"]
        assert [sent["tool_choice"] for sent in client.requests] == ["required", "auto"]
        assert (first.output_parsed, len(first.function_calls)) == (None, 1)
        assert (second.output_parsed, len(second.function_calls)) == (City("Rome"), 0)

    mode.run(body)


def test_no_tool_choice_refuses_the_tool_mode(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match='tool_choice is "none"'):
            await ask(mode, scripted(ROME), streamed=False, output_mode="tool", tool_choice="none")

    mode.run(body)


@pytest.mark.parametrize(
    "output",
    [
        [city_call()],
        [message("Let me see.", "msg_1"), city_call(), message("Done.", "msg_2")],
        [{"type": "reasoning", "id": "rs", "summary": []}, {**city_call(), "id": None}, function_call("other", {})],
    ],
)
def test_the_stream_tells_of_a_message(mode: Mode, output: list[dict[str, Any]]) -> None:
    async def body() -> None:
        client = scripted({"output": output})
        stream = await mode.call(client.chain, model="openai/m", stream=True, text_format=City, output_mode="tool")
        events = await mode.events(stream)

        assert check_grammar(events) == []
        deltas = [event for event in events if event.type == "response.function_call_arguments.delta"]
        assert len(deltas) == str(output).count("other")
        last = events[-1]
        assert isinstance(last, ResponseCompleted)
        added = [event.item for event in events if isinstance(event, OutputItemAdded) and event.item]
        assert [item.type for item in added] == [item.type for item in last.response.output]
        assert [event.sequence_number for event in events] == list(range(len(events)))

    mode.run(body)


# --- errors ---------------------------------------------------------------------------------------------------------

CUT = {
    "output": [message('{"name": "Ro')],
    "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
}
REFUSAL = {"type": "refusal", "refusal": "I would rather not."}
REFUSED = {"output": [{**message(""), "content": [REFUSAL]}]}


@pytest.mark.parametrize(
    ("answer", "kind", "facts"),
    [
        (CUT, OutputIncomplete, {"reason": "max_output_tokens", "hint": "raise max_output_tokens"}),
        ({**CUT, "incomplete_details": {"reason": "content_filter"}}, OutputIncomplete, {"reason": "content_filter"}),
        ({**CUT, "incomplete_details": None}, OutputIncomplete, {"reason": None}),
        (REFUSED, OutputRefused, {"refusal": "I would rather not."}),
        ("Rome.", OutputInvalid, {"text": "Rome."}),
        ("", OutputInvalid, {"text": "", "validation": "the answer has no text"}),
        ({"output": []}, OutputInvalid, {"text": ""}),
        ('{"name": 5}', OutputInvalid, {"validation": "Expected `str`, got `int` - at `$.name`"}),
        ("[]", OutputInvalid, {"validation": "Expected `object`, got `array`"}),
        ('{"name": "Rome", "people": 3', OutputInvalid, {}),
        ("[" * 5000, OutputInvalid, {}),
    ],
)
def test_an_answer_that_is_not_the_one_is_an_error_with_the_response(
    mode: Mode, streamed: bool, answer: Any, kind: type[OutputError], facts: dict[str, Any]
) -> None:
    async def body() -> None:
        seen: list[antiphon.CallEnded] = []
        client = scripted(answer, chain=presets.responses.before("log", antiphon.Observe(on_call_end=seen.append)))

        with pytest.raises(kind) as caught:
            await ask(mode, client, streamed=streamed)

        error = caught.value
        assert {name: getattr(error, name) for name in facts} == facts
        assert (error.provider, error.model, error.retryable, error.attempts) == ("openai", "m", False, 1)
        assert error.response is not None
        assert error.response.output_parsed is None
        assert error.response.status == ("incomplete" if kind is OutputIncomplete else "completed")
        assert len(client.requests) == 1
        assert [(end.kind, end.outcome.error) for end in seen] == [("failed", error)]
        assert str(pickle.loads(pickle.dumps(error))) == str(error)

    mode.run(body)


def test_faults_of_pydantic_are_told_without_values_and_links(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        with pytest.raises(OutputInvalid) as caught:
            await ask(mode, scripted('{"size": 0}'), streamed=streamed, text_format=Model)

        assert caught.value.validation == ("name: Field required; size: Input should be greater than or equal to 1")
        assert isinstance(caught.value.__cause__, pydantic.ValidationError)

    mode.run(body)


def test_the_message_of_an_error_holds_no_content(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        for answer in (REFUSED, '{"name": 5, "secret": "canary"}', "canary"):
            with pytest.raises(OutputError) as caught:
                await ask(mode, scripted(answer), streamed=False)
            assert "canary" not in caught.value.message
            assert "rather" not in caught.value.message

    with caplog.at_level(logging.INFO, logger="antiphon"):
        mode.run(body)
    assert "canary" not in caplog.text
    assert "does not fit City" in caplog.text


def test_a_stream_shows_all_of_a_wrong_answer_before_the_error(mode: Mode) -> None:
    async def body() -> None:
        stream = await mode.call(scripted("Rome.").chain, model="openai/m", stream=True, text_format=City)
        seen: list[Event] = []
        stream.map(seen.append)

        with pytest.raises(OutputInvalid):
            await mode.events(stream)

        assert check_grammar(seen) == []
        assert seen[-1].type == "response.completed"
        assert stream.outcome.kind == "failed"
        assert stream.response.output_text == "Rome."

    mode.run(body)


def test_a_failure_of_the_host_stays_what_it_is(mode: Mode, streamed: bool) -> None:
    failed = {"output": [], "status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow down"}}

    async def body() -> None:
        for output_mode in ("native", "tool"):
            with pytest.raises(APIError) as caught:
                await ask(mode, scripted(failed), streamed=streamed, num_retries=0, output_mode=output_mode)
            assert type(caught.value) is RateLimitError

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"text_format": list[int]}, "an object is expected"),
        ({"text_format": "City"}, "has no JSON schema"),
        ({"output_mode": "magic"}, 'output_mode is "magic"'),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_sent(mode: Mode, given: dict[str, Any], says: str) -> None:
    async def body() -> None:
        client = scripted(ROME)
        with pytest.raises(InvalidParameter, match=says) as caught:
            await ask(mode, client, streamed=False, **given)

        assert caught.value.param in given
        assert client.requests == []

    mode.run(body)


# --- what is the answer ---------------------------------------------------------------------------------------------

COMMENTARY = {**message("Looking.", "msg_1"), "phase": "commentary"}


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ([COMMENTARY, {**message(ROME, "msg_2"), "phase": "final_answer"}], PARSED),
        ([{**message('{"name": "No"}', "msg_1"), "phase": "commentary"}, message(ROME, "msg_2")], PARSED),
        ([message("Looking.", "msg_1"), message(ROME, "msg_2")], PARSED),
        ([message(ROME, "msg_1"), function_call("f", {})], None),
        ([function_call("f", {})], None),
        ([COMMENTARY, function_call("f", {})], None),
        ([{"type": "mcp_approval_request", "id": "a", "name": "n", "server_label": "s", "arguments": "{}"}], None),
        (
            [
                {"type": "shell_call", "id": "s", "call_id": "c", "action": {"commands": []}},
                {"type": "shell_call_output", "id": "o", "call_id": "c", "output": []},
                message(ROME),
            ],
            PARSED,
        ),
    ],
    ids=["phases", "commentary JSON", "no phases", "both", "call", "commentary and call", "approval", "answered call"],
)
def test_commentary_is_left_out_and_open_calls_come_first(
    mode: Mode, streamed: bool, output: list[dict[str, Any]], value: Any
) -> None:
    async def body() -> None:
        response = await ask(mode, scripted({"output": output}), streamed=streamed)

        assert response.output_parsed == value

    mode.run(body)


def test_a_response_that_goes_on_in_the_background_is_not_parsed(mode: Mode) -> None:
    async def body() -> None:
        response = await ask(mode, scripted({"status": "queued", "output": []}), streamed=False, background=True)

        assert (response.status, response.output_parsed) == ("queued", None)

    mode.run(body)


@pytest.mark.parametrize(
    ("output", "how"),
    [
        ([message(ROME)], {}),
        ([message(f"```json\n{ROME}\n```")], {"output_mode": "prompt"}),
        ([function_call("City", json.loads(ROME))], {"output_mode": "tool"}),
    ],
    ids=["native", "prompt", "tool"],
)
def test_a_response_that_is_fetched_is_parsed(
    mode: Mode, streamed: bool, output: list[dict[str, Any]], how: dict[str, str]
) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": output})
        asked: dict[str, Any] = {"custom_llm_provider": "openai", "text_format": City, "stream": streamed, **how}
        reply: Any = await mode.either(
            lambda: client.get_responses("resp_1", **asked), lambda: client.aget_responses("resp_1", **asked)
        )
        response: Any = await mode.until_done(reply) if streamed else reply

        assert response.output_parsed == PARSED
        assert response.meta.dropped == ()

    mode.run(body)


def test_a_response_of_the_background_is_parsed_when_polling_has_got_it(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"status": "in_progress", "output": []}, {"output": [message(ROME)]})
        asked: dict[str, Any] = {"custom_llm_provider": "openai", "text_format": City, "interval_s": 0}
        response = await mode.either(
            lambda: client.poll_responses("resp_1", **asked), lambda: client.apoll_responses("resp_1", **asked)
        )

        assert response.output_parsed == PARSED
        assert len(client.requests) == 2

    mode.run(body)


def test_a_fetched_response_that_does_not_fit_is_not_asked_for_again(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(
            {"output": [message("no")]}, chain=presets.responses.before("parse_output", antiphon.Reask(max=2))
        )
        asked: dict[str, Any] = {"custom_llm_provider": "openai", "text_format": City}
        with pytest.raises(OutputInvalid):
            await mode.either(
                lambda: client.get_responses("resp_1", **asked), lambda: client.aget_responses("resp_1", **asked)
            )
        assert len(client.requests) == 1

    mode.run(body)


def test_other_calls_of_the_api_report_that_they_do_not_parse(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"id": "resp_1", "output": [message(ROME)]})
        keywords = {"response_id": "resp_1", "text_format": City, "custom_llm_provider": "openai"}
        reply: Any = await mode.either(
            lambda: client.chain.run("cancel", keywords), lambda: client.chain.arun("cancel", keywords)
        )

        assert reply.output_parsed is None
        assert [item.name for item in reply.meta.dropped] == ["text_format"]

    mode.run(body)


# --- the parsed value goes along ------------------------------------------------------------------------------------


def test_stages_outside_see_the_value_and_copies_keep_it(mode: Mode, streamed: bool) -> None:
    seen: list[Any] = []

    @after
    def look(request: antiphon.Request, response: Response) -> None:
        seen.append(response.output_parsed)

    @after
    def mark(request: antiphon.Request, response: Response) -> Response:
        return response.replace(metadata={"a": "b"})

    async def body() -> None:
        seen.clear()
        response = await ask(mode, scripted(ROME, chain=Chain([look, mark, presets.responses])), streamed=streamed)

        assert seen == [PARSED]
        assert response.metadata == {"a": "b"}
        assert response.output_parsed is seen[0]
        assert response.with_scalars(id="resp_other").output_parsed is seen[0]
        assert response.with_meta(None).output_parsed is seen[0]
        assert copy.copy(response).output_parsed is seen[0]
        assert copy.deepcopy(response).output_parsed is seen[0]
        assert response.replace(output=[]).output_parsed is None
        assert pickle.loads(pickle.dumps(response)).output_parsed == PARSED

    mode.run(body)


def test_the_last_event_carries_the_value_through_further_changes(mode: Mode) -> None:
    async def body() -> None:
        stream = await mode.call(scripted(ROME).chain, model="openai/m", stream=True, text_format=City)
        last = (await mode.events(stream))[-1]

        assert isinstance(last, ResponseCompleted)
        assert last.response.output_parsed == PARSED
        assert last.replace(sequence_number=99).response.output_parsed == PARSED
        assert stream.response.output_parsed == PARSED

    mode.run(body)


def test_explain_shows_what_would_be_sent() -> None:
    explanation = presets.responses.explain("Hi", model="scripted/echo", text_format=City)

    assert explanation.request is not None
    assert explanation.request.body["text"]["format"]["name"] == "City"


def test_a_type_may_be_bound(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted(ROME, chain=presets.responses.bind(text_format=City))
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.output_parsed == PARSED

    mode.run(body)


# --- growing objects ------------------------------------------------------------------------------------------------


async def grown(mode: Mode, stream: EventStream) -> list[Any]:
    if mode.is_async:
        return [copy.deepcopy(value) async for value in stream.partials()]
    return [copy.deepcopy(value) for value in stream.partials()]


def test_partials_grow_to_the_whole_object(mode: Mode) -> None:
    async def body() -> None:
        stream = await mode.call(scripted(ROME).chain, model="openai/m", stream=True, text_format=City)
        values = await grown(mode, stream)

        # The host sends it in words: {"name": | "Rome", | "people": | 3, | "near": | [{"name": | "Ostia"}]}
        assert values == [
            {},
            {"name": "Rome"},
            {"name": "Rome", "people": 3},
            {"name": "Rome", "people": 3, "near": [{}]},
            {"name": "Rome", "people": 3, "near": [{"name": "Ostia"}]},
        ]
        assert stream.response.output_parsed == PARSED

    mode.run(body)


@pytest.mark.parametrize(
    ("answer", "output_mode"),
    [
        ({"output": [{**message('{"name": "No"}', "msg_1"), "phase": "commentary"}, message(ROME, "msg_2")]}, "native"),
        ({"output": [message("Looking.", "msg_1"), message(ROME, "msg_2")]}, "native"),
        (f"Here you are:\n```json\n{ROME}\n```\nBye.", "prompt"),
        ({"output": [city_call(json.loads(ROME))]}, "tool"),
    ],
    ids=["commentary", "preamble", "fenced", "tool"],
)
def test_partials_are_of_the_answer_only(mode: Mode, answer: Any, output_mode: str) -> None:
    async def body() -> None:
        stream = await mode.call(
            scripted(answer).chain, model="openai/m", stream=True, text_format=City, output_mode=output_mode
        )
        values = await grown(mode, stream)

        assert values[-1] == json.loads(ROME)
        assert all(value.get("name", "Rome") == "Rome" for value in values)

    mode.run(body)


def test_partials_end_with_the_error_of_the_stream(mode: Mode) -> None:
    async def body() -> None:
        stream = await mode.call(scripted(CUT).chain, model="openai/m", stream=True, text_format=City)

        with pytest.raises(OutputIncomplete):
            await grown(mode, stream)

    mode.run(body)


def test_a_translated_stream_that_is_left_early_is_closed(mode: Mode) -> None:
    async def body() -> None:
        ends: list[antiphon.CallEnded] = []
        chain = presets.responses.before("log", antiphon.Observe(on_call_end=ends.append))
        client = scripted({"output": [city_call()]}, chain=chain)
        stream = await mode.call(client.chain, model="openai/m", stream=True, text_format=City, output_mode="tool")
        await mode.next(stream)
        await mode.close(stream)

        assert [end.kind for end in ends] == ["abandoned"]
        assert [attempt.outcome for attempt in stream.meta.attempts] == ["abandoned"]

    mode.run(body)


@pytest.mark.local_model
@pytest.mark.parametrize("output_mode", ["native", "prompt", "tool"])
def test_the_real_model_answers_in_shape_or_it_is_said_how_not(output_mode: str, streamed: bool) -> None:
    """In its own mode the host holds the model to the schema; asked by words or a tool, it may say anything."""
    given: dict[str, Any] = {"text_format": Colour, "output_mode": output_mode, "max_output_tokens": 64}
    with antiphon.Client() as client:
        grown: dict[str, Any] = {}
        try:
            if streamed:
                stream = client.responses("Name a colour.", "local/smollm2", stream=True, **given)
                for grown in stream.partials():
                    assert isinstance(grown, dict)
                response = stream.until_done()
            else:
                response = client.responses("Name a colour.", "local/smollm2", **given)
        except OutputError:
            assert output_mode != "native"
            return
        assert response.output_parsed["first"] in ("red", "green", "blue")
        assert response.meta is not None
        assert response.meta.dialect == ("chat" if output_mode == "native" else "responses")
        assert grown == response.output_parsed or not streamed
