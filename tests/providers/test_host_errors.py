"""Host errors: whatever a host says in whatever shape, by its status or inside a 200, becomes the right typed error."""

from __future__ import annotations

import json
import pickle
import random
import time
from email.utils import formatdate
from typing import Any

import pytest
from conftest import Mode
from loopback import Server
from replay_server import Answer, replaying

import antiphon
from antiphon.pipeline import errors
from antiphon.pipeline.errors import APIError, APIResponseError, APIStatusError
from antiphon.pipeline.http import Headers
from antiphon.providers.host_errors import make_error, read_body, retry_after_s

KEY = "canary0123456789abcdef"  # of no vendor's shape: only knowing it helps
JSON = {"content-type": "application/json", "x-request-id": "req_1"}


def error_of(body: object, status: int = 400, **headers: str) -> APIStatusError:
    """Return the error for an answer; text and bytes are the body, anything else is its JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = Headers((name.replace("_", "-"), value) for name, value in headers.items())
    return make_error(read_body(data, status, named.get("content-type", "")), status, named, provider="p", model="m")


# --- bodies ----------------------------------------------------------------------------------------------------------

BODIES: dict[str, tuple[object, str, str | None, str | None]] = {
    "OpenAI": (
        {"error": {"message": "no", "type": "invalid_request_error", "param": "tools[0]", "code": "bad"}},
        "no",
        "bad",
        "tools[0]",
    ),
    "nulls": ({"error": {"message": "no", "type": "odd_error", "param": None, "code": None}}, "no", "odd_error", None),
    "an error text": ({"error": "no"}, "no", None, None),
    "a message": ({"message": "no"}, "no", None, None),
    "a detail": ({"detail": "no"}, "no", None, None),
    "a list of details": (
        {"detail": [{"loc": ["body", "input"], "msg": "Field required", "type": "missing"}]},
        '[{"loc":["body","input"],"msg":"Field required","type":"missing"}]',
        None,
        None,
    ),
    "OAuth": ({"error": {"error_description": "no", "code": "x"}}, "no", "x", None),
    "OAuth, in two texts": ({"error": "invalid_client", "error_description": "no"}, "no", "invalid_client", None),
    "a code and a message": ({"error": "bad_model", "message": "no"}, "no", "bad_model", None),
    "a sentence and a message": ({"error": "Not good", "message": "no"}, "Not good", None, None),
    "AWS without permission": ({"Message": "no"}, "no", None, None),
    "Cloudflare": ({"success": False, "errors": [{"code": 5007, "message": "no"}], "result": {}}, "no", "5007", None),
    "several texts": ({"errors": ["no", "never"]}, "no", None, None),
    "no errors": ({"errors": [], "message": "no"}, "no", None, None),
    "MiniMax": ({"base_resp": {"status_code": 2013, "status_msg": "no"}}, "no", "2013", None),
    "MiniMax without words": ({"base_resp": {"status_code": 2013}}, "HTTP 400", "2013", None),
    "an integer code": ({"error": {"code": 400, "message": "no", "type": "odd_error"}}, "no", "400", None),
    "a status word": ({"error": {"message": "no", "status": "INVALID_ARGUMENT"}}, "no", "INVALID_ARGUMENT", None),
    "wrapped in a list": ([{"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}], "no", "400", None),
    "Anthropic": ({"type": "error", "error": {"type": "odd_error", "message": "no"}}, "no", "odd_error", None),
    "a null error": ({"error": None, "message": "no"}, "no", None, None),
    "flat": ({"type": "error", "code": "x", "message": "no", "param": "p"}, "no", "x", "p"),
    "a message that is an object": ({"error": {"message": {"a": [1]}}}, '{"a":[1]}', None, None),
    "a code that is an object": ({"error": {"message": "no", "code": {"a": 1}, "param": ["x"]}}, "no", None, None),
    "an empty message": ({"error": {"message": ""}}, "HTTP 400", None, None),
    "an empty error text": ({"error": ""}, "HTTP 400", None, None),
    "an empty object": ({}, "HTTP 400", None, None),
    "an empty list": ([], "HTTP 400", None, None),
    "null": (None, "HTTP 400", None, None),
    "a number": (5, "HTTP 400", None, None),
    "a JSON text": ("no", "no", None, None),
    "nothing": (b"", "HTTP 400 with an empty body", None, None),
    "white space": (b" \r\n", "HTTP 400 with an empty body", None, None),
    "plain text": (b"upstream connect error", "HTTP 400 with 'upstream connect error' instead of JSON", None, None),
    "bad JSON": (b'{"error": {"mess', 'HTTP 400 with \'{"error": {"mess\' instead of JSON', None, None),
    "HTML": (
        b"<!DOCTYPE html>\n<HTML><body>no</body></html>",
        "HTTP 400 with an HTML page instead of JSON",
        None,
        None,
    ),
    "bytes": (b"\xff\xfe", "HTTP 400 with '\ufffd\ufffd' instead of JSON", None, None),
    "a lone surrogate": (b'{"error": {"message": "\\ud83d no"}}', "\ud83d no", None, None),
}


@pytest.mark.parametrize("shape", BODIES)
def test_every_shape_of_an_error_body_is_read(shape: str) -> None:
    body, message, code, param = BODIES[shape]

    error = error_of(body)

    assert type(error) is antiphon.BadRequestError
    assert (error.message, error.code, error.param) == (message, code, param)
    assert (error.provider, error.model, error.status) == ("p", "m", 400)


def test_the_body_is_kept_as_it_came() -> None:
    body = {"error": {"message": "no", "details": [{"a": None}]}}

    assert error_of(body).body == body
    assert error_of(b"<html>no</html>").body == "<html>no</html>"


@pytest.mark.parametrize("make", [lambda text: {"error": {"message": text}}, lambda text: {"error": text}, str.encode])
def test_a_huge_body_makes_no_huge_message(make: Any) -> None:
    error = error_of(make("long " * 1_000_000))

    assert len(str(error)) < 2100


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8"])
def test_a_page_is_known_by_its_content_type(content_type: str) -> None:
    assert error_of(b"<h1>no</h1>", content_type=content_type).message == "HTTP 400 with an HTML page instead of JSON"


def test_no_body_whatsoever_breaks_the_reading() -> None:
    seeded = random.Random(7)
    seed = b'{"error": {"message": "no", "code": 5, "type": null, "param": ["x"]}, "detail": [{"msg": "y"}]}'
    for _ in range(2_000):
        mangled = bytearray(seed)
        for _ in range(seeded.randint(1, 6)):
            mangled[seeded.randrange(len(mangled))] = seeded.choice(b'[]{}",:0n\\\xff a')
        error = error_of(bytes(mangled), seeded.randint(300, 599))

        assert error.message
        assert pickle.loads(pickle.dumps(error)).message == error.message


# --- classes ---------------------------------------------------------------------------------------------------------

STATUSES: dict[int, tuple[type[APIStatusError], bool]] = {
    400: (errors.BadRequestError, False),
    401: (errors.AuthenticationError, False),
    402: (errors.BillingError, False),
    403: (errors.PermissionDeniedError, False),
    404: (errors.NotFoundError, False),
    405: (errors.APIStatusError, False),
    406: (errors.APIStatusError, False),
    408: (errors.APIStatusError, True),
    409: (errors.ConflictError, True),
    410: (errors.APIStatusError, False),
    413: (errors.RequestTooLargeError, False),
    415: (errors.APIStatusError, False),
    418: (errors.APIStatusError, False),
    422: (errors.UnprocessableEntityError, False),
    424: (errors.APIStatusError, False),
    429: (errors.RateLimitError, True),
    499: (errors.APIStatusError, False),
    500: (errors.InternalServerError, True),
    501: (errors.InternalServerError, True),
    502: (errors.InternalServerError, True),
    503: (errors.OverloadedError, True),
    504: (errors.InternalServerError, True),
    520: (errors.InternalServerError, True),
    529: (errors.OverloadedError, True),
}
SAID: dict[str, object] = {
    "generic": {"error": {"message": "no", "type": "invalid_request_error", "code": None}},
    "number": {"error": {"message": "no", "code": 400}},
    "text": {"error": "no"},
    "HTML": b"<html>no</html>",
    "nothing": b"",
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_its_class(status: int, said: str) -> None:
    expected, retryable = STATUSES[status]

    error = error_of(SAID[said], status)

    assert type(error) is expected
    assert error.retryable is retryable
    assert error.status == status


@pytest.mark.parametrize("status", range(400, 600))
def test_every_status_is_an_api_status_error(status: int) -> None:
    error = error_of({}, status)

    assert isinstance(error, APIStatusError)
    assert isinstance(error, errors.InternalServerError) is (status >= 500)


@pytest.mark.parametrize(
    ("status", "said", "expected", "retryable"),
    [
        (400, {"code": "context_length_exceeded"}, errors.ContextWindowExceededError, False),
        (400, {"code": 400, "type": "exceed_context_size_error"}, errors.ContextWindowExceededError, False),
        (413, {"code": "context_length_exceeded"}, errors.ContextWindowExceededError, False),
        (500, {"code": "context_length_exceeded"}, errors.ContextWindowExceededError, False),
        (400, {"code": "content_filter"}, errors.ContentPolicyViolationError, False),
        (400, {"code": "content_policy_violation"}, errors.ContentPolicyViolationError, False),
        (400, {"code": None, "type": "image_content_policy_violation"}, errors.ContentPolicyViolationError, False),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, errors.BillingError, False),
        (503, {"code": "insufficient_quota"}, errors.BillingError, False),
        (500, {"code": "invalid_api_key"}, errors.AuthenticationError, False),
        (400, {"code": "model_not_found"}, errors.NotFoundError, False),
        (403, {"type": "invalid_request_error"}, errors.PermissionDeniedError, False),
        (429, {"type": "invalid_request_error"}, errors.RateLimitError, True),
        (400, {"type": "server_error"}, errors.BadRequestError, False),
        (500, {"type": "invalid_request_error"}, errors.InternalServerError, True),
        (529, {"type": "overloaded_error"}, errors.OverloadedError, True),
        (503, {"code": 503, "type": "unavailable_error"}, errors.OverloadedError, True),
        (500, {"code": "rate_limit_exceeded"}, errors.RateLimitError, True),
    ],
)
def test_a_telling_code_wins_over_the_status(
    status: int, said: dict[str, Any], expected: type[APIStatusError], retryable: bool
) -> None:
    error = error_of({"error": {"message": "no", **said}}, status)

    assert type(error) is expected
    assert error.retryable is retryable
    assert error.status == status


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("said", "retryable"), [("true", True), ("false", False)])
def test_the_host_may_say_itself_whether_to_repeat(status: int, said: str, retryable: bool) -> None:
    assert error_of({}, status, x_should_retry=said).retryable is retryable


@pytest.mark.parametrize("said", ["", "yes", "1"])
def test_other_words_about_repeating_count_as_not_said(said: str) -> None:
    assert error_of({}, 500, x_should_retry=said).retryable
    assert not error_of({}, 400, x_should_retry=said).retryable


# --- retry-after -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "1e9"}, 1e9),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "abc"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 99 Oct 2099 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "abc", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-1", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "0"}, None),
        ({"Retry-After": "5"}, 5.0),
    ],
)
def test_the_wait_that_a_host_asks_for_is_read(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(Headers(headers.items())) == expected


@pytest.mark.parametrize("seconds", [30, 3600])
def test_a_date_is_read_as_the_time_until_then(seconds: int) -> None:
    found = retry_after_s(Headers([("retry-after", formatdate(time.time() + seconds, usegmt=True))]))

    assert found is not None
    assert seconds - 5 < found <= seconds


def test_no_date_whatsoever_breaks_the_reading() -> None:
    seeded = random.Random(3)
    for _ in range(3_000):
        text = "".join(seeded.choices("Wed, 21 Oct 2015 07:28:00 GMT+-:., 0123456789e\x00é", k=seeded.randint(0, 30)))
        found = retry_after_s(Headers([("retry-after", text)]))

        assert found is None or found > 0


# --- over the wire ---------------------------------------------------------------------------------------------------


def failing(mode: Mode, server: Server, **more: Any) -> Any:
    """Call, and return the error that must come."""
    keywords: dict[str, Any] = {
        "input": "Hi",
        "model": "openai_compatible/m",
        "api_base": f"{server.url}/v1",
        "api_key": KEY,
        "num_retries": 0,
        **more,
    }

    async def body() -> APIError:
        try:
            with pytest.raises(APIError) as caught:
                await mode.either(lambda: antiphon.responses(**keywords), lambda: antiphon.aresponses(**keywords))
        finally:
            await mode.either(antiphon.close, antiphon.aclose)
        return caught.value

    return mode.run(body)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 529])
def test_an_error_has_all_the_facts(status: int, streamed: bool, mode: Mode) -> None:
    said = {"error": {"message": "no", "type": "t", "param": "q", "code": "c"}}
    answer = Answer(status, {**JSON, "retry-after": "7"}, json.dumps(said).encode())

    with replaying(answer) as server:
        error = failing(mode, server, stream=streamed)

    assert type(error) is STATUSES[status][0]
    assert (error.message, error.code, error.param, error.status) == ("no", "c", "q", status)
    assert (error.provider, error.model, error.request_id) == ("openai_compatible", "m", "req_1")
    assert error.retry_after_s == 7.0
    assert error.body == said
    assert error.meta is not None
    assert error.meta.headers["retry-after"] == "7"
    assert [(attempt.status, attempt.outcome) for attempt in error.meta.attempts] == [(status, "failed")]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "boom"}}, errors.InternalServerError),
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "boom"}}, errors.RateLimitError),
        ({"status": "failed", "error": None, "output": []}, errors.InternalServerError),
        ({"error": {"message": "boom", "code": "invalid_api_key"}}, errors.AuthenticationError),
        ({"error": {"message": "boom", "code": 429}}, errors.RateLimitError),
        ({"error": "boom"}, errors.InternalServerError),
    ],
)
def test_an_error_inside_a_200_is_raised(
    said: dict[str, Any], expected: type[APIStatusError], streamed: bool, mode: Mode
) -> None:
    with replaying(Answer(200, JSON, json.dumps(said).encode())) as server:
        error = failing(mode, server, stream=streamed)

    assert type(error) is expected
    assert error.message == ("boom" if said["error"] else "the response failed")
    assert error.status == 200
    assert error.request_id == "req_1"
    assert error.response is not None
    assert error.response.to_dict() == said


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1002, errors.RateLimitError),
        (1004, errors.AuthenticationError),
        (1008, errors.BillingError),
        (1000, errors.InternalServerError),
    ],
)
@pytest.mark.parametrize("dialect", ["responses", "chat"])
def test_minimax_says_in_a_200_what_went_wrong(
    code: int, expected: type[APIStatusError], dialect: str, streamed: bool, mode: Mode
) -> None:
    said = {"id": "", "choices": None, "base_resp": {"status_code": code, "status_msg": "boom"}}

    with replaying(Answer(200, JSON, json.dumps(said).encode())) as server:
        error = failing(mode, server, stream=streamed, dialect=dialect)

    assert type(error) is expected
    assert (error.message, error.code) == ("boom", str(code))


@pytest.mark.parametrize(
    ("body", "content_type", "says", "hints"),
    [
        (b"<html>Sign in</html>", "text/html", "an HTML page", "api_base"),
        (b"", "application/json", "empty", "api_base"),
        (b"{}", "application/json", "keys: none", ""),
        (b"[]", "application/json", "'[]'", "api_base"),
        (b"null", "application/json", "'null'", "api_base"),
        (b'"hello"', "application/json", "hello", "api_base"),
        (b'{"output": [', "application/json", "output", "api_base"),
        (b"pong", "text/plain", "pong", "api_base"),
        (b'{"id":"c","object":"chat.completion","choices":[]}', "application/json", "choices", 'dialect="chat"'),
        (b'{"data":[],"object":"list"}', "application/json", "keys: data, object", ""),
        (b'{"status":"error","reason":"x"}', "application/json", "keys: status, reason", ""),
        (b'{"status":500}', "application/json", "keys: status", ""),
    ],
    ids=[
        "HTML",
        "empty",
        "empty object",
        "list",
        "null",
        "text",
        "cut",
        "plain",
        "chat completion",
        "other object",
        "status word",
        "status",
    ],
)
def test_a_200_that_is_no_response_is_refused(
    body: bytes, content_type: str, says: str, hints: str, streamed: bool, mode: Mode
) -> None:
    with replaying(Answer(200, {"content-type": content_type, "x-request-id": "req_1"}, body)) as server:
        error = failing(mode, server, stream=streamed)

    assert type(error) is APIResponseError
    assert says in error.message
    assert hints in (error.hint or "")
    assert (error.status, error.request_id) == (200, "req_1")
    assert (error.provider, error.model) == ("openai_compatible", "m")
    assert not error.retryable


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("mode", ["sync"], indirect=True)
def test_a_redirect_is_not_followed(status: int, mode: Mode) -> None:
    with replaying(Answer(status, {"location": "http://127.0.0.1:1/elsewhere"})) as server:
        error = failing(mode, server, num_retries=2)

    assert isinstance(error, APIStatusError)
    assert error.status == status
    assert not error.retryable
    assert len(server.requests) == 1


# --- secrets and hints -----------------------------------------------------------------------------------------------

ECHOES: dict[str, tuple[int, str, str]] = {
    "a message": (401, "application/json", '{"error":{"message":"Incorrect API key: KEY","code":"KEY","param":"KEY"}}'),
    "an error text": (401, "application/json", '{"error":"Bearer KEY"}'),
    "a field name": (400, "application/json", '{"error":{"message":"no","headers":{"KEY":["KEY"]}}}'),
    "details": (422, "application/json", '{"detail":[{"input":"KEY"}]}'),
    "plain text": (400, "text/plain", "authorization: Bearer KEY"),
    "plain text at the cut": (400, "text/plain", "x" * 190 + "KEY"),
    "a message at the cut": (400, "application/json", '{"error":{"message":"' + "x" * 1990 + 'KEY"}}'),
    "a page": (502, "text/html", "<html>KEY</html>"),
    "a page, late": (502, "text/html", "<html>" + "x" * 1985 + "KEY</html>"),
    "a 200 of text": (200, "text/plain", "KEY"),
    "a 200 of text at the cut": (200, "text/plain", "x" * 110 + "KEY"),
    "a 200 that failed": (200, "application/json", '{"status":"failed","error":{"message":"KEY","code":"KEY"}}'),
    "a 200 of other keys": (200, "application/json", '{"KEY":1}'),
}


@pytest.mark.parametrize("echo", ECHOES)
def test_a_key_that_the_host_echoes_is_masked(echo: str, streamed: bool, mode: Mode) -> None:
    status, content_type, text = ECHOES[echo]
    body = text.replace("KEY", KEY).encode()

    with replaying(Answer(status, {"content-type": content_type}, body)) as server:
        error = failing(mode, server, stream=streamed)

    for shown in (str(error), repr(error), repr(error.__dict__ | {"response": None}), repr(error.meta)):
        assert KEY[:8] not in shown


def test_another_key_is_masked_by_its_shape() -> None:
    error = error_of({"error": {"message": "Incorrect API key provided: sk-proj-abcdefghijklmnop1234."}}, 401)

    assert "abcdefgh" not in str(error)
    assert "abcdefgh" not in repr(error.body)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("mode", ["sync"], indirect=True)
def test_a_401_says_that_the_key_of_the_environment_was_not_sent(
    status: int, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    with replaying(Answer(status, JSON, b'{"error":{"message":"no key"}}')) as server:
        error = failing(mode, server, model="openai/m", api_key=None)

    assert "authorization" not in server.requests[0].headers
    assert "OPENAI_API_KEY was not sent" in error.hint
    assert "127.0.0.1" in error.hint
    assert "api_key=" in error.hint


@pytest.mark.parametrize("mode", ["sync"], indirect=True)
def test_a_401_with_a_key_says_to_check_it(mode: Mode) -> None:
    with replaying(Answer(401, JSON, b'{"error":{"message":"no key"}}')) as server:
        error = failing(mode, server)

    assert "check the key" in error.hint


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([{"retryDelay": "41.5s"}], 41.5),
        ([{"reason": "X"}, {"retryDelay": "7s"}], 7.0),
        ([{"retryDelay": "0s"}], None),
        ([{"retryDelay": "soon"}], None),
        ([{"retryDelay": 7}, "odd"], None),
        ("odd", None),
        (None, None),
    ],
)
def test_google_says_in_the_details_how_long_to_wait(details: object, expected: float | None) -> None:
    body = json.dumps({"error": {"code": 429, "message": "Quota.", "details": details}}).encode()
    said = read_body(body, 429)

    assert make_error(said, 429, {}, provider="p", model="m").retry_after_s == expected
    assert make_error(said, 429, {"retry-after": "3"}, provider="p", model="m").retry_after_s == 3
