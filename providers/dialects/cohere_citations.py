"""Citations: one list beside a message on the wire, annotations of its text parts in the API.

A citation is about a span of one block of the content, and names its sources: a document of the call, or the result of
a tool. Each source becomes an annotation; the citation itself stays in the first of them.

Source: types of Cohere's Python package 7.3 (`Citation`, `Source`), read 2026-11, and recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .citations import owned, spans_of

DIALECT: Final = "cohere"


def place_of(citation: dict[str, Any]) -> tuple[str, int]:
    """Return what a citation is about: text, thinking or the plan, and which block of the content."""
    kind, index = citation.get("type"), citation.get("content_index")
    return (kind if isinstance(kind, str) else "TEXT_CONTENT", index if isinstance(index, int) else 0)


def to_annotations(citation: dict[str, Any], provider: str) -> Iterator[dict[str, Any]]:
    """Yield the annotations for a citation of text, one for each source."""
    start, end = _number(citation.get("start")), _number(citation.get("end"))
    given = citation.get("sources")
    sources = [source for source in given if isinstance(source, dict)] if isinstance(given, list) else []
    for at, source in enumerate(sources or [{}]):
        annotation = _annotation(source, start, end)
        yield owned(annotation, provider, DIALECT, (start, end), citation) if at == 0 else annotation


def _annotation(source: dict[str, Any], start: int, end: int) -> dict[str, Any]:
    found = source.get("document")
    document = found if isinstance(found, dict) else {}
    title = document.get("title")
    if isinstance(url := document.get("url"), str):
        return {
            "type": "url_citation",
            "start_index": start,
            "end_index": end,
            "url": url,
            "title": title if isinstance(title, str) else "",
        }
    return {
        "type": "file_citation",
        "file_id": str(source.get("id") or ""),
        "filename": title if isinstance(title, str) else "",
        "index": end,
    }


def restored(text: str, annotations: object, provider: str, index: int | None) -> list[dict[str, Any]]:
    """Return the citations that this provider made of a text, which is now the block of this index; None for a plan."""
    found = spans_of(annotations, provider, DIALECT, len(text))
    citations = [each for span in sorted(found) for each in found[span] if isinstance(each, dict)]
    if index is None:
        return citations
    return [{**each, "content_index": index} if index or "content_index" in each else each for each in citations]


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0
