"""A server that is a program: one message a line on its standard input and output.

All requests share the pipe. Nobody reads in the background: of those who wait for an answer, one leads, which moves the
bytes for all, and hands the lead over when its own answer is there or its time is up. Between requests nobody reads;
what came meanwhile is read with the next one. Source: MCP specification 2025-11-25, Transports › stdio, read 2026-08.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..pipeline.errors import SetupError
from ..pipeline.runtimes.process import Process
from ..pipeline.secret import Secret, mask
from .endpoint import Headers
from .errors import McpConnectionError, McpError, McpProtocolError
from .negotiation import Agreement
from .session import Call, Limit, Session, died, timed_out
from .streamable_http import React

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .server import McpServer

log = logging.getLogger("antiphon.mcp")

# What a server gets of our environment. Source: the official SDK's default for POSIX, read 2026-11.
INHERITED = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")

_GRACE_S = 2.0
_DEAD_GRACE_S = 0.2  # for one that has closed its output: it is going


class Stdio:
    """One program. Callable from all tasks of its event loop, or all threads.

    Attributes:
        agreement: what was negotiated; None before.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime, session: Session, react: React) -> None:
        self._name = name
        self._server = server
        self._runtime = runtime
        self._session = session
        self._react = react
        self._process: Process | None = None
        self._line = bytearray()
        self._lock = threading.Lock()
        self._led = False
        self._followers: dict[Call, Callable[[], object]] = {}
        self._starting: object = None
        self.agreement: Agreement | None = None
        self.version: str | None = None  # goes nowhere

    @property
    def is_open(self) -> bool:
        """Whether the program runs."""
        process = self._process
        return process is not None and not process.is_stopping and not process.has_exited()

    @property
    def hears_changes(self) -> bool:
        return True

    async def start(self) -> None:
        """Start the program.

        Raises:
            McpConnectionError: it cannot be started.
        """
        if os.name != "posix":
            raise SetupError(
                f'server "{self._name}": programs are started on POSIX systems only',
                hint="run the server by itself, and give its url",
            )
        await self.close()
        self._line = bytearray()
        self._starting = starting = object()
        server = self._server
        assert server.command is not None
        env = {name: value for name in INHERITED if (value := os.environ.get(name)) and not value.startswith("()")}
        env |= {name: value.reveal() for name, value in server.env.items() if isinstance(value, Secret)}
        try:
            await self._runtime.call(self._start, starting, [server.command, *server.args], env)
        except OSError as error:
            raise McpConnectionError(
                f'server "{self._name}" cannot be started: {error.strerror}: {error.filename}',
                sent=False,
                server=self._name,
                hint="check command and cwd; it is looked for in the PATH of this process, unless env= has another",
            ) from error

    def _start(self, starting: object, command: list[str], env: dict[str, str]) -> None:
        # A cancelled caller does not wait for this thread; what it starts must be found by `close`, or end here.
        process = Process(command, env=env, cwd=self._server.cwd)
        with self._lock:
            wanted = self._starting is starting
            if wanted:
                self._process = process
        if not wanted:
            process.stop(0.0)

    async def exchange(self, call: Call, message: bytes, headers: Headers, limit: Limit) -> None:
        """Send a request and wait until it is settled.

        Raises:
            McpError: the program died, the time ran out.
        """
        process = self._process
        if process is None or not process.send(message + b"\n"):
            error = await self._ended(call.method)
            error.sent = False
            raise error
        try:
            while not call.is_done:
                left = limit.ends_at - self._runtime.now()
                if left <= 0:
                    raise timed_out(self._name, call.method, limit)
                if self._take_lead():
                    try:
                        await self._read(process, call, left)
                    finally:
                        self._hand_over()
                else:
                    await self._follow(call, left)
        finally:
            self._offer()  # it may have been woken to lead, and goes

    async def tell(self, message: bytes) -> None:
        """Send a notification or a response; whoever leads next writes what does not fit now."""
        if self._process is not None:
            self._process.send(message + b"\n")

    def abandon(self, call: Call, message: bytes) -> None:
        """Tell the server that nobody waits for a request any more."""
        if self._process is not None:
            self._process.send(message + b"\n")

    async def poll(self) -> None:
        """Take what has come since the last request."""
        process = self._process
        if process is not None and self._take_lead():
            try:
                await self._read(process, None, 0.0)
            finally:
                self._hand_over()

    async def listen(self) -> None:
        """There is but one stream."""

    async def close(self) -> None:
        """Stop the program: close its input, wait, SIGTERM, wait, SIGKILL. Goes on when the caller is cancelled."""
        await self._stop(_GRACE_S)

    async def _stop(self, grace_s: float) -> None:
        with self._lock:
            process, self._process, self._starting = self._process, None, None
        if process is not None:
            try:
                await self._runtime.call(process.stop, grace_s)
            except BaseException:
                # A cancelled task may not even begin what it would have to wait for.
                threading.Thread(target=process.stop, args=(grace_s,), name="antiphon-mcp-stop").start()
                raise

    def shut(self) -> None:
        """Stop the program, blocking; from any thread."""
        with self._lock:
            process, self._starting = self._process, None
        if process is not None:
            process.stop(_GRACE_S)

    def _take_lead(self) -> bool:
        with self._lock:
            if self._led:
                return False
            self._led = True
            return True

    def _hand_over(self) -> None:
        with self._lock:
            self._led = False
        self._offer()

    def _offer(self) -> None:
        """Wake one of those who wait, if nobody leads."""
        with self._lock:
            wake = None if self._led else next(iter(self._followers.values()), None)
        if wake is not None:
            wake()

    async def _follow(self, call: Call, seconds: float) -> None:
        """Wait until the answer is there, the lead is free, or the time is up."""
        event = self._runtime.event()
        with self._lock:
            if not self._led:
                return
            self._followers[call] = event.set
        try:
            if call.wake_by(event.set):
                await event.wait(seconds)
        finally:
            call.wake_by(None)
            with self._lock:
                self._followers.pop(call, None)

    async def _read(self, process: Process, call: Call | None, seconds: float) -> None:
        """Move bytes once, and take the messages in them.

        Raises:
            McpError: the program has ended, or wrote what cannot be read.
        """
        data = await process.pump(self._runtime, seconds)
        if data is None:
            try:
                error = await self._ended(call.method if call else "")
            finally:
                self._session.fail_all(lambda method: self._death(process, method))
            if call is not None and not call.is_done:
                raise error
            return
        lines: list[bytes] = []
        if b"\n" in data:
            *lines, rest = data.split(b"\n")
            lines[0] = bytes(self._line) + lines[0]
            self._line = bytearray(rest)
        else:
            self._line += data
        if len(self._line) > self._server.max_message_bytes:
            self._session.fail_all(self._too_long)
            await self._stop(0.0)  # there is no way back into step with it
            return
        for line in lines:
            if line.strip():
                await self._take(line)

    async def _take(self, line: bytes) -> None:
        try:
            todos = self._session.receive(line)
        except McpProtocolError:
            # Real servers print to their standard output what belongs elsewhere.
            text = mask(line[:200].decode("utf-8", "replace"), self._server.env.values())
            log.debug("server %s printed %r", self._name, text)
            return
        for todo in todos:
            await self._react(todo)

    async def _ended(self, method: str) -> McpConnectionError:
        """Reap the program, and return the error that tells of its end."""
        process = self._process
        if process is None:
            return died(self._name, method, "was closed")
        await self._runtime.call(process.stop, _DEAD_GRACE_S)
        return self._death(process, method)

    def _death(self, process: Process, method: str) -> McpConnectionError:
        code = process.exit_code
        how = "ended" if code is None else f"died of signal {-code}" if code < 0 else f"exited with status {code}"
        last = process.errors.splitlines()[-1:] if process.errors else []
        error = died(self._name, method, how)
        if last:
            error.hint = f"the last line that it printed: {mask(last[0], self._server.env.values())[:300]}"
        return error

    def _too_long(self, method: str) -> McpError:
        return McpProtocolError(
            f'server "{self._name}" wrote a message of more than {self._server.max_message_bytes} bytes',
            server=self._name,
            method=method,
            hint="raise max_message_bytes of the server",
        )
