"""What each keyword of a LiteLLM call means here: implemented, accepted and reported as dropped, or refused.

Names: LiteLLM 1.109.1, `responses()` and `aresponses()`, read 2026-11. API parameters and the options of the stock
chain are not listed: they mean what they say.
"""

from __future__ import annotations

from typing import Any, Final

from .pipeline.api.params import NAMES
from .pipeline.errors import InvalidParameter, UnknownKeyword
from .pipeline.reply import Dropped
from .stages.resolve import Resolve

RENAMED: Final = {
    "headers": "extra_headers",
    "reasoning_effort": "reasoning",
    "drop_params": "drop",
    "stream_timeout": "timeout",
    "use_chat_completions_api": "dialect",
    "vertex_ai_project": "vertex_project",
    "vertex_ai_location": "vertex_location",
    "vertex_ai_credentials": "vertex_credentials",
    "aws_bedrock_runtime_endpoint": "api_base",
    "max_agentic_loops": "max_tool_rounds",
}
"""Implemented under another name here."""

DROPPED: Final = {
    "allowed_openai_params": "no parameter is held back here, so none needs to be allowed",
    "litellm_call_id": "calls get an id of their own, reply.meta.call_id",
    "litellm_trace_id": "group calls by the hooks' own state",
    "litellm_session_id": "group calls by the hooks' own state",
    "litellm_metadata": "pass metadata= for the host, or keep it in your hooks",
    "session_id": "group calls by the hooks' own state",
    "model_info": "there is no router",
    "provider_affinity_header": "there is no router",
    "secret_fields": "there is no proxy in front",
    "user_api_key_auth": "there is no proxy in front",
    "shared_session": "connections are pooled by the client",
    "cost_per_second": "prices are per token here, see the stage Cost",
}
"""Accepted, without effect, and reported in `reply.meta.dropped` with this reason."""

REFUSED: Final = {
    "client": "make antiphon.Client(transport=your_httpx_client) and call its responses()",
    "additional_drop_params": "leave the parameters out",
    "retry_policy": 'compose it: presets.responses.with_(retry={"attempts": 5})',
    "caching": 'compose it: presets.responses.before("retry", Cache()); a call with use_cache=False passes by it',
    "cache": 'compose it: presets.responses.before("retry", Cache()); a call with use_cache=False passes by it',
    "ssl_verify": "make antiphon.Client(verify=...)",
    "prompt_id": 'pass the API\'s own prompt={"id": ...}',
    "prompt_variables": 'pass the API\'s own prompt={"id": ..., "variables": {...}}',
    "prompt_label": 'pass the API\'s own prompt={"id": ...}',
    "prompt_version": 'pass the API\'s own prompt={"id": ..., "version": ...}',
    "cache_control_injection_points": 'compose it: presets.responses.after("transform", PromptCache())',
    "partial_images": 'set it on the tool: {"type": "image_generation", "partial_images": 2}',
}
"""A TypeError with this hint: silence would change what the call means."""

OF_CHAT: Final = {
    "messages": "pass them as input=",
    "system": "pass it as instructions=",
    "max_tokens": "pass max_output_tokens=",
    "max_completion_tokens": "pass max_output_tokens=",
    "response_format": 'pass text_format= with a class or a JSON schema, or text={"format": ...}',
    "functions": "pass tools=",
    "function_call": "pass tool_choice=",
}
"""Keywords of chat completions, which hands may type out of habit: a TypeError with this hint."""

_ROLE = (
    "name a profile that assumes the role, aws_profile_name=, or pass a function that returns credentials as api_key="
)

REFUSED_PREFIXES = {
    "aws_": _ROLE,
    "vertex_": "pass google-auth's credentials as vertex_credentials=, or a function that returns a token as api_key=",
}
"""So begin a cloud's further keywords, which are refused with this hint. Those that a stage reads are options."""

_OF_CLOUDS = frozenset(option.name for option in Resolve.options)


def translate(keywords: dict[str, Any]) -> tuple[dict[str, Any], list[Dropped]]:
    """Return the keywords in this library's terms, and what of them has no effect.

    Raises:
        UnknownKeyword: a LiteLLM keyword whose meaning cannot be kept; the hint says what to do instead.
        InvalidParameter: a renamed keyword of the wrong type.
    """
    kept = {name: value for name, value in keywords.items() if value is not None}  # None: not given
    if _PLAIN.issuperset(kept):
        return kept, []
    return _translated(kept)


# API parameters: the usual keywords, which mean what they say.
_PLAIN = frozenset().union(*NAMES.values()) | {"api_key", "api_base", "timeout", "extra_body", "hooks"}


def _translated(keywords: dict[str, Any]) -> tuple[dict[str, Any], list[Dropped]]:
    kept: dict[str, Any] = {}
    dropped: list[Dropped] = []
    for name, value in keywords.items():
        if name in DROPPED:
            dropped.append(Dropped(name, DROPPED[name]))
        elif (hint := _refusal(name)) is not None:
            raise UnknownKeyword(f'"{name}" of LiteLLM is not taken here', param=name, hint=hint)
        elif name in OF_CHAT:
            raise UnknownKeyword(
                f'"{name}" is of chat completions, not of the Responses API', param=name, hint=OF_CHAT[name]
            )
        elif name not in RENAMED:
            kept[name] = value
    _rename(keywords, kept)
    return kept, dropped


def _refusal(name: str) -> str | None:
    """Return the hint for a keyword that is refused, None for others."""
    if name in RENAMED or name in _OF_CLOUDS:
        return None
    return REFUSED.get(name) or next(
        (REFUSED_PREFIXES[start] for start in REFUSED_PREFIXES if name.startswith(start)), None
    )


def _rename(keywords: dict[str, Any], kept: dict[str, Any]) -> None:
    if (headers := keywords.get("headers")) is not None:
        if not isinstance(headers, dict):
            raise InvalidParameter(f"headers is {type(headers).__name__}; a dict is expected", param="headers")
        own = {str(name).lower() for name in kept.get("extra_headers", {})}
        mild = {name: value for name, value in headers.items() if str(name).lower() not in own}
        kept["extra_headers"] = {**mild, **kept.get("extra_headers", {})}
    if (effort := keywords.get("reasoning_effort")) is not None and "reasoning" not in kept:
        kept["reasoning"] = {"effort": effort}
    if (drop := keywords.get("drop_params")) is not None and "drop" not in kept:
        kept["drop"] = "report" if drop in (True, "true", "True") else "error"
    if (rounds := keywords.get("max_agentic_loops")) is not None and "max_tool_rounds" not in kept:
        kept["max_tool_rounds"] = rounds
    if (seconds := keywords.get("stream_timeout")) is not None and keywords.get("stream"):
        kept["timeout"] = seconds
    if keywords.get("use_chat_completions_api") and "dialect" not in kept:
        kept["dialect"] = "chat"
    for name in ("vertex_ai_project", "vertex_ai_location", "vertex_ai_credentials", "aws_bedrock_runtime_endpoint"):
        if (value := keywords.get(name)) is not None:
            kept.setdefault(RENAMED[name], value)
