"""Calls for tests of the Converse codec, and what they become on the wire."""

from __future__ import annotations

import json
from typing import Any

from chat_calls import NEVER

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import UnsupportedParameter
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.converse import ConverseDialect
from antiphon.providers.dialects.converse_request import encode_body
from antiphon.providers.dialects.envelope import Envelope, seal
from antiphon.providers.profiles import profile_of

CLAUDE = "us.anthropic.claude-sonnet-4-6"
BUDGET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
QWEN = "qwen.qwen3-32b-v1:0"
UNKNOWN = "maker.some-model-v1:0"
PIXEL = "iVBORw0KGgo="


class Sent:
    """What a call became.

    Attributes:
        data: the body as it is sent.
        body: the same, decoded.
        dropped: reasons by name, of what was left out.
    """

    def __init__(self, model: str = CLAUDE, *, extra: dict[str, Any] | None = None, **params: Any) -> None:
        self.dropped: dict[str, str] = {}

        def drop(name: str, reason: str) -> None:
            if name in NEVER:
                raise UnsupportedParameter(f"bedrock does not take {name}: {reason}", param=name)
            self.dropped[name] = reason

        target = Target(provider="bedrock", model=model, base_url="", dialect=ConverseDialect())
        params = {"input": "Hi", **params}
        asked = CreateParams(**params)
        self.data: bytes = encode_body(asked, target, profile_of(model, "bedrock"), drop, extra)
        self.body: dict[str, Any] = json.loads(self.data)

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


def sealed(*blocks: Any, model: str = CLAUDE, provider: str = "bedrock", dialect: str = "converse") -> str:
    return seal(Envelope(provider, model, dialect, "blocks", blocks))


def said(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def text(value: str) -> dict[str, Any]:
    return {"text": value}


def used(call_id: str = "1", name: str = "f", given: Any = None) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": name, "input": given or {}}}


def result(call_id: str = "1", *content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": list(content) or [text("done")], **fields}}


THINKING = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "sig"}}}
REDACTED = {"reasoningContent": {"redactedContent": "RXRrRQ=="}}
CACHE = {"cachePoint": {"type": "default"}}
