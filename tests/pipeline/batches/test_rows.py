"""Rows of a batch as they are done: order, bounds, errors, sources, ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conftest import Mode
from ctrl_c import ctrl_c
from hand_made import answer, given, host

import antiphon
from antiphon.client import Client
from antiphon.pipeline.batches.row import Row
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import BadRequestError, InvalidParameter, SetupError, StageError, UnknownKeyword
from antiphon.pipeline.function_stages import FunctionStage, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.testing import scripted

BAD = {"status": 400, "body": {"error": {"message": "no"}}}


def rows_of(mode: Mode, chain: Any, inputs: Any, **settings: Any) -> Any:
    return chain.amap(inputs, **settings) if mode.is_async else chain.map(inputs, **settings)


async def step(mode: Mode, rows: Any) -> Row | None:
    """Return the next row, None at the end."""
    return await mode.either(lambda: next(rows, None), lambda: anext(rows, None))


async def read(mode: Mode, rows: Any) -> list[Row]:
    found: list[Row] = []
    while (row := await step(mode, rows)) is not None:
        found.append(row)
    return found


class Gate:
    """A host whose calls wait until they are let through, by their input; notes who began, and who was stopped.

    Args:
        stops: `over` is set when so many were stopped.
        begins: `running` is set when so many have begun.
    """

    over: Any = None
    running: Any = None

    def __init__(self, stops: int = 0, begins: int = 0) -> None:
        self._stops = stops
        self._begins = begins
        self.began: list[str] = []
        self.stopped: list[str] = []
        self._open: set[str] = set()
        self._events: dict[str, Any] = {}
        self._lock = threading.Lock()

    def stage(self) -> FunctionStage:
        @stage(terminal=True)
        async def gate(request: Request, call_next: Handler) -> Reply:
            said = given(request).input
            event = request.context.runtime.event()
            with self._lock:
                self.over = self.over or request.context.runtime.event()
                self.running = self.running or request.context.runtime.event()
                self.began.append(said)
                if len(self.began) == self._begins:
                    self.running.set()
                self._events[said] = event
                if said in self._open:
                    event.set()
            try:
                await event.wait()
            except BaseException:
                self.stopped.append(said)
                if len(self.stopped) == self._stops:
                    self.over.set()
                raise
            return answer(said)

        return gate

    def let(self, *said: str) -> None:
        with self._lock:
            self._open.update(said)
            for one in said:
                if one in self._events:
                    self._events[one].set()


def test_rows_come_in_the_order_of_the_inputs_or_as_they_are_done(mode: Mode) -> None:
    async def body() -> None:
        for order, expected in (("input", "abc"), ("completed", "cba")):
            gate = Gate()
            chain = Client(Chain([gate.stage()])).chain
            rows = rows_of(mode, chain, list("abc"), order=order, concurrency=3)

            def let_next(progress: Any, gate: Gate = gate) -> None:
                gate.let("a" if progress.done == 2 else "b")

            if order == "input":
                gate.let("a", "b", "c")
            else:
                gate.let("c")
                rows = rows_of(mode, chain, list("abc"), order=order, concurrency=3, progress=let_next)
            found = await read(mode, rows)

            assert [row.request for row in found] == list(expected)
            assert [row.index for row in found] == ["abc".index(row.request) for row in found]
            assert [row.response and row.response.output_text for row in found] == list(expected)
            assert not any(row.is_kept for row in found)

    mode.run(body)


@pytest.mark.parametrize("order", ["input", "completed"])
def test_a_source_without_end_is_read_no_further_than_the_concurrency(mode: Mode, order: str) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield str(taken)

    async def body() -> None:
        async with _closing(mode, rows_of(mode, Chain([host()]), endless(), concurrency=4, order=order)) as rows:
            assert taken == 0
            for handed_out in range(1, 20):
                assert await step(mode, rows) is not None
                assert handed_out <= taken <= handed_out + 4

    mode.run(body)


def _closing(mode: Mode, rows: Any) -> Any:
    class Closing:
        async def __aenter__(self) -> Any:
            return rows

        async def __aexit__(self, *exc: object) -> None:
            await mode.close(rows)

    return Closing()


def test_a_failed_row_comes_with_its_error_and_the_others_go_on(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(lambda sent: BAD if sent["input"] == "bad" else sent["input"])
        inputs = ["a", "bad", {"input": "b", "top_p": None}, {"input": "c", "modle": "m"}, {"stream": True}, "d"]

        common = {"model": "openai/m", "headers": {"x-run": "1"}, "top_p": 0.5}
        rows = await read(mode, rows_of(mode, client, iter(inputs), **common))

        assert [row.request for row in rows] == inputs
        assert [row.response and row.response.output_text for row in rows] == ["a", None, "b", None, None, "d"]
        errors = [type(row.error) for row in rows if row.error]
        assert errors == [BadRequestError, UnknownKeyword, InvalidParameter]
        assert [row.result for row in rows] == [row.response or row.error for row in rows]
        own = {sent["input"]: sent.get("top_p") for sent in client.requests}
        assert own == {"a": 0.5, "bad": 0.5, "b": None, "d": 0.5}
        assert all(dict(sent.headers)["x-run"] == "1" for sent in client.host.requests)  # LiteLLM's name for it

    mode.run(body)


def test_the_first_error_ends_a_run_that_is_told_to_raise_it(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(lambda sent: BAD if sent["input"] == "bad" else sent["input"])
        inputs = iter(["a", "bad", *"bcdef"])
        rows = rows_of(mode, client.chain, inputs, model="openai/m", concurrency=1, on_error="raise")

        assert (row := await step(mode, rows)) is not None
        assert row.request == "a"
        with pytest.raises(BadRequestError):
            await step(mode, rows)

        assert await step(mode, rows) is None
        assert [sent["input"] for sent in client.requests] == ["a", "bad"]

    mode.run(body)


@pytest.mark.parametrize("how", ["closed", "dropped"])
def test_whoever_leaves_early_stops_the_rest(mode: Mode, how: str) -> None:
    async def body() -> None:
        gate = Gate(stops=3, begins=4)
        gate.let("a")
        rows = rows_of(mode, Client(Chain([gate.stage()])).chain, iter("abcdefgh"), concurrency=3)
        assert (row := await step(mode, rows)) is not None
        assert row.request == "a"

        if how == "closed":
            await mode.close(rows)
            assert await step(mode, rows) is None
        else:
            del rows
            await gate.over.wait()

        assert sorted(gate.began) == list("abcd")
        assert sorted(gate.stopped) == list("bcd")

    mode.run(body)


def test_a_source_that_raises_ends_the_run_after_the_rows_before_it(mode: Mode) -> None:
    def failing() -> Iterator[str]:
        yield from "ab"
        raise OSError("the file is gone")

    async def body() -> None:
        rows = rows_of(mode, Chain([host()]), failing())

        assert [(await step(mode, rows)).request for _ in "ab"] == ["a", "b"]  # type: ignore[union-attr]
        with pytest.raises(OSError, match="the file is gone"):
            await step(mode, rows)
        assert await step(mode, rows) is None

    mode.run(body)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_async_source_is_read_beside_the_calls(backend: str) -> None:
    async def body() -> None:
        more = anyio.Event()

        async def source() -> AsyncIterator[str]:
            yield "a"
            await more.wait()  # so "a" must be handed out before there is a next input
            yield "b"
            raise OSError("the queue is gone")

        rows = Client(Chain([host()])).chain.amap(source())
        assert (await anext(rows)).request == "a"
        more.set()
        assert (await anext(rows)).request == "b"
        with pytest.raises(OSError, match="the queue is gone"):
            await anext(rows)

    anyio.run(body, backend=backend)


def test_sync_code_cannot_read_an_async_source() -> None:
    async def source() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(InvalidParameter, match=r"async iterable.*\n.*amap"):
        Chain([host()]).map(source())  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_reader_stops_the_calls_and_keeps_what_is_done(backend: str) -> None:
    async def body() -> None:
        gate = Gate()
        gate.let("b")
        answered, began = anyio.Event(), anyio.Event()

        @stage
        async def note(request: Request, call_next: Handler) -> Reply:
            if given(request).input == "c":
                began.set()
            reply = await call_next(request)
            answered.set()
            return reply

        rows = Client(Chain([note, gate.stage()])).chain.amap(list("abcd"), concurrency=3)

        async def cancel(scope: anyio.CancelScope) -> None:
            await began.wait()
            await answered.wait()
            scope.cancel()

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel, scope)
                await anext(rows)

        assert [row.request async for row in rows] == ["b"]
        await rows.aclose()
        assert sorted(gate.stopped) == ["a", "c"]
        assert "d" not in gate.began

    anyio.run(body, backend=backend)


def test_ctrl_c_stops_the_calls_and_keeps_what_is_done() -> None:
    gate = Gate()
    gate.let("b")
    answered = threading.Event()

    @stage
    async def interrupt(request: Request, call_next: Handler) -> Reply:
        if given(request).input == "c":
            answered.wait()
            press()
        reply = await call_next(request)
        answered.set()
        return reply

    with ctrl_c() as press:
        rows = Client(Chain([interrupt, gate.stage()])).chain.map(list("abcd"), concurrency=3)
        with pytest.raises(KeyboardInterrupt):
            next(rows)
        found = [row.request for row in rows]
    rows.close()

    assert found in (["b"], [])  # its thread may not have said so yet
    assert "a" in gate.stopped
    assert "d" not in gate.began


def test_a_closed_client_ends_its_batches(mode: Mode) -> None:
    async def body() -> None:
        gate = Gate(begins=2)
        client = Client(Chain([gate.stage()]))
        rows = rows_of(mode, client.chain, list("ab"), progress=lambda progress: None)
        gate.let("a")
        assert await step(mode, rows) is not None
        await gate.running.wait()

        await mode.close(client)

        with pytest.raises(SetupError, match="its client was closed"):
            await step(mode, rows)

    mode.run(body)


def test_what_is_no_response_is_an_error_of_its_row(mode: Mode) -> None:
    @stage(terminal=True)
    async def odd(request: Request, call_next: Handler) -> Reply:
        from antiphon.pipeline.api.response import DeletedResponse

        return DeletedResponse.new(id="resp_1", deleted=True)

    async def body() -> None:
        [row] = await read(mode, rows_of(mode, Chain([odd]), ["a"]))

        assert isinstance(row.error, StageError)

    mode.run(body)


def test_a_bound_stream_is_overruled(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")

        [row] = await read(mode, rows_of(mode, client.chain.bind(stream=True, model="openai/m"), ["a"]))

        assert row.response is not None
        assert "stream" not in client.requests[0]

    mode.run(body)


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"order": "random"}, "order"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"concurrency": "8"}, "concurrency"),
        ({"checkpoint": ""}, "checkpoint"),
        ({"checkpoint": 5}, "checkpoint"),
        ({"progress": "yes"}, "progress"),
        ({"chunk_size": 2}, "chunk_size"),
        ({"executor": 4}, "executor"),
        ({"stream": True}, "stream"),
    ],
)
def test_senseless_settings_are_refused(mode: Mode, settings: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        rows_of(mode, Chain([host()]), ["a"], **settings)

    assert caught.value.param == param


@pytest.mark.parametrize("inputs", ["Hi", b"Hi", {"input": "Hi"}, 5, None])
def test_what_is_one_input_by_itself_is_no_batch(mode: Mode, inputs: Any) -> None:
    with pytest.raises(InvalidParameter, match=f"inputs is {type(inputs).__name__}; an iterable of inputs is expected"):
        rows_of(mode, Chain([host()]), inputs)


def test_a_portal_runs_a_batch_on_its_loop() -> None:
    @stage
    async def foreign(request: Request, call_next: Handler) -> Reply:
        await anyio.lowlevel.checkpoint()
        return await call_next(request)

    with Client(Chain([foreign, host()]), blocking="portal") as client, client.map(iter("abc"), concurrency=2) as rows:
        assert [row.request for row in rows if row.response] == ["a", "b", "c"]


def test_the_rows_of_a_batch_keep_their_context_apart(mode: Mode) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    @stage
    async def leaky(request: Request, call_next: Handler) -> Reply:
        seen.append(variable.get())
        variable.set("leaked")
        return await call_next(request)

    async def body() -> None:
        variable.set("the caller's")
        await read(mode, rows_of(mode, Chain([leaky, host()]), list("abcdef"), concurrency=2))

        assert seen == ["the caller's"] * 6

    mode.run(body)


def test_the_verbs_are_those_of_clients_too(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(lambda sent: sent["input"])

        replies = await mode.either(
            lambda: client.batch(["a", "b"], model="openai/m"), lambda: client.abatch(["a", "b"], model="openai/m")
        )

        assert [reply.output_text for reply in replies if isinstance(reply, antiphon.Response)] == ["a", "b"]

    mode.run(body)


def test_first_calls_side_by_side_are_safe() -> None:
    # Threads that meet a struct's class for the first time at once have crashed the interpreter.
    script = "import sys; sys.setswitchinterval(1e-6); from antiphon import presets; "
    script += "print(len(presets.responses.batch(['Hi'] * 8, model='scripted/echo')))"
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr
