"""What proves who we are."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from conftest import Mode
from mcp_calls import connected
from scripted_mcp import Post, default_answer, scripted_mcp

from antiphon import Secret
from antiphon.mcp import AuthChallenge, McpAuthError, McpServer
from antiphon.mcp.auth import challenge_params

CHALLENGE = 'Bearer realm="mcp", resource_metadata="https://as.example/.well-known/x", scope="read write", error=old'


def guarded(*tokens: str) -> Any:
    """Return a behaviour for `tools/call` that takes these tokens only."""

    def call(post: Post) -> None:
        if post.received.headers.get("authorization") in {f"Bearer {token}" for token in tokens}:
            default_answer(post)
        else:
            post.connection.answer(b"token hush is no good", "401 Unauthorized", www_authenticate=CHALLENGE)

    return call


@pytest.mark.parametrize(
    "auth", ["good", "Bearer good", Secret("good"), lambda: "good", lambda: {"Authorization": "Bearer good"}]
)
def test_a_token_goes_with_every_request(mode: Mode, run: Any, auth: Any) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": guarded("good")}) as host:
            async with connected(mode, host.url, auth=auth) as server:
                assert await server.add() == "3"
            assert {received.headers.get("authorization") for received in host.received} == {"Bearer good"}

    run(body)


def test_headers_go_with_every_request(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp() as host:
            async with connected(mode, {"url": host.url, "headers": {"X-Key": "k"}}) as server:
                await server.add()
            assert {received.headers.get("x-key") for received in host.received} == {"k"}

    run(body)


def test_a_function_is_asked_once_and_again_after_a_refusal(mode: Mode, run: Any) -> None:
    seen: list[AuthChallenge | None] = []

    def ask(challenge: AuthChallenge | None) -> str:
        seen.append(challenge)
        return "old" if challenge is None else "new"

    async def body() -> None:
        seen.clear()
        with scripted_mcp({"tools/call": guarded("new")}) as host:
            async with connected(mode, host.url, auth=ask) as server:
                assert await server.add() == "3"
                assert await server.add() == "3"

                first, second = seen
                assert first is None
                assert second is not None
                assert second.status == 401
                assert second.url == host.url
                assert second.params["scope"] == "read write"

    run(body)


def test_many_refused_calls_ask_once(mode: Mode, run: Any) -> None:
    seen: list[int] = []

    def ask(challenge: AuthChallenge | None) -> str:
        seen.append(1)
        return "old" if challenge is None else "new"

    async def body() -> None:
        import anyio

        seen.clear()
        with scripted_mcp({"tools/call": guarded("new")}) as host:
            async with connected(mode, host.url, auth=ask) as server:
                if mode.is_async:
                    async with anyio.create_task_group() as group:
                        for _ in range(8):
                            group.start_soon(server.add)
                else:
                    threads = [threading.Thread(target=mode.run, args=(server.add,)) for _ in range(8)]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                assert len(seen) == 2

    run(body)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_function_may_be_async(backend: str) -> None:
    import anyio

    from antiphon.mcp import connect

    async def ask() -> str:
        await anyio.sleep(0.01)
        return "good"

    async def body() -> None:
        with scripted_mcp({"tools/call": guarded("good")}) as host:
            async with connect(host.url, auth=ask) as client:
                assert (await client.acall_tool("add", {"a": 1, "b": 2})).text == "3"

    anyio.run(body, backend=backend)


@pytest.mark.parametrize("auth", ["hush", lambda: "hush"])
def test_a_refusal_is_an_error_with_the_challenge_and_without_the_token(mode: Mode, run: Any, auth: Any) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": guarded("good")}) as host:
            async with connected(mode, host.url, auth=auth) as server:
                with pytest.raises(McpAuthError) as caught:
                    await server.add()

                error = caught.value
                assert error.status == 401
                assert error.challenge["resource_metadata"] == "https://as.example/.well-known/x"
                assert "hush" not in str(error)
                assert host.count("tools/call") == (1 if auth == "hush" else 2)

    run(body)


def test_a_scope_that_is_missing_is_asked_for_and_other_prohibitions_are_not(mode: Mode, run: Any) -> None:
    seen: list[AuthChallenge | None] = []

    def ask(challenge: AuthChallenge | None) -> str:
        seen.append(challenge)
        return "more" if challenge else "less"

    def forbidden(post: Post) -> None:
        if post.params["name"] == "admin":
            post.connection.answer(b"no", "403 Forbidden")
        elif post.received.headers["authorization"] == "Bearer more":
            default_answer(post)
        else:
            challenge = 'Bearer error="insufficient_scope", scope="write"'
            post.connection.answer(b"", "403 Forbidden", www_authenticate=challenge)

    async def body() -> None:
        seen.clear()
        with scripted_mcp({"tools/call": forbidden}) as host:
            async with connected(mode, host.url, auth=ask) as server:
                assert await server.add() == "3"
                assert len(seen) == 2
                with pytest.raises(McpAuthError):
                    await server.call("admin")
                assert len(seen) == 2

    run(body)


def test_challenges_are_read() -> None:
    assert challenge_params(CHALLENGE) == {
        "realm": "mcp",
        "resource_metadata": "https://as.example/.well-known/x",
        "scope": "read write",
        "error": "old",
    }
    assert challenge_params(r'Bearer a="x\"y", B = c') == {"a": 'x"y', "b": "c"}
    assert challenge_params("") == {}


def test_no_secret_is_shown() -> None:
    server = McpServer(url="https://example.com/mcp?token=hush1", headers={"X-Key": "hush2"}, auth="hush3")
    program = McpServer(command="npx", args=("--token", "hush4"), env={"KEY": "hush5"})

    assert "hush" not in repr(server) + str(server) + repr(program) + server.where
    assert "example.com/mcp" in repr(server)
    assert McpServer(url="https://example.com/api/s/9f86d081884c7d65/mcp").where == "https://example.com/…"
