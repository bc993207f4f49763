"""What must never be shown is not shown, anywhere."""

from __future__ import annotations

import io
import json
import logging
import pickle
import traceback
from typing import Any

import msgspec
import pytest
from conftest import Mode

import antiphon
from antiphon import presets
from antiphon.pipeline.errors import AntiphonError
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.secret import MASK, Secret, mask
from antiphon.testing import scripted

CANARY = "sk-canary-0123456789abcdefghij"


# --- the type -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{:>40}".format, "%s".__mod__, ascii, lambda value: f"{value!r:>9}"]
)
def test_a_secret_shows_a_mask(show: Any) -> None:
    assert "canary" not in show(Secret(CANARY))
    assert MASK in show(Secret(CANARY))


def test_a_secret_reveals_itself_when_asked() -> None:
    assert Secret(CANARY).reveal() == CANARY


def test_a_secret_has_no_pickle() -> None:
    with pytest.raises(TypeError, match="a Secret is not pickled; name the environment variable"):
        pickle.dumps(Secret(CANARY))


def test_a_secret_has_no_json() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        msgspec.json.encode(Secret(CANARY))


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_a_secret_has_no_attributes_to_dump() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")


@pytest.mark.parametrize(
    "text",
    [
        "key sk-abcdefghijklmnopqrst is wrong",
        "Bearer gsk_abcdefghijklmnopqrst",
        "AIzaabcdefghijklmnopqrstuv",
        "token=eyJhbGciOiJIUzI1NiIsInR5cCI6",
    ],
)
def test_what_looks_like_a_vendors_key_is_masked(text: str) -> None:
    assert MASK in mask(text)
    assert "abcdefgh" not in mask(text)


def test_given_secrets_are_masked_whatever_they_look_like() -> None:
    assert mask("my token is plain", [Secret("plain"), "token", None, ""]) == "my *** is ***"


def test_a_key_that_means_nothing_is_left_in_words() -> None:
    assert mask("none of the monkeys", [Secret("none"), "k", "key"]) == "none of the monkeys"


def test_a_short_key_is_masked_as_a_word() -> None:
    assert mask("the key k, or 'key'; hushed hush", ["k", "key", "hush"]) == "the *** ***, or '***'; ***ed ***"


def test_ordinary_text_stays() -> None:
    assert mask("ask-me about sk-1 and task-force-member") == "ask-me about sk-1 and task-force-member"


# --- through the whole of it ----------------------------------------------------------------------------------------


def everything_shown(thing: Any) -> str:
    """Return the texts by which a thing is usually shown."""
    return f"{thing!r}\n{thing!s}\n{getattr(thing, '__dict__', '')}"


ECHO = {
    "status": 401,
    "body": {"error": {"message": f"Incorrect API key provided: {CANARY}", "code": "invalid_api_key"}},
}


@pytest.mark.parametrize("as_secret", [False, True])
def test_a_key_is_shown_by_nothing_on_the_way(mode: Mode, streamed: bool, as_secret: bool) -> None:
    shown: list[str] = []

    @stage
    async def nosy(request: Request, call_next: Handler) -> Reply:
        shown.extend(everything_shown(thing) for thing in (request, request.options, request.target, request.wire))
        reply = await call_next(request)
        shown.extend(everything_shown(thing) for thing in (reply, reply.meta, request.context.attempts))
        return reply

    async def body() -> None:
        key = Secret(CANARY) if as_secret else CANARY
        client = scripted(
            "Hello.", chain=presets.responses.after("transform", nosy), hooks=[lambda s: shown.append(repr(s))]
        )
        response = await mode.response(client.chain, model="openai/m", api_key=key, streamed=streamed)
        shown.append(everything_shown(response))
        shown.append(everything_shown(client))
        shown.append(everything_shown(client.host.requests[0]))
        shown.append(repr(pickle.dumps(response)))

        sent = dict(client.host.requests[0].headers)["authorization"]
        assert sent == Secret(f"Bearer {CANARY}")
        assert [text for text in shown if "canary" in text] == []

    mode.run(body)


def test_a_key_that_the_host_says_again_is_masked_in_the_error(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[Any] = []
        client = scripted(ECHO, hooks=[seen.append])
        with pytest.raises(AntiphonError) as caught:
            await mode.call(client.chain, model="openai/m", api_key=CANARY, stream=streamed)

        error = caught.value
        told = "".join(traceback.format_exception(error)).replace(__file__, "")
        shown = [everything_shown(error), repr(error.args), told, repr(pickle.dumps(error)), repr(seen)]
        assert [text for text in shown if "canary" in text.replace("test_secret", "")] == []
        assert "Incorrect API key provided: ***" in str(error)

    mode.run(body)


def test_a_secret_in_a_header_of_any_name_is_masked_in_the_error(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        said = {"status": 401, "body": {"error": {"message": "who are hunter2hunter2 and openai-m?"}}}
        secret = {"extra_headers": {"X-Id": Secret("hunter2hunter2"), "X-Key": Secret("openai")}}
        with pytest.raises(AntiphonError) as caught:
            await mode.call(scripted(said).chain, model="openai/m", api_key="none", stream=streamed, **secret)

        assert caught.value.message == "who are *** and ***-m?"
        assert caught.value.provider == "openai"

    mode.run(body)


def test_a_bound_key_is_shown_by_no_chain_and_travels_in_no_pickle() -> None:
    chain = presets.responses.bind(api_key=CANARY)

    assert "canary" not in everything_shown(chain) + repr(chain._defaults) + str(chain.explain("Hi", model="openai/m"))
    with pytest.raises(TypeError, match="a Secret is not pickled"):
        pickle.dumps(chain)


def test_a_key_is_in_no_log_line(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        antiphon.configure_logging("DEBUG", stream=out)
        try:
            with pytest.raises(AntiphonError):
                await mode.call(scripted(ECHO).chain, model="openai/m", api_key=CANARY)
            await mode.call(scripted("Hello.").chain, model="openai/m", api_key=CANARY)
        finally:
            _silence()

        assert len(out.getvalue().splitlines()) == 4
        assert "canary" not in out.getvalue()

    mode.run(body)


def _silence() -> None:
    logger = logging.getLogger("antiphon")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True
