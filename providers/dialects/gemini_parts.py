"""Parts of messages and results, in the form of generateContent: text, bytes (`inlineData`) and files (`fileData`).

The type of a file's content must be known: it is read from a data URL, else guessed from the name. A URL goes out as it
is: files of Google's own store, videos of YouTube, and for newer models any public address (Gemini API documentation,
Files and Video understanding, read 2026-11).
"""

from __future__ import annotations

import mimetypes
from typing import Any, Final

from ...pipeline.api.wire import embed
from ...pipeline.request import Drop, Target
from .blocks import Block, string_of, unsupported
from .values import plain

TEXTS: Final = ("input_text", "output_text")
_KNOWN: Final = {
    "input_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "output_text": frozenset({"type", "text", "annotations", "logprobs"}),
    "input_image": frozenset({"type", "image_url", "file_id", "detail"}),
    "input_file": frozenset({"type", "file_id", "file_data", "file_url", "filename", "detail"}),
    "input_audio": frozenset({"type", "input_audio"}),
}
"""Fields of a part that have code below; others are the host's own (`videoMetadata`), sent as they are."""


class Parts:
    """Writes the parts of users' and systems' messages, and of results."""

    __slots__ = ("_drop", "_target")

    def __init__(self, target: Target, drop: Drop) -> None:
        self._target, self._drop = target, drop

    def part(self, block: Block) -> dict[str, Any]:
        """Return a part.

        Raises:
            UnsupportedParameter: one that Gemini has no form for.
        """
        part, kind = block.value, block.value.get("type")
        if kind in TEXTS:
            sent: dict[str, Any] = {"text": string_of(block, "text")}
        elif kind == "input_image":
            sent = self._image(block)
        elif kind == "input_file":
            sent = self._file(block)
        elif kind == "input_audio":
            audio = plain(part.get("input_audio"), f"{block.where}.input_audio")
            sent = _inline(f"audio/{audio.get('format') or 'wav'}", audio.get("data"))
        else:
            raise unsupported(
                self._target, block, "takes no such part", "known: input_text, input_image, input_file, input_audio"
            )
        for name in sorted(part.keys() - _KNOWN[kind]):
            if name == "prompt_cache_breakpoint":
                self._drop(f"{block.where}.{name}", "Gemini's cache has no marks")
            elif part[name] is not None:
                sent[name] = embed(part[name])
        if part.get("detail") not in (None, "auto"):
            self._drop(f"{block.where}.detail", "Gemini has no such field; pass mediaResolution")
        return sent

    def _image(self, block: Block) -> dict[str, Any]:
        if block.value.get("image_url") is None and block.value.get("file_id"):
            return _file(string_of(block, "file_id"), None)
        url = string_of(block, "image_url")
        return _data(url) or _file(url, _guess(url))

    def _file(self, block: Block) -> dict[str, Any]:
        part = block.value
        guess = _guess(part.get("filename"))
        if part.get("file_data") is not None:
            data = string_of(block, "file_data")
            if found := _data(data):
                return found
            if guess is None:
                hint = 'send it as a data URL ("data:application/pdf;base64,..."), or with a filename that tells'
                raise unsupported(self._target, block, "must know what kind of file it is", hint)
            return _inline(guess, data)
        for field in ("file_id", "file_url"):
            if part.get(field) is not None:
                url = string_of(block, field)
                return _file(url, guess or _guess(url))
        raise unsupported(self._target, block, "finds no file in it", "give file_data, file_url or file_id")


def _data(url: str) -> dict[str, Any] | None:
    """Return the bytes of a data URL."""
    if not url.startswith("data:"):
        return None
    head, _, data = url[5:].partition(",")
    return _inline(head.partition(";")[0] or "text/plain", data)


def _inline(mime: str, data: object) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}


def _file(url: str, mime: str | None) -> dict[str, Any]:
    return {"fileData": {"fileUri": url} if mime is None else {"mimeType": mime, "fileUri": url}}


def _guess(name: object) -> str | None:
    if not isinstance(name, str):
        return None
    return mimetypes.guess_type(name.partition("?")[0])[0]
