"""Where personal data and secrets stand in a text."""

from __future__ import annotations

import re

import pytest

from antiphon.pipeline.personal_data import KINDS, by_pattern, spans_of

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"

FOUND = {
    "email": ["a.b+c@ex-ample.co.uk", "ü@exämple.com", "joe@site.org"],
    "phone": ["+49 (30) 1234-5678", "0049 30 12345678", "(555) 123-4567", "555-123-4567", "+15551234567"],
    "card": ["4111 1111 1111 1111", "5500-0000-0000-0004", "378282246310005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
    "ip": ["10.0.0.1", "::1", "2001:db8::ff00:42:8329", "::ffff:1.2.3.4"],
    "key": ["sk-proj-abcdefghijklmnop", "AKIAIOSFODNN7EXAMPLE", "ghp_" + "a" * 36, "eyJhbGciOiJI.eyJzdWIiOiIx.a", PEM],
}


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in FOUND.items() for value in values])
@pytest.mark.parametrize("around", ["{}", "it is {}, and", "<{}>", "({})", "Aé: {}.\n"])
def test_each_kind_is_found_and_nothing_beside_it(kind: str, value: str, around: str) -> None:
    text = around.format(value)

    assert [(text[start:end], found) for start, end, found in spans_of(text, KINDS.items())] == [(value, kind)]


@pytest.mark.parametrize(
    "text",
    [
        "x@y, @handle, a@b.c1",
        "2026-11-27 10:30:00, 1234567, 12 34 56",
        "1234567890123456, 4111 1111 1111 1112, 0000000000000000, x4111111111111111",
        "DE89370400440532013001, ABCDEFGHIJKLMNOPQ",
        "256.1.1.1, 1.2.3, 1.2.3.4.5, 10:30:15, std::vector, ::",
        "sk-short, task-force-of-the-century-is-long, Bearer",
    ],
)
def test_what_only_looks_like_it_is_left(text: str) -> None:
    assert spans_of(text, KINDS.items()) == []


def test_a_card_is_found_among_other_digits_and_a_token_behind_its_word() -> None:
    text = "order 12345 4111111111111111 7, Authorization: Bearer abcDEF-123.456~7"

    assert [text[start:end] for start, end, _ in spans_of(text, KINDS.items())] == [
        "4111111111111111",
        "abcDEF-123.456~7",
    ]


def test_an_iban_ends_before_words_in_capitals() -> None:
    text = "DE89 3704 0044 0532 0130 00 IS MINE"

    assert [text[start:end] for start, end, _ in spans_of(text, KINDS.items())] == ["DE89 3704 0044 0532 0130 00"]


def test_what_overlaps_is_hidden_whole() -> None:
    finders = [("one", by_pattern("abc")), ("two", by_pattern(re.compile("cde"))), ("empty", by_pattern("x*"))]

    assert spans_of("-abcde-", finders) == [(1, 6, "one")]


PIECES = ["a", "a@", "1", "1 ", "+1", "eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", ":", "a.", "AB12 ", "sk-", "1."]


@pytest.mark.parametrize("piece", PIECES)
def test_the_time_is_linear_in_the_text(piece: str) -> None:
    """A pattern that looks back at every start would be at it for minutes, and fail by the limit of the whole run."""
    text = piece * (50_000 // len(piece))

    assert all(0 <= start < end <= len(text) for start, end, _ in spans_of(text, KINDS.items()))
