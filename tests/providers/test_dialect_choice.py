"""Which of a host's API formats a call takes, and what `explain` says about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

import antiphon
from antiphon import InvalidParameter, UnsupportedOperation, UnsupportedParameter, presets
from antiphon.pipeline.api.params import PARAMS, CreateParams
from antiphon.pipeline.api.tools import FunctionTool
from antiphon.pipeline.explain import Explanation
from antiphon.providers import catalog
from antiphon.providers.dialect_choice import Choice, choose_dialect
from antiphon.providers.dialects import DIALECTS
from antiphon.providers.rows import Preference, Provider

KEY = "sk-test-canary0123456789"
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
CUSTOM = {"type": "custom", "name": "c"}
NAMESPACE = {"type": "namespace", "name": "n", "tools": [FUNCTION]}
HOSTED = {"type": "web_search"}
SCHEMA = {"format": {"type": "json_schema", "name": "a", "schema": {"type": "object", "properties": {}}}}


# What a host does not keep would be kept by Remember.
CHAIN = presets.responses.without("remember")


def explained(model: str, **given: Any) -> Explanation:
    return CHAIN.explain("Hi", model=model, **{"api_key": KEY, **given})


def row(*dialects: str, **fields: Any) -> Provider:
    return Provider(name="acme", dialects=dialects, **fields)


def rule(when: Any, dialect: str = "chat", **fields: Any) -> Preference:
    return Preference(dialect=dialect, when=when, why=f"it loses {when}", **fields)


class Answer(msgspec.Struct):
    text: str


# --- rows of the catalogue --------------------------------------------------------------------------------------------

VLLM = catalog.find("hosted_vllm").prefer[0].why
FORMAT = "it ignores text.format"
OLLAMA = catalog.find("ollama").prefer[0].why
SGLANG = catalog.find("sglang").prefer[0].why


@pytest.mark.parametrize(
    ("model", "given", "dialect", "why"),
    [
        # Both formats, the Responses API first.
        ("openai/gpt-5", {}, "responses", ""),
        ("openai/gpt-5", {"tools": [FUNCTION], "text": SCHEMA, "reasoning": {"effort": "low"}}, "responses", ""),
        ("groq/m", {"tools": [FUNCTION], "text": SCHEMA}, "responses", ""),
        ("openai_compatible/m", {"tools": [FUNCTION], "api_base": "http://mine.example/v1"}, "responses", ""),
        # Chat completions lose less, whatever is asked for.
        ("ollama/m", {}, "chat", OLLAMA),
        ("ollama/m", {"tools": [FUNCTION, CUSTOM, NAMESPACE], "text": SCHEMA}, "chat", OLLAMA),
        ("ollama/m", {"prompt": {"id": "p"}}, "responses", "only the Responses API has prompt"),
        ("ollama/m", {"tools": [FUNCTION, HOSTED]}, "responses", "only the Responses API has tools of type web_search"),
        ("sglang/m", {}, "chat", SGLANG),
        (
            "sglang/m",
            {"previous_response_id": "resp_1"},
            "responses",
            "only the Responses API has previous_response_id",
        ),
        ("sglang/m", {"conversation": "c"}, "responses", "only the Responses API has conversation"),
        ("sglang/m", {"background": True}, "responses", "only the Responses API has background"),
        ("sglang/m", {"background": False}, "chat", SGLANG),
        ("sglang/m", {"tools": []}, "chat", SGLANG),
        ("sglang/openai/gpt-oss-20b", {"tools": [FUNCTION]}, "responses", ""),
        # vLLM serves tools of gpt-oss models alone in its Responses API.
        ("hosted_vllm/m", {}, "responses", ""),
        ("hosted_vllm/m", {"text": SCHEMA}, "responses", ""),
        ("hosted_vllm/m", {"tools": [FUNCTION]}, "chat", VLLM),
        ("vllm/m", {"tools": [FUNCTION]}, "chat", VLLM),
        ("hosted_vllm/m", {"tools": []}, "responses", ""),
        ("hosted_vllm/gpt-oss-20b", {"tools": [FUNCTION]}, "responses", ""),
        ("hosted_vllm/openai/gpt-oss-120b", {"tools": [FUNCTION]}, "responses", ""),
        ("hosted_vllm/my-gpt-oss", {"tools": [FUNCTION]}, "chat", VLLM),
        ("hosted_vllm/m", {"tools": [FUNCTION], "previous_response_id": "r"}, "responses", "has previous_response_id"),
        ("hosted_vllm/m", {"tools": [FUNCTION, HOSTED]}, "responses", "only the Responses API has tools of type web"),
        # llama.cpp does not hold to a format in its Responses API.
        ("llama_cpp/m", {}, "responses", ""),
        ("llama_cpp/m", {"tools": [FUNCTION]}, "responses", ""),
        ("llama_cpp/m", {"text": SCHEMA}, "chat", FORMAT),
        ("llama_cpp/m", {"text": {"format": {"type": "json_object"}}}, "chat", FORMAT),
        ("llama_cpp/m", {"text": {"format": {"type": "text"}}}, "responses", ""),
        ("llama_cpp/m", {"text": {"verbosity": "low"}}, "responses", ""),
        ("llama_cpp/m", {"text_format": Answer}, "chat", FORMAT),
        ("llama_cpp/m", {"text_format": Answer, "output_mode": "prompt"}, "responses", ""),
        ("local/smollm2", {}, "responses", ""),
        ("local/smollm2", {"text": SCHEMA}, "chat", FORMAT),
    ],
)
def test_the_format_is_chosen_by_what_the_call_asks_for(
    model: str, given: dict[str, Any], dialect: str, why: str
) -> None:
    key = {"api_key": None} if model.startswith("local/") else {}

    found = explained(model, **key, **given)

    assert found.dialect == dialect
    assert found.request is not None
    assert found.request.url.endswith({"responses": "/responses", "chat": "/chat/completions"}[dialect])
    assert (why in found.why) if why else (found.why == "")
    line = f"target   {found.provider} · {found.model} · dialect {dialect}" + (f" ({found.why})" if why else "")
    assert line in str(found).splitlines()


@pytest.mark.parametrize("given", [{"previous_response_id": "resp_1"}, {"conversation": "c"}, {"background": True}])
@pytest.mark.parametrize("model", ["ollama/m", "cerebras/m", "llama_cpp/m"])
def test_what_neither_format_of_a_host_has_is_an_error_and_no_reason_to_change(
    model: str, given: dict[str, Any]
) -> None:
    with pytest.raises(UnsupportedParameter, match=next(iter(given))):
        explained(model, **given)


@pytest.mark.parametrize("each", catalog.rows(), ids=lambda each: each.name)
def test_a_call_that_asks_for_nothing_takes_the_usual_format_of_its_row(each: Provider) -> None:
    always = [(rule.dialect, rule.why) for rule in each.prefer if rule.when == "always" and not rule.models]

    assert choose_dialect(each, "m", CreateParams(input="Hi")) == Choice(*(always or [(each.dialects[0], "")])[0])
    assert set(each.dialects) <= set(DIALECTS)


# --- rules ------------------------------------------------------------------------------------------------------------

ASKING: dict[str, CreateParams] = {
    "always": CreateParams(input="Hi"),
    "tools": CreateParams(tools=[FUNCTION]),
    "structured_output": CreateParams(text=SCHEMA),
    "reasoning": CreateParams(reasoning={"effort": "low"}),
}


@pytest.mark.parametrize("when", ASKING)
def test_a_rule_holds_for_calls_that_ask_for_its_feature_alone(when: str) -> None:
    given = row("responses", "chat", prefer=(rule(when),))

    for other, params in ASKING.items():
        holds = when in ("always", other)
        expected = Choice("chat", f"it loses {when}") if holds else Choice("responses")
        assert choose_dialect(given, "m", params) == expected


def test_the_first_rule_that_holds_decides() -> None:
    given = row("responses", "chat", prefer=(rule("tools"), rule("always", "responses"), rule("reasoning")))

    assert choose_dialect(given, "m", CreateParams(tools=[FUNCTION])) == Choice("chat", "it loses tools")
    assert choose_dialect(given, "m", CreateParams(reasoning={"effort": "low"})) == Choice("responses")


@pytest.mark.parametrize(
    ("model", "holds"),
    [
        ("llama-3", True),
        ("gpt-oss", False),
        ("openai/gpt-oss-20b", False),
        ("a/b/gpt-oss", False),
        ("not-gpt-oss", True),
    ],
)
def test_a_rule_may_leave_models_out(model: str, holds: bool) -> None:
    given = row("responses", "chat", prefer=(rule("always", unless_models=("gpt-oss",)),))

    assert choose_dialect(given, model, CreateParams()).dialect == ("chat" if holds else "responses")


def test_a_rule_may_prefer_the_responses_api() -> None:
    given = row("chat", "responses", prefer=(rule("reasoning", "responses"),))

    assert choose_dialect(given, "m", CreateParams()) == Choice("chat")
    assert choose_dialect(given, "m", CreateParams(reasoning={})) == Choice("chat")
    assert choose_dialect(given, "m", CreateParams(reasoning={"effort": "low"})) == Choice(
        "responses", "it loses reasoning"
    )


def test_a_host_with_one_format_is_spoken_to_in_it() -> None:
    everything = CreateParams(previous_response_id="resp_1", tools=[HOSTED])

    assert choose_dialect(row("chat"), "m", everything) == Choice("chat")
    assert choose_dialect(row("responses"), "m", everything) == Choice("responses")


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "background", "tools"])
def test_what_the_hosts_own_responses_api_refuses_is_no_reason_for_it(name: str) -> None:
    given: dict[str, Any] = {name: [HOSTED] if name == "tools" else "x"}
    params = CreateParams(**given)

    assert choose_dialect(row("chat", "responses"), "m", params).dialect == "responses"
    assert choose_dialect(row("chat", "responses", unsupported=frozenset({name})), "m", params).dialect == "chat"


@pytest.mark.parametrize(
    ("tool", "dialect"),
    [
        (FUNCTION, "chat"),
        (CUSTOM, "chat"),
        (NAMESPACE, "chat"),
        (FunctionTool.new(name="f", parameters={}), "chat"),
        (HOSTED, "responses"),
        ({"type": "mcp", "server_label": "docs"}, "chat"),
        ({"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example"}, "chat"),
        ({"type": "mcp", "server_label": "docs", "connector_id": "connector_dropbox"}, "responses"),
        ({"type": "image_generation"}, "responses"),
    ],
)
def test_tools_that_run_at_the_host_need_the_responses_api(tool: Any, dialect: str) -> None:
    assert choose_dialect(row("chat", "responses"), "m", CreateParams(tools=[FUNCTION, tool])).dialect == dialect


@pytest.mark.parametrize(("url", "dialect"), [("https://mcp.example", "responses"), ("antiphon/docs", "chat")])
def test_a_host_that_calls_mcp_servers_itself_is_asked_in_the_format_that_says_so(url: str, dialect: str) -> None:
    tool = {"type": "mcp", "server_label": "docs", "server_url": url}

    assert choose_dialect(row("chat", "responses", mcp="all"), "m", CreateParams(tools=[tool])).dialect == dialect


@pytest.mark.parametrize("operation", [name for name in PARAMS if name != "create"])
def test_other_calls_are_those_of_the_responses_api(operation: Any) -> None:
    params = PARAMS[operation]()

    assert choose_dialect(row("responses", "chat"), "m", params) == Choice("responses")
    assert choose_dialect(row("chat", "responses", prefer=(rule("always"),)), "", params) == Choice(
        "responses", "only the Responses API has this call"
    )


# --- what the call says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["openai/gpt-5", "ollama/m", "sglang/m", "hosted_vllm/m", "cerebras/m"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_call_may_name_its_format(model: str, dialect: str) -> None:
    found = explained(model, dialect=dialect)

    assert (found.dialect, found.why) == (dialect, "the call asks for it")


def test_what_the_call_says_wins_over_what_it_asks_for() -> None:
    assert explained("hosted_vllm/m", dialect="responses", tools=[FUNCTION]).dialect == "responses"
    with pytest.raises(UnsupportedParameter, match="previous_response_id"):
        explained("sglang/m", dialect="chat", previous_response_id="resp_1")
    with pytest.raises(UnsupportedParameter, match="web_search"):
        explained("sglang/m", dialect="chat", tools=[HOSTED])


@pytest.mark.parametrize(
    ("dialect", "hint"), [("Chat", 'did you mean "chat"'), ("chat_completions", ""), ("messages", ""), ("", "")]
)
def test_an_unknown_format_is_an_error_that_names_the_known_ones(dialect: str, hint: str) -> None:
    with pytest.raises(InvalidParameter, match="there is no dialect") as caught:
        explained("openai/gpt-5", dialect=dialect)

    assert hint in str(caught.value)
    assert all(name in (caught.value.hint or "") for name in DIALECTS)
    assert caught.value.param == "dialect"


@pytest.mark.parametrize("model", ["openai/chat_completions/gpt-5", "ollama/chat_completions/m"])
def test_litellms_prefix_means_chat_completions(model: str) -> None:
    found = explained(model)

    assert (found.dialect, found.why) == ("chat", "the call asks for it")
    assert found.model == model.rpartition("/")[2]
    assert found.request is not None
    assert found.request.body["model"] == found.model


@pytest.mark.parametrize("model", ["openai/responses/gpt-5", "ollama/responses/m"])
def test_litellms_other_prefix_means_the_responses_api(model: str) -> None:
    found = explained(model)

    assert (found.dialect, found.model) == ("responses", model.rpartition("/")[2])


@pytest.mark.parametrize(("prefix", "dialect"), [("converse", "converse"), ("invoke", "anthropic")])
def test_litellms_prefixes_of_bedrock_choose_its_formats(
    prefix: str, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = explained(f"bedrock/{prefix}/anthropic.claude-sonnet-4-5-v1:0")

    assert (found.dialect, found.model) == (dialect, "anthropic.claude-sonnet-4-5-v1:0")


@pytest.mark.parametrize("model", ["openai/responses/", "openai/chat_completions/"])
def test_a_model_that_ends_after_a_prefix_is_refused(model: str) -> None:
    with pytest.raises(antiphon.InvalidModel, match="ends after"):
        explained(model)


def test_the_calls_own_word_wins_over_litellms_prefix() -> None:
    found = explained("openai/chat_completions/gpt-5", dialect="responses")

    assert (found.dialect, found.model) == ("responses", "gpt-5")


# --- other operations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama", "cerebras", "llama_cpp", "groq"])
def test_a_call_that_a_host_does_not_serve_is_an_error_that_says_what_it_serves(name: str) -> None:
    with pytest.raises(UnsupportedOperation, match=f"{name} does not serve get") as caught:
        antiphon.get_responses("resp_1", custom_llm_provider=name, api_key=KEY)

    assert "create" in (caught.value.hint or "")


@pytest.mark.parametrize("model", ["openai/gpt-5", "llama_cpp/m"])
def test_chat_completions_count_no_tokens(model: str) -> None:
    with pytest.raises(UnsupportedOperation, match="the dialect chat does not serve count_input_tokens"):
        antiphon.count_input_tokens("Hi", model=model, dialect="chat", api_key=KEY)


# --- what answers in this process -------------------------------------------------------------------------------------


@pytest.fixture
def closing() -> Iterator[None]:
    yield
    antiphon.close()


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize(
    "call",
    [
        {"model": "scripted/echo"},
        {"model": "scripted/echo", "dialect": "chat"},
        {"model": "ollama/m", "mock_response": "Hi"},
        {"model": "cerebras/m", "mock_response": "Hi"},
        {"model": "openai/chat_completions/m", "mock_response": "Hi"},
    ],
)
def test_what_answers_in_this_process_speaks_the_responses_api(call: dict[str, Any]) -> None:
    response = antiphon.responses(input="Hi", **call)

    assert response.output_text == "Hi"
    assert response.meta is not None
    assert response.meta.dialect == "responses"
