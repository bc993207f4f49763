"""Joining HTTP chunks: the library below sees the same answer, in fewer chunks."""

from __future__ import annotations

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.pipeline.chunk_joining import ChunkJoiner

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*chunks: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return framed + b"0\r\n" + trailers + b"\r\n"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


def joined(reads: list[bytes]) -> list[bytes]:
    joiner = ChunkJoiner()
    return [out for read in reads if (out := joiner.feed(read))]


def received(reads: list[bytes]) -> tuple[int, list[bytes], list[tuple[bytes, bytes]]]:
    """Return what h11 makes of the bytes: status, the body's pieces, the trailers."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    status, pieces = 0, []
    for read in reads:
        connection.receive_data(read)
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                break
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                return status, pieces, list(event.headers)
    raise AssertionError("the message did not end")


chunks = st.lists(st.binary(min_size=1, max_size=40), max_size=12)
cuts = st.lists(st.integers(min_value=0, max_value=5000), max_size=12)


@given(chunks, cuts, st.sampled_from([b"", b";name=value", b" ; a"]), st.sampled_from([b"", b"X-Sum: 1\r\n"]))
def test_the_body_and_the_trailers_are_the_same_however_it_is_cut(
    body: list[bytes], cuts: list[int], extension: bytes, trailers: bytes
) -> None:
    wire = HEAD + chunked(*body, extension=extension, trailers=trailers)

    status, pieces, found = received(joined(split(wire, cuts)))

    assert status == 200
    assert b"".join(pieces) == b"".join(body)
    assert bool(found) == bool(trailers)


def test_chunks_of_one_read_become_one() -> None:
    wire = HEAD + chunked(*[b"event"] * 50)

    _, pieces, _ = received(joined([wire]))

    assert pieces == [b"event" * 50]


def test_what_has_come_of_a_chunk_is_not_held_back() -> None:
    joiner = ChunkJoiner()
    joiner.feed(HEAD)

    assert joiner.feed(b"10\r\n01234567") == b"8\r\n01234567\r\n"
    assert joiner.feed(b"89abcdef\r\n") == b"8\r\n89abcdef\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
)
def test_answers_of_other_kinds_pass_as_they_are(head: bytes) -> None:
    body = b"5\r\nhello\r\n0"

    assert joined([head, body]) == [head, body]
    assert joined([head + body]) == [head + body]
    assert b"".join(joined(split(head + body, list(range(0, 200, 3))))) == head + body


def test_an_interim_answer_comes_before_the_answer() -> None:
    wire = b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + chunked(b"a", b"b")

    status, pieces, _ = received(joined([wire]))

    assert (status, pieces) == (200, [b"ab"])


@pytest.mark.parametrize(
    "bad",
    [b"zz\r\nhello\r\n", b"5\r\nhelloXX5\r\nhello\r\n", b"-1\r\nx\r\n", b"\r\n", b"5" * 20 + b"\r\n", b"5\nhello\r\n"],
)
def test_what_is_not_well_formed_is_handed_on_for_the_library_to_refuse(bad: bytes) -> None:
    wire = HEAD + b"2\r\nok\r\n" + bad

    with pytest.raises(h11.RemoteProtocolError):
        received([*joined([wire]), b""])


@given(chunks, cuts, st.integers(min_value=0, max_value=400))
def test_a_cut_answer_stays_cut(body: list[bytes], cuts: list[int], lost: int) -> None:
    whole = HEAD + chunked(*body)
    wire = whole[: max(len(HEAD), len(whole) - 1 - lost)]

    with pytest.raises(h11.RemoteProtocolError):
        received([*joined(split(wire, cuts)), b""])


@given(st.binary(max_size=300), cuts)
def test_no_bytes_make_it_fail(data: bytes, cuts: list[int]) -> None:
    joined([HEAD, *split(data, cuts)])
    joined(split(data, cuts))
