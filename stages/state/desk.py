"""What one call of the stage Remember works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...pipeline.api.response import Response
from ...pipeline.context import CallContext
from ...pipeline.errors import AntiphonError
from ...pipeline.reply import Outcome
from ...pipeline.request import Request
from ...pipeline.runtimes.tasks import Task
from ...pipeline.signals import ResponseSettled
from .shelf import Shelf

if TYPE_CHECKING:
    from ..remember import Remember


class Desk(msgspec.Struct, frozen=True):
    """The settings of the stage, the call, and its part of the store.

    Args:
        owner: names this client in leases.
        running: the background responses that are worked on by this client, by reference.
    """

    stage: Remember
    request: Request
    shelf: Shelf
    owner: str
    running: dict[str, Task]

    @property
    def context(self) -> CallContext:
        """The call's context."""
        return self.request.context

    def not_kept(self, error: AntiphonError) -> None:
        """Tell the caller that the answer is here, and will not be there later."""
        self.context.note(f"the response was not kept: {error.message}")


def tell_settled(context: CallContext, public_id: str, response: Response) -> None:
    """Tell observers that a background response has come to its end. Whoever has written the end calls it."""
    if context.sinks:
        context.emit(
            ResponseSettled(
                call_id=context.id,
                operation=context.operation,
                at_s=context.runtime.now(),
                response_id=public_id,
                outcome=Outcome.of_response(response).kind,
                usage=response.usage,
            )
        )
