"""Recorded answers with random damage: a call ends once, with a reply or a typed error; streams keep the grammar.

The damage is legal JSON in wrong places, lost and repeated events, events that are no JSON, and in Amazon's binary
streams messages that are cut or whose checksums are wrong.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import functools
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from amazon_frames import message
from conftest import Mode
from recordings import Recording, load

from antiphon import AntiphonError, Client, check_grammar
from antiphon.pipeline.signals import CallEnded, Signal
from antiphon.providers.scripted import ScriptedHost

ROUNDS = 60
_LOCAL = "http://127.0.0.1:9/v1"

# Which target speaks the format of a recording, by the beginning of its dialect's name.
TARGETS: dict[str, dict[str, Any]] = {
    "anthropic-": {"model": "anthropic/claude-x"},
    "bedrock-converse": {"model": "bedrock/amazon.nova", "aws_region_name": "us-east-1"},
    "bedrock-invoke": {"model": "bedrock/invoke/anthropic.claude-x", "aws_region_name": "us-east-1"},
    "chat-": {"model": "openai/m", "dialect": "chat", "api_base": _LOCAL},
    "cohere-": {"model": "cohere/c"},
    "gemini-": {"model": "gemini/g"},
    "openai-chat": {"model": "openai/m", "dialect": "chat", "api_base": _LOCAL},
    "openai-responses": {"model": "openai/m"},
    "responses-": {"model": "openai/m"},
}

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, -(2**70), float("nan")),
    *("", "x", "\ud83d", "\x00", "null", "{", "a" * 5000),
    *([], {}, [None], {"a": None}, ["x"], {"type": "x"}, [{"type": "message"}]),
]


def places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Tell the path of everything inside a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield (*here, key)
        yield from places(member, (*here, key))


def mutated(value: Any, rng: random.Random) -> Any:
    """Return JSON with something in it replaced, left out or added."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 2, 3])):
        found = list(places(value))
        if not found:
            break
        *path, last = rng.choice(found)
        around = functools.reduce(lambda inside, key: inside[key], path, value)
        odd = copy.deepcopy(rng.choice(ODD))
        match rng.randrange(8):
            case 0:
                del around[last]
            case 1 if isinstance(around, list):
                around.append(odd)
            case 1:
                around["new \ud83d"] = odd
            case _:
                around[last] = odd
    return value


def damaged(recording: Recording, rng: random.Random) -> bytes:
    body = recording.body
    if not is_stream(recording):
        return json.dumps(mutated(json.loads(body), rng)).encode()
    if is_binary(recording):
        return damaged_messages(body, rng)
    lines = body.split(b"\n")
    events = [at for at, line in enumerate(lines) if line.startswith(b"data:") and b"{" in line]
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.choice(events)
        match rng.randrange(12):
            case 0:
                lines[at] = b"data: {"
            case 1:
                lines[at] = b": gone"
            case 2:
                lines[at] = lines[rng.choice(events)]
            case _:
                if not lines[at].endswith(b"}"):
                    continue  # it was damaged already
                lines[at] = b"data: " + json.dumps(mutated(json.loads(lines[at][5:]), rng)).encode()
    return b"\n".join(lines)


def damaged_messages(body: bytes, rng: random.Random) -> bytes:
    """Damage one of Amazon's binary streams."""
    messages: list[bytes] = []
    while body:
        length = int.from_bytes(body[:4], "big")
        messages.append(body[:length])
        body = body[length:]
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(messages))
        whole = messages[at]
        if not whole:
            continue
        match rng.randrange(12):
            case 0:
                messages[at] = whole[: rng.randrange(len(whole))]
            case 1:
                where = rng.randrange(len(whole))
                messages[at] = whole[:where] + bytes([whole[where] ^ 1 << rng.randrange(8)]) + whole[where + 1 :]
            case 2:
                messages[at] = messages[rng.randrange(len(messages))]
            case 3:
                messages[at] = b""
            case _:
                end_of_headers = 12 + int.from_bytes(whole[4:8], "big")
                try:
                    said = json.loads(whole[end_of_headers:-4])
                except ValueError:
                    continue  # it was damaged already
                messages[at] = message(whole[12:end_of_headers], damaged_payload(said, rng))
    return b"".join(messages)


def damaged_payload(said: Any, rng: random.Random) -> bytes:
    """Damage what a message says, or what stands in it as base64."""
    if isinstance(said, dict) and isinstance(said.get("bytes"), str) and rng.random() < 0.8:
        with contextlib.suppress(ValueError):
            inner = json.dumps(mutated(json.loads(base64.b64decode(said["bytes"])), rng)).encode()
            return json.dumps({**said, "bytes": base64.b64encode(inner).decode()}).encode()
    return json.dumps(mutated(said, rng)).encode()


def is_stream(recording: Recording) -> bool:
    return not recording.body.lstrip().startswith(b"{")


def is_binary(recording: Recording) -> bool:
    return recording.body.startswith(b"\0")


def target_of(recording: Recording) -> dict[str, Any] | None:
    return next((target for name, target in TARGETS.items() if recording.dialect.startswith(name)), None)


@functools.cache
def recorded() -> dict[str, list[Recording]]:
    """Return those that are JSON, or events of JSON, by dialect."""
    found: dict[str, list[Recording]] = {}
    for recording in load("*"):
        if recording.dialect == "bedrock-invoke" and "anthropic" not in recording.url:
            continue  # a format of that model's own
        begins = recording.body.lstrip()[:1]
        if recording.status == 200 and target_of(recording) and begins in (b"{", b"d", b"e", b":", b"\0"):
            found.setdefault(recording.dialect, []).append(recording)
    return found


@pytest.mark.parametrize("dialect", recorded())
def test_damage_is_read_around_or_is_a_typed_error(mode: Mode, dialect: str) -> None:
    rng = random.Random(dialect)

    async def body() -> None:
        answered = 0
        for _ in range(ROUNDS):
            recording = rng.choice(recorded()[dialect])
            asked = is_stream(recording) if rng.random() < 0.8 else not is_stream(recording)
            answered += await is_answered(mode, recording, damaged(recording, rng), asked)
        assert answered > ROUNDS / 10

    mode.run(body)


async def is_answered(mode: Mode, recording: Recording, said: bytes, asked: bool) -> bool:
    """Call a host that says this; tell whether it was an answer, for the caller and for observers."""
    told: list[Signal] = []
    content_type = "text/event-stream" if is_stream(recording) else "application/json"
    if is_binary(recording):
        content_type = "application/vnd.amazon.eventstream"
    host = ScriptedHost([{"body": said, "headers": {"content-type": content_type}}])
    call: dict[str, Any] = {**(target_of(recording) or {}), "api_key": "k", "store": False, "num_retries": 0}
    events: list[Any] = []
    failed = False
    client = Client(transport=host, hooks=[told.append])
    try:
        reply: Any = await mode.call(client.chain, stream=asked, **call)
        if asked:
            if mode.is_async:
                async for event in reply:
                    events.append(event)
            else:
                events.extend(reply)
            reply = reply.response
        assert isinstance(reply.output_text, str), said
        assert reply.to_dict() == json.loads(reply.raw), said
    except AntiphonError:
        failed = True
    await mode.close(client)

    assert client.hook_errors == 0, said
    assert sum(isinstance(signal, CallEnded) for signal in told) == 1, said
    if events and "responses" not in recording.dialect:  # there the events are the host's own
        wrong = {one.rule for one in check_grammar(events)}
        assert wrong <= ({"terminal"} if failed else set()), said
    return not failed
