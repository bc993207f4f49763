"""Citations: blocks of text on the wire, annotations of a text part in the API.

Source: botocore 1.44, `CitationsContentBlock`, `Citation` and `CitationLocation`, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

from .citations import owned, spans_of

_DIALECT: Final = "converse"


def to_annotation(citation: dict[str, Any], start: int, end: int, provider: str) -> dict[str, Any]:
    """Return the annotation for a citation about this span of the part's text, in characters."""
    location = citation.get("location")
    web = location.get("web") if isinstance(location, dict) else None
    if isinstance(web, dict):
        annotation = {
            "type": "url_citation",
            "start_index": start,
            "end_index": end,
            "url": web.get("url") or "",
            "title": citation.get("title") or web.get("domain") or "",
        }
    else:
        annotation = {
            "type": "file_citation",
            "file_id": citation.get("source") or "",
            "filename": citation.get("title") or "",
            "index": end,
        }
    return owned(annotation, provider, _DIALECT, (start, end), citation)


def to_blocks(text: str, annotations: object, provider: str) -> list[dict[str, Any]]:
    """Return the text as blocks with the citations that this provider made; other annotations are left out."""
    spans = spans_of(annotations, provider, _DIALECT, len(text))
    blocks: list[dict[str, Any]] = []
    at = 0
    for start, end in sorted(spans):
        if start < at:
            continue  # spans of one answer never overlap: somebody changed the text
        if text[at:start].strip():
            blocks.append({"text": text[at:start]})
        blocks.append({"citationsContent": {"content": [{"text": text[start:end]}], "citations": spans[start, end]}})
        at = end
    if text[at:].strip() or not blocks:
        blocks.append({"text": text[at:]})
    return blocks
