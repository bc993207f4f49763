"""Personal data and secrets that hosts do not get."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from conftest import Mode
from hand_made import streamed_body
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon import Chain, Client, Redact, StageError, presets
from antiphon.pipeline.errors import BadRequestError, InvalidParameter, StreamInterrupted
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.scripted import function_call
from antiphon.testing import check_stage, scripted

MAIL, CARD = "ann@example.org", "4111 1111 1111 1111"
PLACE = re.compile(r"\[[A-Z_]+_[A-Z2-7]{8}\]")


def chain_with(where: str = "retry", **settings: Any) -> Chain:
    return presets.responses.before(where, Redact(**settings))


def echo(body: dict[str, Any]) -> str:
    """Say again what the host was told."""
    return "You said: " + str(body["input"][-1]["content"] if isinstance(body["input"], list) else body["input"])


def test_the_host_gets_placeholders_and_the_caller_the_values(mode: Mode, streamed: bool) -> None:
    client = scripted(echo, chain=chain_with())
    text = f"I am {MAIL} and pay by {CARD}; again {MAIL}."

    async def body() -> Any:
        reply = await mode.call(client.chain, text, model="openai/m", instructions=f"Help {MAIL}.", stream=streamed)
        if streamed:
            events: list[Any] = await mode.events(reply)
            assert check_grammar(events) == []
            assert "".join(event.delta for event in events if event.type.endswith("text.delta")) == f"You said: {text}"
            return reply.response
        return reply

    response = mode.run(body)
    sent = client.requests[0]

    assert response.output_text == f"You said: {text}"
    assert response.instructions == f"Help {MAIL}."
    assert response.meta.notes == ("redacted: 1 email, 1 card",)
    first, card, again = PLACE.findall(sent["input"])
    assert (first, card[:6]) == (again, "[CARD_")
    assert sent["instructions"] == f"Help {first}."
    assert MAIL not in str(sent) + str(response.meta)


def test_values_stay_away_where_they_are_not_restored(mode: Mode, streamed: bool) -> None:
    client = scripted(echo, chain=chain_with(restore=False))

    async def body() -> Any:
        return await mode.response(client.chain, f"I am {MAIL}.", model="openai/m", streamed=streamed)

    assert re.fullmatch(r"You said: I am \[EMAIL_[A-Z2-7]{8}\].", mode.run(body).output_text)


def test_tools_get_values_where_asked_and_their_results_are_hidden(mode: Mode, streamed: bool) -> None:
    got: list[str] = []

    def look_up(who: str) -> str:
        """Look up somebody."""
        got.append(who)
        return f"{who} has {CARD}"

    def call(body: dict[str, Any]) -> Any:
        return {"output": [function_call("look_up", {"who": PLACE.findall(str(body["input"]))[0]})]}

    def answer(body: dict[str, Any]) -> Any:
        return "It is " + PLACE.findall(str(body["input"]))[-1]

    async def asked(**settings: Any) -> Any:
        client = scripted(call, answer, chain=chain_with(**settings))
        response = await mode.response(
            client.chain, f"Who is {MAIL}?", model="openai/m", tools=[look_up], streamed=streamed
        )
        assert MAIL not in str(client.requests)
        assert CARD not in str(client.requests)
        return response

    async def body() -> list[Any]:
        return [await asked(restore_arguments=True), await asked()]

    restored, hidden = mode.run(body)

    assert got[0] == MAIL
    assert PLACE.fullmatch(got[1])
    assert restored.output_text == f"It is {CARD}"
    assert restored.meta.notes == ("redacted: 1 email, 1 card",)
    assert (MAIL in restored.output[0].arguments, MAIL in hidden.output[0].arguments) == (True, False)


def test_outside_tools_they_get_placeholders(mode: Mode) -> None:
    got: list[str] = []

    def look_up(who: str) -> str:
        """Look up somebody."""
        got.append(who)
        return "found"

    def call(body: dict[str, Any]) -> Any:
        return {"output": [function_call("look_up", {"who": PLACE.findall(str(body["input"]))[0]})]}

    client = scripted(call, "Found.", chain=chain_with("tools"))

    async def body() -> None:
        await mode.call(client.chain, f"Who is {MAIL}?", model="openai/m", tools=[look_up])

    mode.run(body)

    assert PLACE.fullmatch(got[0])


def ann_or_bob(text: str) -> list[tuple[int, int]]:
    return [(text.index(name), text.index(name) + 3) for name in ("Ann", "Bob") if name in text]


def test_kinds_of_ones_own_and_items_of_every_form(mode: Mode) -> None:
    chain = chain_with(kinds=(), patterns={"customer no": r"C-\d{3}"}, finders={"name": ann_or_bob})
    client = scripted("Hello.", chain=chain)
    items: list[Any] = [
        {"role": "user", "content": [{"type": "input_text", "text": "Ann is C-123"}]},
        {"type": "function_call", "call_id": "C-456", "name": "C-789", "arguments": '{"n": 123, "id": "C-123"}'},
        {"type": "function_call_output", "call_id": "C-456", "output": [{"type": "input_text", "text": "Bob"}]},
        {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,C-123"}]},
    ]

    async def body() -> None:
        await mode.call(client.chain, items, model="openai/m")

    mode.run(body)
    said, call, result, image = client.requests[0]["input"]

    assert re.fullmatch(r"\[NAME_\w{8}\] is \[CUSTOMER_NO_\w{8}\]", said["content"][0]["text"])
    assert (call["call_id"], call["name"], result["call_id"]) == ("C-456", "C-789", "C-456")
    assert re.fullmatch(r'\{"n":123,"id":"\[CUSTOMER_NO_\w{8}\]"\}', call["arguments"])
    assert result["output"][0]["text"].startswith("[NAME_")
    assert image["content"][0]["image_url"].endswith("C-123")


def test_placeholders_are_the_same_in_every_call_of_a_key(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_REDACT_KEY", "one")

    async def sent(text: str) -> Any:
        client = scripted("Hello.", chain=chain_with())
        await mode.call(client.chain, text, model="openai/m")
        return PLACE.findall(client.requests[0]["input"])

    async def body() -> list[Any]:
        found = [await sent(f"{MAIL} {CARD}"), await sent(f"{CARD} {MAIL}")]
        monkeypatch.setenv("ANTIPHON_REDACT_KEY", "two")
        return [*found, await sent(f"{MAIL} {CARD}")]

    first, turned, other = mode.run(body)

    assert first == turned[::-1]
    assert not set(first) & set(other)


def test_a_stream_that_breaks_has_the_values_in_what_came(mode: Mode) -> None:
    def cut(body: dict[str, Any]) -> Any:
        return streamed_body(deltas(f"It is {body['input']}", " and", end=False))

    client = scripted(cut, chain=chain_with())

    async def body() -> str:
        stream = await mode.call(client.chain, MAIL, model="openai/m", stream=True)
        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)
        assert caught.value.response is not None
        return caught.value.response.output_text

    assert mode.run(body) == f"It is {MAIL} and"


def test_annotations_stand_where_their_text_is_shown(mode: Mode, streamed: bool) -> None:
    def cited(body: dict[str, Any]) -> Any:
        place = body["input"]
        text = f"One {place} two {place} end"
        at = text.index("two")
        marks = [(0, 3), (at, at + 3), (4, 4 + len(place)), (6, at + 3), (len(text) - 3, len(text))]
        marked = [
            {"type": "url_citation", "url": "u", "title": "t", "start_index": a, "end_index": b} for a, b in marks
        ]
        part = {"type": "output_text", "text": text, "annotations": marked, "logprobs": []}
        return {
            "output": [
                {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
            ]
        }

    client = scripted(cited, chain=chain_with())

    async def body() -> list[Any]:
        reply = await mode.call(client.chain, MAIL, model="openai/m", stream=streamed)
        told: list[Any] = await mode.events(reply) if streamed else []
        response = reply.response if streamed else reply
        (part,) = response.output[0].content
        text = response.output_text
        added = [event.to_dict()["annotation"] for event in told if event.type.endswith("annotation.added")]
        final = [annotation.to_dict() for annotation in part.annotations]
        assert added in ([], final)
        assert bool(added) is streamed
        return [text[mark["start_index"] : mark["end_index"]] for mark in final]

    assert mode.run(body) == ["One", "two", MAIL, f"{MAIL} two", "end"]


def test_what_another_says_that_looks_like_a_placeholder_stays(mode: Mode, streamed: bool) -> None:
    client = scripted("Not [EMAIL_AAAAAAAA], nor [EMAIL_, nor [", chain=chain_with())

    async def body() -> Any:
        return await mode.response(client.chain, MAIL, model="openai/m", streamed=streamed)

    assert mode.run(body).output_text == "Not [EMAIL_AAAAAAAA], nor [EMAIL_, nor ["


def test_errors_and_stored_responses_pass(mode: Mode) -> None:
    client = scripted({"status": 400, "body": {"error": {"message": "no"}}}, {"id": "resp_5"}, chain=chain_with())

    async def body() -> Any:
        with pytest.raises(BadRequestError) as caught:
            await mode.call(client.chain, MAIL, model="openai/m")
        assert caught.value.meta is not None
        assert caught.value.meta.notes == ("redacted: 1 email",)
        return await mode.either(
            lambda: client.get_responses("resp_5", custom_llm_provider="openai"),
            lambda: client.aget_responses("resp_5", custom_llm_provider="openai"),
        )

    assert mode.run(body).status == "completed"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kinds": ("emial",)}, 'kinds has "emial", which is not known; did you mean "email"'),
        ({"params": ("inptu",)}, 'params has "inptu", which is not known; did you mean "input"'),
        ({"patterns": {"odd": "("}}, r'patterns\["odd"\] is .*missing \)'),
    ],
)
def test_wrong_settings_are_refused_when_the_chain_is_built(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(StageError, match=said):
        Client(chain_with(**wrong)).responses("Hi", "scripted/echo")


def test_what_cannot_be_looked_through_is_refused_before_anything_is_sent(mode: Mode) -> None:
    client = scripted("Hello.", chain=chain_with())
    around: list[Any] = []
    around.append(around)

    async def body() -> None:
        for content in (object(), around):
            with pytest.raises(InvalidParameter, match="the call cannot be looked through"):
                await mode.call(client.chain, [{"role": "user", "content": content}], model="openai/m")
        assert client.requests == []

    mode.run(body)


def test_it_keeps_the_contract_of_stages() -> None:
    assert check_stage(Redact(), input=MAIL) == []


# --- wherever a stream is cut -----------------------------------------------------------------------------------------


def deltas(*pieces: str, end: bool = True) -> list[Any]:
    """Return the events of a message and of a call that says the same in its arguments, in these pieces."""
    assembler = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    assembler.start()
    message = assembler.message({"id": "msg_1"})
    for piece in pieces:
        message.text(piece)
    if not end:
        return assembler.take()
    message.close(status="completed")
    call = assembler.function_call({"id": "fc_1", "call_id": "call_1", "name": "f"})
    for piece in ('{"said": "', *pieces, '"}'):
        call.write(piece)
    call.close(status="completed")
    assembler.end()
    return assembler.take()


@settings(max_examples=25)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=12))
def test_placeholders_are_found_wherever_deltas_cut_them(cuts: list[int]) -> None:
    value = 'C-"5"'

    def cut(body: dict[str, Any]) -> Any:
        text, pieces, at = f"[[x] {body['input']}{body['input']} [EMA", [], 0
        for length in [*cuts, 999]:
            pieces.append(text[at : at + length])
            at += length
        return streamed_body(deltas(*[piece for piece in pieces if piece]))

    chain = chain_with(kinds=(), patterns={"email": r'C-"\d"'}, restore_arguments=True)
    stream = scripted(cut, chain=chain.without("tools")).responses(value, "openai/m", stream=True)
    events: list[Any] = list(stream)

    said = f"[[x] {value}{value} [EMA"
    assert check_grammar(events) == []
    assert stream.response is not None
    assert stream.response.output_text == said
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == said
    assert stream.response.function_calls[0].arguments == f'{{"said": {json.dumps(said)}}}'
