"""Ask again when the answer does not fit."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from ..pipeline.api.params import CreateParams
from ..pipeline.errors import OutputInvalid
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Stage


class Reask(Stage, frozen=True):
    """Ask again when an answer does not fit the call's `text_format`, with the answer and what is wrong with it.

    Place it outside ParseOutput. Stages before it see one call; stages after it see every question. An answer that was
    cut or refused is not asked for again. Streamed calls pass through: their events have been shown by the time the
    answer is known to be wrong, so their `OutputInvalid` reaches the reader.

    Args:
        max: further questions at most; >= 0.

    Raises:
        OutputInvalid: the last answer's, when none fits.
    """

    max: Annotated[int, Meta(ge=0)] = 1

    sets = ()
    calls_again_for = "question"

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.streamed or not isinstance(request.params, CreateParams):
            return await call_next(request)
        for _ in range(self.max):
            try:
                return await call_next(request)
            except OutputInvalid as error:
                request = _with_complaint(request, error)
        return await call_next(request)


def _with_complaint(request: Request, error: OutputInvalid) -> Request:
    """Return the request with the answer and what is wrong with it; a conversation at the host has all but the latter.

    The answer goes along as its text: the items of a response that is not stored could not be sent again.
    """
    params = request.params
    assert isinstance(params, CreateParams)
    complaint = {
        "role": "user",
        "content": f"This is not the JSON that was asked for: {error.validation}\nAnswer again, with the whole JSON.",
    }
    if params.conversation is not None:
        return request.with_params(input=[complaint])
    answer = [{"role": "assistant", "content": error.text}] if error.text else []
    return request.with_params(input=[*_items(params.input), *answer, complaint])


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    return list(value or ())
