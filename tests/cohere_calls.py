"""Calls for tests of the Cohere codec, and what they become on the wire."""

from __future__ import annotations

import json
from typing import Any

from chat_calls import NEVER

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import UnsupportedParameter
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.cohere import CohereDialect
from antiphon.providers.dialects.cohere_request import encode_body
from antiphon.providers.dialects.envelope import Envelope, seal

REASONING = "command-a-reasoning-08-2025"
SILENT = "command-r7b-12-2024"


class Sent:
    """What a call became.

    Attributes:
        body: the request.
        dropped: reasons by name, of what was left out.
    """

    def __init__(self, model: str = REASONING, *, extra: dict[str, Any] | None = None, **params: Any) -> None:
        self.dropped: dict[str, str] = {}

        def drop(name: str, reason: str) -> None:
            if name in NEVER:
                raise UnsupportedParameter(f"cohere does not take {name}: {reason}", param=name)
            self.dropped[name] = reason

        target = Target(provider="cohere", model=model, base_url="", dialect=CohereDialect())
        params = {"input": "Hi", **params}
        asked = CreateParams(**params)
        self.body: dict[str, Any] = json.loads(encode_body(asked, target, drop, extra))

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


def sealed(*blocks: Any, model: str = REASONING, provider: str = "cohere", dialect: str = "cohere") -> str:
    return seal(Envelope(provider, model, dialect, "blocks", blocks))


THINKING = {"type": "thinking", "thinking": "Hm"}
