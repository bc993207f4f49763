"""Server-sent events: every line end, every split, every oddity that hosts and gateways send."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from antiphon.pipeline.errors import APIResponseError
from antiphon.pipeline.streams.sse import MAX_EVENT_BYTES, Frame, FullEvent, SSEDecoder, full_events

FIXTURES = Path(__file__).parents[2] / "fixtures" / "responses"
BOM = b"\xef\xbb\xbf"

TABLE: dict[str, tuple[bytes, list[Frame]]] = {
    "LF": (b"event: a\ndata: 1\n\ndata: 2\n\n", [("a", b"1"), ("", b"2")]),
    "CRLF": (b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [("a", b"1"), ("", b"2")]),
    "CR": (b"event: a\rdata: 1\r\rdata: 2\r\r", [("a", b"1"), ("", b"2")]),
    "mixed line ends": (b"event: a\r\ndata: 1\n\rdata: 2\r\r\ndata: 3\n\n", [("a", b"1"), ("", b"2"), ("", b"3")]),
    "CR before CRLF is a blank line": (b"data: 1\r\r\ndata: 2\n\n", [("", b"1"), ("", b"2")]),
    "many blank lines": (b"\n\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n", [("", b"1"), ("", b"2")]),
    "byte order mark": (BOM + b"data: 1\n\n", [("", b"1")]),
    "a second mark belongs to the field name": (b"data: 1\n\n" + BOM + b"data: 2\n\n", [("", b"1")]),
    "only a mark": (BOM, []),
    "half a mark": (BOM[:2], []),
    "text that begins like a mark": (b"\xef\xbbx: 1\n\ndata: 2\n\n", [("", b"2")]),
    "separators of other alphabets": (
        'data: {"a":"\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"}\n\n'.encode(),
        [("", '{"a":"\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"}'.encode())],
    ),
    "several data lines": (b"data: 1\ndata: 2\ndata\ndata:3\n\n", [("", b"1\n2\n\n3")]),
    "data before the name": (b"data: 1\nevent: a\n\n", [("a", b"1")]),
    "two names: the last counts": (b"event: a\nevent: b\ndata: 1\n\n", [("b", b"1")]),
    "a name of nothing": (
        b"event: \ndata: 1\n\nevent:\ndata: 2\n\nevent\ndata: 3\n\n",
        [("", b"1"), ("", b"2"), ("", b"3")],
    ),
    "a name does not outlive its event": (b"event: a\n\ndata: 1\n\n", [("", b"1")]),
    "comments": (b": ping\n\n:\n\n: a\ndata: 1\n: b\n\n:c\n", [("", b"1")]),
    "keep-alives between events": (b"data: 1\n\n: keep-alive\n\n: keep-alive\n\ndata: 2\n\n", [("", b"1"), ("", b"2")]),
    "empty data": (
        b"data: \n\ndata:\n\ndata\n\nevent: ping\ndata: \n\nevent: ping\ndata:\n\ndata: 1\n\n",
        [("", b"1")],
    ),
    "a name without data": (b"event: a\n\nevent: b\n\ndata: 1\n\n", [("", b"1")]),
    "id and retry": (b"id: 7\nretry: 100\n\nid: 8\nevent: a\ndata: 1\nretry: 5\n\n: x\n\n", [("a", b"1")]),
    "unknown fields": (b"data: 1\nfoo: bar\ndatax: 2\n data: 3\nDATA: 4\n\n", [("", b"1")]),
    "no space after the colon": (b"event:a\ndata:1\n\ndata:2\n\n", [("a", b"1"), ("", b"2")]),
    "one space is dropped, not more": (b"event:  a\ndata:  1 \n\n", [(" a", b" 1 ")]),
    "colons in the data": (b"data: a: b: c\n\n", [("", b"a: b: c")]),
    "no last blank line": (b"data: 1\n\nevent: a\ndata: 2\n", [("", b"1"), ("a", b"2")]),
    "no last line end": (b"data: 1\n\nevent: a\ndata: 2", [("", b"1"), ("a", b"2")]),
    "ends with CR": (b"data: 1\n\ndata: 2\r", [("", b"1"), ("", b"2")]),
    "bytes that are no UTF-8": (b"data: \xff\xfe\n\n", [("", b"\xff\xfe")]),
    "zero bytes": (b"data: a\0b\n\n", [("", b"a\0b")]),
    "the end mark": (b"data: 1\n\ndata: [DONE]\n\n", [("", b"1"), ("", b"[DONE]")]),
    "a bare object": (
        b'data: 1\n\n{"error":\r\n {"message": "no"}}\n\n{"a": 1}',
        [("", b"1"), ("", b'{"error":\n {"message": "no"}}'), ("", b'{"a": 1}')],
    ),
    "an error in a field of its own": (b'data: 1\n\nerror: {"a": 1}\n\n', [("", b"1"), ("error", b'{"a": 1}')]),
    "a bare object beside data is none": (b'data: 1\n{"a": 2}\nerror: 3\n\n', [("", b"1")]),
    "nothing": (b"", []),
}
STREAMS: dict[str, bytes] = {
    **{name: sent for name, (sent, _) in TABLE.items()},
    **{path.name: path.read_bytes() for path in sorted(FIXTURES.glob("*.sse"))},
    "long": b"".join(
        b': %d\r\n\r\nevent: response.output_text.delta\r\ndata: {"delta":"%s"}\n\n'
        % (n, "é\u2028".encode() * (n % 40))
        for n in range(400)
    ),
}


def decode(pieces: Iterable[bytes]) -> list[Frame]:
    decoder = SSEDecoder()
    return feed_all(decoder, pieces) + decoder.finish()


def feed_all(decoder: SSEDecoder, pieces: Iterable[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in decoder.feed(piece)]


def cut(data: bytes, *places: int) -> list[bytes]:
    bounds = [0, *sorted(places), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@pytest.mark.parametrize("case", TABLE)
def test_every_form_of_a_stream_is_read(case: str) -> None:
    sent, expected = TABLE[case]

    assert decode([sent]) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_where_a_stream_is_cut_makes_no_difference(name: str) -> None:
    sent = STREAMS[name]
    whole = decode([sent])
    seeded = random.Random(name)
    places = range(len(sent) + 1) if len(sent) <= 8192 else seeded.sample(range(len(sent)), 300)

    assert all(decode(cut(sent, place)) == whole for place in places)
    for _ in range(50):
        assert decode(cut(sent, *seeded.choices(range(len(sent) + 1), k=seeded.randint(2, 40)))) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_single_bytes_add_up(name: str) -> None:
    sent = STREAMS[name]

    assert decode(sent[at : at + 1] for at in range(len(sent))) == decode([sent])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_reads_of_nothing_make_no_difference(line_end: bytes) -> None:
    sent = line_end.join([b"event: a", b"data: 1", b"", b"data: 2", b"", b""])

    assert decode(piece for at in range(len(sent)) for piece in (sent[at : at + 1], b"")) == [("a", b"1"), ("", b"2")]


def test_an_event_comes_out_as_soon_as_its_blank_line_is_there() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: 1\r") == []
    assert decoder.feed(b"\n\r") == [("", b"1")]
    assert decoder.feed(b"\ndata: 2\n") == []
    assert decoder.feed(b"\nda") == [("", b"2")]


def test_the_end_comes_once() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: 1")

    assert decoder.finish() == [("", b"1")]
    assert decoder.finish() == []


@pytest.mark.parametrize("piece_size", [1 << 16, 1 << 20, 1 << 25])
def test_an_event_over_the_limit_is_refused(piece_size: int) -> None:
    sent = b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n"
    decoder = SSEDecoder()

    with pytest.raises(APIResponseError, match=f"longer than {MAX_EVENT_BYTES} bytes"):
        feed_all(decoder, (sent[at : at + piece_size] for at in range(0, len(sent), piece_size)))


@pytest.mark.parametrize("places", [(), (1,), (20,), (21, 22), (8, 15, 21)])
def test_the_limit_holds_for_one_event_not_for_many(places: tuple[int, ...]) -> None:
    fits, too_long = b"data: 12345678901234", b"data: 123456789012345"
    decoder = SSEDecoder(max_event_bytes=len(fits))

    assert feed_all(decoder, cut((fits + b"\n\n") * 9, *places)) == [("", fits[6:])] * 9
    with pytest.raises(APIResponseError):
        feed_all(decoder, cut(too_long + b"\n\n", *places))


def test_a_flood_without_a_blank_line_is_refused() -> None:
    decoder = SSEDecoder(max_event_bytes=1000)

    with pytest.raises(APIResponseError):
        feed_all(decoder, [b": ping\n"] * 1000)


class Counted(bytearray):
    """Counts the bytes that are searched or copied out of it."""

    touched = 0

    def rfind(self, *found: Any) -> int:
        self.touched += len(self) - (found[1] if len(found) > 1 else 0)
        return super().rfind(*found)

    def __getitem__(self, place: Any) -> Any:
        taken = super().__getitem__(place)
        self.touched += len(taken)
        return taken


def test_the_work_of_a_large_event_in_small_pieces_grows_with_its_size_only() -> None:
    def bytes_touched(pieces: int) -> int:
        decoder = SSEDecoder()
        decoder._pending = pending = Counted()
        decoder.feed(b"data: ")
        for _ in range(pieces):
            assert decoder.feed(b"x" * 64) == []
        assert decoder.feed(b"\n\n") == [("", b"x" * 64 * pieces)]
        return pending.touched

    assert bytes_touched(2_000) <= 3 * 2_000 * 64
    assert bytes_touched(20_000) <= 3 * 20_000 * 64


@pytest.mark.parametrize("name", TABLE)
def test_full_events_have_the_same_names_and_data(name: str) -> None:
    data, frames = TABLE[name]
    decoder = SSEDecoder()

    found = full_events(decoder.whole(data) + decoder.rest())

    assert [(event.name, event.data) for event in found if event.data] == frames


def test_full_events_have_ids_and_waits_and_need_no_data() -> None:
    stream = b"id: 1\nretry: 500\ndata:\n\n: a comment\n\nid\ndata: x\n\nid: a\0b\nretry: soon\ndata: y\n\n"

    assert full_events(SSEDecoder().whole(stream)) == [
        FullEvent("", b"", "1", 500),
        FullEvent("", b"", None, None),
        FullEvent("", b"x", "", None),
        FullEvent("", b"y", None, None),
    ]
