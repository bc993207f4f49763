"""What an MCP tool gives back, for the model and for the response.

The model gets text as text and images as images; whatever else there is goes along as JSON. The `mcp_call` item of the
response has one text field: plain text where the result is nothing else, else the JSON list of all content blocks.

Source: Model Context Protocol 2026-07-28, Server Features › Tools › Tool Result; OpenAI API reference, Responses ›
Create › input › MCP tool call and function tool call output, read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from ...mcp.errors import McpError, McpServerError
from ...mcp.types import ToolResult
from ...pipeline.api.wire import encode, loads

FAILED_SILENTLY = "the tool failed and does not say why"


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended.

    Args:
        output: for the model: text, or the API's input parts.
        shown: fields of the `mcp_call` item: `output` or `error`, and `status`.
        error: what went wrong, in a few words for observers; None when nothing did.
        kind: for observers.
    """

    output: Any
    shown: Mapping[str, Any] = {}
    error: str | None = None
    kind: str = "completed"


def said(result: ToolResult, most_chars: int) -> tuple[Said, bool]:
    """Return how a call that brought a result ended, and whether its text was cut.

    Args:
        most_chars: the longest text that the model gets; the middle of what is longer is left out.
    """
    blocks = list(result.content)
    if result.structured is not None and not _tells(blocks, result.structured):
        blocks.append({"type": "text", "text": _json(result.structured)})
    blocks, cut = _cut(blocks, most_chars)
    parts = [_part(block) for block in blocks]
    text = "\n".join(part["text"] for part in parts if part["type"] == "input_text")
    if result.is_error:
        words = text or FAILED_SILENTLY
        error = {"type": "mcp_tool_execution_error", "content": blocks or [{"type": "text", "text": words}]}
        shown = {"status": "failed", "output": None, "error": error}
        return Said(output=_marked(words), shown=shown, error="tool_error", kind="failed"), cut
    is_text = all(_is_text(block) for block in blocks)
    shown = {"status": "completed", "output": text if is_text else _json(blocks), "error": None}
    return Said(output=parts if any(part["type"] != "input_text" for part in parts) else text, shown=shown), cut


def failed(error: BaseException, words: str) -> Said:
    """Return how a call ended that brought no result."""
    code = error.rpc_code if isinstance(error, McpServerError) else None
    status = error.status if isinstance(error, McpError) else None
    if status is not None and code is None:
        shown: dict[str, Any] = {"type": "http_error", "code": status, "message": words}
    else:
        shown = {"type": "mcp_protocol_error", "code": code if code is not None else -32603, "message": words}
    return Said(
        output=_marked(words),
        shown={"status": "failed", "output": None, "error": shown},
        error=type(error).__name__,
        kind="timeout" if isinstance(error, TimeoutError) else "failed",
    )


def refused(words: str, kind: str = "refused") -> Said:
    """Return how a call ended that was not made."""
    error = {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": words}]}
    return Said(
        output=_marked(words), shown={"status": "failed", "output": None, "error": error}, error=kind, kind=kind
    )


def shown_parts(output: str) -> Any:
    """Return what the model gets for the `output` of an `mcp_call` that is sent back: the parts that it was made of."""
    if not output.startswith('[{"'):
        return output
    try:
        blocks = loads(output)
    except msgspec.DecodeError:
        return output
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and "type" in block for block in blocks):
        return output
    parts = [_part(block) for block in blocks]
    return parts if any(part["type"] != "input_text" for part in parts) else output


def error_text(error: Any) -> str:
    """Return what the model is told of the `error` of an `mcp_call` that is sent back."""
    if isinstance(error, Mapping):
        content = error.get("content")
        if isinstance(content, list):
            said = [str(block.get("text") or _json(block)) for block in content if isinstance(block, dict)]
            return _marked("\n".join(said) or FAILED_SILENTLY)
        return _marked(str(error.get("message") or FAILED_SILENTLY))
    return _marked(error if isinstance(error, str) else FAILED_SILENTLY)


def without_images(output: Any) -> Any:
    """Return an output for a host that takes no images in it: a line of text for each."""
    if isinstance(output, str):
        return output
    lines = [
        part["text"] if part.get("type") == "input_text" else "[an image, which cannot be shown here]"
        for part in output
    ]
    return "\n".join(lines)


def _marked(words: str) -> str:
    return words if words[:5].lower() == "error" else f"Error: {words}"


def _is_text(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "text" and isinstance(block.get("text"), str)


def _part(block: Mapping[str, Any]) -> dict[str, Any]:
    if _is_text(block):
        return {"type": "input_text", "text": block["text"]}
    if block.get("type") == "image" and isinstance(block.get("data"), str):
        url = f"data:{block.get('mimeType') or 'image/png'};base64,{block['data']}"
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    return {"type": "input_text", "text": _json(block)}


def _tells(blocks: list[dict[str, Any]], structured: Any) -> bool:
    """Tell whether the text blocks are the structured content, as servers should send it."""
    texts = [block["text"] for block in blocks if _is_text(block)]
    if any(_is_json_of(text, structured) for text in texts):
        return True
    if not isinstance(structured, dict) or structured.keys() != {"result"}:
        return False
    # What the official Python SDK makes of a value that is no object: {"result": value}, and a block for each member.
    value = structured["result"]
    members = value if isinstance(value, list) else [value]
    return len(members) == len(texts) and all(
        text == str(member) or _is_json_of(text, member) for text, member in zip(texts, members, strict=True)
    )


def _is_json_of(text: str, value: Any) -> bool:
    try:
        return bool(loads(text) == value)
    except msgspec.DecodeError:
        return False


def _cut(blocks: list[dict[str, Any]], most: int) -> tuple[list[dict[str, Any]], bool]:
    """Leave out the middle of text that is too long, block by block."""
    total = sum(len(block["text"]) if _is_text(block) else 0 for block in blocks)
    others = [block for block in blocks if not _is_text(block) and block.get("type") not in ("image", "audio")]
    if total <= most and all(len(_json(block)) <= most for block in others):
        return blocks, False
    left, cut = most, []
    for block in blocks:
        text = block["text"] if _is_text(block) else _json(block) if block in others else ""
        if len(text) <= left:
            left -= len(text)
            cut.append(block)
            continue
        head, tail = left - left // 3, left // 3
        gone = len(text) - left
        note = f"\n[{gone} characters are left out here]\n"
        cut.append({"type": "text", "text": text[:head] + note + (text[-tail:] if tail else "")})
        left = 0
    return cut, True


def _json(value: Any) -> str:
    try:
        return encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
