"""JSON-RPC 2.0 messages, as MCP uses it. Source: MCP specification, Base protocol › Overview, read 2026-08."""

from __future__ import annotations

from typing import Any

import msgspec

from ..pipeline.api.half_characters import whole_text
from ..pipeline.api.wire import REFUSED, loads

RequestId = int | str

METHOD_NOT_FOUND = -32601
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022


class Message(msgspec.Struct, frozen=True):
    """Any message: a request has id and method, a notification a method only, a response an id and one of the rest.

    An error may come without an id, or with null, when its sender could not read the request.
    """

    id: Any = None
    method: str | None = None
    params: Any = None
    result: Any = msgspec.UNSET
    error: Any = None

    @property
    def is_request(self) -> bool:
        return self.method is not None and self.id is not None

    @property
    def is_response(self) -> bool:
        return self.method is None and (self.error is not None or self.result is not msgspec.UNSET)

    @property
    def error_code(self) -> int:
        """The error's code; 0 where it has none."""
        code = self.error.get("code") if isinstance(self.error, dict) else None
        return code if isinstance(code, int) else 0

    @property
    def error_text(self) -> str:
        """What the error says; "" where it says nothing. Some servers send no object, but the text itself."""
        text = self.error.get("message") if isinstance(self.error, dict) else self.error
        return text if isinstance(text, str) else ""


_BOM = b"\xef\xbb\xbf"
_decode = msgspec.json.Decoder(Message | list[Message]).decode
_encoder = msgspec.json.Encoder().encode


def _encode(message: object) -> bytes:
    try:
        return _encoder(message)
    except UnicodeEncodeError:  # many servers read no half character, and could not even say whose request it was
        return _encoder(whole_text(msgspec.to_builtins(message)))


def decode(data: bytes) -> list[Message]:
    """Read a message; or several, as revision 2025-03-26 may send them.

    A byte order mark is skipped (.NET writes one first), and legal oddities are read: NaN (Python's `json`), and half
    characters, which are replaced (what `JSON.stringify` makes of a text that was cut in an emoji).

    Raises:
        msgspec.MsgspecError: it is none.
    """
    try:
        found = _decode(data)
    except REFUSED:
        found = msgspec.convert(whole_text(loads(data.removeprefix(_BOM))), Message | list[Message])
    return found if isinstance(found, list) else [found]


def request(request_id: RequestId, method: str, params: dict[str, Any] | None) -> bytes:
    """Encode a request; no `params` member for None."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params is not None:
        message["params"] = params
    return _encode(message)


def notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return _encode(message)


def response(request_id: RequestId, result: Any) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def failure(request_id: RequestId, code: int, text: str) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": text}})
