"""Parameters that calls have unless they give their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ..pipeline.api.params import NAMES
from ..pipeline.errors import StageError, did_you_mean
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage


class Defaults(Stage, frozen=True):
    """Give calls these parameters unless they have their own.

    Unlike what is bound to a chain it may be limited to some models, and its position counts: outside a Fallback it
    looks at the model that was asked for, inside at each one that is asked.

    Args:
        params: API parameters by name, e.g. {"temperature": 0, "store": False}.
        models: patterns of model strings for which they hold, e.g. ("openai/*", "azure/gpt-5*"); () for all.

    Raises:
        StageError: when the chain is first run, for a name that is no parameter of the API.
    """

    params: Mapping[str, Any]
    models: Sequence[str] = ()

    sets = ()

    def setup(self, scope: Scope) -> object:
        for name in self.params:
            if name not in NAMES["create"]:
                raise StageError(
                    f'stage Defaults: the API has no parameter "{name}"{did_you_mean(name, NAMES["create"])}',
                    hint="options of the chain's stages are bound: chain.bind(timeout=30)",
                )
        return None

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        names = NAMES[request.operation]
        missing = {name: value for name, value in self.params.items() if name in names and request.param(name) is None}
        if missing and self._holds_for(request.model or ""):
            request = request.with_params(**missing)
        return await call_next(request)

    def _holds_for(self, model: str) -> bool:
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)
