"""Calls for tests of the chat codec, and what they become on the wire."""

from __future__ import annotations

import json
from typing import Any

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import UnsupportedParameter
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.chat import ChatDialect
from antiphon.providers.dialects.chat_request import encode_body
from antiphon.providers.dialects.envelope import Envelope, seal
from antiphon.providers.profiles import UNKNOWN, Profile
from antiphon.providers.rows import ChatFlags

PLAIN = ChatFlags()
OPENAI = ChatFlags(
    max_tokens="max_completion_tokens",
    developer_role=True,
    openai_fields=True,
    call_ids="40",
    custom_tools=True,
    tool_choices=frozenset({"auto", "none", "required", "function", "allowed_tools"}),
)
BARE = ChatFlags(
    one_system=True,
    effort="",
    tool_choices=frozenset({"auto"}),
    strict_tools=False,
    structured_output="",
    usage_option=False,
    images="",
    files=False,
    audio=False,
    unsupported=frozenset(
        {
            *("store", "metadata", "user", "safety_identifier", "service_tier", "moderation", "parallel_tool_calls"),
            *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "top_logprobs", "text.verbosity"),
            *("temperature", "top_p"),
        }
    ),
)

# What Transform never lets a dialect leave out.
NEVER = ("previous_response_id", "conversation", "prompt", "background", "tools", "tool_choice")


class Sent:
    """What a call became.

    Attributes:
        body: the chat body.
        dropped: reasons by name, of what was left out.
    """

    def __init__(
        self,
        flags: ChatFlags = PLAIN,
        *,
        extra: dict[str, Any] | None = None,
        provider: str = "acme",
        model: str = "m",
        profile: Profile = UNKNOWN,
        **params: Any,
    ) -> None:
        self.dropped: dict[str, str] = {}

        def drop(name: str, reason: str) -> None:
            if name in NEVER:
                raise UnsupportedParameter(f"{provider} does not take {name}: {reason}", param=name)
            self.dropped[name] = reason

        target = Target(provider=provider, model=model, base_url="", dialect=ChatDialect())
        params = {"input": "Hi", **params}
        self.body: dict[str, Any] = json.loads(encode_body(CreateParams(**params), target, flags, profile, drop, extra))

    @property
    def messages(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["messages"]
        return found


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def call(call_id: str = "1", name: str = "f", arguments: str = "{}", **fields: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **fields}


def output(call_id: str = "1", given: Any = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": given}


def function(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, **fields}


def sent_call(call_id: str = "1", name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


NO_PARAMETERS = {"type": "object", "properties": {}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def thought(said: str = "Hm", sealed: str | None = None, summary: str = "") -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": summary}] if summary else [],
    }
    if said:
        item["content"] = [{"type": "reasoning_text", "text": said}]
    return item if sealed is None else {**item, "encrypted_content": sealed}


def sealed(form: str, *blocks: Any, provider: str = "acme", model: str = "m") -> str:
    return seal(Envelope(provider=provider, model=model, dialect="chat", form=form, blocks=blocks))


# A value that is not what happens anyway, for every parameter. A new parameter fails the tests until it is here.
VALUES: dict[str, dict[str, Any]] = {
    "model": {"model": "x"},
    "input": {"input": "Hello"},
    "instructions": {"instructions": "Be brief."},
    "previous_response_id": {"previous_response_id": "resp_1"},
    "conversation": {"conversation": "conv_1"},
    "store": {"store": True},
    "background": {"background": True},
    "background_options": {"background_options": {"a": 1}},
    "stream": {"stream": True},
    "stream_options": {"stream": True, "stream_options": {"include_obfuscation": True}},
    "include": {"include": ["web_search_call.results"]},
    "tools": {"tools": [function()]},
    "tool_choice": {"tools": [function()], "tool_choice": "required"},
    "parallel_tool_calls": {"tools": [function()], "parallel_tool_calls": False},
    "max_tool_calls": {"max_tool_calls": 3},
    "max_output_tokens": {"max_output_tokens": 10},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.5},
    "top_logprobs": {"top_logprobs": 2},
    "text": {"text": {"verbosity": "low"}},
    "reasoning": {"reasoning": {"effort": "low"}},
    "truncation": {"truncation": "auto"},
    "context_management": {"context_management": [{"type": "compaction"}]},
    "metadata": {"metadata": {"a": "b"}},
    "prompt": {"prompt": {"id": "pmpt_1"}},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "explicit"}},
    "prompt_cache_retention": {"prompt_cache_retention": "24h"},
    "safety_identifier": {"safety_identifier": "s"},
    "service_tier": {"service_tier": "flex"},
    "moderation": {"moderation": {"model": "omni-moderation-latest"}},
    "image": {"image": {"a": 1}},
    "access_programs": {"access_programs": {"a": 1}},
    "user": {"user": "me"},
}
