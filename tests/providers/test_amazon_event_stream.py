"""Amazon's binary event streams: whole messages, at every cut, damaged, too long, and as botocore reads them."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Iterable

import pytest
from amazon_frames import error, event, exception, header, message, text_header
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from recordings import load

from antiphon.pipeline.errors import APIResponseError
from antiphon.providers.dialects.amazon_event_stream import MAX_PAYLOAD_BYTES, FrameDecoder, Message, MessageDecoder

EVERY_TYPE = b"".join(
    [
        header("yes", 0, b""),
        header("no", 1, b""),
        header("byte", 2, b"\xff"),
        header("short", 3, struct.pack(">h", -300)),
        header("int", 4, struct.pack(">i", 1 << 30)),
        header("long", 5, struct.pack(">q", -(1 << 60))),
        header("bytes", 6, b"\0\3\0\xff\7"),
        text_header("text", "Grüße"),
        header("time", 8, struct.pack(">q", 1_700_000_000_123)),
        header("uuid", 9, bytes(range(16))),
        text_header("empty", ""),
    ]
)
STREAM = (
    event("messageStart", {"role": "assistant"})
    + message(EVERY_TYPE, b"payload")
    + message(b"", b"")
    + exception("throttlingException", "slow down")
)


def decoded(pieces: Iterable[bytes]) -> list[Message]:
    decoder = MessageDecoder()
    return [found for piece in pieces for found in decoder.feed(piece)]


def by_botocore(data: bytes) -> list[Message]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [Message(dict(found.headers), found.payload) for found in buffer]


def recorded() -> list[tuple[str, bytes]]:
    try:
        found = load("bedrock-*", "stream")
    except pytest.skip.Exception:
        return []
    return [(each.name, each.body) for each in found if "amazon.eventstream" in each.headers.get("content-type", "")]


RECORDED = recorded()


def test_every_type_of_header_is_read() -> None:
    (found,) = decoded([message(EVERY_TYPE, b"payload")])

    assert found.headers == {
        **{"yes": True, "no": False, "byte": -1, "short": -300, "int": 1 << 30, "long": -(1 << 60)},
        **{"bytes": b"\0\xff\7", "text": "Grüße", "time": 1_700_000_000_123, "uuid": bytes(range(16)), "empty": ""},
    }
    assert found.payload == b"payload"


def test_messages_are_the_same_at_every_cut() -> None:
    whole = decoded([STREAM])

    assert len(whole) == 4
    assert decoded([STREAM[at : at + 1] for at in range(len(STREAM))]) == whole
    for at in range(len(STREAM)):
        assert decoded([STREAM[:at], STREAM[at:]]) == whole


def test_botocore_reads_the_same() -> None:
    assert by_botocore(STREAM) == decoded([STREAM])


def test_botocore_reads_the_same_of_many_messages() -> None:
    chance = random.Random(20261127)
    for _ in range(200):
        headers = [text_header(f"h{at}", "x" * chance.randrange(40)) for at in range(chance.randrange(6))]
        data = b"".join(message(b"".join(headers), chance.randbytes(chance.randrange(300))) for _ in range(3))
        cut = chance.randrange(len(data))

        assert decoded([data[:cut], data[cut:]]) == by_botocore(data)


@pytest.mark.parametrize(("name", "body"), RECORDED, ids=[name for name, _ in RECORDED])
def test_recorded_streams_are_read_as_botocore_does(name: str, body: bytes) -> None:
    whole = by_botocore(body)
    chance = random.Random(name)

    assert decoded([body]) == whole
    assert decoded([body[at : at + 5] for at in range(0, len(body), 5)]) == whole
    for _ in range(30):
        cuts = [0, *sorted(chance.sample(range(1, len(body)), 10)), len(body)]
        assert decoded([body[a:b] for a, b in itertools.pairwise(cuts)]) == whole


def test_frames_have_the_names_of_events_and_errors() -> None:
    data = event("messageStop", {"a": 1}) + exception("validationException", "bad") + error("InternalError", "oops")

    assert list(FrameDecoder().feed(data)) == [
        ("messageStop", b'{"a": 1}'),
        ("exception/validationException", b'{"message": "bad"}'),
        ("exception/InternalError", b'{"message":"oops"}'),
    ]


@pytest.mark.parametrize("at", range(len(STREAM) // 4))
def test_a_flipped_bit_is_an_error_and_what_came_before_it_is_read(at: int) -> None:
    first = event("messageStart", {})
    data = bytearray(first + STREAM)
    data[len(first) + at] ^= 1 << (at % 8)
    messages = MessageDecoder().feed(bytes(data))

    assert next(messages) == decoded([first])[0]
    with pytest.raises(APIResponseError, match="damaged"):
        next(messages)


def sized(total: int, headers: int) -> bytes:
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", zlib.crc32(lengths))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (sized(0, 0), "headers are longer"),
        (sized(16, 1), "headers are longer"),
        (sized((1 << 32) - 1, 0), "of payload"),
        (sized(16 + 128 * 1024 + 1, 128 * 1024 + 1), "bytes of headers"),
        (message(header("x", 10, b"")), "type 10 is not known"),
        (message(text_header("x", "1") * 2), 'two are named "x"'),
        (message(header("x", 7, b"\0\5abc")), "one is cut"),
        (message(header("x", 5, b"\0\1")), "cannot be read"),
        (message(b"\x05ab"), "one is cut"),
        (message(b"\x01a"), "cannot be read"),
        (message(header("x", 7, b"\0\1\xff")), "cannot be read"),
    ],
)
def test_what_is_no_message_is_an_error_that_says_why(data: bytes, words: str) -> None:
    with pytest.raises(APIResponseError, match=words):
        decoded([data])


def test_a_size_is_refused_before_its_bytes_have_come() -> None:
    with pytest.raises(APIResponseError, match="of payload"):
        decoded([sized(16 + MAX_PAYLOAD_BYTES + 1, 0)])
    assert decoded([sized(16 + MAX_PAYLOAD_BYTES, 0)]) == []
