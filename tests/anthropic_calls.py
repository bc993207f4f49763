"""Calls for tests of the Anthropic codec, and what they become on the wire."""

from __future__ import annotations

import json
from typing import Any

from chat_calls import NEVER

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import UnsupportedParameter
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.anthropic import AnthropicDialect
from antiphon.providers.dialects.anthropic_request import Body, encode_body
from antiphon.providers.dialects.envelope import Envelope, seal
from antiphon.providers.profiles import profile_of

NEW = "claude-opus-4-8"
BUDGET = "claude-sonnet-4-5"
OLD = "claude-3-5-haiku-20241022"
PIXEL = "iVBORw0KGgo="


class Sent:
    """What a call became.

    Attributes:
        sent: the request.
        body: its JSON.
        dropped: reasons by name, of what was left out.
    """

    def __init__(self, model: str = NEW, *, extra: dict[str, Any] | None = None, **params: Any) -> None:
        self.dropped: dict[str, str] = {}

        def drop(name: str, reason: str) -> None:
            if name in NEVER:
                raise UnsupportedParameter(f"anthropic does not take {name}: {reason}", param=name)
            self.dropped[name] = reason

        target = Target(provider="anthropic", model=model, base_url="", dialect=AnthropicDialect())
        params = {"input": "Hi", **params}
        asked = CreateParams(**params)
        self.sent: Body = encode_body(asked, target, profile_of(model, "anthropic"), drop, extra)
        self.body: dict[str, Any] = json.loads(self.sent.data)

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


def sealed(*blocks: dict[str, Any], model: str = NEW, provider: str = "anthropic", dialect: str = "anthropic") -> str:
    return seal(Envelope(provider, model, dialect, "blocks", blocks))


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **fields}


def said(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


THINKING = {"type": "thinking", "thinking": "Hm", "signature": "sig"}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
