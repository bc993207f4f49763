"""A call's keywords: the API's parameters, and the options that the engine and the chain's stages read."""

from __future__ import annotations

from typing import Any

from .api.params import NAMES, NULL, PARAMS, Operation, Params
from .errors import CallError, UnknownKeyword, did_you_mean
from .stage import Option

ENGINE_OPTIONS = {
    option.name: option
    for option in (
        Option("timeout", (object,), "seconds for the whole call, or antiphon.Timeouts"),
        Option("hooks", (list, tuple), "functions that get this call's signals"),
        Option("trace", (bool,), "note the time spent in each stage on reply.meta.stages"),
    )
}
"""Call options that every chain accepts, since the engine itself reads them."""


def split_keywords(
    operation: Operation, keywords: dict[str, Any], known: dict[str, Option], chain: str
) -> tuple[Params, dict[str, Any]]:
    """Split a call's keywords into API parameters and call options; None means "not given" for both.

    Raises:
        UnknownKeyword: neither the API nor a stage of the chain knows it.
        InvalidParameter: an option of the wrong type.
    """
    names = NAMES[operation]
    params: dict[str, Any] = {}
    options: dict[str, Any] = {}
    nulls: dict[str, None] = {}
    for name, value in keywords.items():
        if name in names:
            if value is NULL:
                nulls[name] = None
            elif value is not None:
                params[name] = value
            continue
        if value is None:
            if name in known or name in ENGINE_OPTIONS:
                continue
        elif (option := known.get(name) or ENGINE_OPTIONS.get(name)) is not None:
            if value.__class__ not in option.types:
                option.check(value)
            options[name] = option.masked(value) if option.secret else value
            continue
        raise _unknown_keyword(name, [*names, *known, *ENGINE_OPTIONS], chain)
    if nulls:
        if "extra_body" not in known:
            raise CallError('NULL needs a chain whose stages read "extra_body"', hint="keep Transform in the chain")
        options["extra_body"] = {**nulls, **options.get("extra_body", {})}
    return PARAMS[operation](**params), options


def _unknown_keyword(name: str, known: list[str], chain: str) -> UnknownKeyword:
    return UnknownKeyword(
        f'"{name}" is neither a parameter of the API nor an option of a stage in chain "{chain}"'
        f"{did_you_mean(name, known)}",
        param=name,
        hint=f'a parameter that is newer than this library goes into extra_body={{"{name}": ...}}',
    )
