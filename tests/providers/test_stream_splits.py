"""However a recorded stream is cut, its decoder gives the same events."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from recordings import load

from antiphon.providers.dialects.responses import NativeStream

SMALL = 8 * 1024


def recorded() -> list[tuple[str, bytes]]:
    try:
        found = [*load("openai-responses", "stream"), *load("responses-*", "stream")]
    except pytest.skip.Exception:
        return []
    return [(recording.name, recording.body) for recording in found if b"data:" in recording.body]


STREAMS = recorded()


def decoded(pieces: list[bytes]) -> list[bytes]:
    stream = NativeStream()
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [event.raw for event in (*events, *stream.finish())]


def cuts_of(name: str, size: int) -> Iterator[list[int]]:
    """Yield where to cut: at every single place of a small stream, at many seeded ones of a larger."""
    if size <= SMALL:
        yield from ([at] for at in range(1, size))
        yield list(range(1, size))
        return
    chance = random.Random(name)
    for _ in range(60):
        yield sorted(chance.sample(range(1, size), chance.choice([1, 2, 10, 100])))


def test_there_are_streams_to_cut() -> None:
    if not STREAMS:
        pytest.skip("no recordings here")
    assert len(STREAMS) >= 15


@pytest.mark.parametrize(("name", "body"), STREAMS, ids=[name for name, _ in STREAMS])
def test_the_events_are_the_same_at_every_cut(name: str, body: bytes) -> None:
    whole = decoded([body])

    for cuts in cuts_of(name, len(body)):
        pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert decoded(pieces) == whole, cuts[:10]
