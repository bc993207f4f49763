"""Where in a text something personal or secret stands, by kind. Every finder reads a text once.

A finder is a function from a text to spans, `(start, end)` in characters. The patterns have no repeat inside a repeat
that could match the same letters in two ways, start where a word starts, and are bounded or possessive, so the time is
linear in the text; what only arithmetic can tell (check digits, addresses) is computed from what a pattern proposes.

kind     what is found
email    an address
phone    a number with + or 00 and 8 to 15 digits, or grouped as in North America
card     13 to 19 digits whose last one is right (Luhn)
iban     an account number whose check digits are right
ip       an address of version 4 or 6
key      keys and tokens by their usual beginnings, JSON web tokens, what stands behind "Bearer", private keys in PEM

Sources: lengths of phone numbers, ITU-T E.164; cards, ISO/IEC 7812-1; IBAN, ISO 13616 (check digits by ISO 7064,
97 as modulus); beginnings of keys: OpenAI, Anthropic, GitHub, Slack, Google, AWS, Stripe documentation, read 2026-11.
"""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

Span: TypeAlias = tuple[int, int]
Finder: TypeAlias = Callable[[str], Iterable[Span]]


def by_pattern(pattern: str | re.Pattern[str]) -> Finder:
    """Return the finder of what a regular expression matches; that its time is linear is for its author to see to."""
    compiled = re.compile(pattern)
    return lambda text: [found.span() for found in compiled.finditer(text) if found.end() > found.start()]


def spans_of(text: str, finders: Iterable[tuple[str, Finder]]) -> list[tuple[int, int, str]]:
    """Return `(start, end, kind)` of all that the finders find, in order; what overlaps is one, of its first kind."""
    found = sorted(
        (start, -end, rank, kind)
        for rank, (kind, finder) in enumerate(finders)
        for start, end in finder(text)
        if end > start
    )
    spans: list[tuple[int, int, str]] = []
    for start, minus_end, _, kind in found:
        if spans and start < spans[-1][1]:
            before = spans[-1]
            spans[-1] = (before[0], max(before[1], -minus_end), before[2])
        else:
            spans.append((start, -minus_end, kind))
    return spans


# --- the kinds --------------------------------------------------------------------------------------------------------

_EMAIL: Final = re.compile(
    r"(?<![\w.%+-])[\w.%+-]{1,64}+@(?:[A-Za-z0-9\u00a1-\uffff](?:[A-Za-z0-9\u00a1-\uffff-]{0,62}+)\.){1,8}[A-Za-z]{2,24}(?![\w-])"
)
_PHONE: Final = re.compile(
    r"(?<![\w+])(?:(?:\+|00)[1-9](?:[ ().\-/]{0,2}\d){7,14}|(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4})(?![\w])"
)
_DIGITS: Final = re.compile(r"(?<![0-9A-Za-z])\d(?:[ -]?\d){12,}+(?![0-9A-Za-z])")
_GROUP: Final = re.compile(r"\d+")
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}+(?![a-z0-9])")
_IP4: Final = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)")
_IP6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}+(?:\.\d{1,3}){0,3}(?![\w:])")
_KEY: Final = re.compile(
    r"(?<![\w-])(?:"
    r"sk-[\w-]{16,}+"
    r"|(?:sk|rk|pk)_(?:live|test)_\w{16,}+"
    r"|gh[pousr]_\w{30,}+|github_pat_\w{30,}+"
    r"|xox[abeoprs]-[\w-]{10,}+"
    r"|AIza[\w-]{30,}+"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}+"
    r"|eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+"
    r")(?![\w-])"
)
_BEARER: Final = re.compile(r"(?<!\w)[Bb]earer[ ]{1,4}([\w.~+/=-]{12,}+)")
_PEM: Final = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----")
_PEM_END: Final = re.compile(r"-----END [A-Z ]{0,30}PRIVATE KEY-----")


def _cards(text: str) -> Iterator[Span]:
    """Yield what may be card numbers: groups of digits that stand together and add up, the longest first."""
    for run in _DIGITS.finditer(text):
        groups = [group.span() for group in _GROUP.finditer(text, *run.span())]
        luhn, at = _Luhn("".join(text[slice(*group)] for group in groups)), 0
        ends = list(itertools.accumulate(end - start for start, end in groups))  # in digits
        while at < len(groups):
            first = ends[at - 1] if at else 0
            last = None
            for index in range(at, len(groups)):
                if ends[index] - first > 19:
                    break
                if ends[index] - first >= 13 and luhn.is_right(first, ends[index]):
                    last = index
            if last is not None:
                yield groups[at][0], groups[last][1]
            at = at + 1 if last is None else last + 1


class _Luhn:
    """The sums of a run's digits, so that any part of it is checked by two subtractions."""

    __slots__ = ("_digits", "_sums")

    def __init__(self, digits: str) -> None:
        self._digits = digits
        plain = [int(digit) for digit in digits]
        doubled = [2 * number - 9 if number > 4 else 2 * number for number in plain]
        # Sums in which every digit at an odd place is doubled, and every one at an even place.
        self._sums = [
            list(itertools.accumulate((doubled if at % 2 == odd else plain)[at] for at in range(len(digits))))
            for odd in (0, 1)
        ]

    def is_right(self, start: int, end: int) -> bool:
        """Tell whether these digits add up; the last one is plain, the one before it doubled."""
        sums = self._sums[end % 2]
        total = sums[end - 1] - (sums[start - 1] if start else 0)
        return total % 10 == 0 and self._digits.count(self._digits[start], start, end) < end - start


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        start, end = found.span()
        # Words in capitals may follow: the number ends at a gap, or at the end.
        while end - start >= 15:
            if _is_iban(text[start:end].replace(" ", "")):
                yield start, end
                break
            end = text.rfind(" ", start, end)


def _is_iban(number: str) -> bool:
    if not 15 <= len(number) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in number[4:] + number[:4])) % 97 == 1


def _ips(text: str) -> Iterator[Span]:
    for pattern in (_IP4, _IP6):
        for found in pattern.finditer(text):
            said = found.group()
            if pattern is _IP6 and (said.count(":") < 2 or not said.strip(":")):
                continue
            try:
                ipaddress.ip_address(said)
            except ValueError:
                continue
            yield found.span()


def _keys(text: str) -> Iterator[Span]:
    yield from (found.span() for found in _KEY.finditer(text))
    yield from (found.span(1) for found in _BEARER.finditer(text))
    at = 0
    while (begin := _PEM.search(text, at)) is not None:
        end = _PEM_END.search(text, begin.end())
        at = len(text) if end is None else end.end()
        yield begin.start(), at


KINDS: Final[dict[str, Finder]] = {
    "email": by_pattern(_EMAIL),
    "phone": by_pattern(_PHONE),
    "card": _cards,
    "iban": _ibans,
    "ip": _ips,
    "key": _keys,
}
"""The finders that have a name."""
