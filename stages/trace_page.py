"""A trace file as a page to look at, and as lines in a terminal."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

if TYPE_CHECKING:
    from .trace import CallRecord

_MARK = b"/*CALLS*/[]"


def render_trace(calls: Iterable[CallRecord], *, title: str = "trace") -> bytes:
    """Return one HTML page that shows the calls: self-contained, without network, UTF-8.

    Args:
        calls: what `read_trace` returns.
        title: of the page.
    """
    page = Path(__file__).with_name("trace_page.html").read_bytes()
    # No "<" can end the script that holds the data. U+2028 and U+2029 are fine in today's JavaScript.
    data = msgspec.json.encode(list(calls)).replace(b"<", b"\\u003c")
    head, _, tail = page.partition(_MARK)
    return head.replace(b"TITLE", _escaped(title).encode()) + data + tail


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def trace_line(call: CallRecord, *, colour: bool = False) -> str:
    """Return one call as a line for people."""
    at = datetime.datetime.fromtimestamp(call.started).strftime("%H:%M:%S")
    target = f"{call.provider}/{call.asked}" if call.provider and call.asked else call.model or call.operation
    facts: list[str] = [f"{call.duration_s:.2f} s"]
    if call.first_event_s is not None:
        facts.append(f"first event {call.first_event_s:.2f} s")
    if call.input_tokens is not None:
        facts.append(f"{call.input_tokens}→{call.output_tokens} tokens")
    if call.cost is not None:
        facts.append(f"${call.cost:.6f}")
    if len(call.attempts) > 1:
        facts.append(f"{len(call.attempts)} attempts")
    facts += [f"{tool.name} {tool.outcome}" for tool in call.tools]
    if call.error is not None:
        facts.append(f"{call.error}: {call.message}" if call.message else call.error)
    outcome = f"{call.outcome:<10}"
    if colour:
        shade = {"completed": 32, "failed": 31}.get(call.outcome, 33)
        outcome = f"\x1b[{shade}m{outcome}\x1b[0m"
    return f"{at}  {outcome} {target}  {', '.join(facts)}"


def follow(file: BinaryIO, wait: Callable[[], Any] = lambda: time.sleep(0.25)) -> Iterator[bytes]:
    """Yield the lines of a file as they come, for ever; one that is not whole yet is waited for.

    Args:
        file: at the place to begin from.
        wait: between two looks.
    """
    rest = b""
    while True:
        data = file.readline()
        if not data:
            wait()
            continue
        rest += data
        if rest.endswith(b"\n"):
            yield rest
            rest = b""
