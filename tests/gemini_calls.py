"""Answers and calls for tests of the Gemini codec."""

from __future__ import annotations

import json
from typing import Any

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api import items
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import UnsupportedParameter
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.envelope import Envelope, seal, unseal
from antiphon.providers.dialects.gemini import GeminiDialect, GeminiStream, hear_all
from antiphon.providers.dialects.gemini_answer import GeminiAnswer
from antiphon.providers.dialects.gemini_request import encode_body
from antiphon.providers.dialects.gemini_wire import read_chunks
from antiphon.providers.profiles import UNKNOWN, Profile

MODEL = "gemini-3-flash-preview"
FIELDS = {"model": "asked-for", "created_at": 1}


def sealed(blocks: tuple[Any, ...]) -> str:
    return seal(Envelope("p", MODEL, "gemini", "parts", blocks))


def fresh() -> GeminiAnswer:
    return GeminiAnswer(FIELDS, sealed, token="t")


def events_of(pieces: list[bytes]) -> tuple[list[ev.Event], GeminiStream]:
    stream = GeminiStream(fresh())
    events = [event for piece in pieces for event in stream.feed(piece)]
    return [*events, *stream.finish()], stream


def told(body: bytes) -> list[ev.Event]:
    answer = fresh()
    hear_all(read_chunks(body), answer)
    return answer.take()


def kept_by(response: Response) -> list[Any]:
    found: list[Any] = []
    for item in response.output:
        if isinstance(item, items.Reasoning):
            envelope = unseal(item.encrypted_content)
            assert envelope is not None
            found += envelope.blocks
    return found


# --- calls

# What Transform never lets a dialect leave out.
NEVER = ("previous_response_id", "conversation", "prompt", "background", "tools", "tool_choice")


class Sent:
    """What a call became.

    Attributes:
        body: the body of generateContent.
        dropped: reasons by name, of what was left out.
    """

    def __init__(
        self,
        *,
        model: str = MODEL,
        provider: str = "p",
        base_url: str = "",
        extra: dict[str, Any] | None = None,
        profile: Profile = UNKNOWN,
        **params: Any,
    ) -> None:
        self.dropped: dict[str, str] = {}

        def drop(name: str, reason: str) -> None:
            if name in NEVER:
                raise UnsupportedParameter(f"{provider} does not take {name}: {reason}", param=name)
            self.dropped[name] = reason

        target = Target(provider=provider, model=model, base_url=base_url, dialect=GeminiDialect())
        params = {"input": "Hi", **params}
        self.body: dict[str, Any] = json.loads(encode_body(CreateParams(**params), target, profile, drop, extra))

    @property
    def contents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["contents"]
        return found

    @property
    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.get("generationConfig", {})
        return found
