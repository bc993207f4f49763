"""A call of the Responses API as the body of `POST /model/{id}/converse` and `/converse-stream`.

Every parameter is sent, or reported through `drop` with the reason, or an error. A value that asks for what happens
anyway (`store=False`, `truncation="disabled"`, free text as format …) is neither. What only Converse has
(`guardrailConfig`, `performanceConfig`, `additionalModelRequestFields`, `additionalModelResponseFieldPaths`,
`promptVariables`, `inferenceConfig.stopSequences` …) travels in the call option `extra_body`; objects in it are put
together with those of the call.

Source: botocore 1.44, `ConverseRequest`, read 2026-11.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ...pipeline.api.params import HAPPENS_ANYWAY, CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.request import Drop, Target
from ..profiles import Profile
from .anthropic_format import fitted
from .chat_request import to_json
from .converse_messages import Messages
from .converse_models import Model, model_of
from .converse_reasoning import add_effort
from .converse_tools import NO_CALLS, Tools
from .http_request import merged
from .text_format import in_words, read_format
from .values import json_text, plain

_WRITTEN: Final = frozenset(
    {
        *("model", "input", "instructions", "stream", "stream_options", "include", "tools", "tool_choice"),
        *("parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "text", "reasoning", "metadata"),
        "service_tier",
    }
)
"""Parameters that have code of their own below."""

_OTHERS: Final = tuple(name for name in CreateParams.__struct_fields__ if name not in _WRITTEN)
_NONE: Final = "Converse has no such parameter"
_MARKS: Final = 'Converse marks what is cached: give a part "cachePoint": {"type": "default"}'

_LACKING: Final = {
    "previous_response_id": "Converse keeps no responses; send the whole conversation",
    "conversation": "Converse keeps no conversations; send the items",
    "prompt": "send the prompt's text, or the ARN of a prompt of Amazon's as model",
    "background": "Converse answers at once",
    "background_options": "Converse answers at once",
    "truncation": "Converse does not shorten the input",
    "prompt_cache_key": _MARKS,
    "prompt_cache_options": _MARKS,
    "prompt_cache_retention": _MARKS,
}
"""Why a parameter cannot be sent; one that is not here has no counterpart."""

_TIERS: Final = ("default", "priority", "flex", "reserved")
_INCLUDED: Final = frozenset({"reasoning.encrypted_content", "code_interpreter_call.outputs"})  # are there anyway
# Of keys and values in `requestMetadata`; the pattern holds for both.
_LABEL: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,\-.]{0,256}")
_MOST_LABELS: Final = 16


def encode_body(
    params: CreateParams, target: Target, profile: Profile, drop: Drop, extra: dict[str, Any] | None = None
) -> bytes:
    """Return the body for a call; fields of `extra` win over its parameters, within objects too.

    Raises:
        InvalidParameter: something that breaks the rules of the API, or has no JSON form.
        UnsupportedParameter: what cannot be sent, and cannot be left out either.
    """
    model = model_of(target.model)
    writer = Messages(target, model, drop)
    writer.write(params.instructions, params.input)
    system = writer.system
    tools = Tools(params, model, list(writer.called), drop)
    tools.write()
    if tools.are_forbidden:
        system.append({"text": NO_CALLS})
    for name in _OTHERS:
        given = getattr(params, name)
        if given is not None and HAPPENS_ANYWAY.get(name) != given:
            drop(name, _LACKING.get(name, _NONE))
    body: dict[str, Any] = {"messages": writer.messages}
    output: dict[str, Any] = {}
    for name, given in (params.text or {}).items():
        if name == "format" and given is not None:
            _add_format(output, system, given, model, drop)
        elif given is not None:
            drop(f"text.{name}", _NONE)
    fields: dict[str, Any] = dict(tools.extra)
    config: dict[str, Any] = {}
    if params.max_output_tokens is not None:
        config["maxTokens"] = params.max_output_tokens
    if params.reasoning:
        said, most = params.max_output_tokens, profile.max_output_tokens
        needed = add_effort(fields, params.reasoning, model, said, most, tools.is_forced, drop)
        if needed is not None:
            config["maxTokens"] = needed
    _add_sampling(config, params, profile, fields, model.claude is not None, drop)
    for name, value in (
        ("system", system),
        ("inferenceConfig", config),
        ("toolConfig", tools.config),
        ("outputConfig", output),
        ("additionalModelRequestFields", fields),
        ("requestMetadata", _labels(params.metadata, drop)),
        ("serviceTier", _tier(params.service_tier, drop)),
    ):
        if value:
            body[name] = value
    _report(params, body, drop)
    return to_json(merged(body, embed(extra)) if extra else body, None)


def _add_format(output: dict[str, Any], system: list[dict[str, Any]], given: object, model: Model, drop: Drop) -> None:
    form = read_format(given, "Converse does")
    if form is None:
        return
    if form["type"] == "json_schema" and model.structured:
        schema = fitted(plain(form.get("schema") or {}, "text.format.schema"), "text.format.schema", drop)
        said = {name: form[name] for name in ("name", "description") if form.get(name)}
        structure = {"jsonSchema": {"schema": json_text(schema), **said}}
        output["textFormat"] = {"type": "json_schema", "structure": structure}
        return
    drop("text.format", "sent in words: the host does not enforce it")
    system.append({"text": in_words(form)})


def _add_sampling(
    config: dict[str, Any],
    params: CreateParams,
    profile: Profile,
    fields: dict[str, Any],
    is_claude: bool,
    drop: Drop,
) -> None:
    thinks = fields.get("thinking", {}).get("type") in ("adaptive", "enabled")
    refused = profile.sampling == "never" or (profile.sampling == "without_reasoning" and thinks)
    temperature, top_p = params.temperature, params.top_p
    if refused:
        # Transform has mostly taken them out before; it does not know of thinking that a summary asks for.
        for name in ("temperature", "top_p"):
            if getattr(params, name) is not None:
                drop(name, "the model does not take it" + ("" if profile.sampling == "never" else " while it reasons"))
        return
    if temperature is not None:
        if temperature > 1:
            drop("temperature", f"{temperature} is sent as 1, the most that the host takes")
        config["temperature"] = min(temperature, 1)
    if top_p is not None and temperature is not None and is_claude:
        # Claude 4.1 and later answer 400 to both (reports of LiteLLM's and others' users, 2025 to 2026).
        drop("top_p", "the model takes either temperature or top_p")
    elif top_p is not None:
        config["topP"] = top_p


def _labels(metadata: dict[str, Any] | None, drop: Drop) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for name, value in (metadata or {}).items():
        if len(labels) == _MOST_LABELS:
            drop(f"metadata.{name}", f"the host takes {_MOST_LABELS} entries")
        elif isinstance(value, str) and name and _LABEL.fullmatch(name) and _LABEL.fullmatch(value):
            labels[name] = value
        else:
            drop(f"metadata.{name}", "the host takes short texts of letters, digits and a few signs only")
    return labels


def _tier(tier: str | None, drop: Drop) -> dict[str, Any] | None:
    if tier is None or tier == "auto":
        return None
    if tier in _TIERS:
        return {"type": tier}
    drop("service_tier", f"the host has no {tier}; known: {', '.join(_TIERS)}")
    return None


def _report(params: CreateParams, body: dict[str, Any], drop: Drop) -> None:
    """Report what was not sent of parameters with parts."""
    if params.parallel_tool_calls is False and "toolConfig" not in body:
        drop("parallel_tool_calls", "there are no tools")
    if others := [entry for entry in params.include or () if entry not in _INCLUDED]:
        drop("include", f"Converse has none of {', '.join(others)}")
    for name, value in (params.stream_options or {}).items():
        if value and name != "include_usage":
            drop(f"stream_options.{name}", _NONE)
