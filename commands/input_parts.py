"""Files and addresses as parts of a call's input."""

from __future__ import annotations

import base64
import mimetypes
import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..pipeline.errors import InvalidParameter


def input_of(text: str, files: list[str]) -> Any:
    """Return the API's `input`: text alone, or a message of text and files."""
    if not files:
        return text
    parts = [part_of(file) for file in files]
    if text:
        parts.append({"type": "input_text", "text": text})
    return [{"role": "user", "content": parts}]


def part_of(where: str) -> dict[str, Any]:
    """Return a file, or what is at an address, as an input part.

    An image becomes `input_image`, text becomes `input_text` under the file's name, since every model reads text, and
    anything else `input_file`. The kind is told by the name's ending, and that it is text by its bytes.

    Raises:
        InvalidParameter: the file cannot be read.
    """
    if re.match(r"https?://", where):
        kind = _kind(PurePosixPath(urlsplit(where).path).name)
        if kind.startswith("image/"):
            return {"type": "input_image", "image_url": where, "detail": "auto"}
        return {"type": "input_file", "file_url": where}
    path = Path(where)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidParameter(f"the file {where} cannot be read: {error.strerror}") from error
    kind = _kind(path.name)
    if kind.startswith("image/") and kind != "image/svg+xml":
        return {"type": "input_image", "image_url": _data_url(kind, data), "detail": "auto"}
    if (text := _text(data)) is not None and kind != "application/pdf":
        return {"type": "input_text", "text": f"File {path.name}:\n\n{text}"}
    return {"type": "input_file", "filename": path.name, "file_data": _data_url(kind, data)}


def _kind(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _text(data: bytes) -> str | None:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
