"""Images, documents, sounds and films of a message, as blocks of Converse.

They are sent as bytes, or lie in Amazon's S3 (`s3://bucket/key`); the host fetches nothing else. A document has a name,
which the model reads: it is cleaned of what the host refuses, and no two of one request are the same.

Source: botocore 1.44, `ImageBlock`, `DocumentBlock`, `AudioBlock`, `VideoBlock`, and the documentation in it, read
2026-11.
"""

from __future__ import annotations

import mimetypes
import re
from typing import Any, Final

from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Target
from .blocks import Block, string_of, unsupported
from .values import plain

_IMAGES: Final = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENTS: Final = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_VIDEOS: Final = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_AUDIOS: Final = frozenset(
    {"mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga", "pcm", "webm"}
)
_ODD: Final = re.compile(r"[^0-9A-Za-z\-()\[\] ]+")
_NAME_LENGTH: Final = 200


class Media:
    """Writes the parts of one request that are no text."""

    __slots__ = ("_names", "_target")

    def __init__(self, target: Target) -> None:
        self._target = target
        self._names: set[str] = set()

    def image(self, block: Block) -> dict[str, Any]:
        """Return an image block."""
        if block.value.get("image_url") is None:
            raise unsupported(self._target, block, "keeps no files", "send the image as a data URL, or s3://…")
        kind, source = self._source(block, string_of(block, "image_url"))
        form = _IMAGES.get(kind)
        if form is None:
            raise unsupported(self._target, block, f"takes no {kind or 'images of an unknown kind'}", _known(_IMAGES))
        return {"image": {"format": form, "source": source}}

    def file(self, block: Block) -> dict[str, Any]:
        """Return the block for a file: a document, an image or a film."""
        part, name = block.value, block.value.get("filename")
        if part.get("file_id") is not None:
            raise unsupported(self._target, block, "keeps no files", "send the file's bytes in file_data, or s3://…")
        field = "file_data" if part.get("file_url") is None else "file_url"
        given = string_of(block, field)
        if field == "file_data" and not given.startswith("data:"):
            kind, source = "", {"bytes": given}
        else:
            kind, source = self._source(block, given)
        kind = kind or _kind_of(name) or "application/pdf"
        if kind in _IMAGES:
            return {"image": {"format": _IMAGES[kind], "source": source}}
        if kind in _VIDEOS:
            return {"video": {"format": _VIDEOS[kind], "source": source}}
        form = _DOCUMENTS.get(kind) or ("txt" if kind.startswith("text/") else None)
        if form is None:
            raise unsupported(self._target, block, f"takes no files of type {kind}", _known(_DOCUMENTS))
        document: dict[str, Any] = {"format": form, "name": self._name(name), "source": source}
        for own in ("citations", "context"):
            if part.get(own) is not None:
                document[own] = part[own]
        return {"document": document}

    def audio(self, block: Block) -> dict[str, Any]:
        """Return an audio block."""
        sound = plain(block.value.get("input_audio"), f"{block.where}.input_audio")
        form, data = sound.get("format"), sound.get("data")
        if not isinstance(data, str):
            raise InvalidParameter(f"{block.where}.input_audio has no data", param="input")
        if form not in _AUDIOS:
            raise unsupported(self._target, block, f"takes no {form}", f"known: {', '.join(sorted(_AUDIOS))}")
        return {"audio": {"format": form, "source": {"bytes": data}}}

    def _source(self, block: Block, url: str) -> tuple[str, dict[str, Any]]:
        """Return the kind of what lies at an address, "" where nothing tells, and its source."""
        if url.startswith("data:"):
            head, comma, data = url[5:].partition(",")
            kind, *marks = head.split(";")
            if not comma or "base64" not in marks:
                raise InvalidParameter(f"{block.where} is a data URL without base64", param="input")
            return kind.strip().lower(), {"bytes": data}
        if url.startswith("s3://"):
            return _kind_of(url) or "", {"s3Location": {"uri": url}}
        raise unsupported(
            self._target,
            block,
            "fetches nothing from the web",
            "fetch it, and send its bytes as a data URL; or pass s3://…",
        )

    def _name(self, given: object) -> str:
        name = given.rpartition(".")[0] or given if isinstance(given, str) else ""
        name = " ".join(_ODD.sub(" ", name).split())[: _NAME_LENGTH - 4].strip() or "document"
        unique, times = name, 1
        while unique in self._names:
            times += 1
            unique = f"{name} {times}"
        self._names.add(unique)
        return unique


def _kind_of(name: object) -> str | None:
    if not isinstance(name, str):
        return None
    if name.lower().endswith(".md"):
        return "text/markdown"  # not known to every system's table
    return mimetypes.guess_type(name)[0]


def _known(kinds: dict[str, str]) -> str:
    return f"known: {', '.join(sorted(kinds))}"
