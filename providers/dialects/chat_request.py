"""A call of the Responses API as the body of `POST /chat/completions`.

Every parameter is sent, or reported through `drop` with the reason, or an error. A value that asks for what happens
anyway (`store=False`, `truncation="disabled"`, free text as format …) is neither. What a host refuses has mostly been
taken out and reported before, by `Target.unsupported`; the names in `ChatFlags.unsupported` are looked at all the same,
and may be dotted: "text.verbosity".

Source: OpenAI API reference, Chat › Create, and the types of its Python package 3.54, read 2026-11; what is particular
at a host stands in its row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import msgspec

from ...pipeline.api.params import HAPPENS_ANYWAY, CreateParams
from ...pipeline.api.wire import embed, encode, merge
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from ..profiles import Profile
from ..rows import ChatFlags
from .chat_messages import to_messages
from .chat_tools import add_tools
from .text_format import in_words, read_format

_SAME: Final = frozenset(
    {
        "temperature",
        "top_p",
        "metadata",
        "store",
        "user",
        "safety_identifier",
        "service_tier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "moderation",
    }
)
"""Parameters that are the same in both APIs."""

_WRITTEN: Final = frozenset(
    {
        "model",
        "input",
        "instructions",
        "stream",
        "stream_options",
        "include",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_output_tokens",
        "top_logprobs",
        "text",
        "reasoning",
    }
)
"""Parameters that have code of their own below."""

_OTHERS: Final = tuple(name for name in CreateParams.__struct_fields__ if name not in _WRITTEN)

_LACKING: Final = {
    "previous_response_id": "chat completions keep no responses; send the whole conversation",
    "conversation": "chat completions keep no conversations; send the items",
    "prompt": "chat completions have no stored prompts; send its text",
    "background": "chat completions answer at once",
    "background_options": "chat completions answer at once",
    "max_tool_calls": "it bounds the calls of hosted tools, which chat completions do not have",
    "truncation": "chat completions do not shorten the input",
    "context_management": "chat completions do not shorten the input",
}
"""Why a parameter cannot be sent; one that is not here has no counterpart."""

_LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_FORMATS: Final = ("", "json_object", "json_schema")
_LOGPROBS: Final = "message.output_text.logprobs"
"""For hosts that have no other way to ask for JSON."""


def encode_body(
    params: CreateParams,
    target: Target,
    flags: ChatFlags,
    profile: Profile,
    drop: Drop,
    extra: dict[str, Any] | None = None,
) -> bytes:
    """Return the JSON body for a call; fields of `extra` win over its parameters.

    Raises:
        InvalidParameter: something that breaks the rules of the API, or has no JSON form.
        UnsupportedParameter: what cannot be sent, and cannot be left out either.
    """
    refused = [name for name in sorted(flags.unsupported) if getattr(params, name, None) is not None]
    for name in refused:
        if HAPPENS_ANYWAY.get(name) != getattr(params, name):
            drop(name, "")
    if refused:
        params = msgspec.structs.replace(params, **dict.fromkeys(refused))
    body: dict[str, Any] = {
        "model": target.model,
        "messages": to_messages(params.instructions, params.input, target, flags, drop),
    }
    for name in _OTHERS:
        given = getattr(params, name)
        if given is None:
            continue
        if name in _SAME:
            body[name] = embed(given)
        elif HAPPENS_ANYWAY.get(name) != given:
            drop(name, _LACKING.get(name, "chat completions have no such parameter"))
    if params.max_output_tokens is not None:
        body[flags.max_tokens] = params.max_output_tokens
    if params.tools is not None or params.tool_choice is not None:
        add_tools(body, params, target, flags, drop)
    if params.text:
        _add_text(body, params.text, flags, profile, drop)
    if params.reasoning:
        _add_reasoning(body, params.reasoning, flags, profile, drop)
    if params.include or params.top_logprobs is not None:
        _add_logprobs(body, params, flags, drop)
    if is_streamed(params, flags):
        body["stream"] = True
        if flags.usage_option:
            body["stream_options"] = {"include_usage": True}
    if params.stream_options:
        _add_stream_options(body, params.stream_options, flags, drop)
    return to_json(body, extra)


def to_json(body: dict[str, Any], extra: dict[str, Any] | None) -> bytes:
    """Return a body as JSON; fields of `extra` win.

    Raises:
        InvalidParameter: something that has no JSON form.
    """
    try:
        # What came from the caller is embedded already; as a mapping that is no dict, the rest is not copied again.
        data = encode(MappingProxyType(body))
        return merge(data, extra) if extra else data
    except TypeError as error:
        raise InvalidParameter(f"the request cannot be encoded: {error}") from None


def is_streamed(params: CreateParams, flags: ChatFlags) -> bool:
    """Tell whether the host is asked for a stream, which need not be what the caller asked for."""
    return flags.streaming == "always" or (params.stream is True and flags.streaming == "both")


def _add_text(body: dict[str, Any], text: dict[str, Any], flags: ChatFlags, profile: Profile, drop: Drop) -> None:
    for name, given in text.items():
        if given is None:
            continue
        if name == "format":
            _add_format(body, given, flags, profile, drop)
        elif name == "verbosity" and "text.verbosity" not in flags.unsupported:
            body["verbosity"] = embed(given)
        else:
            drop(f"text.{name}", "" if name == "verbosity" else "chat completions have no such parameter")


def _add_format(body: dict[str, Any], given: object, flags: ChatFlags, profile: Profile, drop: Drop) -> None:
    form = read_format(given, "chat completions do")
    if form is None:
        return
    kind = form["type"]
    taken = flags.structured_output
    if profile.structured_output is not None:
        taken = min(taken, profile.structured_output, key=_FORMATS.index)
    if taken == "json_schema" or taken == kind:
        asked: dict[str, Any] = {"type": kind}
        if kind == "json_schema":
            asked[kind] = {name: embed(value) for name, value in form.items() if name != "type" and value is not None}
        body["response_format"] = asked
        return
    words = in_words(form)
    if taken:
        body["response_format"] = {"type": taken}
        drop("text.format", "sent as json_object, the schema in words: the host does not enforce it")
    else:
        drop("text.format", "sent in words: the host does not enforce it")
    _say(body["messages"], words, "developer" if flags.developer_role else "system")


def _say(messages: list[dict[str, Any]], words: str, role: str) -> None:
    """Add a sentence to the first system message, or make one."""
    if not messages or messages[0]["role"] not in ("system", "developer"):
        messages.insert(0, {"role": role, "content": words})
    elif isinstance(messages[0]["content"], str):
        messages[0]["content"] += f"\n\n{words}"
    else:
        messages[0]["content"].append({"type": "text", "text": words})


def _add_reasoning(body: dict[str, Any], given: dict[str, Any], flags: ChatFlags, profile: Profile, drop: Drop) -> None:
    sent: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        if name == "effort":
            value = _add_effort(body, value, flags, profile, drop)
        elif flags.effort == "reasoning":
            name = "summary" if name == "generate_summary" else name
        else:
            drop(f"reasoning.{name}", "chat completions have no such parameter")
        sent[name] = embed(value)
    if flags.effort == "reasoning" and sent:
        body["reasoning"] = sent


def _add_effort(body: dict[str, Any], asked: str, flags: ChatFlags, profile: Profile, drop: Drop) -> str:
    """Ask for an effort in the host's way, and return the level asked for."""
    form = flags.effort
    if not form:
        drop("reasoning.effort", "")
        return asked
    known = profile.efforts or flags.efforts
    if profile.efforts and flags.efforts:
        known = tuple([level for level in profile.efforts if level in flags.efforts]) or flags.efforts
    thinks = asked != "none"
    if form in ("thinking", "thinking_only"):
        body["thinking"] = {"type": "enabled" if thinks else "disabled"}
    elif form == "enable_thinking":
        body["enable_thinking"] = thinks
    elif form == "template":
        body["chat_template_kwargs"] = {"enable_thinking": thinks}
    if form in ("thinking_only", "enable_thinking", "template"):
        if thinks:
            drop("reasoning.effort", f"{asked} is sent as thinking without a level: the host has none")
        return asked
    if form == "thinking" and not thinks:
        return asked
    level = nearest_effort(asked, known)
    if level != asked:
        drop("reasoning.effort", f"{asked} is sent as {level}: known here are {', '.join(known)}")
    if form != "reasoning":
        body["reasoning_effort"] = level
    return level


def nearest_effort(asked: str, known: tuple[str, ...]) -> str:
    """Return the level of effort nearest to the one asked for, which is kept where nobody knows better.

    "none" is near to nothing else: to reason or not is another question than how much. Of two that are as near, the one
    nearer to "high" is taken (DeepSeek API Docs, Thinking Mode, maps its levels so, read 2026-11).
    """
    if not known or asked in known or asked not in _LEVELS:
        return asked
    at, high = _LEVELS.index(asked), _LEVELS.index("high")
    levels = [level for level in known if level in _LEVELS and level != "none"] or list(known)
    return min(levels, key=lambda level: (abs(_rank(level) - at), abs(_rank(level) - high)))


def _rank(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else len(_LEVELS)


def _add_logprobs(body: dict[str, Any], params: CreateParams, flags: ChatFlags, drop: Drop) -> None:
    include = params.include or []
    others = [entry for entry in include if entry not in (_LOGPROBS, "reasoning.encrypted_content")]
    if others:
        drop("include", f"chat completions have none of {', '.join(others)}")
    if "top_logprobs" in flags.unsupported:
        if params.top_logprobs is not None:
            drop("top_logprobs", "")
        elif _LOGPROBS in include:
            drop("include", f"the host does not give {_LOGPROBS}")
        return
    if _LOGPROBS in include or params.top_logprobs:
        body["logprobs"] = True
    if params.top_logprobs:
        body["top_logprobs"] = params.top_logprobs


def _add_stream_options(body: dict[str, Any], given: dict[str, Any], flags: ChatFlags, drop: Drop) -> None:
    for name, value in given.items():
        if name == "include_obfuscation":
            # Elsewhere there is none to switch off.
            if flags.openai_fields and body.get("stream"):
                body.setdefault("stream_options", {})[name] = value
            elif value:
                drop(f"stream_options.{name}", "")
        elif value is not None and name != "include_usage":
            drop(f"stream_options.{name}", "chat completions have no such parameter")
