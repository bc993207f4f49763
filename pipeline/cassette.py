"""Recorded exchanges: a file with one JSON line for each, in the order in which they ended.

A line has the request, secrets masked, and the answer with the chunks as they came, so that what replays is the bytes
of the wire. Bytes that are no UTF-8 stand as {"base64": ...}.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import msgspec

from .api.tools import hide_in_body
from .api.wire import encode, loads
from .errors import APIConnectionError, APITimeoutError, CassetteMiss, InvalidParameter, SetupError
from .http import Exchange, Headers, HttpRequest, Transport
from .runtimes.runtime import Runtime
from .secret import MASK, Secret, mask, mask_url
from .timeouts import Pace

# Response headers that may be credentials.
_HIDDEN = frozenset({"set-cookie", "authorization", "proxy-authenticate", "www-authenticate"})


class InBase64(TypedDict):
    """What is no text; msgspec writes and reads bytes in base64."""

    base64: bytes


class Recorded(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One exchange.

    Args:
        method, url, headers, body: the request; a header that was a secret is "***".
        status, answer_headers, chunks: the answer; `status` 0 when none came.
        error: class name of what broke it: "APIConnectionError" or "APITimeoutError"; "" for a whole answer, "closed"
            for one that the caller left early.
        message: of that error.
    """

    method: str
    url: str
    headers: dict[str, str] = {}
    body: str | InBase64 | None = None
    status: int = 0
    answer_headers: dict[str, str] = {}
    chunks: list[str | InBase64] = []
    error: str = ""
    message: str = ""


class Base(NamedTuple):
    """What the addresses of a target begin with, and what stands for that in the file where it differs by the run."""

    url: str = ""
    kept_as: str = ""


def request_of(request: HttpRequest, base: Base = Base()) -> dict[str, Any]:  # noqa: B008  frozen
    """Return the fields of a `Recorded` that say what was asked."""
    # Of "Bearer KEY" the key alone may stand elsewhere too.
    secrets = [value.reveal().split()[-1] for _, value in request.headers if isinstance(value, Secret)]
    return {
        "method": request.method,
        "url": mask_url(base.kept_as + request.url.removeprefix(base.url), secrets),
        "headers": {name: MASK if isinstance(value, Secret) else mask(value) for name, value in request.headers},
        "body": None if request.body is None else _text(_hidden(request.body), lambda text: mask(text, secrets)),
    }


def _hidden(body: bytes) -> bytes:
    """Return a request's body without what its MCP servers are called with; the same bytes where there are none."""
    if b'"mcp' not in body:
        return body
    try:
        return encode(hide_in_body(loads(body)))
    except msgspec.DecodeError:
        return body


def _text(data: bytes, masked: Callable[[str], str] = mask) -> str | InBase64:
    try:
        return masked(data.decode())
    except UnicodeDecodeError:
        return {"base64": data}


def bytes_of(text: str | InBase64) -> bytes:
    """Return a chunk as it came."""
    return text.encode() if isinstance(text, str) else text["base64"]


# --- recording ------------------------------------------------------------------------------------------------------


class CassetteFile:
    """The file that exchanges are added to. Safe to share between threads.

    Args:
        path: made anew, for its owner only, when the first exchange is added.

    Raises:
        InvalidParameter: it is a folder: no answer shall be lost for that.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise InvalidParameter(f"cassette {path}: it is a folder", param="path", hint="name a file in it")
        self._lock = threading.Lock()
        self._begun = False

    def add(self, recorded: Recorded) -> None:
        """Add one exchange (blocking)."""
        line = msgspec.json.encode(recorded) + b"\n"
        with self._lock:
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if self._begun else os.O_TRUNC)
            with open(os.open(self.path, flags, 0o600), "ab") as file:
                file.write(line)
            self._begun = True


class RecordingTransport:
    """Opens exchanges by another transport and adds each to a cassette when it has ended."""

    def __init__(self, inner: Transport | Runtime, runtime: Runtime, file: CassetteFile, base: Base) -> None:
        self._inner = inner
        self._runtime = runtime
        self._file = file
        self._base = base

    async def open(self, request: HttpRequest, pace: Pace) -> Exchange:
        asked = request_of(request, self._base)
        try:
            exchange = await self._inner.open(request, pace)
        except APIConnectionError as error:
            await self._runtime.call(self._file.add, Recorded(**asked, **_fault(error)))
            raise
        return _RecordingExchange(exchange, asked, self._runtime, self._file)

    async def close(self) -> None:
        """The transport around which this stands belongs to others."""


class _RecordingExchange:
    def __init__(self, exchange: Exchange, asked: dict[str, Any], runtime: Runtime, file: CassetteFile) -> None:
        self._exchange = exchange
        self._asked = asked
        self._runtime = runtime
        self._file = file
        self._chunks: list[bytes] = []
        self._added = False
        self.status = exchange.status
        self.headers = exchange.headers
        self.queued_s = exchange.queued_s
        self.connect_s = exchange.connect_s

    async def chunk(self) -> bytes:
        try:
            data = await self._exchange.chunk()
        except APIConnectionError as error:
            await self._add(**_fault(error))
            raise
        if data:
            self._chunks.append(data)
        else:
            await self._add()
        return data

    async def read(self) -> bytes:
        try:
            data = await self._exchange.read()
        except APIConnectionError as error:
            await self._add(**_fault(error))
            raise
        self._chunks.append(data)
        await self._add()
        return data

    async def close(self) -> None:
        # Whether it is over is not known: what a caller leaves may have come to its end. Then nothing is missing.
        await self._exchange.close()
        await self._add(error="closed")

    def abort(self) -> None:
        self._exchange.abort()

    async def _add(self, **fault: Any) -> None:
        if self._added:
            return
        self._added = True
        recorded = Recorded(
            **self._asked,
            status=self.status,
            answer_headers={name: MASK if name in _HIDDEN else mask(value) for name, value in self.headers.items()},
            chunks=[_text(chunk) for chunk in self._chunks],
            **fault,
        )
        await self._runtime.call(self._file.add, recorded)


def _fault(error: APIConnectionError) -> dict[str, Any]:
    kind = "APITimeoutError" if isinstance(error, APITimeoutError) else "APIConnectionError"
    return {"error": kind, "message": error.message}


# --- replaying ------------------------------------------------------------------------------------------------------


def read_cassette(path: Path) -> list[Recorded]:
    """Return the exchanges in a file, in the order in which they ended.

    Raises:
        SetupError: the file cannot be read.
    """
    try:
        return [msgspec.json.decode(line, type=Recorded) for line in path.read_bytes().splitlines() if line]
    except (OSError, msgspec.DecodeError) as error:
        raise SetupError(
            f"cassette {path} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="record it by a stage Record, or by antiphon run --record",
        ) from error


class Cassette:
    """Recorded exchanges, each to be answered once, in their order. Safe to share between threads.

    Args:
        path: the file.
        ignore: fields of JSON bodies that may differ, e.g. ("metadata", "user").

    Raises:
        SetupError: the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], ignore: tuple[str, ...] = ()) -> None:
        self.path = Path(path)
        self._ignore = ignore
        self._lock = threading.Lock()
        self._left = read_cassette(self.path)

    @property
    def left(self) -> int:
        """How many exchanges have not been asked for yet."""
        return len(self._left)

    def take(self, request: HttpRequest, base: Base = Base()) -> Recorded:  # noqa: B008  frozen
        """Return the first exchange left that was asked in the same way.

        Raises:
            CassetteMiss: there is none; the message says what is nearest.
        """
        asked = Recorded(**request_of(request, base))
        with self._lock:
            for index, recorded in enumerate(self._left):
                if self._difference(recorded, asked) is None:
                    return self._left.pop(index)
            near = [found for recorded in self._left if (found := self._difference(recorded, asked)) is not None]
        last = near[0] if near else "all that was recorded has been answered"
        raise CassetteMiss(
            f"cassette {self.path} has no answer left for {asked.method} {asked.url}: {last}",
            hint="record it anew, or name fields that may differ: Replay(path, ignore=(...))",
        )

    def _difference(self, recorded: Recorded, asked: Recorded) -> str | None:
        if (recorded.method, recorded.url) != (asked.method, asked.url):
            return f"the next one is of {recorded.method} {recorded.url}"
        there, here = _json(recorded.body), _json(asked.body)
        if there == here:
            return None
        if not isinstance(there, Mapping) or not isinstance(here, Mapping):
            return "the next one has another body"
        differ = [name for name in {**there, **here} if name not in self._ignore and there.get(name) != here.get(name)]
        return f"the next one differs in {', '.join(differ)}" if differ else None


def _json(body: str | InBase64 | None) -> Any:
    if not isinstance(body, str):
        return body
    try:
        return loads(body)
    except msgspec.DecodeError:
        return body


class ReplayTransport:
    """Answers from a cassette."""

    def __init__(self, cassette: Cassette, base: Base) -> None:
        self._cassette = cassette
        self._base = base

    async def open(self, request: HttpRequest, pace: Pace) -> Exchange:
        recorded = self._cassette.take(request, self._base)
        if not recorded.status:
            raise _raised(recorded)
        return _ReplayedExchange(recorded)

    async def close(self) -> None:
        """Nothing is open."""


class _ReplayedExchange:
    queued_s = 0.0
    connect_s = 0.0

    def __init__(self, recorded: Recorded) -> None:
        self.status = recorded.status
        self.headers = Headers(recorded.answer_headers.items())
        self._recorded = recorded
        self._chunks = [bytes_of(chunk) for chunk in recorded.chunks][::-1]

    async def chunk(self) -> bytes:
        if self._chunks:
            return self._chunks.pop()
        if self._recorded.error:
            raise _raised(self._recorded)
        return b""

    async def read(self) -> bytes:
        parts: list[bytes] = []
        while data := await self.chunk():
            parts.append(data)
        return b"".join(parts)

    async def close(self) -> None:
        self._chunks = []

    def abort(self) -> None:
        self._chunks = []


def _raised(recorded: Recorded) -> APIConnectionError:
    if recorded.error == "closed":
        return APIConnectionError("the recording ends here: its caller left the stream early", response_started=True)
    kind = APITimeoutError if recorded.error == "APITimeoutError" else APIConnectionError
    return kind(recorded.message, response_started=bool(recorded.status))
