"""The result of a row as bytes, and back: what a checkpoint keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..api.response import Response
from ..api.wire import ABSENT, REFUSED, Raw, encode, loads, read_object
from ..errors import AntiphonError, RowFailed, rebuild
from ..http import Headers
from ..json_schema import output_type
from ..reply import Meta
from ..secret import MASK
from .row import Row, row_failed


class _Kept(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A response, or an error with what it knows.

    Args:
        meta, response, parsed: JSON.
        kind: the error's class; "" for a response.
        facts: the error's other attributes, as far as JSON knows them.
    """

    response: Raw = ABSENT
    meta: Raw = ABSENT
    parsed: Raw = ABSENT
    kind: str = ""
    message: str = ""
    facts: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Kept).decode


def _read(data: bytes) -> _Kept:
    try:
        return _decode(data)
    except REFUSED:  # half a character
        found: dict[str, Any] = {**read_object(data)}
        more = {name: loads(bytes(found.pop(name))) for name in ("kind", "message", "facts") if name in found}
        return _Kept(**found, **more)


def write_result(row: Row) -> bytes:
    """Return the JSON of a row's response or error. An error that is none of this library's becomes a `RowFailed`."""
    if row.response is not None:
        response, parsed = row.response, row.response.output_parsed
        kept = _Kept(
            response=Raw(response.raw),
            meta=_meta_json(response.meta),
            parsed=ABSENT if parsed is None else Raw(_parsed_json(parsed)),
        )
    else:
        assert row.error is not None
        kept = _error(row.error)
    return encode(kept)


def read_result(data: bytes, text_format: Any) -> Response | AntiphonError:
    """Return what `write_result` was given.

    Args:
        text_format: of the row's call, of which the typed answer is made again.

    Raises:
        ValueError: the typed answer does not fit it any more.
    """
    kept = _read(data)
    meta = _read_meta(kept.meta) if kept.meta else None
    if kept.kind:
        return _error_again(kept, meta)
    response = Response.from_json(bytes(kept.response)).with_meta(meta)
    if kept.parsed and text_format is not None:
        response = response.with_parsed(output_type(text_format).decode(bytes(kept.parsed).decode()))
    return response


def _parsed_json(parsed: Any) -> bytes:
    dump = getattr(parsed, "model_dump_json", None)  # of a pydantic model, whose names in JSON may be others
    return str(dump(by_alias=True)).encode() if callable(dump) else encode(parsed)


# --- errors ---------------------------------------------------------------------------------------------------------

_APART = ("message", "meta", "response", "__notes__")


def _error(error: Exception) -> _Kept:
    if not isinstance(error, AntiphonError):
        error = row_failed(error)
    facts = {name: value for name, value in vars(error).items() if name not in _APART}
    return _Kept(
        kind=type(error).__name__,
        message=error.message,
        meta=_meta_json(error.meta),
        response=ABSENT if error.response is None else Raw(error.response.raw),
        facts=msgspec.to_builtins(facts, str_keys=True, enc_hook=_plain),
    )


def _error_again(kept: _Kept, meta: Meta | None) -> AntiphonError:
    response = Response.from_json(bytes(kept.response)) if kept.response else None
    state: dict[str, object] = {**kept.facts, "message": kept.message, "meta": meta, "response": response}
    cls = _classes().get(kept.kind)
    if cls is None:  # of a package that is not imported here
        return RowFailed(kept.message, kind=kept.kind, meta=meta, response=response)
    return rebuild(cls, kept.message, state)


def _classes() -> dict[str, type[AntiphonError]]:
    found: dict[str, type[AntiphonError]] = {}
    left = [AntiphonError]
    while left:
        cls = left.pop()
        found[cls.__name__] = cls
        left += cls.__subclasses__()
    return found


# --- facts of the call ----------------------------------------------------------------------------------------------


def _meta_json(meta: Meta | None) -> Raw:
    return ABSENT if meta is None else Raw(encode(msgspec.to_builtins(meta, enc_hook=_plain)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):  # headers; a cookie is a credential
        return {name: MASK if name == "set-cookie" else text for name, text in value.items()}
    return str(value)


def _dec_hook(expected: type, value: Any) -> Any:
    return Headers(value.items()) if expected is Headers else value


_decode_meta = msgspec.json.Decoder(Meta, dec_hook=_dec_hook).decode


def _read_meta(data: Raw) -> Meta:
    try:
        return _decode_meta(data)
    except REFUSED:
        return msgspec.convert(loads(bytes(data)), Meta, dec_hook=_dec_hook)
