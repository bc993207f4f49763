"""Servers that are programs."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from conftest import Mode
from loopback import open_descriptors
from mcp_calls import connected, is_alive, plain_server

from antiphon import AntiphonError, InvalidParameter
from antiphon.mcp import (
    McpConnectionError,
    McpProtocolError,
    McpServerError,
    McpTimeoutError,
    connect,
)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [child for child in map(int, found.stdout.split()) if is_alive(child)]


async def pause(mode: Mode, seconds: float) -> None:
    await mode.either(lambda: time.sleep(seconds), lambda: anyio.sleep(seconds))


def gone(pid: int, seconds: float = 5.0) -> bool:
    """Tell whether a process ends within some time."""
    ends_at = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < ends_at:
        time.sleep(0.01)
    return not is_alive(pid)


@pytest.mark.parametrize(("era", "version"), [("legacy", "2025-11-25"), ("modern", "2026-07-28")])
def test_tools_are_listed_and_called(mode: Mode, run: Any, era: str, version: str) -> None:
    async def body() -> None:
        async with connected(mode, plain_server(era)) as server:
            assert server.client.protocol_version == version
            assert "add" in await server.names()
            assert await server.add(2, 3) == "5"

    run(body)


def test_a_server_that_is_silent_about_the_unknown_is_asked_the_older_way(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server("silent"), start_timeout_s=0.8) as server:
            assert server.client.protocol_version == "2025-11-25"
            assert await server.add() == "3"

    run(body)


def test_a_server_that_dies_of_the_unknown_is_started_again_and_asked_the_older_way(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server("touchy")) as server:
            assert server.client.protocol_version == "2025-11-25"
            assert await server.add() == "3"

    run(body)


def test_arguments_that_are_no_json_are_an_error_of_the_call(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            with pytest.raises(InvalidParameter, match=r"the arguments of tools/call .* are no JSON"):
                await server.call("add", {"a": object()})
            assert await server.add() == "3"

    run(body)


def test_many_calls_that_find_no_connection_make_one(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            os.kill(int((await server.call("pid")).text), 9)
            await pause(mode, 0.05)
            pids: set[str] = set()

            async def one() -> None:
                pids.add((await server.call("pid")).text)

            if mode.is_async:
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(one)
            else:
                threads = [threading.Thread(target=mode.run, args=(one,)) for _ in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            assert len(pids) == 1

    run(body)


def test_a_caller_with_little_time_does_not_wait_for_the_start_of_another() -> None:
    client = connect(plain_server("silent"), start_timeout_s=4)
    slow = threading.Thread(target=client.list_tools)  # waits two seconds for an answer to its first question
    slow.start()
    time.sleep(0.3)
    began = time.monotonic()

    with pytest.raises(McpTimeoutError, match=r"within 0\.1 s"):
        client.call_tool("add", {"a": 1, "b": 2}, timeout_s=0.1)

    assert time.monotonic() - began < 1
    slow.join()
    assert client.call_tool("add", {"a": 1, "b": 2}).text == "3"
    client.close()


def test_a_pinned_revision_is_not_asked_for(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server("silent"), protocol="2025-06-18") as server:
            assert server.client.protocol_version == "2025-06-18"

    run(body)


def test_noise_and_a_flood_of_errors_do_not_disturb(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server("legacy", "noise", "chatty")) as server:
            for number in range(5):
                assert await server.add(number, 1) == str(number + 1)

    run(body)


def test_long_messages_pass_in_both_directions(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            result = await server.call("big", {"size": 3_000_000, "padding": "y" * 3_000_000})

            assert len(result.text) == 3_000_000

    run(body)


def test_a_message_over_the_limit_is_an_error(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server(), max_message_bytes=100_000) as server:
            with pytest.raises(McpProtocolError, match="more than 100000 bytes"):
                await server.call("big", {"size": 10_000_000})
            assert await server.add() == "3"  # by a server that was started anew

    run(body)


def test_a_dead_server_fails_the_call_at_once_and_is_started_again(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            began = time.monotonic()
            with pytest.raises(
                McpConnectionError, match="exited with status 3 before it answered tools/call"
            ) as caught:
                await server.call("die")

            assert time.monotonic() - began < 5
            assert caught.value.sent
            assert "the last line that it printed: I am dying" in str(caught.value)
            assert await server.add() == "3"

    run(body)


def test_the_last_words_of_a_server_do_not_tell_its_secrets(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, {**plain_server(), "env": {"KEY": "hush"}}) as server:
            with pytest.raises(McpConnectionError, match=r"I am dying \*\*\*"):
                await server.call("die")

    run(body)


def test_a_handler_that_fails_is_an_error_for_the_server(
    mode: Mode, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with connected(mode, plain_server(), elicit=lambda params: 1 / 0) as server:
            assert json.loads((await server.call("ask")).text)["code"] == -32603

    run(body)

    assert "the handler of elicitation/create" in caplog.text


def test_a_server_that_died_between_two_calls_is_started_again(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            pid = int((await server.call("pid")).text)
            os.kill(pid, 9)
            await pause(mode, 0.05)

            assert int((await server.call("pid")).text) != pid

    run(body)


def test_a_program_that_is_not_there_is_an_error_with_its_name(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with pytest.raises(McpConnectionError, match=r"cannot be started: .*: no-such") as caught:
            async with connected(mode, {"command": "no-such"}):
                pass
        assert not caught.value.sent

    run(body)


def test_a_program_that_is_no_server_is_an_error(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with pytest.raises(McpConnectionError, match="exited with status 0 before it answered"):
            async with connected(mode, {"command": sys.executable, "args": ["-c", "print('hello')"]}):
                pass

    run(body)


def test_a_call_ends_when_its_time_is_up_and_the_server_is_told(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            began = time.monotonic()
            with pytest.raises(McpTimeoutError, match=r"did not answer tools/call within 0\.2 s"):
                await server.call("hang", timeout_s=0.2)

            assert time.monotonic() - began < 2
            assert len(json.loads((await server.call("cancelled")).text)) == 1

    run(body)


def test_progress_is_told(mode: Mode, run: Any) -> None:
    seen: list[Any] = []

    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            result = await server.call("count", on_progress=lambda *told: seen.append(told))

            assert result.text == "counted"

    run(body)

    assert seen == [(1, 2, "at 1"), (2, 2, "at 2")]


def test_a_callback_that_fails_does_not_fail_the_call(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            assert (await server.call("count", on_progress=lambda *told: 1 / 0)).text == "counted"

    run(body)


def test_a_server_that_asks_without_a_handler_is_refused(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            assert json.loads((await server.call("ask")).text)["code"] == -32601

    run(body)


def test_a_server_that_asks_is_answered_by_the_handler(mode: Mode, run: Any) -> None:
    def elicit(params: dict[str, Any]) -> dict[str, Any]:
        return {"action": "accept", "content": {"name": params["message"]}}

    async def body() -> None:
        async with connected(mode, plain_server(), elicit=elicit) as server:
            found = json.loads((await server.call("ask")).text)

            assert found == {"action": "accept", "content": {"name": "Who?"}}

    run(body)


def test_a_list_is_asked_for_again_when_the_server_says_that_it_changed(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server("legacy", "changing")) as server:
            before = await server.names()
            again = await server.names()
            await server.add()
            await pause(mode, 0.05)

            assert before == again
            assert "add-1" in await server.names()

    run(body)


def test_little_of_our_environment_is_handed_down(mode: Mode, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "hush")

    async def body() -> None:
        async with connected(mode, {**plain_server(), "env": {"GIVEN": "yes"}}) as server:
            found = json.loads((await server.call("env")).text)

            assert found["GIVEN"] == "yes"
            assert "SOME_SECRET" not in found
            assert set(found) - {"GIVEN", "LC_CTYPE"} <= {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}

    run(body)


def test_calls_from_many_tasks_or_threads_share_the_pipe(mode: Mode, run: Any) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            found: list[str] = []

            async def one(number: int) -> None:
                if number % 5 == 0:  # one in five waits longer, so that the lead changes hands
                    await server.call("slow", {"seconds": 0.05})
                found.append(await server.add(number, 0))

            if mode.is_async:
                async with anyio.create_task_group() as group:
                    for number in range(40):
                        group.start_soon(one, number)
            else:
                threads = [
                    threading.Thread(target=lambda number=number: mode.run(lambda: one(number))) for number in range(40)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            assert sorted(map(int, found)) == list(range(40))

    run(body)


def test_nothing_is_left_when_it_is_closed(mode: Mode, run: Any) -> None:
    pids: list[int] = []
    before = open_descriptors()

    async def body() -> None:
        async with connected(mode, plain_server("legacy", "child")) as server:
            pids.append(int((await server.call("pid")).text))
            pids.extend(children_of(pids[0]))

    run(body)

    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    assert open_descriptors() <= before + 2  # an event loop's own may come later


def test_a_server_that_does_not_want_to_end_is_ended() -> None:
    with connect(plain_server("legacy", "stubborn")) as client:
        pid = int(client.call_tool("pid").text)
        began = time.monotonic()

    assert not is_alive(pid)
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("calls", [60, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_storm_of_cancelled_calls_leaves_nothing(backend: str, calls: int) -> None:
    before = open_descriptors()
    pids: list[int] = []

    async def body() -> None:
        async with connect(plain_server()) as client:
            pids.append(int((await client.acall_tool("pid")).text))

            async def one(number: int) -> None:
                with anyio.move_on_after(0.001 * (number % 7)):
                    await client.acall_tool("slow", {"seconds": 0.02})

            async with anyio.create_task_group() as group:
                for number in range(calls):
                    group.start_soon(one, number)
            assert (await client.acall_tool("add", {"a": 1, "b": 2})).text == "3"
            began = time.process_time()
            await anyio.sleep(0.5)
            assert time.process_time() - began < 0.05  # idle, with the connection open
            if backend == "asyncio":
                import asyncio

                assert not [task for task in asyncio.all_tasks() if "antiphon" in task.get_name()]

    anyio.run(body, backend=backend)

    assert gone(pids[0])
    assert open_descriptors() <= before + 2
    assert not [thread.name for thread in threading.enumerate() if "antiphon" in thread.name]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.05, 0.15])
def test_a_start_that_is_cancelled_leaves_no_process(backend: str, after_s: float) -> None:
    async def body() -> None:
        with anyio.move_on_after(after_s):
            async with connect(plain_server("silent")):
                await anyio.sleep(10)

    before = set(children_of(os.getpid()))  # servers of other tests
    anyio.run(body, backend=backend)

    ends_at = time.monotonic() + 5
    while (left := set(children_of(os.getpid())) - before) and time.monotonic() < ends_at:
        time.sleep(0.02)
    assert not left


def test_a_loop_that_ends_without_closing_ends_the_server() -> None:
    client = connect(plain_server())
    pids: list[int] = []

    async def body() -> None:
        pids.append(int((await client.acall_tool("pid")).text))

    anyio.run(body)

    assert gone(pids[0])
    client.close()


def test_an_interpreter_that_ends_without_closing_ends_the_server() -> None:
    code = """
import sys; sys.path.insert(0, sys.argv[1])
from mcp_calls import plain_server
from antiphon.mcp import connect
client = connect(plain_server("legacy", "stubborn"))
print(client.call_tool("pid").text)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, os.path.dirname(os.path.dirname(__file__))],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert gone(int(done.stdout))


def test_a_blocking_close_ends_the_server_of_a_loop_that_runs_elsewhere() -> None:
    client = connect(plain_server())

    async def body() -> None:
        pid = int((await client.acall_tool("pid")).text)
        waiting: list[BaseException] = []

        async def wait() -> None:
            try:
                await client.acall_tool("hang")
            except AntiphonError as error:
                waiting.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(0.05)
            await anyio.to_thread.run_sync(client.close)
        assert gone(pid)
        assert isinstance(waiting[0], McpConnectionError)

    anyio.run(body)


def test_a_thread_that_is_stopped_gives_up_its_wait() -> None:
    from antiphon.pipeline.runtimes.driver import drive
    from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime

    runtime: SyncRuntime = SyncRuntime(lambda: None)  # type: ignore[arg-type, return-value]
    with connect(plain_server()) as client:
        began = time.monotonic()

        async def hang() -> Any:
            return client.call_tool("hang")

        async def quick() -> Any:
            return client.call_tool("slow", {"seconds": 0.1})

        assert drive(runtime.race([hang, hang, quick])).text == "done"
        assert time.monotonic() - began < 5
        assert client.call_tool("add", {"a": 1, "b": 1}).text == "2"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_gets_a_server_of_its_own() -> None:
    code = """
import os, sys; sys.path.insert(0, sys.argv[1])
from mcp_calls import plain_server
from antiphon.mcp import connect
client = connect(plain_server())
mine = client.call_tool("pid").text
child = os.fork()
if child == 0:
    print("child", client.call_tool("pid").text != mine, flush=True)
    client.close()
    os._exit(0)
os.waitpid(child, 0)
print("parent", client.call_tool("pid").text == mine)
client.close()
"""
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, os.path.dirname(os.path.dirname(__file__))],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stdout.split("\n")[:2] == ["child True", "parent True"], done.stderr


def test_an_unknown_method_is_the_servers_error(mode: Mode, run: Callable[..., Any]) -> None:
    async def body() -> None:
        async with connected(mode, plain_server()) as server:
            with pytest.raises(McpServerError, match="no prompts/list") as caught:
                await server.request("prompts/list")
            assert caught.value.rpc_code == -32601
            with contextlib.suppress(McpServerError):
                await server.ping()

    run(body)
