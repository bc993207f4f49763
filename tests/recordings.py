"""Recordings of real exchanges, kept outside the repository: `$ANTIPHON_RECORDINGS`, or `../shared/recordings`."""

from __future__ import annotations

import base64
import fnmatch
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Recording:
    """One exchange.

    Attributes:
        name: dialect and file, e.g. "chat-groq/json-tool-call.1".
        kind: "json", "stream" or "error".
        group, turn, turns: exchanges of one conversation share a group; turns count from 1.
        request_body: a JSON value; None when there was no body.
        body: of the response, as it was on the wire where `verbatim` holds, else JSON-equal to it.
    """

    name: str
    dialect: str
    kind: str
    group: str
    turn: int
    turns: int
    method: str
    url: str
    request_headers: dict[str, str]
    request_body: Any
    status: int
    headers: dict[str, str]
    body: bytes
    verbatim: bool


def load(dialect: str, kind: str | None = None) -> list[Recording]:
    """Return the recordings of a dialect, which may be a pattern like "responses-*", in a fixed order.

    Skips the calling test (or module) when there are none here; in `CI` that is a failure.
    """
    home = _home()
    found = [
        _read(path, home) for path in sorted(home.glob("*/*.json")) if fnmatch.fnmatchcase(path.parent.name, dialect)
    ]
    return [recording for recording in found if kind in (None, recording.kind)]


def _home() -> Path:
    named = os.environ.get("ANTIPHON_RECORDINGS")
    home = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "recordings"
    if not home.is_dir():
        reason = "no recordings here: set ANTIPHON_RECORDINGS to their folder"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason, allow_module_level=True)
    return home


def _read(path: Path, home: Path) -> Recording:
    found = json.loads(path.read_bytes())
    request, response = found["request"], found["response"]
    body: str = response["body"]
    return Recording(
        name=str(path.relative_to(home).with_suffix("")),
        dialect=found["dialect"],
        kind=found["kind"],
        group=found["group"],
        turn=found["turn"],
        turns=found["turns"],
        method=request["method"],
        url=request["url"],
        request_headers=request["headers"],
        request_body=request["body"],
        status=response["status"],
        headers=response["headers"],
        body=base64.b64decode(body) if response["body_encoding"] == "base64" else body.encode(),
        verbatim=response["body_verbatim"],
    )
