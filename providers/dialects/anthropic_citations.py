"""Citations: of a text block on the wire, annotations of a text part in the API.

The host cuts an answer into many small text blocks, so that each citation belongs to the whole of one. Blocks that
follow each other are one text part here, and an annotation says which span it is about. The host's own citation stays
inside, as it holds what the host wants back.
"""

from __future__ import annotations

from typing import Any, Final

from .citations import owned, spans_of

_DIALECT: Final = "anthropic"


def to_annotation(citation: dict[str, Any], start: int, end: int, provider: str) -> dict[str, Any]:
    """Return the annotation for a citation about this span of the part's text, in characters."""
    if citation.get("type") == "web_search_result_location":
        annotation = {
            "type": "url_citation",
            "start_index": start,
            "end_index": end,
            "url": citation.get("url") or "",
            "title": citation.get("title") or "",
        }
    else:
        annotation = {
            "type": "file_citation",
            "file_id": citation.get("file_id") or "",
            "filename": citation.get("document_title") or citation.get("title") or citation.get("source") or "",
            "index": end,
        }
    return owned(annotation, provider, _DIALECT, (start, end), citation)


def to_blocks(text: str, annotations: object, provider: str) -> list[dict[str, Any]]:
    """Return the text as text blocks with the citations that this provider made; other annotations are left out."""
    spans = spans_of(annotations, provider, _DIALECT, len(text))
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
