"""The state of a conversation, without any I/O: who waits for which answer, and what the server's own messages ask.

One table of waiting calls serves all streams of a connection, for a server may answer on another stream than it was
asked on. Whoever reads a stream hands each message to `receive`, in whatever thread or task it runs.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from . import jsonrpc
from .errors import McpConnectionError, McpError, McpProtocolError, McpServerError, McpTimeoutError

OnProgress = Callable[[float, float | None, str | None], object]
OnNotice = Callable[[str, dict[str, Any]], object]
"""Called with (progress, total, message) while a request runs. Must not wait."""

log = logging.getLogger("antiphon.mcp")


class Limit(NamedTuple):
    """When a request must be over.

    Args:
        ends_at: on the runtime's clock.
        seconds: the whole length, for messages.
    """

    ends_at: float
    seconds: float


class Call:
    """A request that waits for its answer.

    Attributes:
        outcome: the result, or the error to raise; None until it is there.
        wake: told when it is there; set by whoever waits.
    """

    __slots__ = ("_lock", "id", "method", "on_progress", "outcome", "wake")

    def __init__(self, call_id: int, method: str, on_progress: OnProgress | None) -> None:
        self.id = call_id
        self.method = method
        self.on_progress = on_progress
        self.outcome: dict[str, Any] | McpError | None = None
        self.wake: Callable[[], object] | None = None
        self._lock = threading.Lock()

    @property
    def is_done(self) -> bool:
        return self.outcome is not None

    def settle(self, outcome: dict[str, Any] | McpError) -> None:
        """Take the answer; only the first one counts."""
        with self._lock:
            if self.outcome is not None:
                return
            self.outcome = outcome
            wake = self.wake
        if wake is not None:
            wake()

    def wake_by(self, wake: Callable[[], object] | None) -> bool:
        """Have `wake` called when the answer is there; tell whether it still has to come."""
        with self._lock:
            self.wake = wake
            return self.outcome is None

    def result(self) -> dict[str, Any]:
        """Return the result or raise the error."""
        outcome = self.outcome
        if isinstance(outcome, dict):
            return outcome
        assert outcome is not None
        raise outcome


class Ask(msgspec.Struct, frozen=True):
    """A request of the server, to be answered by a handler of the user."""

    id: jsonrpc.RequestId
    method: str
    params: dict[str, Any]


class Session:
    """Ids, waiting calls, and the reading of messages. Safe to share between threads.

    Args:
        name: the server's, for errors.
        handled: methods of the server's requests that have a handler.
        on_notification: gets (method, params) of notifications, those of progress apart. Must not wait.
    """

    def __init__(
        self, name: str, handled: frozenset[str], on_notification: Callable[[str, dict[str, Any]], object]
    ) -> None:
        self._name = name
        self._handled = handled
        self._on_notification = on_notification
        self._ids = itertools.count(1)
        self._calls: dict[int, Call] = {}

    def begin(self, method: str, on_progress: OnProgress | None = None) -> Call:
        """Take a new id into the table. `end` it in any case."""
        call = Call(next(self._ids), method, on_progress)
        self._calls[call.id] = call
        return call

    def end(self, call: Call) -> None:
        """Forget a call; a later answer to it is ignored."""
        self._calls.pop(call.id, None)

    def fail_all(self, error_for: Callable[[str], McpError]) -> None:
        """End all that wait, each with an error made for its method."""
        for call in list(self._calls.values()):
            call.settle(error_for(call.method))

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._calls)

    def receive(self, data: bytes, asked: Call | None = None) -> list[bytes | Ask]:
        """Take what the server sent; return what has to be done about it: replies to send, and requests to answer.

        Args:
            asked: the call whose own answer this is, where the transport knows: an error without an id is its.

        Raises:
            McpProtocolError: it is no message.
        """
        try:
            messages = jsonrpc.decode(data)
        except msgspec.MsgspecError as error:
            raise McpProtocolError(
                f'server "{self._name}" sent what is no JSON-RPC message: {error}', server=self._name
            ) from error
        todo: list[bytes | Ask] = []
        for message in messages:
            if message.is_response:
                self._answer(message, asked)
            elif message.is_request:
                todo.append(self._asked(message))
            elif message.method is not None:
                self._notified(message.method, _params(message))
        return todo

    def _answer(self, message: jsonrpc.Message, asked: Call | None) -> None:
        # Ids are compared with their type: "1" is not 1, and True is not 1 either.
        call = self._calls.get(message.id) if type(message.id) is int else None
        if call is None and message.id is None and message.error is not None:
            call = asked
        if call is None:
            log.debug("server %s answered %r, for which nobody waits", self._name, message.id)
            return
        call.settle(self._outcome(call, message))

    def _outcome(self, call: Call, message: jsonrpc.Message) -> dict[str, Any] | McpError:
        if message.error is not None:
            text, code = message.error_text, message.error_code
            return McpServerError(
                f'server "{self._name}" answered {call.method} with an error: {text or "no message"}',
                server=self._name,
                method=call.method,
                rpc_code=code,
                data=message.error.get("data") if isinstance(message.error, dict) else None,
                code=str(code),
            )
        if isinstance(message.result, dict):
            return message.result
        return McpProtocolError(
            f'server "{self._name}" answered {call.method} with {type(message.result).__name__} in place of an object',
            server=self._name,
            method=call.method,
        )

    def _asked(self, message: jsonrpc.Message) -> bytes | Ask:
        assert message.method is not None
        if message.method == "ping":
            return jsonrpc.response(message.id, {})
        if message.method in self._handled:
            return Ask(message.id, message.method, _params(message))
        return jsonrpc.failure(message.id, jsonrpc.METHOD_NOT_FOUND, f"this client does not serve {message.method}")

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        try:
            if method == "notifications/progress":
                self._progress(params)
            else:
                self._on_notification(method, params)
        except Exception as error:  # a callback of the user's must not end a stream that others read too
            log.warning("a callback for %s of server %s failed: %r", method, self._name, error)

    def _progress(self, params: dict[str, Any]) -> None:
        token, progress, total = params.get("progressToken"), params.get("progress"), params.get("total")
        call = self._calls.get(token) if type(token) is int else None
        if call is None or call.on_progress is None or not isinstance(progress, int | float):
            return
        text = params.get("message")
        call.on_progress(
            progress,
            total if isinstance(total, int | float) else None,
            text if isinstance(text, str) else None,
        )


def _params(message: jsonrpc.Message) -> dict[str, Any]:
    return message.params if isinstance(message.params, dict) else {}


def timed_out(name: str, method: str, limit: Limit) -> McpTimeoutError:
    """Return the error of a request whose time ran out."""
    return McpTimeoutError(
        f'server "{name}" did not answer {method} within {limit.seconds:g} s',
        server=name,
        method=method,
        limit_s=limit.seconds,
        hint="raise tool_timeout_s, or timeout_s= of the call" if method == "tools/call" else "raise timeout_s",
    )


def died(name: str, method: str, why: str) -> McpConnectionError:
    """Return the error of a call whose server went away before it answered."""
    return McpConnectionError(
        f'server "{name}" {why} before it answered {method}',
        server=name,
        method=method,
        hint="look at the server's own messages; the next request starts it or connects again",
    )
