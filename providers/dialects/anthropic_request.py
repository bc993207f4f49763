"""A call of the Responses API as the body of `POST /v1/messages`.

Every parameter is sent, or reported through `drop` with the reason, or an error. A value that asks for what happens
anyway (`store=False`, `truncation="disabled"`, free text as format …) is neither. What only Anthropic has (`top_k`,
`stop_sequences`, `cache_control`, …) travels in the call option `extra_body`.

Source: types of Anthropic's Python package 0.125 (`MessageCreateParams`), read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

from ...pipeline.api.params import HAPPENS_ANYWAY, CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.request import Drop, Target
from ..profiles import Profile
from .anthropic_format import add_format
from .anthropic_messages import Messages
from .anthropic_models import Claude, claude_of
from .anthropic_thinking import add_reasoning
from .anthropic_tools import Tools
from .chat_request import to_json

DEFAULT_MAX_TOKENS: Final = 8192
"""`max_tokens` must be said. Without a word from the call it is the most that the model can write, as no other API cuts
an answer that nobody bounded; of a model that nobody knows it is this, which all but the first Claude 3 models take."""

STREAMED_FROM: Final = 21_333
"""An answer that may have more tokens than this is asked for as a stream, and collected: a plain one may take longer
than ten minutes, which connections do not survive (the same limit is in Anthropic's Python package 0.125,
`_calculate_nonstreaming_timeout`, which raises an error instead; read 2026-11)."""

_WRITTEN: Final = frozenset(
    {
        *("model", "input", "instructions", "stream", "stream_options", "include", "tools", "tool_choice"),
        *("parallel_tool_calls", "max_tool_calls", "max_output_tokens", "temperature", "top_p", "text", "reasoning"),
        *("metadata", "user", "safety_identifier", "service_tier"),
    }
)
"""Parameters that have code of their own below."""

_OTHERS: Final = tuple(name for name in CreateParams.__struct_fields__ if name not in _WRITTEN)
_NONE: Final = "the Messages API has no such parameter"
_MARKS: Final = 'the Messages API marks what is cached: pass extra_body={"cache_control": {"type": "ephemeral"}}'

_LACKING: Final = {
    "previous_response_id": "the Messages API keeps no responses; send the whole conversation",
    "conversation": "the Messages API keeps no conversations; send the items",
    "prompt": "the Messages API has no stored prompts; send its text",
    "background": "the Messages API answers at once",
    "background_options": "the Messages API answers at once",
    "truncation": "the Messages API does not shorten the input",
    "context_management": "the Messages API has a form of its own: pass it in extra_body, with its beta header",
    "prompt_cache_key": _MARKS,
    "prompt_cache_options": _MARKS,
    "prompt_cache_retention": _MARKS,
}
"""Why a parameter cannot be sent; one that is not here has no counterpart."""

_TIERS: Final = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
# What an answer holds anyway.
_INCLUDED: Final = frozenset(
    {"reasoning.encrypted_content", "web_search_call.action.sources", "code_interpreter_call.outputs"}
)


Form: TypeAlias = Literal["anthropic", "vertex", "bedrock"]
"""Whose form of the Messages API: Anthropic's own, or one in which the address names the model."""

_VERSIONS: Final = {"vertex": "vertex-2023-10-16", "bedrock": "bedrock-2023-05-31"}
"""`anthropic_version` of the clouds. Source: Anthropic's Python package 0.125, its clients for them, read 2026-11."""


class Body(msgspec.Struct, frozen=True):
    """A request as it is sent.

    Args:
        data: JSON.
        betas: names for the header `anthropic-beta`.
        streamed: whether the host is asked for a stream, which need not be what the caller asked for.
    """

    data: bytes
    betas: tuple[str, ...]
    streamed: bool


def encode_body(
    params: CreateParams,
    target: Target,
    profile: Profile,
    drop: Drop,
    extra: dict[str, Any] | None = None,
    form: Form = "anthropic",
    asked_betas: tuple[str, ...] = (),
) -> Body:
    """Return the body for a call; fields of `extra` win over its parameters.

    Args:
        asked_betas: features that the call itself names.

    Raises:
        InvalidParameter: something that breaks the rules of the API, or has no JSON form.
        UnsupportedParameter: what cannot be sent, and cannot be left out either.
    """
    claude = claude_of(target.model)
    # Bedrock fetches nothing (LiteLLM 1.106 and Pydantic AI of August 2026 download for it).
    writer = Messages(target, claude, drop, inline_only=form == "bedrock")
    writer.write(params.instructions, params.input)
    limit = _limit(params, profile, extra)
    body: dict[str, Any] = {"model": target.model, "max_tokens": limit, "messages": writer.messages}
    if writer.system:
        body["system"] = writer.system
    tools = Tools(params, claude, drop, searches=form != "bedrock")
    if params.tools or params.tool_choice is not None:
        tools.write()
        body |= tools.fields
    for name in _OTHERS:
        given = getattr(params, name)
        if given is not None and HAPPENS_ANYWAY.get(name) != given:
            drop(name, _LACKING.get(name, _NONE))
    if params.text:
        _add_text(body, params.text, claude, drop)
    if params.reasoning:
        add_reasoning(body, params.reasoning, claude, tools.is_forced, drop)
    _add_sampling(body, params, profile, drop)
    _add_user(body, params, drop)
    _add_tier(body, params.service_tier, drop)
    _report(params, body, drop)
    is_long = isinstance(limit, int) and limit > STREAMED_FROM
    streamed = params.stream is True or is_long
    if streamed:
        body["stream"] = True
    betas = (*asked_betas, *sorted((writer.betas | tools.betas).difference(asked_betas)))
    if form != "anthropic":
        _wrap(body, form, betas)
    return Body(to_json(body, extra), betas, streamed)


def _wrap(body: dict[str, Any], form: Form, betas: tuple[str, ...]) -> None:
    """Give a body the form of a cloud, where the address says the model, and at Bedrock also whether to stream."""
    del body["model"]
    body["anthropic_version"] = _VERSIONS[form]
    if form == "bedrock":
        body.pop("stream", None)
        if betas:
            body["anthropic_beta"] = list(betas)


def _limit(params: CreateParams, profile: Profile, extra: dict[str, Any] | None) -> Any:
    if extra and extra.get("max_tokens") is not None:
        return extra["max_tokens"]
    if params.max_output_tokens is not None:
        return params.max_output_tokens
    return profile.max_output_tokens or DEFAULT_MAX_TOKENS


def _add_text(body: dict[str, Any], text: dict[str, Any], claude: Claude, drop: Drop) -> None:
    for name, given in text.items():
        if given is None:
            continue
        if name == "format":
            add_format(body, given, claude, drop)
        else:
            drop(f"text.{name}", _NONE)


def _add_sampling(body: dict[str, Any], params: CreateParams, profile: Profile, drop: Drop) -> None:
    temperature, top_p = params.temperature, params.top_p
    thinks = body.get("thinking", {}).get("type") in ("adaptive", "enabled")
    if profile.sampling == "never" or (profile.sampling == "without_reasoning" and thinks):
        # Transform has mostly taken them out before; it does not know of thinking that a summary asks for.
        for name in ("temperature", "top_p"):
            if getattr(params, name) is not None:
                drop(name, "the model does not take it" + ("" if profile.sampling == "never" else " while it reasons"))
        return
    if temperature is not None:
        if temperature > 1:
            drop("temperature", f"{temperature} is sent as 1, the most that the host takes")
        body["temperature"] = min(temperature, 1)
    if top_p is not None:
        if temperature is None:
            body["top_p"] = top_p
        else:
            # Claude 4.1 and later answer 400 to both (reports of LiteLLM's and others' users, 2025 to 2026).
            drop("top_p", "the host takes either temperature or top_p")


def _add_user(body: dict[str, Any], params: CreateParams, drop: Drop) -> None:
    given = dict(params.metadata or {})
    named = [("safety_identifier", params.safety_identifier), ("user", params.user)]
    users = [(name, value) for name, value in [*named, ("metadata.user_id", given.pop("user_id", None))] if value]
    if users:
        body["metadata"] = {"user_id": embed(users[0][1])}
        for name, value in users[1:]:
            if value != users[0][1]:
                drop(name, f"the host takes one name for the user, and gets {users[0][0]}")
    if given:
        drop("metadata", "the Messages API keeps none, but for user_id")


def _add_tier(body: dict[str, Any], tier: str | None, drop: Drop) -> None:
    if tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    elif tier is not None:
        drop("service_tier", f"the host has no {tier}; known: {', '.join(_TIERS)}")


def _report(params: CreateParams, body: dict[str, Any], drop: Drop) -> None:
    """Report what was not sent of parameters with parts."""
    if params.tools is None and params.tool_choice is None and params.parallel_tool_calls is False:
        drop("parallel_tool_calls", "there are no tools")
    searches = any("max_uses" in tool for tool in body.get("tools", ()) if isinstance(tool, dict))
    if params.max_tool_calls is not None and not searches:
        drop("max_tool_calls", "only a web search can be bounded so")
    if others := [entry for entry in params.include or () if entry not in _INCLUDED]:
        drop("include", f"the Messages API has none of {', '.join(others)}")
    for name, value in (params.stream_options or {}).items():
        if value and name != "include_usage":
            drop(f"stream_options.{name}", _NONE)
