"""A host that answers badly: a real server on this machine, so that faults come through the real transport."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from ..client import Client
from ..pipeline.api.wire import loads
from ..pipeline.chain import Chain
from ..pipeline.errors import APIConnectionError, SetupError
from ..pipeline.http import HttpRequest
from ..providers.scripted import Answer, ScriptedExchange, ScriptedHost
from ..stages import presets


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, and what goes wrong with it. Without a fault it is the answer.

    Args:
        answer: what would be said, as in `scripted`.
        headers: further headers of the answer, e.g. those of rate limits.
        delay_s: before the head of the answer, seconds.
        first_byte_s: between the head and the first byte of the body, seconds.
        pause_s: before every further event of a stream, seconds.
        garbage_after: so many whole events are sent, then one that is no JSON; of a plain answer so many bytes, then
            bytes that are no JSON. What follows is sent as it is.
        cut_after: so many whole events (of a plain answer: bytes) are sent, then the connection is cut. 0 cuts after
            the head.
        reset: cut by a reset of the connection, where `cut_after` says so; without it, before the head.
    """

    answer: Answer = "Hello there."
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0
    first_byte_s: float = 0.0
    pause_s: float = 0.0
    garbage_after: int | None = None
    cut_after: int | None = None
    reset: bool = False


def http_error(
    status: int,
    message: str = "",
    *,
    code: str | None = None,
    retry_after_s: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a scripted answer with an error status, in the form of OpenAI's errors.

    Args:
        status: e.g. 429.
        message, code: of the error; a text that names the status where none is given.
        retry_after_s: seconds, sent as `retry-after-ms`.
        headers: further ones, e.g. {"x-ratelimit-remaining-requests": "0"}.
    """
    wait = {} if retry_after_s is None else {"retry-after-ms": f"{retry_after_s * 1000:g}"}
    error = {"message": message or f"scripted error {status}", "type": "scripted", "code": code, "param": None}
    return {"status": status, "headers": {**wait, **(headers or {})}, "body": {"error": error}}


class FaultHost:
    """A server on 127.0.0.1 that answers by a script, in turn; the last answer repeats. Close it.

    Args:
        steps: scripted answers, and `Fault`s.

    Attributes:
        url: its address with "/v1".
        requests: the JSON bodies of the requests that came, in order.
    """

    def __init__(self, *steps: Answer | Fault) -> None:
        from .fault_server import FaultServer  # late, as `http.server` comes with it

        if not steps:
            raise SetupError("a faulty host needs at least one answer", hint='faulty(Fault(cut_after=2), "Hello")')
        self._faults = [step if isinstance(step, Fault) else Fault(answer=step) for step in steps]
        self._script = ScriptedHost([fault.answer for fault in self._faults])
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._errors: list[Exception] = []  # of functions that were to answer
        self._server = FaultServer(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self.requests: list[dict[str, Any]] = []
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="antiphon-fault-host", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering, cut what is open, end its threads. Idempotent.

        Raises:
            Exception: what a function of the script raised while it was asked, unless it is a connection's error.
        """
        if self._closing.is_set():
            return
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server.cut_open()
        if self._errors:
            raise self._errors[0]

    def next(self, request: HttpRequest) -> tuple[Fault, ScriptedExchange | None]:
        """Return whose turn it is, and its answer; None for one that is an exception."""
        with self._lock:
            fault = self._faults[min(len(self.requests), len(self._faults) - 1)]
            self.requests.append(loads(request.body or b"{}"))
            try:
                return fault, self._script.answer(request)
            except Exception as error:
                if not isinstance(error, APIConnectionError | OSError) and error is not fault.answer:
                    self._errors.append(error)
                return fault, None

    def wait(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        if seconds:
            self._closing.wait(seconds)


class FaultyClient(Client):
    """A client that asks a `FaultHost`, and closes it with itself. Make it with `faulty`."""

    def __init__(self, host: FaultHost, chain: Chain, **settings: Any) -> None:
        given = {"api_key": "scripted", "dialect": "responses", "api_base": host.url}
        bound = {name: value for name, value in given.items() if name in chain.options}
        settings.setdefault("proxy", None)  # which would not reach this machine
        super().__init__(chain.bind(**bound), **settings)
        self.host = host

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON bodies of the requests that came, in order."""
        return self.host.requests

    def close(self) -> None:
        super().close()
        self.host.close()

    async def aclose(self) -> None:
        await super().aclose()
        await self.engine.runtime(is_async=True).call(self.host.close)


def faulty(*steps: Answer | Fault, chain: Chain = presets.responses, **settings: Any) -> FaultyClient:
    """Return a client whose host, a server on this machine, answers badly: over a real connection, in turn.

        with faulty(http_error(429, retry_after_s=0.01), Fault(cut_after=3), "At last.") as client:
            client.responses("Hi", "openai/gpt-5", stream=True)

    The last answer repeats. Like `scripted` it speaks the Responses API whatever the model, and needs no key.

    Args:
        steps: scripted answers, and `Fault`s.
        chain: what the calls go through.
        settings: of `antiphon.Client`.
    """
    return FaultyClient(FaultHost(*steps), chain, **settings)
