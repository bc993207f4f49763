"""Chunked bodies: the same as the HTTP library reads them, which sees their heads and ends only."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.pipeline.network.chunked_body import ChunkedBody

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(*chunks: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    framed = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return framed + b"0\r\n" + trailers + b"\r\n"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if a < b]


class Answer(NamedTuple):
    """What a reader gets: the status, the body's pieces, the trailers; and how many bytes h11 saw of it all."""

    status: int
    pieces: list[bytes]
    trailers: list[tuple[bytes, bytes]]
    seen: int


def received(reads: list[bytes], method: str = "GET") -> Answer:
    """Read an answer as a link does: its head by h11, its chunks past it, its end by h11. b"" stands for a cut."""
    waiting, body = iter(reads), ChunkedBody()
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    status, seen, pieces = 0, 0, []
    while True:
        if body.ready:
            pieces.append(body.take_ready())
        while body.is_open:
            data = next(waiting)
            if not data:
                raise h11.RemoteProtocolError("cut")
            if piece := body.feed(data):
                pieces.append(piece)
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = body.take_rest() or body.split(next(waiting))
            seen += len(data)
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
            body.begin(method, status, event.headers.raw_items())
        elif isinstance(event, h11.Data):
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, pieces, list(event.headers), seen)


chunks = st.lists(st.binary(min_size=1, max_size=40), max_size=12)
cuts = st.lists(st.integers(min_value=0, max_value=5000), max_size=12)


@given(chunks, cuts, st.sampled_from([b"", b";name=value", b" ; a"]), st.sampled_from([b"", b"X-Sum: 1\r\n"]))
def test_the_body_and_the_trailers_are_the_same_however_it_is_cut(
    body: list[bytes], cuts: list[int], extension: bytes, trailers: bytes
) -> None:
    wire = HEAD + chunked(*body, extension=extension, trailers=trailers)

    answer = received(split(wire, cuts))

    assert answer.status == 200
    assert b"".join(answer.pieces) == b"".join(body)
    assert bool(answer.trailers) == bool(trailers)
    assert answer.seen == len(HEAD) + len(chunked(trailers=trailers))


def test_chunks_of_one_read_become_one() -> None:
    wire = HEAD + chunked(*[b"event"] * 50)

    assert received([wire]).pieces == [b"event" * 50]
    assert received([HEAD, wire.removeprefix(HEAD)]).pieces == [b"event" * 50]


def test_what_has_come_of_a_chunk_is_not_held_back() -> None:
    reads = [HEAD, b"10\r\n01234567", b"89abcdef\r\n", b"0\r\n\r\n"]

    assert received(reads).pieces == [b"01234567", b"89abcdef"]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-Tag: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 11\n\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_answers_of_other_kinds_are_the_library_s(head: bytes) -> None:
    body = b"5\r\nhello\r\n0"
    ways = [[head, body], [head + body], split(head + body, list(range(0, 200, 3)))]

    for reads in ways:
        answer = received([*reads, b""])

        assert b"".join(answer.pieces) == body
        assert answer.seen == len(head + body)


@pytest.mark.parametrize(
    ("method", "line"), [("GET", b"204 No Content"), ("GET", b"304 Not Modified"), ("HEAD", b"200 OK")]
)
def test_an_answer_without_a_body_waits_for_none(method: str, line: bytes) -> None:
    head = b"HTTP/1.1 " + line + b"\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert received([head], method).pieces == []


@pytest.mark.parametrize("upper", [False, True])
def test_a_coding_is_known_however_it_is_written(upper: bool) -> None:
    head = HEAD.upper() if upper else HEAD.lower().replace(b"http", b"HTTP")

    assert received([head, chunked(b"a", b"b")]).pieces == ([b"a", b"b"] if upper else [b"ab"])


def test_a_head_with_bare_line_feeds_is_a_head() -> None:
    answer = received([HEAD.replace(b"\r\n", b"\n") + chunked(b"a", b"b")])

    assert answer.pieces == [b"ab"]


def test_a_coding_that_the_library_does_not_know_is_refused() -> None:
    with pytest.raises(h11.RemoteProtocolError):
        received([HEAD.replace(b"chunked", b"gzip, chunked"), chunked(b"a")])


@pytest.mark.parametrize("more", [b"", b"X-Note: chunked\r\n"])
def test_an_interim_answer_comes_before_the_answer(more: bytes) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\n" + more + b"\r\n"
    body = chunked(b"a", b"b")

    for reads in ([interim + HEAD + body], [interim, HEAD + body], [interim, HEAD, body]):
        answer = received(reads)

        assert (answer.status, b"".join(answer.pieces)) == (200, b"ab")


def test_bytes_that_nobody_asked_for_are_noticed() -> None:
    body = ChunkedBody()

    body.split(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200")
    body.begin("GET", 204, [(b"Transfer-Encoding", b"chunked")])

    assert body.has_rest


@pytest.mark.parametrize(
    "bad",
    [b"zz\r\nhello\r\n", b"5\r\nhelloXX5\r\nhello\r\n", b"-1\r\nx\r\n", b"\r\n", b"5" * 20 + b"\r\n", b"5\nhello\r\n"],
)
def test_what_is_not_well_formed_is_handed_on_for_the_library_to_refuse(bad: bytes) -> None:
    wire = HEAD + b"2\r\nok\r\n" + bad

    with pytest.raises(h11.RemoteProtocolError):
        received([wire, b""])


@given(chunks, cuts, st.integers(min_value=0, max_value=400))
def test_a_cut_answer_stays_cut(body: list[bytes], cuts: list[int], lost: int) -> None:
    whole = HEAD + chunked(*body)
    wire = whole[: max(len(HEAD), len(whole) - 1 - lost)]

    with pytest.raises(h11.RemoteProtocolError):
        received([*split(wire, cuts), b""])


@given(st.binary(max_size=300), cuts)
def test_no_bytes_make_it_fail_in_other_ways(data: bytes, cuts: list[int]) -> None:
    for reads in ([HEAD, *split(data, cuts)], split(data, cuts)):
        with contextlib.suppress(h11.RemoteProtocolError):
            received([*reads, b"", b""])
