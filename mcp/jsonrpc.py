"""JSON-RPC 2.0 messages, as MCP uses it. Source: MCP specification, Base protocol › Overview, read 2026-08."""

from __future__ import annotations

from typing import Any

import msgspec

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
    error: dict[str, Any] | None = None

    @property
    def is_request(self) -> bool:
        return self.method is not None and self.id is not None

    @property
    def is_response(self) -> bool:
        return self.method is None and (self.error is not None or self.result is not msgspec.UNSET)

    @property
    def error_code(self) -> int:
        """The error's code; 0 where it has none."""
        code = (self.error or {}).get("code")
        return code if isinstance(code, int) else 0


_decode = msgspec.json.Decoder(Message | list[Message]).decode
_encode = msgspec.json.Encoder().encode


def decode(data: bytes) -> list[Message]:
    """Read a message; or several, as revision 2025-03-26 may send them.

    Raises:
        msgspec.MsgspecError: it is none.
    """
    found = _decode(data)
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
