"""Profiles: what is known of a model, by the beginning of its name."""

from __future__ import annotations

import subprocess
import sys
from datetime import date
from typing import Any

import pytest

from antiphon import providers
from antiphon.pipeline.api.params import CreateParams
from antiphon.providers import catalog
from antiphon.providers.profiles import UNKNOWN, profile_of, profiles

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("gpt-5", "gpt-5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5-mini", "gpt-5"),
        ("gpt-5-pro", "gpt-5-pro"),
        ("gpt-5.1", "gpt-5.1"),
        ("gpt-5.1-codex-max", "gpt-5.1-codex"),
        ("gpt-5.4-mini", "gpt-5.4"),
        ("gpt-5.4-pro", "gpt-5.4-pro"),
        ("gpt-5.9", "gpt-5."),
        ("gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("gpt-4o-mini", "gpt-4o"),
        ("ft:gpt-4o-mini-2024-07-18:acme::1", "gpt-4o"),
        ("o4-mini", "o4"),
        ("openai/gpt-oss-20b", "gpt-oss"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss"),
        ("accounts/fireworks/models/gpt-oss-20b", "gpt-oss"),
        ("claude-opus-4-5-20251101", "claude-opus-4-5"),
        ("anthropic/claude-opus-4.5", "claude-opus-4.5"),
        ("us.anthropic.claude-opus-4-5-20251101-v1:0", "claude-opus-4-5"),
        ("claude-opus-5-5", "claude-opus-5"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
        ("MiniMax-M2.5", "minimax-m2"),
    ],
)
def test_the_longest_beginning_of_a_models_name_wins(model: str, start: str) -> None:
    assert start in profile_of(model, "").models


@pytest.mark.parametrize("model", ["", "/", "gpt", "my-deployment", "smollm2", "org/", "claude", "gpt-4", "5", "us."])
def test_a_model_that_nobody_knows_has_no_profile(model: str) -> None:
    assert profile_of(model, "openai") is UNKNOWN
    assert UNKNOWN.refused(CreateParams(temperature=1, top_p=1)) == ()


def test_what_holds_at_one_host_holds_at_no_other() -> None:
    assert profile_of("deepseek-v4-pro", "deepseek").max_output_tokens == 393216
    assert profile_of("deepseek-v4-pro", "fireworks_ai") is UNKNOWN
    assert profile_of("deepseek-v4-pro", "") is UNKNOWN


@pytest.mark.parametrize(
    ("model", "effort", "refused"),
    [
        ("gpt-4o", None, False),
        ("gpt-5", None, True),
        ("gpt-5-mini", "minimal", True),
        ("gpt-5-chat-latest", None, False),
        ("gpt-5.1", None, False),
        ("gpt-5.1", "none", False),
        ("gpt-5.1", "low", True),
        ("gpt-5.1-chat-latest", None, True),
        ("gpt-5.4", None, False),
        ("gpt-5.5", None, True),
        ("gpt-5.5", "none", False),
        ("gpt-5.5-pro", None, True),
        ("gpt-5.6-sol", "none", False),
        ("o3", None, True),
        ("gpt-oss-20b", "high", False),
        ("claude-opus-4-5", None, False),
        ("claude-opus-4-5", "high", True),
        ("claude-opus-4-7", None, True),
        ("claude-sonnet-5", "none", True),
        ("gemini-2.5-pro", None, False),
        ("gemini-3.8-flash", None, True),
    ],
)
def test_sampling_is_refused_by_models_that_reason(model: str, effort: str | None, refused: bool) -> None:
    params = CreateParams(reasoning={"effort": effort} if effort else None)

    assert profile_of(model, "").refused(params) == (("temperature", "top_p") if refused else ())


@pytest.mark.parametrize(
    ("model", "most"),
    [
        ("claude-opus-5", 128000),
        ("claude-sonnet-5-5", 128000),
        ("claude-opus-4-8", 128000),
        ("claude-sonnet-4-6", 128000),
        ("claude-opus-4-5", 64000),
        ("claude-sonnet-4-5-20250929", 64000),
        ("claude-haiku-4-5", 64000),
        ("claude-sonnet-4-20250514", 64000),
        ("claude-opus-4-1-20250805", 32000),
        ("claude-3-5-haiku-20241022", 8192),
        ("claude-3-haiku-20240307", 4096),
    ],
)
def test_what_a_claude_model_can_write_is_known(model: str, most: int) -> None:
    assert profile_of(model, "anthropic").max_output_tokens == most


def test_every_row_is_sourced_and_says_something() -> None:
    known = {row.name for row in catalog.rows()}
    for row in profiles():
        assert row.source
        assert date.fromisoformat(row.checked) <= date.today()
        assert row.models
        assert all(start == start.lower() and "/" not in start for start in row.models)
        assert set(row.providers) <= known
        assert [effort for effort in EFFORTS if effort in row.efforts] == list(row.efforts)
        assert row.max_output_tokens is None or row.max_output_tokens > 0
        assert (row.sampling, row.reasons, row.efforts, row.max_output_tokens) != ("always", False, (), None)


def test_no_beginning_of_a_name_has_two_rows_at_one_host() -> None:
    found = [(start, host) for row in profiles() for start in row.models for host in row.providers or ("",)]

    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("call", "host"),
    [
        ({"model": "deepseek/deepseek-v4-pro"}, "deepseek"),
        ({"model": "deepseek-v4-pro", "provider": "deepseek"}, "deepseek"),
        ({"model": "kimi/kimi-k3"}, "moonshot"),
        ({"model": "kimi-k3", "provider": "kimi"}, "moonshot"),
    ],
)
def test_the_public_function_reads_the_provider_from_the_model(call: dict[str, Any], host: str) -> None:
    assert providers.profile(**call).providers == (host,)


def test_the_public_function_knows_models_of_any_host() -> None:
    assert providers.profile("gpt-5").sampling == "never"
    assert providers.profile("openrouter/openai/gpt-5") is providers.profile("gpt-5")
    assert providers.profile("nobody/knows") is UNKNOWN
    assert isinstance(providers.profile("gpt-5"), providers.Profile)


def test_a_profile_is_looked_up_once() -> None:
    profile_of("gpt-5.1-looked-up-once", "openai")
    before = profile_of.cache_info().misses

    for _ in range(10):
        profile_of("gpt-5.1-looked-up-once", "openai")

    assert profile_of.cache_info().misses == before


def test_many_threads_may_be_the_first_to_ask() -> None:
    script = (
        "import threading\n"
        "from antiphon import providers\n"
        "found, start = [], threading.Barrier(16)\n"
        "def ask():\n"
        "    start.wait()\n"
        "    found.append(providers.profile('openai/gpt-5').max_output_tokens)\n"
        "threads = [threading.Thread(target=ask) for _ in range(16)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(found == [128000] * 16)\n"
    )

    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "True\n"


def test_the_file_is_not_read_by_an_import() -> None:
    script = "import antiphon.providers, sys; print('antiphon.providers.profiles' in sys.modules)"

    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "False\n"
