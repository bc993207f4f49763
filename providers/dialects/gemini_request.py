"""A call of the Responses API as the body of `POST /models/{model}:generateContent`.

Every parameter is sent, or reported through `drop` with the reason, or an error. A value that asks for what happens
anyway (`store=False`, `truncation="disabled"`, free text as format …) is neither.

Source: Gemini API reference, GenerateContent, and the types of google-genai 3.4, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.api.params import HAPPENS_ANYWAY, CreateParams
from ...pipeline.api.wire import embed, encode, loads
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from ..profiles import Profile
from .gemini_contents import Contents, to_contents
from .gemini_models import generation, thinking
from .gemini_tools import add_tools
from .http_request import merged
from .text_format import in_words, read_format
from .values import plain

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
        "temperature",
        "top_p",
        "top_logprobs",
        "text",
        "reasoning",
        "service_tier",
    }
)
"""Parameters that have code of their own below."""

_OTHERS: Final = tuple(name for name in CreateParams.__struct_fields__ if name not in _WRITTEN)

_LACKING: Final = {
    "previous_response_id": "Gemini's generateContent keeps no responses; send the whole conversation",
    "conversation": "Gemini's generateContent keeps no conversations; send the items",
    "prompt": "Gemini has no stored prompts; send its text",
    "background": "Gemini's generateContent answers at once",
    "background_options": "Gemini's generateContent answers at once",
    "store": "Gemini's generateContent keeps no responses",
    "truncation": "Gemini does not shorten the input",
    "context_management": "Gemini does not shorten the input",
    "prompt_cache_key": "Gemini's cache works by itself, or by cachedContent in extra_body",
    "prompt_cache_options": "Gemini's cache works by itself, or by cachedContent in extra_body",
    "prompt_cache_retention": "Gemini's cache works by itself, or by cachedContent in extra_body",
    "metadata": "Gemini has no such parameter; labels of Vertex AI go into extra_body",
    "moderation": "Gemini has no such parameter; safetySettings go into extra_body",
}
"""Why a parameter cannot be sent; one that is not here has no counterpart."""

_NUMBERS: Final = {"max_output_tokens": "maxOutputTokens", "temperature": "temperature", "top_p": "topP"}
_TIERS: Final = {"default": "STANDARD", "flex": "FLEX", "priority": "PRIORITY"}
_LOGPROBS: Final = "message.output_text.logprobs"
_GIVEN_ANYWAY: Final = frozenset({_LOGPROBS, "reasoning.encrypted_content", "code_interpreter_call.outputs"})


def encode_body(
    params: CreateParams, target: Target, profile: Profile, drop: Drop, extra: dict[str, Any] | None = None
) -> bytes:
    """Return the JSON body for a call; fields of `extra` win over its parameters, within objects too.

    Raises:
        InvalidParameter: something that breaks the rules of the API, or has no JSON form.
        UnsupportedParameter: what cannot be sent, and cannot be left out either.
    """
    said = to_contents(params.instructions, params.input, target, drop)
    body: dict[str, Any] = {"contents": said.contents}
    config: dict[str, Any] = {
        sent: value for name, sent in _NUMBERS.items() if (value := getattr(params, name)) is not None
    }
    for name in _OTHERS:
        given = getattr(params, name)
        if given is not None and HAPPENS_ANYWAY.get(name) != given:
            drop(name, _LACKING.get(name, "Gemini has no such parameter"))
    if params.tools is not None or params.tool_choice is not None:
        add_tools(body, params, target, drop)
    if params.text:
        _add_text(config, said, params.text, body, target.model, profile, drop)
    if params.reasoning and (found := thinking(params.reasoning, target.model, profile, drop)):
        config["thinkingConfig"] = found
    if params.include or params.top_logprobs is not None:
        _add_logprobs(config, params, drop)
    if params.service_tier not in (None, "auto"):
        _add_tier(body, str(params.service_tier), drop)
    for name, value in (params.stream_options or {}).items():
        if value and name != "include_usage":
            drop(f"stream_options.{name}", "Gemini has no such parameter")
    if said.system:
        _add_system(body, said, target.model)
    if config:
        body["generationConfig"] = config
    return _encode(body, extra)


def _add_system(body: dict[str, Any], said: Contents, model: str) -> None:
    if "gemma" not in model:
        body["systemInstruction"] = {"parts": said.system}
    elif said.contents and said.contents[0]["role"] == "user":  # Gemma has no such field, so the user says it
        said.contents[0]["parts"] = [*said.system, *said.contents[0]["parts"]]
    else:
        said.contents.insert(0, {"role": "user", "parts": said.system})


def _encode(body: dict[str, Any], extra: dict[str, Any] | None) -> bytes:
    try:
        data = encode(body)
        return data if not extra else encode(merged(loads(data), loads(encode(extra))))
    except TypeError as error:
        raise InvalidParameter(f"the request cannot be encoded: {error}") from None


def _add_text(
    config: dict[str, Any],
    said: Contents,
    text: dict[str, Any],
    body: dict[str, Any],
    model: str,
    profile: Profile,
    drop: Drop,
) -> None:
    for name, given in text.items():
        if given is None:
            continue
        if name != "format":
            drop(f"text.{name}", "Gemini has no such parameter")
            continue
        if (form := read_format(given, "Gemini does")) is None:
            continue
        # Before the third generation, functions and a format do not go together (source of Pydantic AI, 2026-08).
        has_functions = any("functionDeclarations" in tool for tool in body.get("tools", ()))
        if (has_functions and generation(model) < (3,)) or profile.structured_output == "":
            drop("text.format", "sent in words: the model takes no format here, beside functions for one")
            said.system.append({"text": in_words(form)})
        else:
            _add_format(config, form)


def _add_format(config: dict[str, Any], form: dict[str, Any]) -> None:
    config["responseMimeType"] = "application/json"
    if form["type"] == "json_schema":
        schema = form.get("schema") or {}
        if form.get("description"):
            schema = {"description": form["description"], **plain(schema, "text.format.schema")}
        config["responseJsonSchema"] = embed(schema)


def _add_logprobs(config: dict[str, Any], params: CreateParams, drop: Drop) -> None:
    include = params.include or []
    if others := [entry for entry in include if entry not in _GIVEN_ANYWAY]:
        drop("include", f"Gemini has none of {', '.join(others)}")
    if _LOGPROBS in include or params.top_logprobs:
        config["responseLogprobs"] = True
    if params.top_logprobs:
        config["logprobs"] = params.top_logprobs


def _add_tier(body: dict[str, Any], tier: str, drop: Drop) -> None:
    if tier in _TIERS:
        body["serviceTier"] = _TIERS[tier]
    else:
        drop("service_tier", f"Gemini has no tier {tier}; known are {', '.join(_TIERS)}")
