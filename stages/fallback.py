"""Ask another target when one fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ..pipeline import errors
from ..pipeline.errors import AntiphonError, InvalidParameter, StageError, did_you_mean
from ..pipeline.event_stream import committed
from ..pipeline.params import NAMES
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Option, Scope, Stage

FallbackTarget: TypeAlias = "str | dict[str, Any]"

# What a call says about its first target only. Above all its key and address must never reach another host.
_OF_THE_FIRST = (
    "api_key",
    "api_base",
    "base_url",
    "custom_llm_provider",
    "dialect",
    "mock_response",
    "extra_headers",
    "extra_query",
    "extra_body",
    "api_version",
    "azure_ad_token",
    "azure_ad_token_provider",
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_profile_name",
    "vertex_credentials",
)

_USUAL = (
    "APIConnectionError",
    "APIResponseError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "RateLimitError",
    "InternalServerError",
    "ContextWindowExceededError",
    "MissingKey",
)


class Fallback(Stage, frozen=True):
    """Ask another target when one fails.

    It stands outside Resolve, so that all of a target is decided anew: address, key, API format, limits. Stages before
    it see one call; stages after it see one for each target. A stream goes to another target only until its first
    content, since a second answer would be shown after the beginning of a first one.

    What a call says about its first target (key, address, API format, `extra_headers`, `extra_query`, `extra_body`)
    is left behind, and reported in `meta.dropped`; a further target has its own in its place in the list.

    Args:
        targets: the further ones in their order: "provider/model", or a dict with `model` and what else is
            particular, e.g. {"model": "azure/gpt-5", "api_base": ..., "max_output_tokens": 900}. The call option
            `fallbacks` wins.
        on: class names of the errors, subclasses included, after which another target is asked. By default those that
            another host may not share; a call that is wrong in itself (400, 422) would be wrong there too.

    Raises:
        The last target's error; its notes (`error.__notes__`) name the ones before.
    """

    targets: tuple[FallbackTarget, ...] = ()
    on: tuple[str, ...] = _USUAL

    options = (Option("fallbacks", (list, tuple), "further models to ask, in this order, when the first one fails"),)
    outside = ("target",)
    sets = ()

    def setup(self, scope: Scope) -> object:
        return _Rules(_classes(self.on), scope.options, [_aim(target, scope.options) for target in self.targets])

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        rules = request.context.state_of(self, _Rules)
        given = request.options.get("fallbacks")
        aims = rules.aims if given is None else [_aim(target, rules.options) for target in given]
        if not aims or request.operation != "create":
            return await call_next(request)
        failed: list[str] = []
        asked, dropped = request, list(request.context.dropped)
        for aim in [*aims, None]:
            try:
                return await committed(await call_next(asked), asked)
            except AntiphonError as error:
                for line in failed:
                    error.add_note(line)
                if aim is None or not self._goes_on(request, error, rules):
                    raise
                failed.append(f"asked before: {asked.model}: {type(error).__name__}: {error.message}")
            request.context.dropped[:] = dropped  # what is told in the end is what did not reach who answers
            asked = _aimed(request, aim)
        raise AssertionError("the loop returns or raises")

    def _goes_on(self, request: Request, error: AntiphonError, rules: _Rules) -> bool:
        if not isinstance(error, rules.kinds) or not request.context.time_left():
            return False
        kept = next((name for name in _KEPT_THERE if request.param(name) is not None), None)
        if kept is not None:
            error.add_note(f"no other target was asked: {kept} is known to this one only")
        return kept is None


# What a target keeps, and no other one has.
_KEPT_THERE = ("previous_response_id", "conversation")

_Aim: TypeAlias = "tuple[dict[str, Any], dict[str, Any]]"


class _Rules:
    """What `setup` found out: the errors after which it goes on, the chain's options, the targets of the setting."""

    __slots__ = ("aims", "kinds", "options")

    def __init__(self, kinds: tuple[type[AntiphonError], ...], options: Mapping[str, Option], aims: list[_Aim]) -> None:
        self.kinds = kinds
        self.options = options
        self.aims = aims


def _classes(names: tuple[str, ...]) -> tuple[type[AntiphonError], ...]:
    known = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AntiphonError)
    }
    for name in names:
        if name not in known:
            raise StageError(f'stage Fallback: there is no error class "{name}"{did_you_mean(name, known)}')
    return tuple(known[name] for name in names)


def _aim(target: object, options: Mapping[str, Option]) -> _Aim:
    """Return the parameters and the options of a further target.

    Raises:
        InvalidParameter: neither text nor a dict with `model`, an unknown name in it, or a key in plain text.
    """
    given = {"model": target} if isinstance(target, str) else target
    if not isinstance(given, Mapping) or not isinstance(given.get("model"), str):
        raise InvalidParameter(
            f'a fallback is {type(target).__name__}; "provider/model" or a dict with `model` is expected',
            param="fallbacks",
        )
    params = {name: value for name, value in given.items() if name in NAMES["create"]}
    own = {name: value for name, value in given.items() if name not in params}
    for name, value in own.items():
        if name not in options:
            known = [*NAMES["create"], *options]
            raise InvalidParameter(
                f'"{name}" of a fallback is neither a parameter of the API nor an option of the chain'
                f"{did_you_mean(name, known)}",
                param="fallbacks",
            )
        options[name].check(value)
        if options[name].secret and isinstance(value, str):
            raise InvalidParameter(
                f"{name} of a fallback stands there in plain text, where every repr would show it",
                param="fallbacks",
                hint=f'write {name}=FromEnv("NAME") or Secret(...); keys in the usual variables need not be named',
            )
    return params, own


def _aimed(request: Request, aim: _Aim) -> Request:
    """Return the call as it goes to a further target."""
    params, own = aim
    for name in _OF_THE_FIRST:
        if name in request.options:
            request.context.drop(name, "it belongs to the first target, which failed")
    kept = {name: value for name, value in request.options.items() if name not in _OF_THE_FIRST}
    return request.with_params(**params).replace(options={**kept, **own})
