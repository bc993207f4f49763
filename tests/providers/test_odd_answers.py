"""Answers in which anything may be of a wrong shape: read, or refused by a typed error.

Recorded answers are changed at random, by fixed seeds: values replaced, left out, put in another order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import anthropic_recordings
import chat_recordings
import cohere_recordings
import converse_recordings
import gemini_recordings
import msgspec
import pytest
from amazon_frames import event
from gemini_calls import events_of as gemini_events
from gemini_calls import told as gemini_told
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects import anthropic, chat, cohere, converse
from antiphon.providers.dialects.anthropic_answer import AnthropicAnswer
from antiphon.providers.dialects.chat_answer import ChatAnswer
from antiphon.providers.dialects.cohere_answer import CohereAnswer, tell_whole
from antiphon.providers.dialects.converse_answer import ConverseAnswer

JUNK: list[Any] = [None, 1, -1, 1.5, True, "x", "", [], {}, [1], ["a"], [{}], {"a": 1}, [None], "\ud83d"]
FIELDS = {"model": "m", "created_at": 1}
CITED = {"start": 0, "end": 1, "text": "a", "type": "TEXT_CONTENT", "content_index": 0}
SOURCE = {"type": "document", "id": "x", "document": {"title": "t", "url": "u"}}


def changed(value: Any, chance: random.Random, share: float) -> Any:
    """Return JSON with about this share of its values changed."""
    if chance.random() < share:
        return chance.choice(JUNK)
    if isinstance(value, dict):
        return {name: changed(each, chance, share) for name, each in value.items() if chance.random() > share / 2}
    if isinstance(value, list):
        return [changed(each, chance, share) for each in value if chance.random() > share / 2]
    return value


def converse_plain(chance: random.Random) -> list[ev.Event]:
    body = changed(json.loads(chance.choice(converse_recordings.PLAIN).body), chance, chance.choice([0.01, 0.05, 0.1]))
    answer = ConverseAnswer(FIELDS, "bedrock", lambda blocks: converse.sealed("bedrock", "m", blocks))
    return answer.take() if isinstance(body, dict) and converse.tell_whole(body, answer) else []


def converse_stream(chance: random.Random) -> list[ev.Event]:
    recorded = converse_recordings.events_in(chance.choice(converse_recordings.STREAMS).body)
    found = [(name, changed(payload, chance, 0.01)) for name, payload in recorded]
    if chance.random() < 0.3:
        chance.shuffle(found)
    answer = ConverseAnswer(FIELDS, "bedrock", lambda blocks: converse.sealed("bedrock", "m", blocks))
    stream = converse.ConverseStream(answer)
    events = stream.feed(b"".join(event(name, payload) for name, payload in found)) + stream.finish()
    return events if stream.is_done else []


def cohere_plain(chance: random.Random) -> list[ev.Event]:
    body = changed(json.loads(chance.choice(cohere_recordings.PLAIN).body), chance, chance.choice([0.01, 0.05, 0.1]))
    answer = CohereAnswer(FIELDS, "cohere", lambda blocks: cohere.sealed("cohere", "m", blocks))
    return answer.take() if isinstance(body, dict) and tell_whole(body, answer) else []


def cohere_stream(chance: random.Random) -> list[ev.Event]:
    recorded = cohere_recordings.events_in(chance.choice(cohere_recordings.STREAMS).body)
    cited = {"type": "citation-start", "delta": {"message": {"citations": {**CITED, "sources": [SOURCE]}}}}
    recorded.insert(chance.randrange(len(recorded)), cited)
    found = [changed(each, chance, 0.01) for each in recorded]
    if chance.random() < 0.3:
        chance.shuffle(found)
    answer = CohereAnswer(FIELDS, "cohere", lambda blocks: cohere.sealed("cohere", "m", blocks))
    stream = cohere.CohereStream(answer)
    events = stream.feed(b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in found))
    events += stream.finish()
    return events if stream.is_done else []


def payloads(recording: Recording) -> list[Any]:
    """Return the JSON of a stream's events."""
    lines = recording.body.replace(b"\r\n", b"\n").split(b"\n")
    return [json.loads(line[5:]) for line in lines if line.startswith(b"data: {")]


def odd_stream(recorded: list[Recording], chance: random.Random) -> bytes:
    found = [changed(each, chance, 0.01) for each in payloads(chance.choice(recorded))[:60]]
    if chance.random() < 0.3:
        chance.shuffle(found)
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in found)


def odd_plain(recorded: list[Recording], chance: random.Random) -> bytes:
    share = chance.choice([0.01, 0.05])
    return json.dumps(changed(json.loads(chance.choice(recorded).body), chance, share)).encode()


def gemini_plain(chance: random.Random) -> list[ev.Event]:
    return gemini_told(odd_plain(gemini_recordings.PLAIN, chance))


def gemini_stream(chance: random.Random) -> list[ev.Event]:
    events, stream = gemini_events([odd_stream(gemini_recordings.STREAMS, chance)])
    return events if stream.is_done else []


def anthropic_stream(chance: random.Random) -> list[ev.Event]:
    answer = AnthropicAnswer(FIELDS, "anthropic", lambda blocks: anthropic.sealed("anthropic", "m", blocks))
    stream = anthropic.AnthropicStream(answer)
    events = stream.feed(odd_stream(anthropic_recordings.STREAMS, chance)) + stream.finish()
    return events if stream.is_done else []


def chat_plain(chance: random.Random) -> list[ev.Event]:
    answer = ChatAnswer(FIELDS, lambda form, blocks: "")
    chat.read_answer(odd_plain(chat_recordings.PLAIN, chance), answer)
    return answer.take()


def chat_stream(chance: random.Random) -> list[ev.Event]:
    stream = chat.ChatStream(ChatAnswer(FIELDS, lambda form, blocks: ""))
    events = stream.feed(odd_stream(chat_recordings.STREAMS, chance)) + stream.finish()
    return events if stream.is_done else []


READERS = (
    *(converse_plain, converse_stream, cohere_plain, cohere_stream, gemini_plain, gemini_stream),
    *(anthropic_stream, chat_plain, chat_stream),
)


@pytest.mark.parametrize("read", READERS)
def test_an_odd_answer_is_read_in_the_grammar_or_not_at_all(read: Callable[[random.Random], list[ev.Event]]) -> None:
    if not converse_recordings.ALL:
        pytest.skip("no recordings here")
    whole = 0
    for seed in range(150):
        try:
            events = read(random.Random(f"{read.__name__} {seed}"))
        except msgspec.DecodeError:  # of which a codec makes a typed error
            continue
        whole += bool(events)
        assert not events or check_grammar(events) == [], seed

    assert whole > 25  # many are still answers
