"""A finished response, told as a stream."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ..api import events as ev
from ..api.items import CustomToolCall, FunctionCall, Message, Reasoning
from ..api.parts import OutputText, ReasoningText, Refusal, SummaryText
from ..api.response import Response
from .assembler import Assembler
from .item_writers import MessageWriter


def replay(response: Response) -> list[ev.Event]:
    """Return a grammatical stream that tells a finished response: text by words, the terminal event with all of it."""
    assembler = Assembler({**response.to_dict(), "usage": None, "error": None, "incomplete_details": None})
    assembler.start()
    for item in response.output:
        _TELLERS.get(type(item), _tell_whole)(assembler, item)
    assembler.end_with(response)
    return assembler.events


def _tell_message(assembler: Assembler, item: Any) -> None:
    if item.role != "assistant":
        _tell_whole(assembler, item)
        return
    writer = assembler.message(_without(item, "content"))
    if isinstance(item.content, str):
        _tell_text(writer, item.content, {"type": "output_text", "text": item.content, "annotations": []})
        writer.close()
        return
    for part in item.content:
        fields = part.to_dict()
        if isinstance(part, OutputText):
            _tell_text(writer, part.text, fields)
        elif isinstance(part, Refusal):
            for word in _words(part.refusal):
                writer.refusal(word)
            writer.close_part(fields)
        else:
            writer.part(fields)
    writer.close()


def _tell_text(writer: MessageWriter, text: str, fields: dict[str, Any]) -> None:
    words = _words(text)
    if not words:
        writer.empty_text()
    for word in words:
        writer.text(word)
    annotations = fields.get("annotations")
    for annotation in annotations if isinstance(annotations, list) else ():
        writer.annotation(annotation)
    writer.close_part(fields)


def _tell_reasoning(assembler: Assembler, item: Any) -> None:
    writer = assembler.reasoning(_without(item, "summary", "content"))
    parts: tuple[tuple[Any, type[Any], Callable[[str], None]], ...] = (
        (item.summary, SummaryText, writer.summary),
        (item.content or (), ReasoningText, writer.text),
    )
    for members, known, write in parts:
        for part in members:
            if isinstance(part, known) and part.text:
                write(part.text)
                writer.close_part(part.to_dict())
    writer.close(**{name: value for name, value in item.to_dict().items() if name in ("summary", "content")})


def _tell_call(assembler: Assembler, item: Any) -> None:
    field = "arguments" if isinstance(item, FunctionCall) else "input"
    open_call = assembler.function_call if isinstance(item, FunctionCall) else assembler.custom_tool_call
    writer = open_call(_without(item, field))
    if text := getattr(item, field):
        writer.write(text)
    writer.close()


def _tell_whole(assembler: Assembler, item: Any) -> None:
    assembler.item(item.to_dict())


_TELLERS: dict[type[Any], Callable[[Assembler, Any], None]] = {
    Message: _tell_message,
    Reasoning: _tell_reasoning,
    FunctionCall: _tell_call,
    CustomToolCall: _tell_call,
}


def _without(item: Any, *names: str) -> dict[str, Any]:
    return {"id": "", **{name: value for name, value in item.to_dict().items() if name not in names}}


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*$|\s*\S+", text) if text.strip() else ([text] if text else [])
