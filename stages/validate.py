"""Check a call before anything is sent."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ..pipeline.api.params import CompactParams, CountInputTokensParams, CreateParams, Params
from ..pipeline.api.wire import FIRST_USE, Wire
from ..pipeline.errors import InvalidParameter
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Stage
from ..pipeline.wording import misfit


class Validate(Stage, frozen=True):
    """Refuse parameters of the wrong type, and combinations that no host accepts, before anything is sent.

    Stages before this one see the call as the caller wrote it. Limits that differ between hosts (ranges, lengths,
    which models take what) are the hosts' to judge.

    Raises:
        InvalidParameter: names the parameter, what it is and what is expected.
    """

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        check(request.params)
        return await call_next(request)


def check(params: Params) -> None:
    """Raise InvalidParameter for the first wrong parameter."""
    kind = type(params)
    try:
        msgspec.convert(msgspec.structs.astuple(params), _row_of(kind))
    except (msgspec.ValidationError, *_BEYOND):
        _check_by_name(params, kind)
    if isinstance(params, CreateParams):
        _check_create(params)
    elif isinstance(params, CompactParams | CountInputTokensParams):
        _check_input(params.input, bool(params.previous_response_id or getattr(params, "conversation", None)))
    elif not params.response_id:
        raise InvalidParameter("response_id is empty", param="response_id", hint="pass the id of a response")


@functools.cache
def _row_of(kind: type[Params]) -> type[msgspec.Struct]:
    """Return the same fields as an array, which is checked in half the time: no names have to be looked up."""
    row = msgspec.defstruct(kind.__name__, [(f.name, f.type) for f in msgspec.structs.fields(kind)], array_like=True)
    msgspec.json.Decoder(row)  # learns the fields before another thread sees the class, see wire.FIRST_USE
    return row


def _check_by_name(params: Params, kind: type[Params]) -> None:
    try:
        with FIRST_USE:
            msgspec.convert(msgspec.structs.asdict(params), kind)
    except msgspec.ValidationError as error:
        raise _wrong_type(error) from None
    except _BEYOND:
        for name, value in msgspec.structs.asdict(params).items():
            _check_one(name, value, kind)


# What msgspec raises of text with half a character where none is expected, and of a `range` where a mapping is.
_BEYOND = (UnicodeEncodeError, AttributeError)


def _check_one(name: str, value: object, kind: type[Params]) -> None:
    try:
        msgspec.convert({name: value}, kind)
    except UnicodeEncodeError:
        _check_one(name, "text", kind)
    except AttributeError:
        raise InvalidParameter(f"{name} is {type(value).__name__}; an object is expected", param=name) from None
    except msgspec.ValidationError as error:
        raise _wrong_type(error) from None


def _check_create(params: CreateParams) -> None:
    has_other = params.prompt is not None or params.previous_response_id is not None or params.conversation is not None
    _check_input(params.input, has_other)
    if params.previous_response_id is not None and params.conversation is not None:
        raise InvalidParameter(
            "previous_response_id and conversation are both given, and exclude each other",
            param="conversation",
            hint="leave one of them out",
        )
    if params.stream_options is not None and not params.stream:
        raise InvalidParameter(
            "stream_options is given without stream=True",
            param="stream_options",
            hint="leave it out, or pass stream=True",
        )
    if params.reasoning is not None and not isinstance(effort := params.reasoning.get("effort"), str | None):
        raise InvalidParameter(
            f"reasoning.effort is {type(effort).__name__}; text is expected",
            param="reasoning",
            hint='e.g. reasoning={"effort": "low"}',
        )
    if params.temperature is not None or params.top_p is not None:
        _check_finite(temperature=params.temperature, top_p=params.top_p)
    if params.max_output_tokens is not None and params.max_output_tokens < 1:
        raise InvalidParameter(
            f"max_output_tokens is {params.max_output_tokens}; at least 1 is expected", param="max_output_tokens"
        )


def _check_finite(**numbers: float | None) -> None:
    """Refuse what JSON has no form for: it would be sent as null."""
    for name, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise InvalidParameter(f"{name} is {number}; a finite number is expected", param=name)


def _wrong_type(error: msgspec.ValidationError) -> InvalidParameter:
    found = re.search(r"`\$\.([a-z_]+)", str(error))
    return InvalidParameter(misfit(error, "", None), param=found[1] if found is not None else None)


def _check_input(value: Any, may_lack: bool) -> None:
    if value is None:
        if not may_lack:
            raise InvalidParameter("input is missing", param="input", hint='pass text, or a list of items: input="Hi"')
        return
    if isinstance(value, str):
        return
    if not isinstance(value, list | tuple):
        raise InvalidParameter(f"input is {type(value).__name__}; text or a list of items is expected", param="input")
    for index, item in enumerate(value):
        if not isinstance(item, Wire | Mapping) and not hasattr(item, "model_dump"):
            raise InvalidParameter(
                f"input[{index}] is {type(item).__name__}; an item is expected",
                param="input",
                hint='an item is a dict such as {"role": "user", "content": "Hi"}, or an object of response.output',
            )
