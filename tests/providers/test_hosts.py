"""What is sent to each host of the catalogue: address, headers, body; and that its key goes to it only."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon import InvalidParameter, MissingKey, NotFoundError, UnsupportedOperation, UnsupportedParameter, presets
from antiphon.pipeline.api.items import Message
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.wire import loads
from antiphon.providers import catalog
from antiphon.providers.credentials import Access, find_access
from antiphon.providers.dialect_choice import Choice, choose_dialect
from antiphon.providers.rows import Provider

KEY = "sk-test-canary0123456789"
LOGINS = ("aws", "google")  # looked for on this machine where there is no key
ANSWER = Answer.json(b'{"id":"r","object":"response","status":"completed","output":[]}')
ROWS = [row for row in catalog.rows() if not row.launcher]
CHAT_ANSWER = Answer.json(b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"content":"Hi"}}]}')
MINE = "https://mine.example"
ACCOUNT = {
    "CLOUDFLARE_ACCOUNT_ID": "acct/1",
    "SNOWFLAKE_ACCOUNT": "org-acct",
    "AWS_REGION": "eu-central-1",
    "GOOGLE_CLOUD_PROJECT": "pro-1",
}
PATHS = {
    "responses": "/responses",
    "chat": "/chat/completions",
    "gemini": "/models/m:generateContent",
    "anthropic": "/v1/messages",
    "converse": "/model/m/converse",
    "cohere": "/v2/chat",
}

VERTEX = "https://aiplatform.googleapis.com/v1/projects/pro-1/locations/global"

# The whole address of POST in the row's usual dialect. Rows without an address of their own get MINE.
URLS = {
    "openai": "https://api.openai.com/v1/responses",
    "azure": f"{MINE}/openai/v1/responses",
    "azure_ai": f"{MINE}/openai/v1/responses",
    "bedrock": "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/converse",
    "bedrock_mantle": "https://bedrock-mantle.eu-central-1.api.aws/v1/responses",
    "vertex_ai": f"{VERTEX}/endpoints/openapi/chat/completions",
    "xai": "https://api.x.ai/v1/responses",
    "openrouter": "https://openrouter.ai/api/v1/responses",
    "groq": "https://api.groq.com/openai/v1/responses",
    "mistral": "https://api.mistral.ai/v1/responses",
    "deepseek": "https://api.deepseek.com/responses",
    "together_ai": "https://api.together.ai/v1/responses",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1/responses",
    "perplexity": "https://api.perplexity.ai/v1/responses",
    "minimax": "https://api.minimax.io/v1/responses",
    "dashscope": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/responses",
    "volcengine": "https://ark.cn-beijing.volces.com/api/v3/responses",
    "databricks": f"{MINE}/serving-endpoints/chat/completions",
    "cloudflare": "https://api.cloudflare.com/client/v4/accounts/acct%2F1/ai/v1/chat/completions",
    "meta": "https://api.meta.ai/v1/responses",
    "nebius": "https://api.tokenfactory.nebius.com/v1/responses",
    "huggingface": "https://router.huggingface.co/v1/responses",
    "vercel_ai_gateway": "https://ai-gateway.vercel.sh/v1/responses",
    "gemini": "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
    "cerebras": "https://api.cerebras.ai/v1/chat/completions",
    "moonshot": "https://api.moonshot.ai/v1/chat/completions",
    "zai": "https://api.z.ai/api/paas/v4/chat/completions",
    "sambanova": "https://api.sambanova.ai/v1/chat/completions",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1/chat/completions",
    "github": "https://models.github.ai/inference/chat/completions",
    "meta_llama": "https://api.llama.com/compat/v1/chat/completions",
    "deepinfra": "https://api.deepinfra.com/v1/openai/chat/completions",
    "snowflake": "https://org-acct.snowflakecomputing.com/api/v2/cortex/v1/chat/completions",
    "heroku": "https://us.inference.heroku.com/v1/chat/completions",
    "crusoe": "https://api.inference.crusoecloud.com/v1/chat/completions",
    "ai21": "https://api.ai21.com/studio/v1/chat/completions",
    "aiml": "https://api.aimlapi.com/v1/chat/completions",
    "amazon_nova": "https://api.nova.amazon.com/v1/chat/completions",
    "baseten": "https://inference.baseten.co/v1/chat/completions",
    "chutes": "https://llm.chutes.ai/v1/chat/completions",
    "featherless_ai": "https://api.featherless.ai/v1/chat/completions",
    "friendliai": "https://api.friendli.ai/serverless/v1/chat/completions",
    "gmi": "https://api.gmi-serving.com/v1/chat/completions",
    "hyperbolic": "https://api.hyperbolic.xyz/v1/chat/completions",
    "inception": "https://api.inceptionlabs.ai/v1/chat/completions",
    "modelscope": "https://api-inference.modelscope.cn/v1/chat/completions",
    "novita": "https://api.novita.ai/v3/openai/chat/completions",
    "nscale": "https://inference.api.nscale.com/v1/chat/completions",
    "ovhcloud": "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1/chat/completions",
    "poe": "https://api.poe.com/v1/chat/completions",
    "publicai": "https://api.publicai.co/v1/chat/completions",
    "reka": "https://api.reka.ai/v1/chat/completions",
    "requesty": "https://router.requesty.ai/v1/chat/completions",
    "scaleway": "https://api.scaleway.ai/v1/chat/completions",
    "siliconflow": "https://api.siliconflow.com/v1/chat/completions",
    "stepfun": "https://api.stepfun.ai/v1/chat/completions",
    "tencent": "https://tokenhub-intl.tencentcloudmaas.com/v1/chat/completions",
    "upstage": "https://api.upstage.ai/v1/chat/completions",
    "v0": "https://api.v0.dev/v1/chat/completions",
    "veniceai": "https://api.venice.ai/api/v1/chat/completions",
    "wandb": "https://api.inference.wandb.ai/v1/chat/completions",
    "xiaomi_mimo": "https://api.xiaomimimo.com/v1/chat/completions",
    "anthropic": "https://api.anthropic.com/v1/messages",
    "cohere": "https://api.cohere.com/v2/chat",
    "ollama": "http://localhost:11434/v1/chat/completions",
    "lm_studio": "http://localhost:1234/v1/responses",
    "hosted_vllm": "http://localhost:8000/v1/responses",
    "sglang": "http://localhost:30000/v1/chat/completions",
    "llama_cpp": "http://127.0.0.1:8080/v1/responses",
    "docker_model_runner": "http://localhost:12434/engines/v1/chat/completions",
    "lemonade": "http://localhost:8000/api/v1/chat/completions",
    "litellm_proxy": f"{MINE}/responses",
    "openai_compatible": f"{MINE}/responses",
}


# Of formats that are not beside the usual one.
OTHER_URLS = {
    ("azure_ai", "anthropic"): f"{MINE}/anthropic/v1/messages",
    ("bedrock", "anthropic"): "https://bedrock-runtime.eu-central-1.amazonaws.com/model/m/invoke",
    ("bedrock", "responses"): "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1/responses",
    ("bedrock", "chat"): "https://bedrock-runtime.eu-central-1.amazonaws.com/openai/v1/chat/completions",
    ("bedrock_mantle", "anthropic"): "https://bedrock-mantle.eu-central-1.api.aws/anthropic/v1/messages",
    ("vertex_ai", "gemini"): f"{VERTEX}/publishers/google/models/m:generateContent",
    ("vertex_ai", "anthropic"): f"{VERTEX}/publishers/anthropic/models/m:rawPredict",
}
CLAUDE_PATHS = {"bedrock": "/model/m/invoke", "vertex": "/models/m:rawPredict"}
CLAUDE_VERSIONS = {"bedrock": "bedrock-2023-05-31", "vertex": "vertex-2023-10-16"}


def path_for(row: Provider, dialect: str) -> str:
    """Return what a format adds to the address."""
    if dialect == "chat":
        return row.chat.path
    return CLAUDE_PATHS.get(row.messages, PATHS[dialect]) if dialect == "anthropic" else PATHS[dialect]


def body_for(row: Provider, dialect: str) -> dict[str, Any]:
    body = dict(BODIES[dialect])
    if dialect == "anthropic" and row.messages != "anthropic":
        del body["model"]
        body["anthropic_version"] = CLAUDE_VERSIONS[row.messages]
    return body


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in ROWS:
        for name in (*row.key_env, *row.token_env, *row.base_env, *row.header_env.values()):
            monkeypatch.delenv(name, raising=False)
    for name, value in ACCOUNT.items():
        monkeypatch.setenv(name, value)


def by_name(row: Provider) -> str:
    return row.name


def sent(mode: Mode, **call: Any) -> Any:
    """Return what a loopback server received of a call."""

    async def body() -> Any:
        try:
            await mode.either(lambda: antiphon.responses(**call), lambda: antiphon.aresponses(**call))
        finally:
            await mode.either(antiphon.close, antiphon.aclose)

    with replaying(CHAT_ANSWER if call.get("dialect") == "chat" else ANSWER) as server:
        call["api_base"] = f"{server.url}{call.pop('path', '')}"
        mode.run(body)
    (received,) = server.requests
    return received


def usual(row: Provider) -> Choice:
    """Return how a host is spoken to when the call asks for nothing."""
    return choose_dialect(row, "m", CreateParams(input="Hi"))


def test_every_host_is_looked_at_here() -> None:
    assert list(URLS) == [row.name for row in ROWS]


BODIES: dict[str, dict[str, Any]] = {
    "responses": {"model": "m", "input": "Hi"},
    "chat": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    "converse": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]},
    "anthropic": {
        "model": "m",
        "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    },
    "cohere": {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
}
ANSWERS = {
    "responses": ANSWER,
    "chat": CHAT_ANSWER,
    "anthropic": Answer.json(b'{"type":"message","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}'),
    "converse": Answer.json(
        b'{"output":{"message":{"role":"assistant","content":[{"text":"Hi"}]}},"stopReason":"end_turn"}'
    ),
    "cohere": Answer.json(b'{"message":{"content":[{"type":"text","text":"Hi"}]},"finish_reason":"COMPLETE"}'),
    "gemini": Answer.json(b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}'),
}


def key_header(row: Provider, dialect: str) -> str:
    """Return the header that carries the key."""
    auth = (row.chat.auth if dialect == "chat" else "") or row.auth
    return "authorization" if auth in ("bearer", "aws", "google") else auth


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_call_goes_to_the_address_of_its_row_with_the_key_masked(row: Provider) -> None:
    base = {} if row.base_url else {"api_base": MINE}

    for name in (row.name, *row.aliases):
        explanation = presets.responses.explain("Hi", model=f"{name}/m", api_key=KEY, **base)

        assert explanation.request is not None
        assert explanation.request.url == URLS[row.name]
        assert explanation.request.body == BODIES[usual(row).dialect]
        assert explanation.request.headers[key_header(row, usual(row).dialect)] == "***"
        assert explanation.request.headers["content-type"] == "application/json"
        assert KEY not in str(explanation)
        assert (explanation.provider, explanation.model, explanation.dropped) == (row.name, "m", ())
        assert (explanation.dialect, explanation.why) == (usual(row).dialect, usual(row).why)


@pytest.mark.parametrize("row", [row for row in ROWS if len(row.dialects) > 1], ids=by_name)
def test_each_format_of_a_host_has_an_address_there(row: Provider) -> None:
    base = {} if row.base_url else {"api_base": MINE}
    first = PATHS[usual(row).dialect]

    for dialect in row.dialects:
        explanation = presets.responses.explain("Hi", model=f"{row.name}/m", api_key=KEY, dialect=dialect, **base)

        address = URLS[row.name].removesuffix(first) + path_for(row, dialect)
        address = OTHER_URLS.get((row.name, dialect), address)
        if row.chat.base_url and dialect == "chat":
            address = row.chat.base_url + PATHS[dialect]
        assert explanation.request is not None
        assert explanation.request.url == address
        assert explanation.request.headers[key_header(row, dialect)] == "***"
        assert explanation.request.body == body_for(row, dialect)


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_a_model_may_have_slashes_and_colons_in_its_name(name: str) -> None:
    explanation = presets.responses.explain("Hi", model=f"{name}/some/m:free", api_key=KEY)

    assert explanation.model == "some/m:free"
    assert explanation.request is not None
    assert explanation.request.body["model"] == "some/m:free"


def test_a_chat_address_of_its_own_is_at_the_same_host() -> None:
    """The key of a row goes there too."""
    for row in ROWS:
        if row.chat.base_url:
            assert row.chat.base_url.split("/")[2] == row.base_url.split("/")[2]


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_key_of_the_environment_is_not_sent_to_an_address_of_the_call(
    row: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*row.key_env, *row.token_env, *row.header_env.values()):
        monkeypatch.setenv(name, KEY)

    for dialect in row.dialects:
        with replaying(ANSWERS[dialect]) as server:
            model, base = f"{row.name}/m", f"{server.url}/v1"
            try:
                antiphon.responses("Hi", model, dialect=dialect, api_base=base, num_retries=0)
            finally:
                antiphon.close()

        (received,) = server.requests
        # At Mantle "/v1" is the path of another format, and counts as none.
        at = "/anthropic/v1" if (row.name, dialect) == ("bedrock_mantle", "anthropic") else "/v1"
        assert path_of(received) == f"{at}{path_for(row, dialect).removeprefix('/v1')}"
        assert KEY not in repr(received)


@pytest.mark.parametrize("row", [row for row in ROWS if row.key_env], ids=by_name)
def test_the_key_of_the_environment_goes_to_the_rows_own_host_only(row: Provider) -> None:
    for name in (*row.key_env, *row.token_env):
        environ = {name: KEY, **ACCOUNT, **({} if row.base_url else {row.base_env[0]: MINE})}
        own = find_access(row, {}, environ, dialect=usual(row).dialect, model="m")

        assert own.api_key is not None
        assert own.api_key.reveal() == KEY
        assert own.base_url + PATHS[usual(row).dialect] == URLS[row.name]
        host = own.base_url.split("/")[2]
        for base in (
            "https://evil.example/v1",
            "http://127.0.0.1:9/v1",
            f"https://{host.split(':')[0]}.evil.example/v1",
        ):
            found = find_access(row, {"api_base": base}, environ)
            assert found.api_key is None
            assert f"{name} was not sent" in (found.note or "")


@pytest.mark.parametrize("row", [row for row in ROWS if row.base_env], ids=by_name)
def test_the_key_goes_to_the_address_that_each_variable_of_the_row_names(row: Provider) -> None:
    for name in row.base_env:
        environ = {name: f"{MINE}/x/v1/", **dict.fromkeys(row.key_env[:1], KEY)}
        found = find_access(row, {}, environ)

        assert found.base_url == f"{MINE}/x/v1"
        assert (found.api_key is not None) == bool(row.key_env)


@pytest.mark.parametrize("row", [row for row in ROWS if row.key_required and row.auth not in LOGINS], ids=by_name)
def test_the_key_of_another_provider_is_never_taken(row: Provider) -> None:
    environ = {name: KEY for other in ROWS if other is not row for name in (*other.key_env, *other.token_env)}
    environ |= ACCOUNT | ({} if row.base_url else {row.base_env[0]: MINE})

    with pytest.raises(MissingKey, match=row.name) as caught:
        find_access(row, {}, environ)

    assert all(name in (caught.value.hint or "") for name in row.key_env)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.key_required and row.base_url], ids=by_name)
def test_a_server_of_ones_own_needs_no_key(row: Provider) -> None:
    assert find_access(row, {}, {}) == Access(row.base_url, None)
    assert row.base_url + PATHS[usual(row).dialect] == URLS[row.name]


@pytest.mark.parametrize("row", [row for row in ROWS if "previous_response_id" in row.unsupported], ids=by_name)
def test_what_a_stateless_host_would_forget_is_refused(row: Provider) -> None:
    call = {"model": f"{row.name}/m", "api_key": KEY}
    forgetful = presets.responses.without("remember")

    for dialect in (None, *row.dialects):
        with pytest.raises(UnsupportedParameter, match="previous_response_id"):
            forgetful.explain("Hi", previous_response_id="resp_1", dialect=dialect, **call)
        with pytest.raises(NotFoundError, match=f"resp_1 of {row.name} is not kept here"):
            presets.responses.explain("Hi", previous_response_id="resp_1", dialect=dialect, **call)
    with pytest.raises(UnsupportedOperation, match=f"{row.name} does not serve get"):
        antiphon.get_responses("resp_1", custom_llm_provider=row.name, api_key=KEY)


def test_asking_for_what_happens_anyway_is_no_error() -> None:
    explanation = presets.responses.explain(
        "Hi", model="ollama/m", dialect="responses", background=False, store=False, tool_choice="auto", temperature=0
    )

    assert explanation.request is not None
    assert explanation.request.body == {"model": "m", "input": "Hi", "temperature": 0}
    assert explanation.dropped == ()
    with pytest.raises(UnsupportedParameter, match="tool_choice"):
        presets.responses.explain("Hi", model="ollama/m", dialect="responses", tool_choice="required")


# --- chat completions ------------------------------------------------------------------------------------------------


def test_hosts_with_both_apis_speak_the_one_that_loses_less() -> None:
    both = [row for row in ROWS if "responses" in row.dialects]

    assert {row.dialects for row in both} == {
        ("responses", "chat"),
        ("responses", "chat", "anthropic"),
        ("converse", "anthropic", "responses", "chat"),
    }
    assert [row.name for row in both if usual(row).dialect == "chat"] == [
        "databricks",
        "cloudflare",
        "ollama",
        "sglang",
    ]


def test_a_host_of_chat_completions_only_serves_nothing_else() -> None:
    for row in ROWS:
        if row.dialects == ("chat",):
            assert (row.operations, row.unsupported, row.typed_input) == (frozenset({"create"}), frozenset(), False)


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("openai", {"max_tokens": "max_completion_tokens", "developer_role": True, "custom_tools": True}),
        ("groq", {"max_tokens": "max_completion_tokens", "reasoning_field": "reasoning"}),
        ("openrouter", {"max_tokens": "max_tokens", "reasoning_field": "reasoning_details", "effort": "reasoning"}),
        ("deepseek", {"reasoning_field": "reasoning_content", "reasoning_required": True, "effort": "thinking"}),
        ("moonshot", {"reasoning_field": "reasoning_content", "tool_choices": frozenset({"auto", "none", "function"})}),
        (
            "zai",
            {"reasoning_field": "reasoning_content", "reasoning_replay": "all", "structured_output": "json_object"},
        ),
        ("mistral", {"reasoning_field": "content", "call_ids": "9", "developer_role": False}),
        ("perplexity", {"base_url": "https://api.perplexity.ai", "path": "/chat/completions"}),
        ("dashscope", {"effort": "enable_thinking", "strict_tools": False}),
        ("snowflake", {"effort": "reasoning", "reasoning_field": "reasoning_details"}),
        ("ollama", {"reasoning_field": "reasoning", "images": "data", "structured_output": "json_schema"}),
        ("hosted_vllm", {"reasoning_field": "reasoning", "one_system": True}),
        ("sglang", {"reasoning_field": "reasoning_content"}),
        ("cerebras", {"max_tokens": "max_completion_tokens", "reasoning_field": "reasoning"}),
        ("nvidia_nim", {"images": "data"}),
    ],
)
def test_what_is_particular_in_the_chat_completions_of_a_host(name: str, flags: dict[str, object]) -> None:
    chat = catalog.find(name).chat

    assert {field: getattr(chat, field) for field in flags} == flags


def test_only_openai_gets_what_only_openai_has() -> None:
    for name in ("metadata", "store", "safety_identifier", "prompt_cache_retention", "text.verbosity"):
        assert name not in catalog.find("openai").chat.unsupported
        for host in ("groq", "cerebras", "gemini", "deepseek", "xai"):
            assert name in catalog.find(host).chat.unsupported


@pytest.mark.parametrize(
    ("name", "dialect", "when", "unless"),
    [
        ("hosted_vllm", "chat", "tools", ("gpt-oss",)),
        ("llama_cpp", "chat", "structured_output", ()),
        ("local", "chat", "structured_output", ()),
    ],
)
def test_a_host_is_spoken_to_otherwise_where_that_loses_less(
    name: str, dialect: str, when: str, unless: tuple[str, ...]
) -> None:
    row = catalog.find(name)

    assert [(one.dialect, one.when, one.unless_models) for one in row.prefer] == [(dialect, when, unless)]
    assert row.prefer[0].why.startswith("it")
    assert row.dialects[0] == "responses"
    assert row.output_mode == "native"


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "written", "meant"),
    [
        ("azure", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/", "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com/openai/v1"),
        ("azure", "https://r.openai.azure.com/openai/v1/responses", "https://r.openai.azure.com/openai/v1"),
        (
            "azure",
            "https://r.services.ai.azure.com/api/projects/p/openai/v1",
            "https://r.services.ai.azure.com/api/projects/p/openai/v1",
        ),
        ("groq", "https://api.groq.com", "https://api.groq.com/openai/v1"),
        ("perplexity", "https://api.perplexity.ai", "https://api.perplexity.ai/v1"),
        (
            "gemini",
            "https://generativelanguage.googleapis.com",
            "https://generativelanguage.googleapis.com/v1beta",
        ),
        ("gemini", "https://proxy.example/v1beta/openai/", "https://proxy.example/v1beta"),
        ("gemini", "https://proxy.example/v1beta/openai/chat/completions", "https://proxy.example/v1beta"),
        ("heroku", "https://eu.inference.heroku.com", "https://eu.inference.heroku.com/v1"),
        ("heroku", "https://eu.inference.heroku.com/v1/chat/completions", "https://eu.inference.heroku.com/v1"),
        ("databricks", "https://adb-1.example.net/", "https://adb-1.example.net/serving-endpoints"),
        ("ollama", "http://gpu:11434", "http://gpu:11434/v1"),
        ("hosted_vllm", "http://gpu:8000/prefix/v1", "http://gpu:8000/prefix/v1"),
        ("litellm_proxy", "http://proxy:4000", "http://proxy:4000"),
    ],
)
def test_an_address_without_the_path_of_the_api_gets_it(name: str, written: str, meant: str) -> None:
    row = catalog.find(name)

    assert find_access(row, {"api_base": written, "api_key": KEY}, {}).base_url == meant
    assert find_access(row, {"api_key": KEY}, {row.base_env[-1]: written}).base_url == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gpu", "http://gpu:11434/v1"),
        ("gpu:8080", "http://gpu:8080/v1"),
        ("gpu:", "http://gpu:11434/v1"),
        ("127.0.0.1", "http://127.0.0.1:11434/v1"),
        ("[::1]", "http://[::1]:11434/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("gpu/ollama/v1", "http://gpu:11434/ollama/v1"),
        ("https://gpu", "https://gpu/v1"),
    ],
)
def test_the_variable_of_ollama_may_hold_a_host_alone(written: str, meant: str) -> None:
    row = catalog.find("ollama")

    found = find_access(row, {}, {"OLLAMA_HOST": written, "OLLAMA_API_KEY": KEY})

    assert found.base_url == meant
    assert found.api_key is not None
    with pytest.raises(InvalidParameter, match="no http"):
        find_access(row, {"api_base": "gpu:11434"}, {})


@pytest.mark.parametrize("written", ["gpu:99999", "a b", "user:canary@gpu", "[::1"])
def test_a_wrong_host_is_refused_unshown(written: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        find_access(catalog.find("ollama"), {}, {"OLLAMA_HOST": written})

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "account"), [("cloudflare", "CLOUDFLARE_ACCOUNT_ID"), ("snowflake", "SNOWFLAKE_ACCOUNT")]
)
def test_an_address_with_an_account_needs_the_account(name: str, account: str) -> None:
    row = catalog.find(name)

    with pytest.raises(InvalidParameter, match=f"{account}, which is not set") as caught:
        find_access(row, {"api_key": KEY}, {})

    assert "api_base=" in (caught.value.hint or "")
    assert find_access(row, {"api_key": KEY, "api_base": MINE}, {}).base_url == f"{MINE}{row.base_path}"


@pytest.mark.parametrize("account", ["evil.example/", "evil.example#", "evil.example?", "a@evil.example:1", "..\\evil"])
def test_an_account_cannot_name_another_host(account: str) -> None:
    access = find_access(catalog.find("snowflake"), {"api_key": KEY}, {"SNOWFLAKE_ACCOUNT": account})

    assert access.base_url.split("/")[2].endswith(".snowflakecomputing.com")


@pytest.mark.parametrize(("name", "env"), [("azure", "AZURE_OPENAI_ENDPOINT"), ("databricks", "DATABRICKS_HOST")])
def test_a_row_without_address_says_where_to_name_it(name: str, env: str) -> None:
    with pytest.raises(InvalidParameter, match=f"{name} has no address of its own") as caught:
        presets.responses.explain("Hi", model=f"{name}/m", api_key=KEY)

    assert env in (caught.value.hint or "")


# --- what really goes over the wire ----------------------------------------------------------------------------------


def test_azure_gets_its_key_in_a_header_of_its_own(mode: Mode) -> None:
    received = sent(mode, input="Hi", model="azure/my-deployment", api_key=KEY)

    assert path_of(received) == "/openai/v1/responses"
    assert received.headers["api-key"] == KEY
    assert "authorization" not in received.headers
    assert loads(received.body) == {"model": "my-deployment", "input": "Hi"}


def test_azure_gets_its_key_so_for_chat_completions_too(mode: Mode) -> None:
    received = sent(mode, input="Hi", model="azure/my-deployment", api_key=KEY, dialect="chat", max_output_tokens=5)

    assert path_of(received) == "/openai/v1/chat/completions"
    assert received.headers["api-key"] == KEY
    assert "authorization" not in received.headers
    assert loads(received.body) == {
        "model": "my-deployment",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
    }


@pytest.mark.parametrize("key", [f"Bearer {KEY}", lambda: f"Bearer {KEY}"], ids=["text", "function"])
def test_azure_gets_a_token_as_a_bearer(mode: Mode, key: Any) -> None:
    received = sent(mode, input="Hi", model="azure/m", api_key=key)

    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert "api-key" not in received.headers


@pytest.mark.parametrize(
    ("environ", "auth"),
    [
        ({"AZURE_OPENAI_AD_TOKEN": KEY}, "bearer"),
        ({"AZURE_AD_TOKEN": KEY}, "bearer"),
        ({"AZURE_API_KEY": KEY}, "api-key"),
        ({"AZURE_API_KEY": KEY, "AZURE_AD_TOKEN": "other"}, "api-key"),
    ],
)
def test_a_key_of_the_environment_wins_over_a_token(environ: dict[str, str], auth: str) -> None:
    found = find_access(catalog.find("azure"), {}, {"AZURE_API_BASE": MINE, **environ})

    assert found.api_key is not None
    assert (found.api_key.reveal(), found.auth) == (KEY, auth)


@pytest.mark.parametrize("key", ["Bearer ", "Bearer  \n"])
def test_a_bearer_without_token_is_refused(key: str) -> None:
    with pytest.raises(MissingKey, match="api_key is empty"):
        find_access(catalog.find("azure"), {"api_key": key + " ", "api_base": MINE}, {})


def test_an_api_key_is_never_shown_in_an_error(mode: Mode) -> None:
    async def body() -> None:
        try:
            with pytest.raises(antiphon.AuthenticationError) as caught:
                await mode.either(lambda: antiphon.responses(**call), lambda: antiphon.aresponses(**call))
            assert "canary" not in str(caught.value)
        finally:
            await mode.either(antiphon.close, antiphon.aclose)

    with replaying(Answer.json(b'{"error":{"message":"bad key canary0123456789"}}', 401)) as server:
        call: dict[str, Any] = {
            "input": "Hi",
            "model": "azure/m",
            "api_key": "canary0123456789",
            "api_base": server.url,
        }
        mode.run(body)


def test_perplexity_gets_its_path_and_typed_items(mode: Mode) -> None:
    call = {"type": "function_call_output", "call_id": "c", "output": "1"}
    received = sent(
        mode,
        input=[{"role": "user", "content": "Hi"}, Message.new(role="user", content="Ho"), call],
        model="perplexity/sonar",
        api_key=KEY,
    )

    assert path_of(received) == "/v1/responses"
    assert [item["type"] for item in loads(received.body)["input"]] == ["message", "message", "function_call_output"]
    assert loads(received.body)["input"][0] == {"type": "message", "role": "user", "content": "Hi"}
    assert loads(received.body)["input"][2] == call


def test_perplexity_gets_chat_completions_where_the_call_says(mode: Mode) -> None:
    """The path in the row is for the Responses API alone, and the address of the call wins over the row's."""
    received = sent(mode, path="/mine", input="Hi", model="perplexity/sonar", api_key=KEY, dialect="chat")

    assert path_of(received) == "/mine/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert loads(received.body) == {"model": "sonar", "messages": [{"role": "user", "content": "Hi"}]}


def test_other_hosts_get_items_as_they_are(mode: Mode) -> None:
    received = sent(mode, input=[{"role": "user", "content": "Hi"}], model="groq/m", api_key=KEY)

    assert path_of(received) == "/openai/v1/responses"
    assert loads(received.body)["input"] == [{"role": "user", "content": "Hi"}]
