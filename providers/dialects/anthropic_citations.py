"""Citations: of a text block on the wire, annotations of a text part in the API.

The host cuts an answer into many small text blocks, so that each citation belongs to the whole of one. Blocks that
follow each other are one text part here, and an annotation says which span it is about. The host's own citation stays
inside (`provider_data`), as it holds what the host wants back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

PROVIDER_DATA: Final = "provider_data"


def to_annotation(citation: dict[str, Any], start: int, end: int, provider: str) -> dict[str, Any]:
    """Return the annotation for a citation about this span of the part's text, in characters."""
    own = {"provider": provider, "start_index": start, "end_index": end, "citation": citation}
    if citation.get("type") == "web_search_result_location":
        return {
            "type": "url_citation",
            "start_index": start,
            "end_index": end,
            "url": citation.get("url") or "",
            "title": citation.get("title") or "",
            PROVIDER_DATA: own,
        }
    return {
        "type": "file_citation",
        "file_id": citation.get("file_id") or "",
        "filename": citation.get("document_title") or citation.get("title") or citation.get("source") or "",
        "index": end,
        PROVIDER_DATA: own,
    }


def to_blocks(text: str, annotations: object, provider: str) -> list[dict[str, Any]]:
    """Return the text as text blocks with the citations that this provider made; other annotations are left out."""
    spans: dict[tuple[int, int], list[Any]] = {}
    for start, end, citation in _own(annotations, provider):
        if 0 <= start < end <= len(text):
            spans.setdefault((start, end), []).append(citation)
    blocks: list[dict[str, Any]] = []
    at = 0
    for start, end in sorted(spans):
        if start < at:
            continue  # spans of one answer never overlap: somebody changed the text
        if start > at:
            blocks.append({"type": "text", "text": text[at:start]})
        blocks.append({"type": "text", "text": text[start:end], "citations": spans[start, end]})
        at = end
    if at < len(text):
        blocks.append({"type": "text", "text": text[at:]})
    return blocks


def _own(annotations: object, provider: str) -> Iterator[tuple[int, int, Any]]:
    for annotation in annotations if isinstance(annotations, list | tuple) else ():
        own = annotation.get(PROVIDER_DATA) if isinstance(annotation, Mapping) else None
        match own:
            case {"provider": str(whose), "start_index": int(start), "end_index": int(end), "citation": citation}:
                if whose == provider:
                    yield start, end, citation
            case _:
                pass


def without_provider_data(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message without a host's own citations, which another would refuse; `item` itself if it has none."""
    content = item.get("content")
    if not isinstance(content, list | tuple) or not any(map(_holds_own, content)):
        return item
    parts = [
        {**part, "annotations": [_without_own(each) for each in part["annotations"]]} if _holds_own(part) else part
        for part in content
    ]
    return {**item, "content": parts}


def _holds_own(part: Any) -> bool:
    annotations = part.get("annotations") if isinstance(part, Mapping) else None
    return isinstance(annotations, list | tuple) and any(
        isinstance(each, Mapping) and PROVIDER_DATA in each for each in annotations
    )


def _without_own(annotation: Any) -> Any:
    if not isinstance(annotation, Mapping):
        return annotation
    return {name: value for name, value in annotation.items() if name != PROVIDER_DATA}
