"""One answer on the terminal: its text as it comes, what tools did, and what the reader should know besides."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..client import Client
from ..pipeline.api import events as ev
from ..pipeline.api import items
from ..pipeline.api.parts import Refusal
from ..pipeline.api.response import Response
from ..pipeline.errors import APIResponseError
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.streams.stream_views import WholeText
from . import terminal

_SHOWN = 200  # characters of what a tool said

Call = dict[str, Any]
"""The keywords of `Client.responses`, the input among them."""


def converse(client: Client, call: Call, show: Callable[[Call], Response]) -> Response:
    """Make a call, and go on with it as long as tools wait for the user's approval; return the last response.

    Args:
        show: makes one call and shows its answer.
    """
    response = show(call)
    while waiting := [item for item in response.output if isinstance(item, items.McpApprovalRequest)]:
        answers = [
            {"type": "mcp_approval_response", "approval_request_id": item.id, "approve": _is_approved(item)}
            for item in waiting
        ]
        response = show({**call, "input": answers, "previous_response_id": response.id})
    return response


def _is_approved(item: items.McpApprovalRequest) -> bool:
    """Ask on the terminal; nobody to ask means no."""
    question = f"{item.server_label} wants to run {item.name}({item.arguments})"
    if not terminal.is_terminal(sys.stdin):
        terminal.note(f"{question}: not approved, since there is no terminal to ask on")
        return False
    print(f"{terminal.shown(question, sys.stderr)}  [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def show_stream(stream: EventStream, *, tools: bool) -> Response:
    """Write the text of a stream as it comes; return the final response. The stream is closed, however it ends.

    Args:
        tools: whether to tell of calls of tools.

    Raises:
        APIError: the response failed, or the stream broke; what had come is written.
    """
    last, ended, whole = "", True, WholeText()
    with stream:
        try:
            for event in stream:
                if isinstance(event, ev.OutputTextDelta):
                    text = whole.of(event.delta)
                    if event.item_id != last and not ended:
                        terminal.write("\n")
                    # Noted before it is written: Ctrl-C may come in between.
                    last, ended = event.item_id, text.endswith("\n") if text else ended
                    terminal.write(text)
                elif tools and isinstance(event, ev.OutputItemDone):
                    if not ended:
                        terminal.write("\n")
                        ended = True
                    show_item(event.item)
        finally:
            if not ended:
                terminal.write("\n")
    if stream.response is None:
        raise APIResponseError("the stream ended without a response")
    return stream.response


def show_text(response: Response, *, tools: bool) -> None:
    """Write the text of a whole response."""
    for item in response.output:
        if tools:
            show_item(item)
        if isinstance(item, items.Message) and item.text:
            terminal.write(item.text if item.text.endswith("\n") else f"{item.text}\n")


def show_item(item: items.AnyItem | None) -> None:
    """Tell what a tool was called with, and what it said, in a line each."""
    if isinstance(item, items.McpCall):
        terminal.note(f"· {item.name}({item.arguments})")
        said = item.error.message if item.error is not None else item.output
        terminal.note(f"  {'failed: ' if item.error is not None else ''}{terminal.cut(said or '', _SHOWN)}")
    elif isinstance(item, items.McpListTools) and item.error:
        terminal.note(f"· the tools of {item.server_label} are not there: {terminal.cut(item.error, _SHOWN)}")


def show_notes(response: Response) -> None:
    """Say what the text alone does not: what was left out, cut, refused, or is no text at all."""
    for dropped in response.meta.dropped:
        terminal.note(f"note: {dropped.name} was not sent: {dropped.reason}")
    for said in response.meta.notes:
        terminal.note(f"note: {said}")
    if response.status == "incomplete":
        details = response.incomplete_details
        terminal.note(f"note: the answer was cut: {details.reason if details is not None else 'no reason given'}")
    elif response.status not in (None, "completed"):
        terminal.note(f"note: the response is {response.status}; its id is {response.id}")
    for item in response.output:
        if isinstance(item, items.Message) and not isinstance(item.content, str):
            for part in item.content:
                if isinstance(part, Refusal):
                    terminal.note(f"note: the model refused: {part.refusal}")
        elif isinstance(item, items.FunctionCall):
            terminal.note(f"note: the model calls {item.name}({item.arguments}), which nobody here runs")
    if not response.output_text and response.output:
        kinds = ", ".join(dict.fromkeys(item.type for item in response.output))
        terminal.note(f"note: no text; the response holds: {kinds} (--json shows it)")
