"""Images and files of a message, as blocks of the Messages API.

Source: types of Anthropic's Python package 0.125 (`ImageBlockParam`, `DocumentBlockParam` and their sources), read
2026-11.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
from collections.abc import Iterable
from typing import Any, Final

from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Target
from .blocks import Block, string_of, unsupported

_PDF: Final = "application/pdf"
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTUAL: Final = frozenset({"application/json", "application/xml", "application/javascript", "application/x-yaml"})


def image(block: Block, target: Target, inline_only: bool = False) -> dict[str, Any]:
    """Return an image block."""
    part = block.value
    if part.get("image_url") is None:
        if isinstance(part.get("file_id"), str):
            return {"type": "image", "source": {"type": "file", "file_id": part["file_id"]}}
        raise InvalidParameter(f"{block.where} has neither image_url nor file_id", param="input")
    url = string_of(block, "image_url")
    if not url.startswith("data:"):
        if inline_only:
            raise unsupported(target, block, "fetches no images", _known(["data URLs"]))
        return {"type": "image", "source": {"type": "url", "url": url}}
    kind, data = _from_url(block, url)
    if kind not in _IMAGES:
        raise unsupported(target, block, f"takes no {kind or 'images of an unknown kind'}", _known(sorted(_IMAGES)))
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def document(block: Block, target: Target, inline_only: bool = False) -> dict[str, Any]:
    """Return a document block: a PDF, or text."""
    part, name = block.value, block.value.get("filename")
    if part.get("file_id") is not None:
        source: dict[str, Any] = {"type": "file", "file_id": string_of(block, "file_id")}
    elif part.get("file_url") is not None:
        if inline_only:
            raise unsupported(target, block, "fetches no files", _known(["file_data"]))
        source = {"type": "url", "url": string_of(block, "file_url")}
    else:
        source = _inside(block, target, string_of(block, "file_data"), name)
    sent: dict[str, Any] = {"type": "document", "source": source}
    return {**sent, "title": name} if isinstance(name, str) and name else sent


def _inside(block: Block, target: Target, given: str, name: object) -> dict[str, Any]:
    if given.startswith("data:"):
        kind, data = _from_url(block, given)
    else:
        kind, data = (mimetypes.guess_type(name)[0] if isinstance(name, str) else None) or _PDF, given
    if kind == _PDF:
        return {"type": "base64", "media_type": _PDF, "data": data}
    if not kind.startswith("text/") and kind not in _TEXTUAL:
        raise unsupported(target, block, f"takes no files of type {kind}", _known([_PDF, "text/*"]))
    try:
        text = base64.b64decode(data, validate=False).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidParameter(f"{block.where}.file_data is no text in base64: {error}", param="input") from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _from_url(block: Block, url: str) -> tuple[str, str]:
    """Return kind and base64 of a data URL."""
    head, comma, data = url[5:].partition(",")
    kind, *marks = head.split(";")
    if not comma or "base64" not in marks:
        raise InvalidParameter(f"{block.where} is a data URL without base64", param="input")
    return kind.strip().lower(), data


def _known(forms: Iterable[str]) -> str:
    return f"known: {', '.join(forms)}"
