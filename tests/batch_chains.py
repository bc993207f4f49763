"""Chains for tests of batches, in a module that workers in other processes can import."""

from __future__ import annotations

import os
from typing import Any

from hand_made import answer, given

from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import OverloadedError
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request


class Odd(Exception):
    """An exception that is pickled, and never comes back."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


@stage(terminal=True)
async def spell(request: Request, call_next: Handler) -> Reply:
    """Answer with the input in capitals, or do what it says."""
    said = given(request).input
    match said:
        case "busy":
            raise OverloadedError("no room", provider="p", status=503, code="busy", body={"error": 1}, retry_after_s=2)
        case "odd":
            raise Odd("one", "two")
        case "die":
            os._exit(3)
        case _:
            pass
    return answer(said.upper(), metadata={"pid": str(os.getpid())})


SPELL = Chain([spell], name="spell")


def told(result: Any) -> tuple[str, str]:
    """Return the kind and the text of a result, to be compared between workers."""
    return type(result).__name__, str(result) if isinstance(result, Exception) else result.output_text
