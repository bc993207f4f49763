"""Every parameter, in every API format, at hosts that differ: sent, or reported, or an error; never lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon import UnsupportedParameter, presets
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import CallError
from antiphon.pipeline.explain import Explanation
from antiphon.providers import catalog

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": True}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
LOGPROBS = "message.output_text.logprobs"

# Values that are not what happens anyway, for every parameter but the two that every call has. A new parameter fails
# the tests until it is here.
VALUES: dict[str, list[Any]] = {
    "instructions": ["Be brief."],
    "previous_response_id": ["resp_1"],
    "conversation": ["conv_1", {"id": "conv_1"}],
    "store": [True],
    "background": [True],
    "background_options": [{"a": 1}],
    "stream": [True],
    "stream_options": [{"include_obfuscation": True}, {"a": 1}],
    "include": [[LOGPROBS], ["web_search_call.results"], [LOGPROBS, "file_search_call.results"]],
    "tools": [[FUNCTION], [{"type": "custom", "name": "c"}], [{"type": "mcp", "server_label": "l", "server_url": "u"}]],
    "tool_choice": [
        "required",
        "none",
        {"type": "function", "name": "f"},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        {"type": "web_search"},
    ],
    "parallel_tool_calls": [False],
    "max_tool_calls": [3],
    "max_output_tokens": [10],
    "temperature": [0.5, 0],
    "top_p": [0.5],
    "top_logprobs": [2],
    "text": [
        {"verbosity": "low"},
        {"format": {"type": "json_object"}},
        {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
        {"a": 1},
    ],
    "reasoning": [{"effort": "low"}, {"effort": "xhigh"}, {"effort": "none"}, {"summary": "auto"}, {"a": 1}],
    "truncation": ["auto"],
    "context_management": [[{"type": "compaction"}]],
    "metadata": [{"a": "b"}],
    "prompt": [{"id": "pmpt_1"}],
    "prompt_cache_key": ["k"],
    "prompt_cache_options": [{"mode": "explicit"}],
    "prompt_cache_retention": ["24h"],
    "safety_identifier": ["s"],
    "service_tier": ["flex"],
    "moderation": [{"model": "omni-moderation-latest"}],
    "image": [{"a": 1}],
    "access_programs": [{"a": 1}],
    "user": ["me"],
}
CASES = [
    pytest.param(name, value, id=f"{name}-{at}") for name, values in VALUES.items() for at, value in enumerate(values)
]

# Where a parameter is in a chat body: one of these fields differs from a call without it.
CHAT_FIELDS: dict[str, tuple[str, ...]] = {
    "instructions": ("messages",),
    "include": ("logprobs",),
    "tool_choice": ("tool_choice", "tools"),
    "max_output_tokens": ("max_tokens", "max_completion_tokens"),
    "text": ("verbosity", "response_format", "messages"),
    "reasoning": (*("reasoning_effort", "reasoning", "thinking", "enable_thinking", "chat_template_kwargs"),),
}

# Gemini and Anthropic have names of their own for nearly everything; their fields are walked beside their requests.
DIALECTS = ("responses", "chat")
HOSTS = [
    *("openai", "openai_compatible", "deepseek", "mistral", "ollama", "groq", "openrouter", "perplexity", "minimax"),
    *("zai", "llama_cpp"),
]
MODEL = "some-model"
# What a host does not keep would be kept by Remember.
CHAIN = presets.responses.without("remember", "tools")


def explained(host: str, dialect: str, name: str, value: Any, **more: Any) -> tuple[Explanation, Explanation]:
    """Return what a call becomes with a parameter and without it."""
    base: dict[str, Any] = {"model": f"{host}/{MODEL}", "dialect": dialect, "api_key": "k"}
    if not catalog.find(host).base_url:
        base["api_base"] = "https://mine.example/v1"
    if name in ("tool_choice", "parallel_tool_calls") and "tools" not in catalog.find(host).chat.unsupported:
        base["tools"] = [FUNCTION]
    if name == "stream_options":
        base["stream"] = True
    return (
        CHAIN.explain("Hi", **base, **{name: value}, **more),
        CHAIN.explain("Hi", **base),
    )


def sent(found: Explanation) -> dict[str, Any]:
    assert found.request is not None
    body: dict[str, Any] = found.request.body
    return body


def explained_or_refused(
    host: str, dialect: str, name: str, value: Any
) -> tuple[Explanation, Explanation] | UnsupportedParameter:
    try:
        return explained(host, dialect, name, value)
    except UnsupportedParameter as error:
        return error


def own(found: Explanation, without: Explanation) -> list[Any]:
    """Return what is reported of a call, and not of the call without the parameter."""
    return [item for item in found.dropped if item not in without.dropped]


def is_about(reported: str, name: str) -> bool:
    return reported == name or reported.startswith((f"{name}.", f"{name}["))


def test_every_parameter_has_a_value_here() -> None:
    assert {*VALUES, "model", "input"} == set(CreateParams.__struct_fields__)


@pytest.mark.parametrize(("name", "value"), CASES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("host", HOSTS)
def test_a_parameter_is_sent_or_reported_or_an_error(host: str, dialect: str, name: str, value: Any) -> None:
    tried = explained_or_refused(host, dialect, name, value)
    if isinstance(tried, UnsupportedParameter):
        assert tried.provider in (host, None)
        assert tried.param is not None
        assert is_about(tried.param, name)
        assert tried.hint
        return

    found, without = tried
    body, before = sent(found), sent(without)
    fields = (name,) if dialect == "responses" else CHAT_FIELDS.get(name, (name,))
    changed = [field for field in fields if body.get(field) != before.get(field)]
    reported = own(found, without)
    assert changed or reported
    assert all(is_about(item.name, name) and item.reason for item in reported)
    assert body.keys() - before.keys() <= {*fields, "top_logprobs", "logprobs", "stream_options"}
    if dialect == "responses" and not reported:
        assert body[name] == value


@pytest.mark.parametrize(("name", "value"), CASES)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("host", HOSTS)
def test_the_policy_decides_what_becomes_of_a_report(host: str, dialect: str, name: str, value: Any) -> None:
    try:
        found, without = explained(host, dialect, name, value)
    except UnsupportedParameter:
        # Without it the call would be another one: no policy lets it go.
        for policy in ("error", "ignore"):
            with pytest.raises(UnsupportedParameter):
                explained(host, dialect, name, value, drop=policy)
        return

    ignoring, _ = explained(host, dialect, name, value, drop="ignore")

    assert ignoring.dropped == ()
    assert sent(ignoring) == sent(found)
    if own(found, without):
        with pytest.raises(UnsupportedParameter) as caught:
            explained(host, dialect, name, value, drop="error")
        assert caught.value.param is not None
        assert is_about(caught.value.param, name)
        assert isinstance(caught.value, CallError)
    elif not without.dropped:
        strict, _ = explained(host, dialect, name, value, drop="error")
        assert sent(strict) == sent(found)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("host", HOSTS)
def test_all_parameters_at_once_lose_nothing_in_silence(host: str, dialect: str) -> None:
    """What is an error alone is left out here."""
    given: dict[str, Any] = {}
    for name, values in VALUES.items():
        try:
            explained(host, dialect, name, values[0])
        except UnsupportedParameter:
            continue
        if name != "conversation" or "previous_response_id" not in given:  # which exclude each other
            given[name] = values[0]
    if "tools" not in given:
        for name in ("tool_choice", "parallel_tool_calls"):
            given.pop(name, None)

    found, _ = explained(host, dialect, "max_output_tokens", given.pop("max_output_tokens"), **given)

    reported = [item.name for item in found.dropped]
    for name in given:
        fields = (name,) if dialect == "responses" else CHAT_FIELDS.get(name, (name,))
        assert any(field in sent(found) for field in fields) or any(is_about(each, name) for each in reported)


@pytest.mark.parametrize("host", HOSTS)
def test_further_body_fields_are_sent_by_every_format(host: str) -> None:
    for dialect in DIALECTS:
        found, _ = explained(host, dialect, "temperature", 0.5, extra_body={"stop": ["x"], "temperature": 1})

        assert sent(found)["stop"] == ["x"]
        assert sent(found)["temperature"] == 1
