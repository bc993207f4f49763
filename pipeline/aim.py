"""A call aimed at another target than the caller named: what goes along, and what must stay behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from .api.params import NAMES
from .errors import InvalidParameter, did_you_mean
from .request import Request
from .stage import Option

# What a call says about its own target only. Above all its key and address must never reach another host.
_OF_ITS_TARGET = (
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


class Aim(msgspec.Struct, frozen=True):
    """A target with what is particular there.

    Args:
        params: API parameters, `model` among them.
        options: call options.
    """

    params: dict[str, Any]
    options: dict[str, Any]

    @classmethod
    def of(cls, target: object, options: Mapping[str, Option], param: str | None = None) -> Self:
        """Read "provider/model", or a dict with `model`, parameters and options.

        Args:
            options: those that the chain's stages read.
            param: the name for messages.

        Raises:
            InvalidParameter: neither, an unknown name in it, or a key in plain text.
        """
        given = {"model": target} if isinstance(target, str) else target
        if not isinstance(given, Mapping) or not isinstance(given.get("model"), str):
            raise InvalidParameter(
                f'a target is {type(target).__name__}; "provider/model" or a dict with `model` is expected', param=param
            )
        params = {name: value for name, value in given.items() if name in NAMES["create"]}
        own = {name: value for name, value in given.items() if name not in params}
        for name, value in own.items():
            if name not in options:
                known = [*NAMES["create"], *options]
                raise InvalidParameter(
                    f'"{name}" of a target is neither a parameter of the API nor an option of the chain'
                    f"{did_you_mean(name, known)}",
                    param=param,
                )
            options[name].check(value)
            if options[name].secret and isinstance(value, str):
                raise InvalidParameter(
                    f"{name} of a target stands there in plain text, where every repr would show it",
                    param=param,
                    hint=f'write {name}=FromEnv("NAME") or Secret(...); keys in the usual variables need not be named',
                )
        return cls(params, own)

    @property
    def model(self) -> str:
        """The model string."""
        return str(self.params["model"])

    def at(self, request: Request, why: str) -> Request:
        """Return the call as it goes to this target. What it says about its own target is reported as dropped."""
        for name in _OF_ITS_TARGET:
            if name in request.options:
                request.context.drop(name, why)
        kept = {name: value for name, value in request.options.items() if name not in _OF_ITS_TARGET}
        return request.with_params(**self.params).replace(options={**kept, **self.options})


def named(target: object) -> str:
    """Return a target as pictures show it: its model, and the names, without values, of what is particular there."""
    if not isinstance(target, Mapping):
        return str(target)
    others = [name for name in target if name != "model"]
    return f"{target.get('model')} ({', '.join(others)})" if others else str(target.get("model"))
