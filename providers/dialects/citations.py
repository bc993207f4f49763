"""A host's own citations, kept in the annotations that are made of them.

The API's annotations have no place for all that a host says, and wants back. So the host's own object stays inside, as
`provider_data`, with whose it is and which span of the text it is about; no other host gets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

PROVIDER_DATA: Final = "provider_data"


def owned(annotation: dict[str, Any], provider: str, dialect: str, span: tuple[int, int], own: Any) -> dict[str, Any]:
    """Return an annotation with the host's own citation in it; the span is in characters of the part's text."""
    start, end = span
    data = {"provider": provider, "dialect": dialect, "start_index": start, "end_index": end, "citation": own}
    return {**annotation, PROVIDER_DATA: data}


def spans_of(annotations: object, provider: str, dialect: str, length: int) -> dict[tuple[int, int], list[Any]]:
    """Return the citations that this provider made in this format, by the span that they are about.

    Args:
        length: of the text; what lies outside of it is left out, since somebody changed the text.
    """
    spans: dict[tuple[int, int], list[Any]] = {}
    for start, end, citation in _own(annotations, provider, dialect):
        if 0 <= start < end <= length:
            spans.setdefault((start, end), []).append(citation)
    return spans


def _own(annotations: object, provider: str, dialect: str) -> Iterator[tuple[int, int, Any]]:
    for annotation in annotations if isinstance(annotations, list | tuple) else ():
        own = annotation.get(PROVIDER_DATA) if isinstance(annotation, Mapping) else None
        match own:
            case {
                "provider": str(whose),
                "dialect": str(form),
                "start_index": int(start),
                "end_index": int(end),
                "citation": citation,
            }:
                if (whose, form) == (provider, dialect):
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
