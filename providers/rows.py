"""Rows of the catalogue: what is known of a provider, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..pipeline.api.params import Operation

Auth = Literal["bearer", "api-key", "x-api-key", "x-goog-api-key", "aws", "google"]
Feature = Literal["always", "tools", "structured_output", "reasoning"]


class ChatFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """What is particular in a host's chat completions; the defaults are what most hosts do.

    Args:
        base_url: address of chat completions, where it is not that of the row.
        path: what is added to the address.
        auth: how the key is sent, where it is not as the row says.
        max_tokens: the field that bounds the answer.
        developer_role: whether messages of role "developer" are known; else they are sent as "system".
        one_system: whether there may be one system message only, the first; later ones become user messages.
        openai_fields: whether it takes what only OpenAI's own API has: `refusal` in messages of the assistant, marks of
            the prompt cache, `include_obfuscation`.
        reasoning_field: where the reasoning of earlier turns goes: a field of the assistant's message; "content" for a
            part of its content (Mistral); "think_tags" for text in front of it; "" leaves it out.
        reasoning_replay: which assistant messages take it: "calls" those with tool calls, "all" every one.
        reasoning_required: whether the host refuses an assistant message with tool calls that has none.
        effort: how `reasoning.effort` is asked for: "reasoning_effort" as that field, "reasoning" as an object of that
            name, "thinking" as {"type": "enabled" | "disabled"} and `reasoning_effort`, "thinking_only" without the
            latter, "enable_thinking" as that boolean, "template" as the same inside `chat_template_kwargs`; "" not at
            all.
        efforts: the levels it knows, from low to high; others are mapped to the nearest. () takes all.
        think_tags: whether reasoning may come inside the text, between <think> and </think>.
        tool_choices: forms of `tool_choice` that are taken; "function" is a named tool.
        strict_tools: whether a tool's `strict` is taken.
        custom_tools: whether tools of type "custom" are taken; else they are sent as functions of one string.
        structured_output: the strongest `response_format` that is taken; "" takes none.
        usage_option: whether `stream_options.include_usage` is taken, without which some hosts send no usage.
        streaming: "never" or "always", where the host can do only one of the two.
        call_ids: what ids of tool calls may look like: "any", "40" for at most so many characters (OpenAI), or "9" for
            nine letters or digits (Mistral).
        images: whether an image may be a URL, or only a data URL; "" takes none.
        files, audio: whether such parts are taken in messages.
        unsupported: API parameters that it refuses or ignores, beside those that no chat completions have;
            "text.verbosity" is that part of `text`.
    """

    base_url: str = ""
    path: str = "/chat/completions"
    auth: Literal["", "bearer"] = ""
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    developer_role: bool = False
    one_system: bool = False
    openai_fields: bool = False
    reasoning_field: Literal["", "reasoning_content", "reasoning", "reasoning_details", "content", "think_tags"] = ""
    reasoning_replay: Literal["calls", "all"] = "all"
    reasoning_required: bool = False
    effort: Literal["", "reasoning_effort", "reasoning", "thinking", "thinking_only", "enable_thinking", "template"] = (
        "reasoning_effort"
    )
    efforts: tuple[str, ...] = ()
    think_tags: bool = False
    tool_choices: frozenset[Literal["auto", "none", "required", "function", "allowed_tools"]] = frozenset(
        {"auto", "none", "required", "function"}
    )
    strict_tools: bool = True
    custom_tools: bool = False
    structured_output: Literal["", "json_object", "json_schema"] = "json_schema"
    usage_option: bool = True
    streaming: Literal["both", "never", "always"] = "both"
    call_ids: Literal["any", "40", "9"] = "any"
    images: Literal["", "url", "data"] = "url"
    files: bool = True
    audio: bool = True
    unsupported: frozenset[str] = frozenset()


class Preference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """When another dialect than the row's first one loses less of what a call asks for.

    Args:
        dialect: the better one.
        when: what the call asks for; "always" asks nothing.
        models: beginnings of model names that it holds for, looked at like the next; () is all.
        unless_models: beginnings of model names that it does not hold for; a model's name is looked at with and without
            what stands before its last "/".
        why: what would be lost, in a sentence.
    """

    dialect: str
    when: Feature
    models: tuple[str, ...] = ()
    unless_models: tuple[str, ...] = ()
    why: str


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """Something that a host's address depends on, such as a region: a name in braces in `base_url` or a base path.

    Args:
        option: the call option that says it.
        env: environment variables that say it; the first one set wins.
        default: its value when nothing says it; "" makes that an error.
        bases: addresses that stand in place of `base_url` for single values.
    """

    option: str
    env: tuple[str, ...] = ()
    default: str = ""
    bases: dict[str, str] = {}


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """One provider. A vendor that differs only by address and key is a row, not code.

    Args:
        name: what stands before the first "/" of a model string.
        aliases: further such names.
        base_url: address to which the dialect adds its paths; "" when the call or the environment must give it. A
            name in braces stands for the value of that environment variable, e.g. ".../accounts/{ACCOUNT_ID}/v1", or of
            a place.
        base_path: path of the API, e.g. "/v1", added to an address that has none.
        base_paths: the same by dialect, for a host whose formats are at different paths; one of another dialect counts
            as none.
        model_paths: the same by beginnings of model names, the first that fits, where the dialect has none; "" fits
            any.
        places: what the address depends on, by the names that stand for it. A place in a host's name is a region: all
            hosts of that form get the row's keys.
        bare_base: whether `base_env` may hold a host without scheme; scheme and port are then those of `base_url`.
        key_env: environment variables that may hold the key; the first one set wins.
        token_env: environment variables that may hold a bearer token, for a host that takes both; asked after key_env.
        base_env: environment variables that may hold another address.
        header_env: headers that are sent when the named environment variable is set.
        key_required: whether a call without a key is refused before it is sent.
        auth: how the key is sent; "bearer" is `Authorization: Bearer KEY`, as is any key that begins with "Bearer ";
            "aws" and "google" are the same with a key or token, and else these clouds' own credentials; all others name
            the header that takes it.
        token_scope: what tokens are asked for, where the host takes those of Microsoft Entra.
        aws_service: the name of the service in signatures, for `auth` "aws".
        version_env: environment variables with the `api_version` of Azure, for a host that takes one.
        messages: the form of its Messages API: Anthropic's own, or how Vertex AI or Bedrock wrap it.
        scoped_calls: whether its ids of tool calls begin anew with every response, so that they need the response's.
        dialects: API formats that the host speaks, the preferred one first.
        launcher: "local" starts a model on this machine, "scripted" answers in this process.
        bare_models: beginnings of model names that mean this provider without being prefixed by its name.
        operations: which calls of the API the host serves.
        unsupported: API parameters that the host's Responses API refuses or ignores; they are reported as dropped.
            Those of its chat completions are in `chat`.
        output_mode: how a typed answer is asked for by default: "prompt" where the host ignores `text.format`.
        typed_input: whether the host wants `type` on every input item; messages without one get it.
        mcp: how far the host calls MCP servers itself, other than in chat completions: "" not at all, "unasked" those
            whose tools need no approval, "all".
        prefer: when another of its dialects than the first one is the better choice.
        chat: what is particular in its chat completions.
        source, checked: where the row's facts come from, and the day they were looked at (ISO date).
        verified: whether this library's own tests have spoken to the real thing.
    """

    name: str
    aliases: tuple[str, ...] = ()
    base_url: str = ""
    base_path: str = ""
    base_paths: dict[str, str] = {}
    model_paths: dict[str, str] = {}
    places: dict[str, Place] = {}
    bare_base: bool = False
    key_env: tuple[str, ...] = ()
    token_env: tuple[str, ...] = ()
    base_env: tuple[str, ...] = ()
    header_env: dict[str, str] = {}
    key_required: bool = True
    auth: Auth = "bearer"
    token_scope: str = ""
    aws_service: str = ""
    version_env: tuple[str, ...] = ()
    messages: Literal["anthropic", "vertex", "bedrock"] = "anthropic"
    scoped_calls: bool = False
    dialects: tuple[str, ...] = ("responses",)
    launcher: Literal["", "local", "scripted"] = ""
    bare_models: tuple[str, ...] = ()
    operations: frozenset[Operation] = frozenset({"create"})
    unsupported: frozenset[str] = frozenset()
    output_mode: Literal["native", "tool", "prompt"] = "native"
    typed_input: bool = False
    mcp: Literal["", "unasked", "all"] = ""
    prefer: tuple[Preference, ...] = ()
    chat: ChatFlags = ChatFlags()
    source: str = ""
    checked: str = ""
    verified: bool = False


class Planned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A well-known provider that is not served yet: what the error says instead of guessing at a misspelt name.

    Args:
        name, aliases: as in `Provider`.
        speaks: the API format that it would take.
    """

    name: str
    aliases: tuple[str, ...] = ()
    speaks: str
