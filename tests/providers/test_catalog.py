"""The catalogue: which provider and which model a model string means."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import get_args

import msgspec
import pytest

import antiphon
from antiphon.pipeline.api.params import CreateParams, Operation
from antiphon.pipeline.errors import InvalidModel, SetupError, UnknownProvider
from antiphon.providers import catalog
from antiphon.providers.catalog import split_model
from antiphon.providers.dialects import DIALECTS
from antiphon.providers.rows import ChatFlags, Provider

GOOD: dict[str, tuple[str | None, bool, str, str]] = {
    # model string: provider given, address given, provider meant, model meant
    "openai/gpt-5": (None, False, "openai", "gpt-5"),
    "openai/ft:gpt-5:acme::x1": (None, False, "openai", "ft:gpt-5:acme::x1"),
    "openai/org/model": (None, False, "openai", "org/model"),
    "openai_compatible/meta/llama/3": (None, True, "openai_compatible", "meta/llama/3"),
    "custom_openai/m": (None, True, "openai_compatible", "m"),
    "local/smollm2": (None, False, "local", "smollm2"),
    "scripted/echo": (None, False, "scripted", "echo"),
    "gpt-5": (None, False, "openai", "gpt-5"),
    "chatgpt-4o-latest": (None, False, "openai", "chatgpt-4o-latest"),
    "o4-mini": (None, False, "openai", "o4-mini"),
    "codex-mini": (None, False, "openai", "codex-mini"),
    "gpt-5.1": (None, True, "openai", "gpt-5.1"),
    "some-model": (None, True, "openai_compatible", "some-model"),
    "meta-llama/Llama-3": (None, True, "openai_compatible", "meta-llama/Llama-3"),
    "a/b/c": (None, True, "openai_compatible", "a/b/c"),
    "google/gemma-3-4b": (None, True, "openai_compatible", "google/gemma-3-4b"),
    "qwen/qwen3-4b": (None, True, "openai_compatible", "qwen/qwen3-4b"),
    "zai-org/GLM-5": (None, True, "openai_compatible", "zai-org/GLM-5"),
    "/models/x.gguf": (None, True, "openai_compatible", "/models/x.gguf"),
    "any": ("openai", False, "openai", "any"),
    "org/any": ("openai", False, "openai", "org/any"),
    "openai/any": ("openai", False, "openai", "any"),
    "custom_openai/any": ("openai_compatible", True, "openai_compatible", "any"),
    "local/any": ("openai", False, "openai", "local/any"),
}


@pytest.mark.parametrize("model", GOOD)
def test_a_model_string_means_a_provider_and_a_model(model: str) -> None:
    provider, has_base, expected, name = GOOD[model]

    row, found = split_model(model, provider, has_base)

    assert (row.name, found) == (expected, name)


@pytest.mark.parametrize("model", [None, "", " ", "\n", " openai/gpt-5", "openai/gpt-5\n", "gpt-5 "])
@pytest.mark.parametrize("has_base", [False, True])
def test_no_model_is_said_to_be_none(model: str | None, has_base: bool) -> None:
    with pytest.raises(InvalidModel, match="a name is expected") as caught:
        split_model(model, None, has_base)

    assert caught.value.param == "model"
    assert "openai/gpt-5" in (caught.value.hint or "")


@pytest.mark.parametrize("model", ["openai/", "local/", "custom_openai/"])
def test_a_model_that_ends_after_the_provider_is_refused(model: str) -> None:
    with pytest.raises(InvalidModel, match="ends after the provider") as caught:
        split_model(model, None, False)

    assert caught.value.hint == f'write "{model}MODEL"'


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("llama-3", 'write "provider/llama-3"'),
        ("/llama-3", 'write "provider/llama-3"'),
        ("gpt", 'write "provider/gpt"'),
    ],
)
def test_a_model_alone_names_no_provider(model: str, hint: str) -> None:
    with pytest.raises(InvalidModel, match="names no provider") as caught:
        split_model(model, None, False)

    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("model", "provider", "named", "suggested"),
    [
        ("opnai/gpt-5", None, "opnai", "openai"),
        ("OpenAI/gpt-5", None, "OpenAI", None),
        ("lokal/smollm2", None, "lokal", "local"),
        ("zzz/m", None, "zzz", None),
        ("gpt-5", "opena", "opena", "openai"),
        ("gpt-5", "", "", None),
    ],
)
def test_an_unknown_provider_is_named_with_what_is_close(
    model: str, provider: str | None, named: str, suggested: str | None
) -> None:
    with pytest.raises(UnknownProvider) as caught:
        split_model(model, provider, False)

    assert f'no provider "{named}"' in str(caught.value)
    if suggested:
        assert f'did you mean "{suggested}"?' in str(caught.value)
    hint = caught.value.hint or ""
    assert "docs/providers.md" in hint
    assert "api_base=" in hint
    assert 'dialect="chat"' in hint


def test_an_unknown_provider_that_is_given_is_refused_even_with_an_address() -> None:
    with pytest.raises(UnknownProvider):
        split_model("m", "opnai", True)


def test_errors_of_the_model_string_are_value_errors_of_the_call() -> None:
    for model in ("", "zzz/m", "llama-3"):
        with pytest.raises(antiphon.CallError) as caught:
            antiphon.responses("Hi", model)

        assert isinstance(caught.value, ValueError)
        assert not caught.value.retryable


def test_every_row_is_sourced_and_usable() -> None:
    for row in catalog.rows():
        assert row.source
        assert date.fromisoformat(row.checked) <= date.today()
        assert row.dialects
        assert set(row.dialects) <= set(DIALECTS)
        assert re.fullmatch(r"[a-z][a-z0-9_]*", row.name)
        assert re.match(r"https://|http://(localhost|127\.0\.0\.1):|$", row.base_url)
        assert not row.base_url.endswith("/")
        assert row.base_url or row.base_env or row.launcher
        for path in (row.base_path, *row.base_paths.values(), *row.model_paths.values()):
            assert re.fullmatch(r"(/([a-z0-9-]+|\{\w+\}))*", path)
        assert row.base_url.endswith(row.base_path) or not row.base_url or row.model_paths
        assert row.key_env or not row.key_required or row.auth == "google"
        assert set(row.base_paths) <= set(row.dialects)
        assert bool(row.aws_service) == (row.auth == "aws")
        variables = (*row.key_env, *row.token_env, *row.base_env, *row.header_env.values())
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in variables)
        assert len(set(variables)) == len(variables)
        assert row.operations <= set(get_args(Operation))
        assert "create" in row.operations
        assert row.unsupported <= set(CreateParams.__struct_fields__) - {"model", "input", "stream"}
        assert catalog.find(row.name) is row
        assert all(catalog.find(alias) is row for alias in row.aliases)


@pytest.mark.parametrize("row", catalog.rows(), ids=lambda row: row.name)
def test_every_row_would_pass_as_a_users_own(row: Provider) -> None:
    assert catalog._checked(msgspec.to_builtins(row), "test") == row


def test_every_row_with_chat_flags_speaks_chat_completions() -> None:
    assert [row.name for row in catalog.rows() if row.chat != ChatFlags() and "chat" not in row.dialects] == []


def test_what_can_be_asked_by_the_names_of_litellm() -> None:
    names = """
        ai21 aiml amazon_nova azure baseten cerebras chutes cloudflare crusoe custom_openai dashscope databricks
        deepinfra deepseek docker_model_runner featherless_ai fireworks_ai friendliai gemini github gmi groq heroku
        hosted_vllm huggingface hyperbolic inception lemonade litellm_proxy llamafile lm_studio meta meta_llama minimax
        mistral modelscope moonshot nebius novita nscale nvidia_nim ollama openai openrouter ovhcloud perplexity poe
        publicai reka sambanova scaleway snowflake tencent together_ai v0 veniceai vercel_ai_gateway volcengine wandb
        xai xiaomi_mimo zai
    """

    assert [name for name in names.split() if name not in catalog.names()] == []


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("kimi", "moonshot"),
        ("glm", "zai"),
        ("alibaba", "dashscope"),
        ("together", "together_ai"),
        ("fireworks", "fireworks_ai"),
        ("featherless", "featherless_ai"),
        ("friendli", "friendliai"),
        ("lmstudio", "lm_studio"),
        ("vllm", "hosted_vllm"),
        ("venice", "veniceai"),
    ],
)
def test_an_alias_means_its_row(alias: str, name: str) -> None:
    assert catalog.find(alias).name == name


def test_no_two_rows_share_a_name() -> None:
    row = Provider(name="a", dialects=("responses",), source="s", checked="2026-11-22")
    other = Provider(name="b", aliases=("a",), dialects=("responses",), source="s", checked="2026-11-22")

    with pytest.raises(SetupError, match='"a" names both a and b'):
        catalog._by_name((row, other))


def test_no_variable_may_hold_the_keys_of_two_providers() -> None:
    owners: dict[str, list[str]] = {}
    for row in catalog.rows():
        for name in (*row.key_env, *row.token_env):
            owners.setdefault(name, []).append(row.name)

    assert {name: found for name, found in owners.items() if len(found) > 1} == {
        "AWS_BEARER_TOKEN_BEDROCK": ["bedrock", "bedrock_mantle"]  # one key of one cloud
    }


@pytest.mark.parametrize(
    ("model", "provider", "speaks"),
    [
        ("github_copilot/m", None, "chat completions and the Responses API behind a login of its own"),
        ("any", "watsonx", "a chat API of its own, with keys to be exchanged for tokens"),
    ],
)
@pytest.mark.parametrize(
    "ask", [split_model, lambda model, provider, _: antiphon.responses("Hi", model, custom_llm_provider=provider)]
)
def test_a_provider_of_another_format_is_said_to_be_one(
    model: str, provider: str | None, speaks: str, ask: Callable[[str, str | None, bool], object]
) -> None:
    with pytest.raises(UnknownProvider) as caught:
        ask(model, provider, False)

    assert f"yet: it speaks {speaks}, which is not served" in str(caught.value)
    assert "did you mean" not in str(caught.value)
    assert "api_base=" in (caught.value.hint or "")


def test_with_an_address_the_name_of_an_unserved_provider_belongs_to_the_model() -> None:
    row, model = split_model("watsonx/granite-5", None, True)

    assert (row.name, model) == ("openai_compatible", "watsonx/granite-5")


def test_no_planned_provider_is_served() -> None:
    planned = catalog._load().planned

    assert {"github_copilot", "watsonx"} <= set(planned)
    assert set(planned).isdisjoint(catalog.names())


def test_no_bare_model_means_two_providers() -> None:
    starts = [(start, row.name) for row in catalog.rows() for start in row.bare_models]

    for start, name in starts:
        assert {other for found, other in starts if found.startswith(start)} == {name}
