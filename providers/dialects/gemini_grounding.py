"""What Gemini says beside its text: grounding as annotations, and log probabilities.

Positions of grounding are UTF-8 bytes; those of annotations are characters. `partIndex` is not what its name says
(recorded: absent for text in the third part), so a position is believed only where the text there is the segment's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def annotations_of(grounding: dict[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """Yield the citations that grounding has for a text."""
    given = grounding.get("groundingChunks")
    chunks = given if isinstance(given, list) else []
    data = text.encode("utf-8", "surrogatepass")
    for support in _objects(grounding.get("groundingSupports")):
        segment, indexes = support.get("segment"), support.get("groundingChunkIndices")
        place = _place(segment if isinstance(segment, dict) else {}, text, data)
        for index in indexes if isinstance(indexes, list) else ():
            if isinstance(index, int) and 0 <= index < len(chunks) and (found := _citation(chunks[index], place)):
                yield found


def _objects(given: object) -> Iterator[dict[str, Any]]:
    """Yield the members of a list that are objects; what else there is says nothing."""
    for each in given if isinstance(given, list) else ():
        if isinstance(each, dict):
            yield each


def _place(segment: dict[str, Any], text: str, data: bytes) -> tuple[int, int] | None:
    """Return from where to where in the text a segment stands, in characters."""
    start, end, said = segment.get("startIndex") or 0, segment.get("endIndex") or 0, segment.get("text")
    if isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(data):
        before, within = (_chars(data[:start]), _chars(data[start:end]))
        if not said or said == text[before : before + within]:
            return before, before + within
    if said and isinstance(said, str) and (at := text.find(said)) >= 0:
        return at, at + len(said)
    return None


def _chars(data: bytes) -> int:
    return len(data.decode("utf-8", "replace"))


def _citation(chunk: object, place: tuple[int, int] | None) -> dict[str, Any] | None:
    if not isinstance(chunk, dict):
        return None
    for kind in ("web", "maps"):
        if isinstance(found := chunk.get(kind), dict) and found.get("uri"):
            indexes = {} if place is None else {"start_index": place[0], "end_index": place[1]}
            return {"type": "url_citation", "url": found["uri"], "title": found.get("title") or "", **indexes}
    if isinstance(found := chunk.get("retrievedContext"), dict):
        file = found.get("uri") or found.get("documentName") or found.get("fileSearchStore") or ""
        index = {} if place is None else {"index": place[1]}
        return {"type": "file_citation", "file_id": file, "filename": found.get("title") or "", **index}
    return None


def queries_of(grounding: dict[str, Any] | None) -> list[str]:
    """Return what was searched for in the web."""
    found = (grounding or {}).get("webSearchQueries")
    return [query for query in found if query and isinstance(query, str)] if isinstance(found, list) else []


def logprobs_of(found: dict[str, Any] | None) -> list[Any] | None:
    """Return the log probabilities of an answer's tokens in the API's form."""
    if not found:
        return None
    tops = [[*_objects(step.get("candidates"))] for step in _objects(found.get("topCandidates"))]
    return [
        {**_token(token), "top_logprobs": [_token(other) for other in (tops[at] if at < len(tops) else ())]}
        for at, token in enumerate(_objects(found.get("chosenCandidates")))
    ]


def _token(found: dict[str, Any]) -> dict[str, Any]:
    text = str(found.get("token") or "")
    return {
        "token": text,
        "logprob": found.get("logProbability") or 0.0,
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }
