"""The errors: one tree, drawn as it is, with facts, and fit to be pickled."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import re
from typing import Any

import pytest
from hand_made import answer

from antiphon.mcp import errors as mcp_errors
from antiphon.mcp import streamable_http
from antiphon.pipeline import errors
from antiphon.pipeline.errors import (
    AntiphonError,
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    InvalidParameter,
    OutputRefused,
    RateLimitError,
    StreamInterrupted,
    UnknownKeyword,
    did_you_mean,
)
from antiphon.pipeline.reply import Attempt, Meta

EVERY_MODULE = [mcp_errors, streamable_http]  # which have classes of the tree too


def everywhere(cls: type[AntiphonError] = AntiphonError) -> list[type[AntiphonError]]:
    """Return the class and all below it, in whatever module they are."""
    assert all(EVERY_MODULE)
    of_ours = [sub for sub in cls.__subclasses__() if sub.__module__.startswith("antiphon.")]
    return [cls, *(found for sub in of_ours for found in everywhere(sub))]


CLASSES = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, AntiphonError)]


def drawn() -> dict[str, str | None]:
    """Return each class of the drawing with the one it hangs on."""
    parents: dict[str, str | None] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([ │├└─]*)([A-Z]\w+)", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        path[depth:] = [found[2]]
        parents[found[2]] = path[depth - 1] if depth else None
    return parents


def test_the_drawing_shows_every_class_in_its_place() -> None:
    found = {cls.__name__: next(base.__name__ for base in cls.__bases__) for cls in CLASSES if cls is not AntiphonError}

    assert drawn() == {"AntiphonError": None, **found}


def test_the_drawing_names_the_builtins_that_errors_are_too() -> None:
    drawing = errors.__doc__ or ""
    for name in re.findall(r"^\W*(\w+) .*also a", drawing, re.MULTILINE):
        line = next(line for line in drawing.splitlines() if f" {name} " in line)
        also = re.findall(r"also an? (\w+)", line)
        assert [issubclass(getattr(errors, name), getattr(builtins, other)) for other in also] == [True]


@pytest.mark.parametrize("cls", sorted(set(everywhere()), key=str), ids=lambda cls: str(cls.__name__))
def test_every_error_survives_pickle_and_copy(cls: type[AntiphonError]) -> None:
    error = cls("what", provider="p", model="m", status=500, hint="next", meta=Meta(call_id="c"), response=answer())
    error.__notes__ = ["a note"]

    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is cls
        assert str(again) == str(error)
        assert again.__dict__ == error.__dict__
        assert again.args == error.args


def test_own_facts_survive_a_pickle() -> None:
    late = pickle.loads(pickle.dumps(APITimeoutError("late", limit="idle", limit_s=3.0, reused_connection=True)))
    refused = pickle.loads(pickle.dumps(BadRequestError("no", body={"error": 1}, retry_after_s=2.0)))

    assert (late.limit, late.limit_s, late.reused_connection) == ("idle", 3.0, True)
    assert (refused.body, refused.retry_after_s) == ({"error": 1}, 2.0)


def test_the_text_has_what_where_and_the_next_move() -> None:
    error = RateLimitError("too fast", provider="openai", model="m", status=429, code="rate", request_id="req_1")
    error.hint = "wait"

    assert str(error) == (
        "too fast [provider=openai model=m status=429 code=rate request_id=req_1]\n"
        "  hint: wait\n"
        "  see: docs/errors.md#ratelimiterror"
    )
    assert str(AntiphonError("bare")) == "bare\n  see: docs/errors.md#antiphonerror"
    assert str(OutputRefused("no", refusal="It is rude.", hint="ask for something else")) == (
        "no\n  hint: ask for something else\n  refusal: It is rude.\n  see: docs/errors.md#outputrefused"
    )


def test_attempts_are_those_of_the_call() -> None:
    tries = tuple(Attempt(number=at, provider="p", model="m") for at in (1, 2))

    assert AntiphonError("x").attempts == 0
    assert AntiphonError("x", meta=Meta(call_id="c", attempts=tries)).attempts == 2


def test_which_errors_pass_by_themselves() -> None:
    passing = {cls.__name__ for cls in CLASSES if cls("x").retryable}

    assert passing == {
        "APIConnectionError",
        "APITimeoutError",
        "ConflictError",
        "StoreLocked",
        "StoreUnavailable",
        "InternalServerError",
        "OverloadedError",
        "RateLimitError",
        "StreamInterrupted",
    }


def test_the_host_may_say_otherwise() -> None:
    assert not RateLimitError("x", retryable=False).retryable
    assert BadRequestError("x", retryable=True).retryable


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        (UnknownKeyword("x"), (TypeError,)),
        (InvalidParameter("x"), (ValueError,)),
        (APITimeoutError("x"), (TimeoutError, APIConnectionError)),
        (StreamInterrupted("x"), (APIConnectionError,)),
        (RateLimitError("x"), (APIStatusError,)),
    ],
)
def test_errors_are_caught_by_the_names_people_know(error: Exception, kinds: tuple[type[Exception], ...]) -> None:
    assert all(isinstance(error, kind) for kind in kinds)


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("retyr", ["retry", "resolve"], '; did you mean "retry"?'),
        ("zzz", ["retry"], ""),
        ("retry", [], ""),
    ],
)
def test_suggestions_are_made_when_something_is_close(name: str, known: list[str], said: str) -> None:
    assert did_you_mean(name, known) == said


def test_no_error_needs_more_than_a_message() -> None:
    made: list[Any] = [cls("x") for cls in CLASSES]

    assert {str(error) for error in made} == {f"x\n  see: {error.docs}" for error in made}
