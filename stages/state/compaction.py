"""Making a long conversation short by a model, for hosts that have no call for it.

What comes back has the form of the API's: the user's own messages, as they were, and then one item that stands for all
else. Hosts put an encrypted item there, which nobody else can read; here it is a message, which every model can.
Source: OpenAI API reference, Responses › Compact, read 2026-11.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, Final

from ...pipeline.api.items import Message
from ...pipeline.api.params import CompactParams, CreateParams
from ...pipeline.api.response import CompactedResponse, Response
from ...pipeline.api.wire import Wire
from ...pipeline.errors import APIResponseError

PROMPT: Final = """\
The conversation above has become too long and will be cut. Write down what is needed to go on with it as if it had not
been: what the user wants and has decided, what was found out or done (with names, numbers, paths, quotes and results of
tools exactly as they were), what is still open, and what was to come next. Do not answer the user, do not call tools,
and do not mention this request. Write plain text, as short as it can be without losing any of that.\
"""
"""What the model is asked, after the conversation."""

HEADING: Final = "Summary of the conversation so far, written by the assistant:\n\n"
"""What stands before the summary in the message that carries it."""


def question(params: CompactParams, items: list[Any]) -> CreateParams:
    """Return the call that asks a model for the summary of these items."""
    ask = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]}
    return CreateParams(
        model=params.model,
        input=[*items, ask],
        instructions=params.instructions,
        prompt_cache_key=params.prompt_cache_key,
        prompt_cache_options=params.prompt_cache_options,
        prompt_cache_retention=params.prompt_cache_retention,
        service_tier=params.service_tier,
        image=params.image,
        store=False,
    )


def compacted(items: Iterable[Any], answer: Response) -> CompactedResponse:
    """Return the conversation in its short form.

    Raises:
        APIResponseError: the model wrote no summary.
    """
    kept = [item for item in items if _is_users(item)]
    said = summary_item(answer)
    return CompactedResponse.new(
        id=f"cmp_{os.urandom(12).hex()}",
        created_at=int(time.time()),
        output=[*kept, said],
        usage=answer.usage,
    ).with_facts(answer.facts)


def summary_item(answer: Response) -> dict[str, Any]:
    """Return the message that carries the summary which a model was asked for.

    Raises:
        APIResponseError: it wrote none.
    """
    summary = answer.output_text.strip()
    if not summary or answer.status != "completed":
        raise APIResponseError(
            "the model wrote no summary" if not summary else "the model's summary was cut",
            response=answer,
            hint="compact with another model, or shorten the conversation by hand",
        )
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": HEADING + summary}]}


def _is_users(item: Any) -> bool:
    if isinstance(item, Wire):
        return isinstance(item, Message) and item.role == "user"
    return isinstance(item, dict) and item.get("role") == "user"
