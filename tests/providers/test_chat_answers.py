"""Recorded chat completions, plain and streamed, come out as grammatical responses with the same content."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from recordings import Recording, load

from antiphon.pipeline import events as ev
from antiphon.pipeline import items
from antiphon.pipeline.grammar import check_grammar
from antiphon.pipeline.response import Response
from antiphon.providers.dialects.chat import ChatStream, read_answer
from antiphon.providers.dialects.chat_answer import ChatAnswer
from antiphon.providers.dialects.envelope import Envelope, seal

FIELDS = {"model": "asked-for", "created_at": 1}
SMALL = 6 * 1024


def sealed(form: str, blocks: tuple[Any, ...]) -> str:
    return seal(Envelope("p", "m", "chat", form, blocks))


def fresh() -> ChatAnswer:
    return ChatAnswer(FIELDS, sealed, token="t")


def recorded(kind: str) -> list[Recording]:
    try:
        found = [*load("chat-*", kind), *load("openai-chat", kind)]
    except pytest.skip.Exception:
        return []
    return [each for each in found if each.status == 200 and b'"choices"' in each.body]


PLAIN = recorded("json") + [each for each in recorded("error") if b"data:" not in each.body]
STREAMS = [each for each in recorded("stream") if b"data:" in each.body]
PLAIN += [each for each in recorded("stream") if b"data:" not in each.body]


def named(recording: Recording) -> str:
    return recording.name


# --- what a recording says, read as simply as can be ------------------------------------------------------------------


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in body.decode().replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def said_by(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for choice in chunk.get("choices") or ():
        if not choice.get("index"):
            yield choice.get("delta") or choice.get("message") or {}


def text_in(said: dict[str, Any]) -> str:
    content = said.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def thought_in(said: dict[str, Any]) -> str:
    if details := said.get("reasoning_details"):
        return "".join(entry.get("text") or entry.get("summary") or "" for entry in details)
    content = said.get("content")
    chunks = [part for part in content if part["type"] == "thinking"] if isinstance(content, list) else []
    from_chunks = "".join(piece["text"] for part in chunks for piece in part["thinking"])
    return said.get("reasoning_content") or said.get("reasoning") or from_chunks


def calls_in(chunks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (name, arguments) of each call, where calls have indexes of their own."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for said in said_by(chunk):
            parts = said.get("tool_calls") or []
            if not parts and (old := said.get("function_call")) and old.get("name"):
                parts = [{"function": old}]
            for at, part in enumerate(parts):
                call = calls.setdefault(part.get("index", at), ["", ""])
                call[0] += part["function"].get("name") or ""
                call[1] += part["function"].get("arguments") or ""
    return [(name, arguments or "{}") for name, arguments in calls.values()]


class Said:
    """What some chunks say in all."""

    def __init__(self, chunks: list[dict[str, Any]]) -> None:
        whole = [said for chunk in chunks for said in said_by(chunk)]
        self.text = "".join(map(text_in, whole))
        self.thought = "".join(map(thought_in, whole))
        self.refusal = "".join(said.get("refusal") or "" for said in whole)
        self.calls = calls_in(chunks)
        self.usage: dict[str, Any] | None = next(
            (chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None
        )
        self.is_error = any(chunk.get("error") for chunk in chunks)
        self.reason = [
            choice["finish_reason"]
            for chunk in chunks
            for choice in chunk.get("choices") or ()
            if choice.get("finish_reason")
        ][-1:]


def assert_same(response: Response, said: Said) -> None:
    messages = [item for item in response.output if isinstance(item, items.Message)]
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    parts = [part for item in thoughts for part in (*item["summary"], *(item.get("content") or ()))]
    refusals = [part["refusal"] for item in messages for part in item.to_dict()["content"] if part["type"] == "refusal"]

    assert response.output_text == said.text
    assert "".join(part["text"] for part in parts) == said.thought
    assert "".join(refusals) == said.refusal
    assert [(call.name, call.arguments) for call in calls] == said.calls
    assert len({call.call_id for call in calls}) == len(calls)
    assert response.status == (
        "failed" if said.is_error else "incomplete" if said.reason and said.reason[0] in CUT else "completed"
    )
    if said.usage is None:
        assert response.usage is None
        return
    assert response.usage is not None
    total, prompt = said.usage["total_tokens"], said.usage["prompt_tokens"]
    assert (response.usage.total_tokens, response.usage.input_tokens) == (total, prompt)
    assert response.usage.output_tokens == max(said.usage["completion_tokens"], total - prompt)
    details = said.usage.get("completion_tokens_details") or {}
    assert response.usage.output_tokens_details is not None
    if details.get("reasoning_tokens"):
        assert response.usage.output_tokens_details.reasoning_tokens == details["reasoning_tokens"]
    cached = [{**said.usage, **(said.usage.get("prompt_tokens_details") or {})}.get(name) for name in CACHED]
    assert response.usage.input_tokens_details is not None
    assert response.usage.input_tokens_details.cached_tokens == next(filter(None, cached), 0)


CUT = {"length", "content_filter"}
CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")


# --- the tests --------------------------------------------------------------------------------------------------------


def test_there_are_recordings_to_read() -> None:
    if not PLAIN:
        pytest.skip("no recordings here")
    assert (len(PLAIN), len(STREAMS)) >= (50, 20)


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], ChatStream]:
    stream = ChatStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


def end_of(events: list[ev.Event]) -> Response:
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last.response


@pytest.mark.parametrize("recording", PLAIN, ids=named)
def test_a_plain_answer_says_the_same(recording: Recording) -> None:
    answer = fresh()
    read_answer(recording.body, answer)
    events = answer.take()

    assert check_grammar(events) == []
    assert_same(end_of(events), Said([json.loads(recording.body)]))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_says_the_same(recording: Recording) -> None:
    events, stream = events_of([recording.body])

    assert stream.is_done
    assert check_grammar(events) == []
    assert_same(end_of(events), Said(chunks_of(recording.body)))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_pieces_come_as_they_were_sent(recording: Recording) -> None:
    """Text is neither cut nor joined, and comes in its order among reasoning and calls."""
    events, _ = events_of([recording.body])

    sent = [text for chunk in chunks_of(recording.body) for said in said_by(chunk) if (text := text_in(said))]
    assert [event.delta for event in events if isinstance(event, ev.OutputTextDelta)] == sent


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_is_the_same_at_every_cut(recording: Recording) -> None:
    body = recording.body
    whole = [event.raw for event in events_of([body])[0]]

    for cuts in cuts_of(recording.name, len(body)):
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert [event.raw for event in events_of(pieces)[0]] == whole, cuts[:10]


def cuts_of(name: str, size: int) -> Iterator[list[int]]:
    """Yield where to cut: at every single place of a small stream, at many seeded ones of a larger."""
    if size <= SMALL:
        yield from ([at] for at in range(1, size))
        yield list(range(1, size))
        return
    chance = random.Random(name)
    for _ in range(40):
        yield sorted(chance.sample(range(1, size), chance.choice([1, 2, 10, 100])))


@pytest.mark.parametrize("recording", STREAMS, ids=named)
def test_a_stream_that_breaks_has_no_end(recording: Recording) -> None:
    """Cut before the first chunk that says why it ends, nothing claims that the answer is whole."""
    body = recording.body
    marks = [at for mark in (b'"finish_reason":"', b"[DONE]", b'"error":') if (at := body.find(mark)) >= 0]
    at = body.rfind(b"data:", 0, min(marks))
    events, stream = events_of([body[:at]])

    assert not stream.is_done
    assert stream.error is None
    assert not any(type(event) in ev.TERMINAL for event in events)
