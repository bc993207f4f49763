"""Names of one's own for models."""

from __future__ import annotations

from collections.abc import Mapping

from ..pipeline.errors import InvalidModel, did_you_mean
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Stage


class Rename(Stage, frozen=True):
    """Put the model that a name stands for in its place, so that programs say "fast" and one list says what that is.

    Place it outside ResponseIds, which looks at the provider. Stages before it see the name, stages after it the model.

    Args:
        models: the models by their names, e.g. {"fast": "groq/openai/gpt-oss-20b"}.
        strict: refuse every model that is not one of the names, so that callers cannot choose others.

    Raises:
        InvalidModel: with `strict`, for another model.
    """

    models: Mapping[str, str]
    strict: bool = False

    outside = ("target",)
    sets = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        asked = request.model
        found = self.models.get(asked) if asked is not None else None
        if found is not None:
            request = request.with_params(model=found)
        elif self.strict and asked is not None:
            raise InvalidModel(
                f'model "{asked}" is none of those that may be asked{did_you_mean(asked, self.models)}',
                param="model",
                hint=f"known: {', '.join(sorted(self.models))}",
            )
        return await call_next(request)
