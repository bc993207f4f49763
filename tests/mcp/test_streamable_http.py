"""Servers over Streamable HTTP, well behaved and not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from typing import Any

import anyio
import pytest
from conftest import Mode
from loopback import Connection, open_descriptors, serving
from mcp_calls import Caller, connected
from scripted_mcp import ADD, Post, ScriptedMcp, default_answer, scripted_mcp

from antiphon.mcp import (
    McpConnectionError,
    McpProtocolError,
    McpServerError,
    McpServers,
    McpTimeoutError,
    ToolInfo,
    connect,
)
from antiphon.pipeline.engine import Engine


async def arrived(mode: Mode, host: ScriptedMcp, method: str) -> bool:
    return await mode.either(lambda: host.wait_for(method), lambda: anyio.to_thread.run_sync(host.wait_for, method))


def text_of(number: int) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": str(number)}]}


# --- both eras --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_tools_are_listed_and_called(mode: Mode, run: Any, modern: bool) -> None:
    async def body() -> None:
        with scripted_mcp(modern=modern) as host:
            async with connected(mode, host.url) as server:
                assert await server.tools() == (ToolInfo.of(ADD),)
                assert await server.add(2, 3) == "5"
                assert server.client.protocol_version == ("2026-07-28" if modern else "2025-11-25")

    run(body)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_stream_brings_progress_logs_and_the_answer(mode: Mode, run: Any, modern: bool) -> None:
    told: list[Any] = []

    def stream(post: Post) -> None:
        post.connection.begin_stream()
        progress = {"progressToken": post.params["_meta"]["progressToken"], "progress": 0.5}
        post.event({"jsonrpc": "2.0", "method": "notifications/progress", "params": progress})
        message = {"level": "info", "data": "working"}
        post.event({"jsonrpc": "2.0", "method": "notifications/message", "params": message})
        post.result_event()
        post.end()

    async def body() -> None:
        with scripted_mcp({"tools/call": stream}, modern=modern) as host:
            async with connected(mode, host.url, on_log=told.append) as server:
                result = await server.call("add", on_progress=lambda *progress: told.append(progress))

                assert result.text == "done"

    run(body)

    assert told == [(0.5, None, None), {"level": "info", "data": "working"}]


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_streams_that_end_leave_their_connection_for_the_next(mode: Mode, run: Any, modern: bool) -> None:
    def stream(post: Post) -> None:
        post.connection.begin_stream()
        post.result_event()
        time.sleep(0.01)
        post.end()

    async def body() -> None:
        with scripted_mcp({"tools/call": stream}, modern=modern) as host:
            async with connected(mode, host.url) as server:
                for _ in range(5):
                    await server.call("add")
            assert host.server
            assert host.server.accepted == 1

    run(body)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_call_ends_when_its_time_is_up(mode: Mode, run: Any, modern: bool) -> None:
    def hang(post: Post) -> None:
        post.connection.wait_for_close()

    async def body() -> None:
        with scripted_mcp({"tools/call": hang}, modern=modern) as host:
            async with connected(mode, host.url) as server:
                began = time.monotonic()
                with pytest.raises(McpTimeoutError, match=r"did not answer tools/call within 0\.2 s") as caught:
                    await server.call("add", timeout_s=0.2)

                assert caught.value.limit_s == 0.2
                assert time.monotonic() - began < 2
                if modern:  # the closed stream says it
                    assert host.count("notifications/cancelled") == 0
                else:
                    assert await arrived(mode, host, "notifications/cancelled")
                    asked = host.last("tools/call")["id"]
                    assert host.last("notifications/cancelled")["params"]["requestId"] == asked

    run(body)


def test_a_call_that_is_cancelled_is_given_up_at_the_server(mode: Mode, run: Any) -> None:
    if not mode.is_async:
        return  # nothing cancels a sync call from outside; see the test of threads in test_stdio.py

    def hang(post: Post) -> None:
        post.connection.wait_for_close()

    async def body() -> None:
        with scripted_mcp({"tools/call": hang}) as host:
            async with connected(mode, host.url) as server:
                with anyio.move_on_after(0.1):
                    await server.call("add")
                assert await arrived(mode, host, "notifications/cancelled")

    run(body)


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"{not json", McpProtocolError, "no JSON-RPC message"),
        (b"[]", McpProtocolError, "no answer to it"),
        (b'{"jsonrpc":"2.0","id":99,"result":{}}', McpProtocolError, "no answer to it"),
        (b'{"jsonrpc":"2.0","id":"3","result":{}}', McpProtocolError, "no answer to it"),
        (b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad"}}', McpServerError, "bad"),
        (b'{"jsonrpc":"2.0","error":{"code":-1,"message":"worse"}}', McpServerError, "worse"),
        (b'"text"', McpProtocolError, "no JSON-RPC message"),
        (b"\xff\xfe", McpProtocolError, "no JSON-RPC message|not UTF-8"),
        (b"x" * 60_000, McpProtocolError, "more than 50000 bytes"),
        (b"", McpConnectionError, "ended the answer before it answered"),
    ],
)
def test_an_answer_that_is_none_is_an_error(
    mode: Mode, run: Any, answer: bytes, error: type[Exception], text: str
) -> None:
    def wrong(post: Post) -> None:
        post.connection.answer(answer, content_type="application/json")

    async def body() -> None:
        with scripted_mcp({"tools/call": wrong}) as host:
            async with connected(mode, host.url, max_message_bytes=50_000) as server:
                with pytest.raises(error, match=text):
                    await server.call("add")
                assert len(await server.tools()) == 1

    run(body)


def test_a_result_that_is_wrong_in_itself_is_an_error(mode: Mode, run: Any) -> None:
    def wrong(post: Post) -> None:
        post.answer({"content": "text"})

    async def body() -> None:
        with scripted_mcp({"tools/call": wrong}) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpProtocolError, match="content is no list"):
                    await server.call("add")

    run(body)


def test_an_event_over_the_limit_is_an_error(mode: Mode, run: Any) -> None:
    def flood(post: Post) -> None:
        post.connection.begin_stream()
        post.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x" * 100_000}})
        post.connection.wait_for_close()

    async def body() -> None:
        with scripted_mcp({"tools/call": flood}) as host:
            async with connected(mode, host.url, max_message_bytes=50_000) as server:
                with pytest.raises(McpProtocolError, match="longer than 50000 bytes"):
                    await server.call("add")

    run(body)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_a_call_whose_stream_broke_is_not_made_again(mode: Mode, run: Any, modern: bool) -> None:
    def cut(post: Post) -> None:
        post.connection.begin_stream()
        post.event({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
        post.connection.reset()

    async def body() -> None:
        with scripted_mcp({"tools/call": cut}, modern=modern) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpConnectionError) as caught:
                    await server.call("add")

                assert caught.value.sent
                assert host.count("tools/call") == 1

    run(body)


def test_an_idempotent_call_whose_stream_broke_is_made_once_more(mode: Mode, run: Any) -> None:
    def cut_once(post: Post) -> None:
        if host_calls.append(1) or len(host_calls) > 1:  # type: ignore[func-returns-value]
            default_answer(post)
        else:
            post.connection.reset()

    host_calls: list[int] = []

    async def body() -> None:
        host_calls.clear()
        with scripted_mcp({"tools/call": cut_once}) as host:
            async with connected(mode, host.url, idempotent=["add"]) as server:
                assert await server.add() == "3"
                assert host.count("tools/call") == 2

    run(body)


def test_a_server_that_is_not_there_is_an_error_of_nothing_sent(mode: Mode, run: Any) -> None:
    with serving(lambda connection: None) as server:
        url = f"{server.url}/mcp"

    async def body() -> None:
        with pytest.raises(McpConnectionError, match="cannot connect to 127") as caught:
            async with connected(mode, url):
                pass
        assert not caught.value.sent

    run(body)


@pytest.mark.parametrize(("status", "kind"), [("503 Busy", McpConnectionError), ("400 Bad", McpProtocolError)])
def test_a_refusal_says_status_and_text(mode: Mode, run: Any, status: str, kind: type[Exception]) -> None:
    def refuse(post: Post) -> None:
        post.connection.answer(b"come back later", status, retry_after="7")

    async def body() -> None:
        with scripted_mcp({"tools/call": refuse}) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(kind, match="come back later") as caught:
                    await server.call("add")
                error: Any = caught.value
                assert error.status == int(status[:3])
                assert error.retry_after_s == (7.0 if error.status == 503 else None)
                assert host.count("tools/call") == 1

    run(body)


def test_a_redirect_on_the_same_origin_is_followed_and_remembered(mode: Mode, run: Any) -> None:
    def moved(post: Post) -> None:
        post.connection.answer(b"", "307 Temporary Redirect", location="/mcp/")

    seen: list[str] = []

    def at_new_place(post: Post) -> None:
        seen.append(post.received.line)
        if " /mcp/ " in post.received.line:
            post.answer({"tools": [ADD]})
        else:
            moved(post)

    async def body() -> None:
        seen.clear()
        with scripted_mcp({"tools/list": at_new_place}) as host:
            async with connected(mode, host.url, list_age_s=0) as server:
                await server.tools()

    run(body)

    assert [line.split()[1] for line in seen] == ["/mcp", "/mcp/"]


def test_a_redirect_to_another_origin_is_an_error(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp() as other:

            def moved(post: Post) -> None:
                post.connection.answer(b"", "307 Temporary Redirect", location=other.url)

            with scripted_mcp({"tools/call": moved}) as host:
                async with connected(mode, host.url, auth="hush") as server:
                    with pytest.raises(McpProtocolError, match=r"redirects to .*, another origin"):
                        await server.call("add")
            assert other.received == []

    run(body)


@pytest.mark.parametrize("backend", ["sync", "asyncio"])
def test_the_users_own_http_client_carries_it(backend: Any) -> None:
    import httpx

    mode = Mode(backend)
    client: Any = httpx.AsyncClient() if mode.is_async else httpx.Client()
    engine = Engine(transport=client)

    async def body() -> None:
        with scripted_mcp() as host:
            servers = McpServers({"demo": host.url})
            connection = await servers.connection(
                "demo", servers.servers["demo"], engine.runtime(is_async=mode.is_async)
            )
            assert (await connection.call_tool("add", {"a": 1, "b": 2})).text == "3"
            await connection.close()
            if mode.is_async:
                await client.aclose()
            else:
                client.close()
            servers.close()

    mode.run(body)


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_the_session_goes_with_every_request_and_is_ended(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp() as host:
            async with connected(mode, host.url) as server:
                await server.add()

            for method in ("notifications/initialized", "tools/call", "DELETE"):
                headers = host.headers_of(method)
                assert headers["mcp-session-id"] == "session-1"
                assert headers["mcp-protocol-version"] == "2025-11-25"
            assert "mcp-session-id" not in host.headers_of("initialize")

    run(body)


def lost(host_sessions: list[str]) -> Any:
    """Return a behaviour that knows the newest session only."""

    def call(post: Post) -> None:
        if post.received.headers["mcp-session-id"] in host_sessions:
            post.error(-32600, "no such session", "404 Not Found", id=None)
        else:
            default_answer(post)

    return call


def test_a_lost_session_is_begun_anew_once_and_the_call_repeated(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": lost(["session-1"])}) as host:
            async with connected(mode, host.url) as server:
                assert await server.add() == "3"

                assert host.sessions == 2
                assert host.headers_of("tools/call")["mcp-session-id"] == "session-2"

    run(body)


@pytest.mark.parametrize(
    "refusal",
    [
        b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}',
        b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Server not initialized"},"id":null}',
        b"Bad Request: No valid session ID provided",
    ],
    ids=["session", "initialized", "text"],
)
def test_a_400_about_the_session_means_that_it_is_lost(mode: Mode, run: Any, refusal: bytes) -> None:
    """As servers of both official SDKs answered after a restart."""

    def forget(post: Post) -> None:
        if post.received.headers["mcp-session-id"] == "session-1":
            post.connection.answer(refusal, "400 Bad Request", content_type="application/json")
        else:
            default_answer(post)

    async def body() -> None:
        with scripted_mcp({"tools/call": forget}) as host:
            async with connected(mode, host.url) as server:
                assert await server.add(2, 3) == "5"
                assert host.sessions == 2

    run(body)


def test_a_400_about_the_call_is_its_error(mode: Mode, run: Any) -> None:
    def refuse(post: Post) -> None:
        post.error(-32602, "no such chat session", "400 Bad Request")

    async def body() -> None:
        with scripted_mcp({"tools/call": refuse}) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpServerError, match="no such chat session"):
                    await server.add(2, 3)
                assert (host.sessions, host.count("tools/call")) == (1, 1)

    run(body)


def test_many_calls_that_lose_one_session_begin_one_new_session(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": lost(["session-1"])}) as host:
            async with connected(mode, host.url) as server:
                found: list[str] = []

                async def one(number: int) -> None:
                    found.append(await server.add(number, 0))

                await side_by_side(mode, [lambda number=number: one(number) for number in range(12)])

                assert sorted(map(int, found)) == list(range(12))
                assert host.sessions == 2

    run(body)


async def side_by_side(mode: Mode, jobs: list[Any]) -> None:
    if mode.is_async:
        async with anyio.create_task_group() as group:
            for job in jobs:
                group.start_soon(job)
    else:
        threads = [threading.Thread(target=mode.run, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_a_session_that_is_lost_twice_is_an_error_and_not_the_end(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": lost(["session-1", "session-2"])}) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpConnectionError, match="has forgotten the session"):
                    await server.add()

                assert host.count("tools/call") == 2
                assert await server.add() == "3"

    run(body)


def test_a_server_that_was_away_for_a_moment_is_found_again(mode: Mode, run: Any) -> None:
    away = [True]

    def begin(post: Post) -> None:
        if away[0]:
            post.connection.answer(b"nothing is deployed here", "404 Not Found")
        elif post.message["method"] == "initialize":
            post.answer({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}})
        else:
            post.error(-32601)

    async def body() -> None:
        away[0] = True
        with scripted_mcp({"server/discover": begin, "initialize": begin}) as host:
            servers = connect(host.url)
            server = Caller(mode, servers)
            for _ in range(2):
                with pytest.raises(McpProtocolError, match=r"HTTP 404, nothing is deployed here"):
                    await server.add()
            away[0] = False
            assert await server.add() == "3"
            await mode.close(servers)

    run(body)


def test_a_server_may_do_without_sessions(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp(session=False) as host:
            async with connected(mode, host.url) as server:
                assert await server.add() == "3"
            assert host.count("DELETE") == 0

    run(body)


# --- resumption and the server's own stream ---------------------------------------------------------------------------


def test_a_stream_that_ends_early_is_resumed_where_it_was_left(mode: Mode, run: Any) -> None:
    asked: list[Post] = []
    times: list[float] = []

    def prime(post: Post) -> None:
        asked.append(post)
        post.connection.begin_stream()
        post.connection.send_chunk(b"id: ev-1\nretry: 150\ndata:\n\n")
        post.end()
        times.append(time.monotonic())

    def resume(post: Post) -> None:
        times.append(time.monotonic())
        assert post.received.headers["last-event-id"] == "ev-1"
        post.connection.begin_stream()
        asked[-1].connection = post.connection
        asked[-1].result_event("resumed", "ev-2")
        post.end()

    async def body() -> None:
        asked.clear()
        times.clear()
        with scripted_mcp({"tools/call": prime, "GET": resume}) as host:
            async with connected(mode, host.url) as server:
                assert (await server.call("add")).text == "resumed"
        assert 0.14 <= times[1] - times[0] < 1.0

    run(body)


def test_a_stream_that_broke_after_an_id_is_resumed(mode: Mode, run: Any) -> None:
    asked: list[Post] = []

    def cut(post: Post) -> None:
        asked.append(post)
        post.connection.begin_stream()
        post.connection.send_chunk(b"id: ev-1\nretry: 10\ndata:\n\n")
        time.sleep(0.05)
        post.connection.reset()

    def resume(post: Post) -> None:
        post.connection.begin_stream()
        asked[-1].connection = post.connection
        asked[-1].result_event("resumed")
        post.end()

    async def body() -> None:
        with scripted_mcp({"tools/call": cut, "GET": resume}) as host:
            async with connected(mode, host.url) as server:
                assert (await server.call("add")).text == "resumed"
                assert host.count("tools/call") == 1

    run(body)


def test_resuming_ends_when_it_brings_nothing(mode: Mode, run: Any) -> None:
    def prime(post: Post) -> None:
        post.connection.begin_stream()
        post.connection.send_chunk(b"id: ev-1\nretry: 1\ndata:\n\n")
        post.end()

    def nothing(post: Post) -> None:
        post.connection.begin_stream()
        post.end()

    async def body() -> None:
        with scripted_mcp({"tools/call": prime, "GET": nothing}) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpConnectionError, match="ended the answer"):
                    await server.call("add")
                assert 2 < host.count("GET") < 10

    run(body)


def test_an_answer_may_come_on_the_servers_own_stream(mode: Mode, run: Any) -> None:
    own: list[Post] = []
    opened = threading.Event()

    def listen(post: Post) -> None:
        own.append(post)
        post.connection.begin_stream()
        opened.set()
        post.connection.wait_for_close()

    def elsewhere(post: Post) -> None:
        assert opened.wait(5)
        post.connection.begin_stream()
        post.message, message = own[-1].message, post.message
        own[-1].message = message
        own[-1].result_event("from elsewhere")
        post.connection.wait_for_close()

    async def body() -> None:
        opened.clear()
        with scripted_mcp({"tools/call": elsewhere, "GET": listen}) as host:
            async with connected(mode, host.url, listen=True) as server:
                began = time.monotonic()
                assert (await server.call("add", timeout_s=10)).text == "from elsewhere"
                assert time.monotonic() - began < 5

    run(body)


def test_a_server_may_ask_on_its_own_stream(mode: Mode, run: Any) -> None:
    own: list[Post] = []
    answered = threading.Event()

    def listen(post: Post) -> None:
        own.append(post)
        post.connection.begin_stream()
        post.connection.wait_for_close()

    def ask(post: Post) -> None:
        params = {"message": "Who?", "requestedSchema": {"properties": {"age": {"type": "integer", "default": 7}}}}
        own[-1].event({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params})
        assert answered.wait(5)
        post.text(replies[-1])

    replies: list[str] = []

    def reply(post: Post) -> None:
        replies.append(json.dumps(post.message["result"]))
        answered.set()
        post.connection.answer(b"", "202 Accepted")

    def elicit(params: dict[str, Any]) -> dict[str, Any]:
        return {"action": "accept", "content": {"name": params["message"]}}

    async def body() -> None:
        answered.clear()
        with scripted_mcp({"tools/call": ask, "GET": listen, "": reply}) as host:
            async with connected(mode, host.url, elicit=elicit) as server:
                found = json.loads((await server.call("add", timeout_s=10)).text)

                assert found == {"action": "accept", "content": {"age": 7, "name": "Who?"}}
                assert host.last("initialize")["params"]["capabilities"] == {"elicitation": {}}

    run(body)


def test_nothing_runs_in_the_background_without_handlers() -> None:
    with scripted_mcp() as host, connect(host.url) as client:
        client.call_tool("add", {"a": 1, "b": 2})

        assert host.count("GET") == 0
        assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("antiphon")]


# --- lists ------------------------------------------------------------------------------------------------------------


def paged(pages: dict[str | None, tuple[list[str], Any]]) -> Any:
    """Return a behaviour that gives a page by its cursor: names, and the next cursor."""

    def page(post: Post) -> None:
        names, cursor = pages[post.params.get("cursor")]
        result: dict[str, Any] = {"tools": [{"name": name, "inputSchema": {}} for name in names]}
        post.answer(result if cursor is None else {**result, "nextCursor": cursor})

    return page


def test_all_pages_are_read_and_an_empty_cursor_is_one(mode: Mode, run: Any) -> None:
    pages = {None: (["a"], ""), "": (["b"], "third"), "third": (["c"], None)}

    async def body() -> None:
        with scripted_mcp({"tools/list": paged(pages)}) as host:
            async with connected(mode, host.url) as server:
                assert await server.names() == ["a", "b", "c"]

    run(body)


def test_a_first_page_that_comes_again_is_no_second_one(mode: Mode, run: Any) -> None:
    """Of a server that says an empty cursor where it means none."""

    async def body() -> None:
        with scripted_mcp({"tools/list": paged({None: (["a", "b"], ""), "": (["a", "b"], "")})}) as host:
            async with connected(mode, host.url) as server:
                assert await server.names() == ["a", "b"]

    run(body)


def test_null_is_an_empty_list(mode: Mode, run: Any) -> None:
    """Of a server in Go."""

    async def body() -> None:
        behaviours = {
            "tools/list": lambda post: post.answer({"tools": None}),
            "tools/call": lambda post: post.answer({"content": None, "structuredContent": {"x": 1}}),
        }
        with scripted_mcp(behaviours) as host:
            async with connected(mode, host.url) as server:
                assert await server.tools() == ()
                result = await server.call("add")
                assert (result.content, result.structured) == ((), {"x": 1})

    run(body)


def test_pages_that_go_in_a_circle_end(mode: Mode, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    pages = {None: (["a"], "x"), "x": (["b"], "y"), "y": (["c"], "x")}

    async def body() -> None:
        with scripted_mcp({"tools/list": paged(pages)}) as host:
            async with connected(mode, host.url) as server:
                assert await server.names() == ["a", "b", "c"]

    run(body)

    assert "have no end" in caplog.text


def test_the_list_is_remembered_for_a_while(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp() as host:
            async with connected(mode, host.url, list_age_s=0.2) as server:
                await server.tools()
                await server.tools()
                assert host.count("tools/list") == 1
                await mode.either(lambda: time.sleep(0.25), lambda: anyio.sleep(0.25))
                await server.tools()
                assert host.count("tools/list") == 2

    run(body)


def test_a_server_without_tools_has_none(mode: Mode, run: Any) -> None:
    def begin(post: Post) -> None:
        post.answer({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "s", "version": "1"}})

    def unknown(post: Post) -> None:
        post.error(-32601)

    async def body() -> None:
        with scripted_mcp({"initialize": begin, "tools/list": unknown}) as host:
            async with connected(mode, host.url) as server:
                assert await server.tools() == ()
                assert server.client.protocol_version == "2025-06-18"

    run(body)


def test_only_allowed_tools_are_seen_and_called(mode: Mode, run: Any) -> None:
    from antiphon import InvalidParameter

    async def body() -> None:
        pages: dict[str | None, Any] = {None: (["add", "drop_all"], None)}
        with scripted_mcp({"tools/list": paged(pages)}) as host:
            async with connected(mode, host.url, allowed_tools=["add"]) as server:
                assert await server.names() == ["add"]
                with pytest.raises(InvalidParameter, match=r'tool "drop_all" .* is not allowed'):
                    await server.call("drop_all")
                assert host.count("tools/call") == 0

    run(body)


# --- revision 2026-07-28 ----------------------------------------------------------------------------------------------


def test_every_modern_request_says_who_asks_and_what(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with scripted_mcp(modern=True) as host:
            async with connected(mode, host.url) as server:
                await server.add()

            for method in ("server/discover", "tools/list", "tools/call"):
                meta = host.last(method)["params"]["_meta"]
                headers = host.headers_of(method)
                assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
                assert meta["io.modelcontextprotocol/clientCapabilities"] == {}
                assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "antiphon"
                assert headers["mcp-protocol-version"] == "2026-07-28"
                assert headers["mcp-method"] == method
            assert host.headers_of("tools/call")["mcp-name"] == "add"
            assert host.count("DELETE") == 0

    run(body)


def test_arguments_go_into_headers_as_the_schema_says(mode: Mode, run: Any) -> None:
    def listed(post: Post) -> None:
        good = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
        bad = {"type": "object", "properties": {"region": {"type": "number", "x-mcp-header": "Region"}}}
        tools = [{"name": "good", "inputSchema": good}, {"name": "bad", "inputSchema": bad}]
        post.answer({"tools": tools})

    def call(post: Post) -> None:
        post.text(post.received.headers.get("mcp-param-region", "none"))

    async def body() -> None:
        with scripted_mcp({"tools/list": listed, "tools/call": call}, modern=True) as host:
            async with connected(mode, host.url) as server:
                assert (await server.call("good", {"region": "eu"})).text == "eu"
                assert (await server.call("good", {"region": "zürich"})).text == "=?base64?esO8cmljaA==?="
                assert (await server.call("good", {"region": None})).text == "none"
                assert await server.names() == ["good"]
                with pytest.raises(McpProtocolError, match='tool "bad" that must not be used'):
                    await server.call("bad")

    run(body)


def test_headers_that_have_changed_are_learnt_anew(mode: Mode, run: Any) -> None:
    names = ["Old"]

    def listed(post: Post) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "string", "x-mcp-header": names[0]}}}
        post.answer({"tools": [{"name": "add", "inputSchema": schema}]})

    def call(post: Post) -> None:
        if "mcp-param-new" in post.received.headers:
            post.text("fine")
        else:
            names[0] = "New"
            post.error(-32020, "header mismatch", "400 Bad Request")

    async def body() -> None:
        names[0] = "Old"
        with scripted_mcp({"tools/list": listed, "tools/call": call}, modern=True) as host:
            async with connected(mode, host.url) as server:
                assert (await server.call("add", {"a": "1"})).text == "fine"

    run(body)


def test_input_that_is_required_is_given_by_the_handlers(mode: Mode, run: Any) -> None:
    def ask_first(post: Post) -> None:
        if "inputResponses" in post.params:
            assert post.params["requestState"] == "opaque"
            post.text(json.dumps([post.params["inputResponses"], post.params["arguments"]]))
            return
        requests = {
            "who": {"method": "elicitation/create", "params": {"message": "Who?"}},
            "where": {"method": "roots/list"},
        }
        post.answer({"resultType": "input_required", "inputRequests": requests, "requestState": "opaque"})

    def elicit(params: dict[str, Any]) -> dict[str, Any]:
        return {"action": "accept", "content": {"name": "Ann"}}

    async def body() -> None:
        with scripted_mcp({"tools/call": ask_first}, modern=True) as host:
            async with connected(mode, host.url, elicit=elicit, roots=["file:///work"]) as server:
                answers, arguments = json.loads((await server.call("add", {"a": 1})).text)

                assert answers == {
                    "who": {"action": "accept", "content": {"name": "Ann"}},
                    "where": {"roots": [{"uri": "file:///work"}]},
                }
                assert arguments == {"a": 1}
                first, second = (message for message in host.posts if message["method"] == "tools/call")
                assert first["id"] != second["id"]

    run(body)


def test_input_that_nobody_can_give_is_an_error(mode: Mode, run: Any) -> None:
    def ask(post: Post) -> None:
        requests = {"who": {"method": "elicitation/create", "params": {"message": "Who?"}}}
        post.answer({"resultType": "input_required", "inputRequests": requests})

    async def body() -> None:
        with scripted_mcp({"tools/call": ask}, modern=True) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpProtocolError, match=r"asks for elicitation/create .* nothing here answers that"):
                    await server.call("add")

    run(body)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"resultType": "input_required", "requestState": "again"}, "asked for more input 10 times"),
        ({"resultType": "input_required"}, "did not say for which"),
        ({"resultType": "task"}, 'a result of type "task"'),
    ],
)
def test_results_that_lead_nowhere_are_errors(mode: Mode, run: Any, result: dict[str, Any], text: str) -> None:
    async def body() -> None:
        with scripted_mcp({"tools/call": lambda post: post.answer(result)}, modern=True) as host:
            async with connected(mode, host.url) as server:
                with pytest.raises(McpProtocolError, match=text):
                    await server.call("add")

    run(body)


# --- the older transport ----------------------------------------------------------------------------------------------


def sse_only(connection: Connection) -> None:
    """Speak HTTP+SSE at /mcp."""
    while (received := connection.request()) is not None:
        method, path = received.line.split()[:2]
        if method == "GET":
            connection.begin_stream()
            streams.append(connection)  # first, since the answers to what is sent to the endpoint go this way
            connection.send_chunk(b"event: endpoint\r\ndata: /messages?id=1\r\n\r\n")
            connection.wait_for_close()
        elif path == "/mcp":
            connection.answer(b"not here", "404 Not Found")
        else:
            message = json.loads(received.body)
            connection.answer(b"Accepted", "202 Accepted")
            result: Any = None
            match message["method"]:
                case "initialize":
                    version = message["params"]["protocolVersion"]
                    result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "old"}}
                case "tools/call" if message["params"]["name"] == "close":
                    streams[-1].sock.shutdown(socket.SHUT_RDWR)
                case "tools/call" if message["params"]["name"] == "hang":
                    pass
                case "tools/call":
                    result = text_of(message["params"]["arguments"]["a"])
                case _:
                    pass
            if result is not None:
                data = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode()
                streams[-1].send_chunk(b"event: message\r\ndata: " + data + b"\r\n\r\n")


streams: list[Connection] = []


@pytest.mark.parametrize("transport", ["auto", "sse"])
def test_a_server_of_the_older_transport_is_found(mode: Mode, run: Any, transport: str) -> None:
    before = open_descriptors()

    async def body() -> None:
        with serving(sse_only) as host:
            async with connected(mode, f"{host.url}/mcp", transport=transport, tool_timeout_s=5) as server:
                assert (await server.call("add", {"a": 5})).text == "5"
                with pytest.raises(McpTimeoutError):
                    await server.call("hang", timeout_s=0.1)
                with pytest.raises(McpConnectionError, match="closed its stream before it answered tools/call"):
                    await server.call("close")
                assert (await server.call("add", {"a": 6})).text == "6"  # over a new stream

    run(body)

    assert open_descriptors() <= before + 2
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("antiphon")]


def test_an_older_server_may_not_send_us_to_another_origin(mode: Mode, run: Any) -> None:
    def elsewhere(connection: Connection) -> None:
        while connection.request() is not None:
            connection.begin_stream()
            connection.send_chunk(b"event: endpoint\ndata: http://192.0.2.1/messages\n\n")
            connection.wait_for_close()

    async def body() -> None:
        with serving(elsewhere) as host, pytest.raises(McpProtocolError, match="another origin"):
            async with connected(mode, host.url, transport="sse"):
                pass

    run(body)


# --- nothing is left --------------------------------------------------------------------------------------------------


def notes_in_flight(backend: str) -> list[str]:
    """Return the names of our tasks in the event loop; trio has no list of them."""
    if backend == "trio":
        return []
    return [task.get_name() for task in asyncio.all_tasks() if "antiphon" in task.get_name()]


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
@pytest.mark.parametrize("calls", [60, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_storm_of_cancelled_calls_leaves_nothing(backend: str, modern: bool, calls: int) -> None:
    def slow(post: Post) -> None:
        time.sleep(0.01)
        default_answer(post)

    before = open_descriptors()

    async def body() -> None:
        with scripted_mcp({"tools/call": slow}, modern=modern) as host:
            async with connect(host.url) as client:
                await client.alist_tools()

                async def one(number: int) -> None:
                    with anyio.move_on_after(0.002 * (number % 8)):
                        await client.acall_tool("add", {"a": number, "b": 0})

                async with anyio.create_task_group() as group:
                    for number in range(calls):
                        group.start_soon(one, number)
                assert (await client.acall_tool("add", {"a": 1, "b": 2})).text == "3"
                left = notes_in_flight(backend)
                for _ in range(200):  # the notes about what was cancelled go out beside us
                    await anyio.sleep(0.1)
                    if not (left := notes_in_flight(backend)):
                        break
                assert left == []

    anyio.run(body, backend=backend)

    assert open_descriptors() <= before + 2
