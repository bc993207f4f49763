"""A call of the Responses API as the body of Cohere's `POST /v2/chat`.

Every parameter is sent, or reported through `drop` with the reason, or an error. A value that asks for what happens
anyway (`store=False`, `truncation="disabled"`, free text as format …) is neither. What only Cohere has (`documents`,
`citation_options`, `safety_mode`, `k`, `stop_sequences`, `seed` …) travels in the call option `extra_body`; documents
in it stand beside those that are files of the input.

Source: types of Cohere's Python package 7.3 (`V2ChatRequest…`) and its documentation, Reasoning, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.api.params import HAPPENS_ANYWAY, CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.request import Drop, Target
from .chat_request import to_json
from .cohere_messages import Messages, reasons
from .cohere_tools import add_tools
from .text_format import in_words, read_format

_WRITTEN: Final = frozenset(
    {
        *("model", "input", "instructions", "stream", "stream_options", "include", "tools", "tool_choice"),
        *("parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "text", "reasoning"),
    }
)
"""Parameters that have code of their own below."""

_OTHERS: Final = tuple(name for name in CreateParams.__struct_fields__ if name not in _WRITTEN)
_NONE: Final = "Cohere's chat API has no such parameter"
_LACKING: Final = {
    "previous_response_id": "Cohere keeps no responses; send the whole conversation",
    "conversation": "Cohere keeps no conversations; send the items",
    "prompt": "Cohere has no stored prompts; send its text",
    "background": "Cohere's chat API answers at once",
    "background_options": "Cohere's chat API answers at once",
    "truncation": "Cohere does not shorten the input",
    "top_logprobs": 'Cohere names the chosen tokens only: pass extra_body={"logprobs": true} for its own form of them',
}
"""Why a parameter cannot be sent; one that is not here has no counterpart."""

_INCLUDED: Final = frozenset({"reasoning.encrypted_content"})  # is there anyway
BUDGETS: Final = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16_384}
"""Tokens of thinking by effort; more than the last asks for no bound. Cohere documents no levels: these are ours."""


def encode_body(params: CreateParams, target: Target, drop: Drop, extra: dict[str, Any] | None = None) -> bytes:
    """Return the body for a call; fields of `extra` win over its parameters.

    Raises:
        InvalidParameter: something that breaks the rules of the API, or has no JSON form.
        UnsupportedParameter: what cannot be sent, and cannot be left out either.
    """
    writer = Messages(target, drop)
    writer.write(params.instructions, params.input)
    body: dict[str, Any] = {"model": target.model, "messages": writer.messages}
    if params.stream is True:
        body["stream"] = True
    for name, sent in (("max_output_tokens", "max_tokens"), ("temperature", "temperature"), ("top_p", "p")):
        if (value := getattr(params, name)) is not None:
            body[sent] = value
    documents = [*writer.documents, *((extra or {}).get("documents") or ())]
    if documents:
        body["documents"] = embed(documents)
    if params.tools or params.tool_choice is not None or params.parallel_tool_calls is False:
        add_tools(body, params, target, drop)
    for name in _OTHERS:
        given = getattr(params, name)
        if given is not None and HAPPENS_ANYWAY.get(name) != given:
            drop(name, _LACKING.get(name, _NONE))
    for name, given in (params.text or {}).items():
        if name == "format" and given is not None:
            _add_format(body, given, drop)
        elif given is not None:
            drop(f"text.{name}", _NONE)
    if params.reasoning:
        _add_reasoning(body, params.reasoning, target.model, drop)
    if others := [entry for entry in params.include or () if entry not in _INCLUDED]:
        drop("include", f"Cohere's chat API has none of {', '.join(others)}")
    for name, value in (params.stream_options or {}).items():
        if value and name != "include_usage":
            drop(f"stream_options.{name}", _NONE)
    further = {name: value for name, value in (extra or {}).items() if name != "documents"}
    return to_json({**body, **embed(further)}, None)


def _add_format(body: dict[str, Any], given: object, drop: Drop) -> None:
    form = read_format(given, "Cohere's chat API does")
    if form is None:
        return
    if "tools" in body or "documents" in body:
        # Cohere API reference, Chat › response_format, names this limit (from memory).
        drop("text.format", "sent in words: the host does not enforce it beside tools or documents")
        messages = body["messages"]
        first = next((at for at, message in enumerate(messages) if message["role"] != "system"), len(messages))
        messages.insert(first, {"role": "system", "content": in_words(form)})
        return
    body["response_format"] = {"type": "json_object"}
    if form["type"] == "json_schema":
        body["response_format"]["json_schema"] = embed(form.get("schema") or {"type": "object"})


def _add_reasoning(body: dict[str, Any], given: dict[str, Any], model: str, drop: Drop) -> None:
    effort = given.get("effort")
    for name, value in given.items():
        if name in ("summary", "generate_summary") and value is not None:
            drop(f"reasoning.{name}", "the host shows the reasoning itself")
        elif name != "effort" and value is not None:
            drop(f"reasoning.{name}", _NONE)
    if effort is None:
        return
    if not reasons(model):
        if effort != "none":
            drop("reasoning.effort", "the model does not reason")
    elif effort == "none":
        body["thinking"] = {"type": "disabled"}
    else:
        budget = BUDGETS.get(effort)
        body["thinking"] = {"type": "enabled", **({"token_budget": budget} if budget else {})}
