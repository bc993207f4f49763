"""Messages of LangChain as items of the Responses API, and answers as messages. Loaded only by `langchain_model`.

Source of the forms: langchain-core 1.8, `langchain_core.messages` (read 2026-11): `AIMessage`, `ToolMessage`,
`UsageMetadata`, and the content blocks of `messages/content.py` beside the older ones of OpenAI's chat format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from .api import events as ev
from .api.items import FunctionCall, Message, Reasoning
from .api.parts import ReasoningText, Refusal, SummaryText
from .api.response import Response
from .api.wire import loads
from .errors import InvalidParameter

OUTPUT = "antiphon_output"
"""Under this name an `AIMessage` keeps its answer's items in `additional_kwargs`, so that they go back as they came."""


# --- on the way in --------------------------------------------------------------------------------------------------


def input_items(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return messages as the API's input.

    Raises:
        InvalidParameter: a message or a content block that the API has nothing for.
    """
    return [item for message in messages for item in _items(message)]


def _items(message: BaseMessage) -> list[dict[str, Any]]:
    match message:
        case AIMessage():
            return _answer_items(message)
        case ToolMessage():
            return [{"type": "function_call_output", "call_id": message.tool_call_id, "output": _content(message)}]
        case SystemMessage():
            role = message.additional_kwargs.get("__openai_role__", "system")  # LangChain's mark of a developer message
            return [{"role": role, "content": _content(message)}]
        case HumanMessage():
            return [{"role": "user", "content": _content(message)}]
        case ChatMessage():
            return [{"role": message.role, "content": _content(message)}]
        case _:
            raise InvalidParameter(
                f"the Responses API has nothing for a {type(message).__name__}",
                param="input",
                hint="give system, human, AI and tool messages",
            )


def _answer_items(message: AIMessage) -> list[dict[str, Any]]:
    """Return an answer's own items where it is one of ours, else its text and its calls."""
    own = message.additional_kwargs.get(OUTPUT)
    if own:
        return list(own)
    items: list[dict[str, Any]] = []
    if text := str(message.text):
        items.append({"role": "assistant", "content": text})
    calls: list[tuple[Any, Any, str]] = [
        (call["id"], call["name"], json.dumps(call["args"], ensure_ascii=False)) for call in message.tool_calls
    ]
    calls += [(call["id"], call["name"], call["args"] or "") for call in message.invalid_tool_calls]
    return items + [
        {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        for call_id, name, arguments in calls
    ]


def _content(message: BaseMessage) -> str | list[dict[str, Any]]:
    content: Any = message.content
    return content if isinstance(content, str) else [_part(block) for block in content]


def _part(block: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "input_text", "text": block}
    kind = str(block.get("type"))
    if kind in ("input_text", "input_image", "input_file"):
        return dict(block)
    if kind == "text":
        return {"type": "input_text", "text": block["text"]}
    if kind == "image_url":  # OpenAI's chat format
        image = block["image_url"]
        found = {"url": image} if isinstance(image, str) else image
        detail = {"detail": found["detail"]} if "detail" in found else {}
        return {"type": "input_image", "image_url": found["url"], **detail}
    if (sent := _SENT.get(kind)) is not None:
        # The older forms of such blocks have become this one in LangChain before they come here.
        if "base64" in block:
            data = f"data:{block.get('mime_type', 'application/octet-stream')};base64,{block['base64']}"
            return {"type": f"input_{kind}", **_file_name(kind, block), sent["base64"]: data}
        for name in ("url", "file_id"):
            if name in block:
                return {"type": f"input_{kind}", sent[name]: block[name]}
    raise InvalidParameter(
        f'the Responses API has nothing for a content block of type "{kind}"',
        param="input",
        hint="text, images and files can be sent",
    )


# What says where an image or a file is, and the API's name for it.
_SENT = {
    "image": {"url": "image_url", "base64": "image_url", "file_id": "file_id"},
    "file": {"url": "file_url", "base64": "file_data", "file_id": "file_id"},
}


def _file_name(kind: str, block: Mapping[str, Any]) -> dict[str, str]:
    """Return the name that the API wants with a file's data."""
    name = block.get("filename") or (block.get("extras") or {}).get("filename")
    return {"filename": str(name or "file")} if kind == "file" else {}


# --- on the way out -------------------------------------------------------------------------------------------------


def answer_message(response: Response) -> AIMessage:
    """Return an answer as a message: text, tool calls, reasoning, usage, and its own items for the way back."""
    calls: list[Any] = []
    invalid: list[Any] = []
    for call in response.function_calls:
        try:
            arguments = loads(call.arguments)
        except ValueError as error:
            arguments, said = None, str(error)
        else:
            said = "no JSON object"
        if isinstance(arguments, dict):
            calls.append({"type": "tool_call", "name": call.name, "args": arguments, "id": call.call_id})
        else:
            found = {"name": call.name, "args": call.arguments, "id": call.call_id, "error": said}
            invalid.append({"type": "invalid_tool_call", **found})
    said_so = _reasoning_text(response)
    return AIMessage(
        content=response.output_text,
        id=response.id or None,
        tool_calls=calls,
        invalid_tool_calls=invalid,
        additional_kwargs={**({"reasoning_content": said_so} if said_so else {}), **_beside(response)},
        response_metadata=_metadata(response),
        usage_metadata=_usage(response),
    )


def _reasoning_text(response: Response) -> str:
    return "\n\n".join(
        part.text
        for item in response.output
        if isinstance(item, Reasoning)
        for part in (*item.summary, *item.content)
        if isinstance(part, SummaryText | ReasoningText) and part.text
    )


def _beside(response: Response) -> dict[str, Any]:
    beside: dict[str, Any] = {OUTPUT: [item.to_dict() for item in response.output]}
    refusals = [
        part.refusal
        for item in response.output
        if isinstance(item, Message) and not isinstance(item.content, str)
        for part in item.content
        if isinstance(part, Refusal)
    ]
    if refusals:
        beside["refusal"] = "".join(refusals)
    if response.output_parsed is not None:
        beside["parsed"] = response.output_parsed
    return beside


def _metadata(response: Response) -> dict[str, Any]:
    meta = response.meta
    why = response.incomplete_details.reason if response.incomplete_details is not None else None
    found: dict[str, Any] = {
        "id": response.id,
        "model_name": response.model,
        "status": response.status,
        "incomplete_reason": why,
    }
    if meta.call_id:
        found |= {"provider": meta.provider, "request_id": meta.request_id, "attempts": len(meta.attempts)}
        found |= {"cost": meta.cost, "dropped": {item.name: item.reason for item in meta.dropped} or None}
    return {name: value for name, value in found.items() if value is not None}


def _usage(response: Response) -> Any:  # a UsageMetadata
    usage = response.usage
    if usage is None:
        return None
    written = usage.input_tokens_details.cache_write_tokens
    read = {"cache_read": usage.input_tokens_details.cached_tokens}
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "input_token_details": {**read, **({"cache_creation": written} if written else {})},
        "output_token_details": {"reasoning": usage.output_tokens_details.reasoning_tokens},
    }


class Chunks:
    """Makes the chunks of a streamed answer, which add up to the message of the plain one."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._reasoning_part: tuple[int, int] | None = None
        self._has_arguments: set[int] = set()

    def of(self, event: ev.Event) -> AIMessageChunk | None:
        """Return what an event adds; None when that is nothing that a message shows."""
        match event:
            case ev.OutputTextDelta():
                return self._chunk(event.delta)
            case ev.OutputItemAdded() if isinstance(item := event.item, FunctionCall):
                return self._call(event.output_index, item.arguments, name=item.name, call_id=item.call_id)
            case ev.FunctionCallArgumentsDelta():
                return self._call(event.output_index, event.delta)
            case ev.FunctionCallArgumentsDone() if event.output_index not in self._has_arguments:
                return self._call(event.output_index, event.arguments)
            case ev.ReasoningSummaryTextDelta():
                return self._reasoning((event.output_index, event.summary_index), event.delta)
            case ev.ReasoningTextDelta():
                return self._reasoning((event.output_index, event.content_index), event.delta)
            case ev.ResponseCreated():
                self._id = event.response.id
                return self._chunk("")
            case _:
                return None

    def last(self, response: Response) -> AIMessageChunk:
        """Return the chunk at the end, with usage and all that only the whole answer has."""
        chunk = self._chunk("", additional_kwargs=_beside(response), response_metadata=_metadata(response))
        chunk.usage_metadata = _usage(response)
        chunk.chunk_position = "last"
        return chunk

    def _chunk(self, text: str, **more: Any) -> AIMessageChunk:
        return AIMessageChunk(content=text, id=self._id, **more)

    def _call(self, index: int, arguments: str, name: str | None = None, call_id: str | None = None) -> AIMessageChunk:
        if arguments:
            self._has_arguments.add(index)
        piece = {"type": "tool_call_chunk", "name": name, "args": arguments, "id": call_id, "index": index}
        return self._chunk("", tool_call_chunks=[piece])

    def _reasoning(self, part: tuple[int, int], delta: str) -> AIMessageChunk:
        gap = "\n\n" if self._reasoning_part not in (None, part) else ""
        self._reasoning_part = part
        return self._chunk("", additional_kwargs={"reasoning_content": gap + delta})


# --- tools ----------------------------------------------------------------------------------------------------------


def api_tool(tool: Any, convert: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Return a tool in the API's form.

    Args:
        tool: a function, a class, a LangChain tool, or a dict in any form; one of the API's own kinds stays as it is.
        convert: LangChain's `convert_to_openai_tool`.
    """
    if isinstance(tool, Mapping) and tool.get("type") not in (None, "function", "object"):
        return dict(tool)
    found = convert(tool)
    inner = found.get("function")
    return {"type": "function", **inner} if isinstance(inner, Mapping) else found


def api_tool_choice(choice: Any) -> Any:
    """Return LangChain's `tool_choice` in the API's form: "any" and True ask for some call, a name for that tool."""
    if isinstance(choice, Mapping):
        inner = choice.get("function")
        return {"type": "function", "name": inner["name"]} if isinstance(inner, Mapping) else dict(choice)
    if isinstance(choice, bool) or choice is None:
        return "required" if choice else None
    return {"any": "required"}.get(choice, choice if choice in _CHOICES else {"type": "function", "name": choice})


_CHOICES = ("auto", "none", "required")
