"""What a caller is told when something is wrong: the right status, the API's body, and nothing of the server's own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from asgi import Visit, ask
from hand_made import host

from antiphon import BudgetExceeded, Chain, errors, presets, stage
from antiphon.mcp.errors import McpServerError, UnknownMcpServer
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.providers.host_errors import class_for, read_body
from antiphon.serve import app
from antiphon.serve.refusal import refusal_of
from antiphon.testing import http_error, scripted

Run = Callable[..., Any]
CALL: dict[str, Any] = {"model": "openai/m", "input": "Hi"}
SECRET = "sk-secret0123456789abcdef"
NO_REPEATS = presets.responses.with_(retry={"attempts": 1})


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "said", "header"),
    [
        ("GET", "/v1/nothing", None, 404, "there is no /nothing here", None),
        ("GET", "/v1/responses/", None, 404, "there is no /responses/ here", None),
        ("GET", "/v1/responses/x/output", None, 404, "there is no", None),
        ("PUT", "/v1/responses", CALL, 405, "/responses takes POST", ("allow", "POST")),
        ("PATCH", "/v1/responses/x", CALL, 405, "takes GET, DELETE", ("allow", "GET, DELETE")),
        ("POST", "/v1/responses", b"", 400, "the body is empty", None),
        ("POST", "/v1/responses", b"{", 400, "the body is not JSON", None),
        ("POST", "/v1/responses", b"[" * 100_000, 400, "the body is not JSON", None),
        ("POST", "/v1/responses", b"[]", 400, "the body is list; a JSON object", None),
        ("POST", "/v1/responses", {**CALL, "temprature": 1}, 400, 'did you mean "temperature"?', None),
        ("POST", "/v1/responses", {**CALL, "temperature": "hot"}, 400, "temperature is str", None),
        ("POST", "/v1/responses", {**CALL, "stream": "true"}, 400, "stream is str", None),
        ("POST", "/v1/responses", {"model": "openai/m"}, 400, "input is missing", None),
        ("POST", "/v1/responses", {**CALL, "model": "m"}, 404, "names no provider", None),
        ("POST", "/v1/responses", {**CALL, "model": 7}, 400, "model is int", None),
        ("GET", "/v1/responses/x?limit=1", None, 400, 'there is no query field "limit"', None),
        ("GET", "/v1/responses/x?stream=maybe", None, 400, "true or false", None),
        ("GET", "/v1/responses/x?starting_after=-1", None, 400, "a number is expected", None),
        ("GET", "/v1/responses/x", None, 400, "provider", None),
        ("POST", "/v1/responses/x/cancel", {"force": True}, 400, 'there is no parameter "force"', None),
        ("POST", "/v1/responses?stream=true", CALL, 400, 'there is no query field "stream"', None),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_request_that_is_wrong(
    method: str, target: str, body: Any, status: int, said: str, header: tuple[str, str] | None
) -> None:
    import anyio

    async def asked() -> Any:
        return await ask(app(scripted("Hi.")), method, target, body)

    answered = anyio.run(asked)
    assert answered.status == status
    assert said in answered.error["message"]
    assert answered.error["type"] == "invalid_request_error"
    assert set(answered.error) == {"message", "type", "param", "code"}
    assert header is None or answered.headers[header[0]] == header[1]
    assert answered.headers["x-request-id"]


def test_bodies_of_another_kind_or_size_are_refused(served: Run) -> None:
    small = app(scripted("Hi."), max_body_bytes=100)
    body = b'{"model": "openai/m", "input": "%s"}' % (b"x" * 200)

    async def asked() -> list[Any]:
        form = [("content-type", "application/x-www-form-urlencoded")]
        json = ("content-type", "application/json; charset=utf-8")
        return [
            await ask(small, "POST", "/v1/responses", b'{"model": 1}', headers=form),
            await ask(small, "POST", "/v1/responses", chunks=[b"{}"]),
            await ask(small, "POST", "/v1/responses", b"{}", headers=[json, ("content-encoding", "gzip")]),
            await ask(small, "POST", "/v1/responses", body, headers=[("content-length", "236")]),
            await ask(small, "POST", "/v1/responses", headers=[json], chunks=[body[:90], body[90:]]),
            await ask(
                small, "POST", "/v1/responses", headers=[json], chunks=[b'{"model": "openai/m",', b'"input": "x"}']
            ),
        ]

    assert [found.status for found in served(asked)] == [415, 415, 415, 413, 413, 200]


def test_a_client_that_leaves_before_its_body_is_whole_gets_nothing(served: Run) -> None:
    client = scripted("Hi.")

    async def asked() -> Visit:
        visit = Visit("POST", "/v1/responses", headers=[("content-type", "application/json")], chunks=[b"{", b"}"])
        visit.leave()
        await app(client)(visit.scope, visit.receive, visit.send)
        return visit

    assert served(asked).answer.status == 0
    assert client.requests == []


def test_a_hosts_error_is_the_callers_where_it_is_about_the_call(served: Run, streamed: bool) -> None:
    limited = http_error(429, "slow down", code="rate_limit_exceeded", retry_after_s=1.5)
    client = scripted(limited, http_error(422, "no such tool", code="bad_tool"), chain=NO_REPEATS)

    async def asked() -> list[Any]:
        call: dict[str, Any] = {**CALL, "stream": streamed}
        return [await ask(app(client), "POST", "/v1/responses", call) for _ in range(2)]

    slow, wrong = served(asked)
    assert (slow.status, slow.headers["retry-after"], slow.headers["retry-after-ms"]) == (429, "2", "1500")
    assert slow.error == {
        "message": "slow down",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert (wrong.status, wrong.error["message"], wrong.error["code"]) == (422, "no such tool", "bad_tool")


def raising(error: BaseException) -> Chain:
    @stage(terminal=True)
    async def broken(request: Request, call_next: Handler) -> Reply:
        raise error

    return Chain([broken])


E = errors
# Error → status, type, code, and whether the caller reads the message.
TOLD: list[tuple[Exception, int, str, str | None, bool]] = [
    (E.InvalidParameter("m", param="p"), 400, "invalid_request_error", "invalid_value", True),
    (E.UnsupportedParameter("m"), 400, "invalid_request_error", "unsupported_parameter", True),
    (E.UnsupportedOperation("m"), 400, "invalid_request_error", "unsupported_operation", True),
    (E.UnknownProvider("m"), 404, "invalid_request_error", "model_not_found", True),
    (UnknownMcpServer("m"), 400, "invalid_request_error", "invalid_value", True),
    (E.MissingKey("m"), 500, "server_error", "server_error", False),
    (E.SetupError("m"), 500, "server_error", "server_error", False),
    (E.MissingExtra("m"), 500, "server_error", "server_error", False),
    (E.ToolFailed("m"), 500, "server_error", "server_error", False),
    (E.StoreFull("m"), 500, "server_error", "server_error", False),
    (E.StoreUnavailable("m"), 503, "server_error", "server_error", False),
    (ValueError("m"), 500, "server_error", "server_error", False),
    (E.GuardTripped("m"), 400, "invalid_request_error", "content_policy_violation", True),
    (BudgetExceeded("m"), 429, "rate_limit_error", "insufficient_quota", False),
    (E.APITimeoutError("m"), 504, "server_error", "timeout", False),
    (E.APIConnectionError("m"), 502, "server_error", "server_error", False),
    (E.StreamInterrupted("m"), 502, "server_error", "server_error", False),
    (E.APIResponseError("m"), 502, "server_error", "server_error", False),
    (McpServerError("m"), 502, "server_error", "server_error", False),
    (E.OutputInvalid("m"), 502, "server_error", "invalid_output", True),
    (E.AuthenticationError("m", status=401), 502, "server_error", "server_error", False),
    (E.BillingError("m", status=402), 429, "rate_limit_error", "insufficient_quota", False),
    (E.ContextWindowExceededError("m", status=400), 400, "invalid_request_error", "context_length_exceeded", True),
    (E.BadRequestError("m", status=400, code="x"), 400, "invalid_request_error", "x", True),
    (E.PermissionDeniedError("m", status=403), 403, "permission_error", None, True),
    (E.NotFoundError("m", status=404), 404, "invalid_request_error", None, True),
    (E.RateLimitError("m", status=200), 429, "rate_limit_error", "rate_limit_exceeded", True),
    (E.OverloadedError("m", status=529), 529, "server_error", None, True),
    (E.InternalServerError("m", status=200), 500, "server_error", None, True),
    (E.APIStatusError("m", status=418), 418, "invalid_request_error", None, True),
    (E.APIStatusError("m", status=307), 502, "server_error", None, True),
]


@pytest.mark.parametrize("told", TOLD, ids=lambda told: type(told[0]).__name__)
def test_each_error_has_its_status(told: tuple[Exception, int, str, str | None, bool]) -> None:
    error, status, kind, code, is_shown = told
    refusal = refusal_of(error)

    assert (refusal.status, refusal.type, refusal.code) == (status, kind, code)
    assert (refusal.message == "m") is is_shown


def test_a_client_behind_sees_the_same_class() -> None:
    """Another antiphon that asks this server retries and falls back as if it had asked the host itself."""
    for kind in (E.ContextWindowExceededError, E.ContentPolicyViolationError, E.RateLimitError, E.BillingError):
        refusal = refusal_of(kind("m", status=400))
        assert class_for(refusal.status, read_body(refusal.body(), refusal.status)) is kind


def test_what_is_the_servers_own_is_in_its_log_and_nowhere_else(served: Run, caplog: pytest.LogCaptureFixture) -> None:
    broken = app(raising(RuntimeError(f"postgresql://me:pass@10.0.0.5 {SECRET}")))
    caplog.set_level(logging.ERROR, "antiphon")

    async def asked() -> Any:
        return await ask(broken, "POST", "/v1/responses", CALL)

    answered = served(asked)
    assert answered.status == 500
    assert answered.headers["x-should-retry"] == "false"
    assert b"10.0.0.5" not in answered.body
    assert SECRET.encode() not in answered.body
    (line,) = caplog.messages
    assert answered.headers["x-request-id"] in line
    assert "RuntimeError: postgresql://" in line
    assert "Traceback" in line
    assert SECRET not in line


def test_a_callers_own_key_that_is_refused_is_the_callers_to_know(served: Run) -> None:
    client = scripted(http_error(401, "bad key"))

    async def asked() -> Any:
        call: dict[str, Any] = {**CALL, "api_key": "mine"}
        return await ask(app(client, options=("api_key",)), "POST", "/v1/responses", call)

    answered = served(asked)
    assert (answered.status, answered.error["message"]) == (401, "bad key")


def test_health_asks_for_nothing(served: Run) -> None:
    async def asked() -> Any:
        return await ask(app(Chain([host()]), keys="k"), "GET", "/health", client=("203.0.113.7", 1))

    assert served(asked).json == {"status": "ok"}
