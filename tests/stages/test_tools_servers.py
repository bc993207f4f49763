"""The Tools stage with servers that are processes: real pipes, real deaths, nothing left behind."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conftest import Mode
from hand_made import sse
from loopback import Connection, open_descriptors, serving
from mcp_calls import plain_server
from tool_calls import CHAIN, Talk, calling, close_all, kinds, mcp, outputs, talk

from antiphon import Client, Timeouts
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.items import McpCall
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.signals import McpNotice, ToolProgress
from antiphon.pipeline.streams.replay import replay
from antiphon.testing import message, scripted


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def soon(condition: Any, seconds: float = 5.0) -> bool:
    """Tell whether something becomes true within some time."""
    ends_at = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.01)
    return bool(condition())


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_tools_of_a_process_are_called(mode: Mode, streamed: bool, era: str) -> None:
    async def body() -> None:
        call = talk(
            calling(("add", {"a": 2, "b": 3}), ("add", {"a": 4, "b": 5}), ("pid", {})),
            "5 and 9",
            mcp_servers={"calc": plain_server(era)},
        )
        response = await call(mode, streamed=streamed, tools=[mcp("calc")])

        assert response.output_text == "5 and 9"
        *sums, pid = outputs(call.requests[1])
        assert sums == ["5", "9"]
        await mode.close(call.client)
        assert soon(lambda: not is_alive(int(pid)))

    mode.run(body)


def test_a_server_that_dies_in_a_call_is_told_to_the_model_and_started_again(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(
            calling(("die", {})),
            calling(("add", {"a": 2, "b": 3})),
            "5",
            mcp_servers={"calc": plain_server("legacy")},
        )
        response = await call(mode, streamed=streamed, tools=[mcp("calc")])

        assert response.output_text == "5"
        died, again = outputs(call.requests[2])
        assert died.startswith("Error: ")
        assert again == "5"
        failed, added = [item for item in response.output if isinstance(item, McpCall)]
        assert (failed.status, added.status) == ("failed", "completed")
        await mode.close(call.client)

    mode.run(body)


def test_a_tool_that_hangs_is_given_up_and_the_server_lives_on(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(
            calling(("hang", {}), ("add", {"a": 2, "b": 3})),
            calling(("cancelled", {})),
            "ok",
            mcp_servers={"calc": plain_server("legacy")},
        )
        began = time.monotonic()
        await call(mode, streamed=streamed, tools=[mcp("calc")], timeout=Timeouts(tool=0.6))

        assert time.monotonic() - began < 5
        hung, added, cancelled = outputs(call.requests[2])
        assert "0.6 s" in hung
        assert added == "5"
        assert cancelled != "[]", "the server was told"
        await mode.close(call.client)

    mode.run(body)


def test_a_list_that_changes_is_asked_for_again(mode: Mode) -> None:
    async def body() -> None:
        call = talk(calling(("add-0", {})), "no answer", "ok", mcp_servers={"calc": plain_server("legacy", "changing")})
        seen: list[Any] = []
        for _ in range(2):  # the server has no "add-0", answers nothing, and tells of another list
            await call(mode, streamed=False, tools=[mcp("calc")], timeout=Timeouts(tool=0.5), hooks=[seen.append])

        assert [request["tools"][0]["name"] for request in call.requests] == ["add-0", "add-0", "add-1"]
        assert "list_changed" in [signal.kind for signal in seen if isinstance(signal, McpNotice)]
        await mode.close(call.client)

    mode.run(body)


def test_hooks_are_told_what_a_server_says_while_its_tool_runs(mode: Mode, streamed: bool) -> None:
    async def told(content: bool) -> list[Any]:
        seen: list[Any] = []
        chain = CHAIN.with_(tools={"signal_content": content})
        call = talk(calling(("count", {})), "ok", chain=chain, mcp_servers={"calc": plain_server("legacy")})
        await call(mode, streamed=streamed, tools=[mcp("calc")], hooks=[seen.append])
        await mode.close(call.client)
        return [signal for signal in seen if isinstance(signal, ToolProgress | McpNotice)]

    async def body() -> None:
        for content in (False, True):
            signals = await told(content)
            steps = [signal for signal in signals if isinstance(signal, ToolProgress)]
            assert [(each.progress, each.total, each.server, each.tool) for each in steps] == [
                (1, 2, "calc", "count"),
                (2, 2, "calc", "count"),
            ]
            assert [each.message for each in steps] == (["at 1", "at 2"] if content else [None, None])
            notice = next(each for each in signals if isinstance(each, McpNotice))
            assert (notice.kind, notice.level, notice.server) == ("log", "info", "calc")
            assert notice.data == ("counting" if content else None)

    mode.run(body)


def test_nothing_is_left_behind_by_calls_that_were_left(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(
            *[calling(("hang", {}), ("hang", {}))] * 20, chain=CHAIN, mcp_servers={"calc": plain_server("legacy")}
        )
        first = scripted(calling(("pid", {})), "ok", chain=CHAIN, mcp_servers={"calc": plain_server("legacy")})
        await mode.close(first)  # what is loaded and opened once has been by now
        threads, descriptors = threading.active_count(), open_descriptors()

        for _ in range(3):
            stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[mcp("calc")])
            while not isinstance(await mode.next(stream), ev.McpCallArgumentsDone):
                pass
            if mode.is_async:
                with anyio.move_on_after(0.1):
                    await mode.events(stream)
            else:
                await mode.next(stream)
            await mode.close(stream)
            if mode.is_async:
                await anyio.lowlevel.checkpoint()
        await mode.close(client)

        await mode.either(lambda: time.sleep(0.05), lambda: anyio.sleep(0.05))
        assert soon(lambda: threading.active_count() <= threads + (1 if mode.is_async else 0))
        assert soon(lambda: open_descriptors() <= descriptors), (open_descriptors(), descriptors)

    mode.run(body)


def test_a_stream_closed_while_a_tool_runs_tells_the_server(mode: Mode) -> None:
    async def body() -> None:
        call = talk(
            calling(("hang", {})), calling(("cancelled", {})), "ok", mcp_servers={"calc": plain_server("legacy")}
        )
        stream = await mode.call(call.client.chain, "Hi", model="openai/m", stream=True, tools=[mcp("calc")])
        if mode.is_async:
            with anyio.move_on_after(0.5):
                await mode.events(stream)
        else:
            _close_from_another_thread(stream)
        await mode.close(stream)
        await mode.either(lambda: time.sleep(0.2), lambda: anyio.sleep(0.2))  # the word goes out beside us
        response = await call(mode, streamed=False, tools=[mcp("calc")])

        assert kinds(response)[-1] == "message"
        assert outputs(call.requests[-1]) != ["[]"]
        await mode.close(call.client)

    mode.run(body)


def test_a_server_by_url_is_called_from_here_with_its_own_credentials(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        with serving(model_and_server) as server:
            tool = {
                "type": "mcp",
                "server_label": "calc",
                "server_url": f"{server.url}/mcp",
                "authorization": "for-the-server",
                "require_approval": "never",
            }
            client = Client()
            call = Talk(client)
            response = await call(
                mode, streamed=streamed, tools=[tool], api_base=f"{server.url}/v1", api_key="for-the-model"
            )
            await mode.close(client)

        assert response.output_text == "It is 3."
        assert [item.output for item in response.output if isinstance(item, McpCall)] == ["3"]
        for received in server.requests:
            sent, other = (
                ("for-the-server", "for-the-model")
                if "/mcp" in received.line
                else (
                    "for-the-model",
                    "for-the-server",
                )
            )
            assert received.headers["authorization"] == f"Bearer {sent}"
            assert other not in str(received.headers) + received.body.decode()

    mode.run(body)


def model_and_server(connection: Connection) -> None:
    """Answer at /v1 as a model that calls `add`, and at /mcp as a server that has it."""
    while (received := connection.request()) is not None:
        body = json.loads(received.body or b"{}")
        if "/mcp" not in received.line:
            has_result = isinstance(body["input"], list)
            output = [message("It is 3.")] if has_result else calling(("add", {"a": 1, "b": 2}))["output"]
            answer = Response.new(id="resp_1", model="m", status="completed", output=output)
            if body.get("stream"):
                connection.begin_stream()
                connection.send_chunk(sse(replay(answer)))
                connection.send_chunk(b"")
            else:
                connection.answer(answer.raw, content_type="application/json")
        elif "id" not in body:
            connection.answer(status="202 Accepted" if received.line.startswith("POST") else "405 Not Allowed")
        else:
            told = {"jsonrpc": "2.0", "id": body["id"], **mcp_answer(body)}
            connection.answer(json.dumps(told).encode(), content_type="application/json")


def mcp_answer(request: dict[str, Any]) -> dict[str, Any]:
    match request["method"]:
        case "initialize":
            info = {"name": "calc", "version": "1"}
            version = request["params"]["protocolVersion"]
            return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
        case "tools/list":
            return {"result": {"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}}
        case "tools/call":
            given = request["params"]["arguments"]
            return {"result": {"content": [{"type": "text", "text": str(given["a"] + given["b"])}]}}
        case other:
            return {"error": {"code": -32601, "message": f"no {other}"}}


def _close_from_another_thread(stream: Any) -> None:
    reader = threading.Thread(target=lambda: _read_until_error(stream))
    reader.start()
    time.sleep(0.5)
    stream.close()
    reader.join(5)
    assert not reader.is_alive()


def _read_until_error(stream: Any) -> None:
    try:
        for _ in stream:
            pass
    except Exception:
        return
