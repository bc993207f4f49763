"""Encode the call in the target's dialect."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from msgspec.structs import asdict, replace

from ..pipeline.api.params import HAPPENS_ANYWAY
from ..pipeline.errors import InvalidParameter, SetupError, UnsupportedOperation, UnsupportedParameter
from ..pipeline.http import HttpRequest
from ..pipeline.reply import Reply
from ..pipeline.request import Drop, Handler, Request, Target
from ..pipeline.secret import Secret
from ..pipeline.stage import Option, Stage
from ..pipeline.wording import quoted
from ..providers.response_ids import ELSEWHERE, GIVEN, is_kept, refused

Policy = Literal["report", "error", "ignore"]
_POLICIES = get_args(Policy)


# Without one of these the call would be another one: it would answer, and be wrong.
_NEVER_DROPPED = frozenset({"previous_response_id", "conversation", "prompt", "background", "tools", "tool_choice"})


class Transform(Stage, frozen=True):
    """Make the HTTP request: the call in the format of the target.

    Stages before this one see the call in the terms of the Responses API, stages after it see the wire.

    Args:
        drop: what to do with a parameter that the target does not take: "report" it in `reply.meta.dropped`, raise an
            "error", or "ignore" it in silence. The call option `drop` wins over it. A parameter without which the call
            would mean something else, such as `previous_response_id`, is always an error.

    Raises:
        UnsupportedParameter: with "error", or when the call makes no sense without the parameter.
        UnsupportedOperation: a call of the API that the host does not serve.
        InvalidParameter: it goes on from a response that another provider or address keeps, or holds what JSON has no
            form for.
    """

    options = (
        Option("drop", (str,), 'what to do with what the host does not take: "report", "error" or "ignore"'),
        Option("extra_headers", (dict,), "further HTTP headers; they win over the library's own"),
        Option("extra_query", (dict,), "further URL query parameters"),
        Option("extra_body", (dict,), "further body fields, as they are; they win over parameters"),
    )
    needs = ("target",)
    sets = ("wire",)

    drop: Policy = "report"

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        target = request.target
        if target is None:
            raise _without_target(request)
        _check_served(request, target)
        if not _EXTRAS.isdisjoint(request.options):
            _check_extras(request.options)
        policy = request.options.get("drop", self.drop)
        if policy not in _POLICIES:
            raise InvalidParameter(f'drop is {quoted(policy)}; "report", "error" or "ignore" is expected', param="drop")
        drop = functools.partial(_drop, request, policy)
        if target.unsupported:
            refused = [name for name in sorted(target.unsupported) if getattr(request.params, name, None) is not None]
            for name in refused:
                given = getattr(request.params, name)
                if given != [] and given != HAPPENS_ANYWAY.get(name):
                    drop(name, target.unsupported[name])
            if refused:
                request = request.with_params(**dict.fromkeys(refused))
        return await call_next(replace(request, wire=_encoded(request, target, drop)))


def _without_target(request: Request) -> Exception:
    if is_kept(request.param("response_id")):
        return UnsupportedOperation(
            "the response is kept in a store of this library, and no stage of this chain reads it",
            hint="place Remember after Resolve",
        )
    return SetupError("Transform got a request without a target", hint="place Resolve before Transform")


def _encoded(request: Request, target: Target, drop: Drop) -> HttpRequest:
    """Return the call in the target's format; refuse values that JSON has no form for."""
    try:
        wire = target.dialect.encode(request, target, drop)
        if wire.body is not None and b"null" in wire.body:
            _check_numbers(request)
    except RecursionError:
        raise InvalidParameter(
            "the call holds a value that is nested too deeply, or holds itself",
            hint="pass plain data, a few levels deep",
        ) from None
    return wire


def _check_numbers(request: Request) -> None:
    """Refuse numbers that JSON has no form for: they would be sent as null."""
    for name, value in {**asdict(request.params), "extra_body": request.options.get("extra_body")}.items():
        if (found := _not_finite(value)) is not None:
            raise InvalidParameter(
                f"{name}{found}; a finite number is expected", param=name, hint="JSON has no form for NaN and infinity"
            )


def _not_finite(value: object) -> str | None:
    """Return where in a value a number that is not finite stands, and which, e.g. "[0].x is nan"; None for none."""
    if isinstance(value, float):
        return None if math.isfinite(value) else f" is {value}"
    members: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for key, member in members:
        if (found := _not_finite(member)) is not None:
            return f"[{key}]{found}" if isinstance(key, int) else f".{key}{found}"
    return None


def _check_served(request: Request, target: Target) -> None:
    """Refuse what only a stage before this one could have served."""
    if request.operation not in target.operations:
        raise UnsupportedOperation(
            f"{target.provider} does not serve {request.operation}",
            provider=target.provider,
            hint=f"it serves: {', '.join(sorted(target.operations))}",
        )
    if request.operation != "create" and target.dialect.name != "responses":
        raise UnsupportedOperation(
            f"the dialect {target.dialect.name} does not serve {request.operation}",
            provider=target.provider,
            hint="leave out dialect=",
        )
    if ELSEWHERE in request.options and request.param("previous_response_id") is not None:
        raise refused(request.options[GIVEN], target.provider, target.base_url, "previous_response_id")


_EXTRAS = frozenset({"extra_headers", "extra_query"})


def _check_extras(options: Mapping[str, Any]) -> None:
    """Refuse headers and query fields that could only be sent as something else."""
    for option, kinds in (("extra_headers", str | Secret | int | float), ("extra_query", str | int | float)):
        for name, value in (options.get(option) or {}).items():
            several = value if option == "extra_query" and isinstance(value, list | tuple) else [value]
            if value is None:  # leaves it out
                continue
            if not isinstance(name, str):
                raise InvalidParameter(f"{option} has a name {name!r}; text is expected", param=option)
            for one in several:
                if not isinstance(one, kinds):
                    raise InvalidParameter(
                        f"{option}[{name!r}] is {type(one).__name__}; text is expected", param=option
                    )


def _drop(request: Request, policy: Policy, name: str, reason: str) -> None:
    """Do what the policy says with something that does not reach the host. "" as reason: it does not take it."""
    target = request.target
    assert target is not None
    if policy == "error" or name in _NEVER_DROPPED:
        may_drop = ', or pass drop="report" to go on without it' if name not in _NEVER_DROPPED else ""
        raise UnsupportedParameter(
            f"{target.provider} does not take {name}" + (f": {reason}" if reason else ""),
            provider=target.provider,
            model=target.model,
            param=name,
            hint=f"leave it out{may_drop}",
        )
    if policy == "report":
        request.context.drop(name, reason or f"{target.provider} does not take it")
