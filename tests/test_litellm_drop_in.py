"""LiteLLM's documented uses of its Responses functions, with `import antiphon as litellm` and nothing else changed.

Source: LiteLLM documentation, pages "/responses", "Using your MCP", "Exception Mapping" and "Custom Callbacks", and the
signatures of LiteLLM 1.109.1, read 2026-11. Every host is a loopback server, which looks at what it is sent.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pydantic
import pytest
from conftest import Mode
from loopback import Connection, Server, serving
from many_formats import STORY, ManyFormats, Sent, sent_to
from scripted_mcp import Post, scripted_mcp

import antiphon as litellm
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.testing import function_call

PROMPT = "Tell a short story about a lighthouse."

# The call's own keywords, the path at the server, and what is to be in the body. BASE is the server's address.
HOSTS: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "openai": (
        {"model": "openai/o1-pro", "api_base": "BASE/v1"},
        "/v1/responses",
        {"model": "o1-pro", "max_output_tokens": 100},
    ),
    "openai without its name": ({"model": "gpt-4.1", "api_base": "BASE/v1"}, "/v1/responses", {"model": "gpt-4.1"}),
    "openai by the provider keyword": (
        {"model": "my-model", "custom_llm_provider": "openai", "base_url": "BASE/v1"},
        "/v1/responses",
        {"model": "my-model"},
    ),
    "azure": (
        {"model": "azure/gpt-4-turbo", "api_base": "BASE", "api_version": "2025-03-01-preview"},
        "/openai/responses",
        {"model": "gpt-4-turbo"},
    ),
    "xai": ({"model": "xai/grok-4", "api_base": "BASE/v1"}, "/v1/responses", {"model": "grok-4"}),
    "groq": (
        {"model": "groq/openai/gpt-oss-20b", "api_base": "BASE/v1"},
        "/v1/responses",
        {"model": "openai/gpt-oss-20b"},
    ),
    "hosted_vllm": ({"model": "hosted_vllm/m", "api_base": "BASE/v1"}, "/v1/responses", {"model": "m"}),
    "chat completions by a keyword": (
        {"model": "openai/gpt-4o", "api_base": "BASE/v1", "use_chat_completions_api": True},
        "/v1/chat/completions",
        {"model": "gpt-4o", "messages": [{"role": "user", "content": PROMPT}]},
    ),
    "chat completions by a prefix": (
        {"model": "openai/chat_completions/gpt-4o", "api_base": "BASE/v1"},
        "/v1/chat/completions",
        {"model": "gpt-4o"},
    ),
    "anthropic": (
        {"model": "anthropic/claude-3-5-sonnet-20240620", "api_base": "BASE"},
        "/v1/messages",
        {"model": "claude-3-5-sonnet-20240620", "max_tokens": 100},
    ),
    "gemini": (
        {"model": "gemini/gemini-1.5-flash", "api_base": "BASE/v1beta"},
        "/v1beta/models/gemini-1.5-flash",
        {"generationConfig": {"maxOutputTokens": 100}},
    ),
    "vertex_ai": (
        {
            "model": "vertex_ai/gemini-1.5-pro",
            "api_base": "BASE",
            "vertex_project": "p",
            "vertex_location": "us-central1",
        },
        "/v1/projects/p/locations/us-central1/publishers/google/models/gemini-1.5-pro",
        {"generationConfig": {"maxOutputTokens": 100}},
    ),
    "bedrock": (
        {"model": "bedrock/us.amazon.nova-lite-v1:0", "aws_bedrock_runtime_endpoint": "BASE"},
        "/model/us.amazon.nova-lite-v1%3A0/converse",
        {"inferenceConfig": {"maxTokens": 100}},
    ),
    "cohere": ({"model": "cohere/command-a-03-2025", "api_base": "BASE"}, "/v2/chat", {"model": "command-a-03-2025"}),
}


class LiteLLM:
    """The functions of `litellm` in the mode of a test, against one loopback server.

    Args:
        given: keywords of every call.
    """

    def __init__(self, mode: Mode, server: Server, given: dict[str, Any]) -> None:
        self.mode = mode
        self.server = server
        self.given = given

    async def __call__(self, name: str, *args: Any, **keywords: Any) -> Any:
        given = {**self.given, **keywords}
        plain: Callable[..., Any] = getattr(litellm, name)
        twin: Callable[..., Any] = getattr(litellm, f"a{name}")
        return await self.mode.either(lambda: plain(*args, **given), lambda: twin(*args, **given))

    async def ask(self, *, streamed: bool, **keywords: Any) -> Any:
        """Ask once; return the response, of a streamed call the one that its stream has at its end."""
        given = {"model": "openai/o1-pro", "input": PROMPT, **keywords}
        if not streamed:
            return await self("responses", **given)
        stream = await self("responses", **given, stream=True)
        events = await self.mode.events(stream)
        assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
        return stream.response

    @property
    def sent(self) -> list[Sent]:
        return sent_to(self.server)


Body = Callable[[LiteLLM], Coroutine[Any, Any, None]]


def against(mode: Mode, host: ManyFormats, body: Body) -> None:
    """Run a test's body against a host that stands for OpenAI."""
    with serving(host.serve) as server:
        given = {"api_base": f"{server.url}/v1", "api_key": "sk-1234"}
        mode.run_calls(lambda: body(LiteLLM(mode, server, given)))


# --- providers -----------------------------------------------------------------------------------------------------


def test_a_call_reaches_its_provider_and_comes_back_as_a_response(mode: Mode, streamed: bool) -> None:
    with serving(ManyFormats().serve) as server:

        async def body() -> None:
            call = LiteLLM(mode, server, {"api_key": "sk-1234", "max_output_tokens": 100})
            for name, (keywords, path, expected) in HOSTS.items():
                given = {
                    key: value.replace("BASE", server.url) if isinstance(value, str) else value
                    for key, value in keywords.items()
                }
                response = await call.ask(streamed=streamed, **given)

                assert response.output_text == response.output[-1].content[0].text == STORY, name
                assert (response.status, response.id[:5]) == ("completed", "resp_"), name
                usage = response.usage
                assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 4, 7), name
                sent = call.sent[-1]
                assert sent.path.startswith(path), name
                assert sent.key == "sk-1234", name
                assert {field: sent.body.get(field) for field in expected} == expected, name

        mode.run_calls(body)


# --- stored responses ----------------------------------------------------------------------------------------------


def test_a_response_is_got_listed_cancelled_and_deleted_by_its_id_alone(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        made = await call.ask(streamed=streamed)
        got = await call("get_responses", response_id=made.id)
        page = await call(
            "list_input_items", response_id=made.id, limit=20, order="asc", after="m0", include=["a", "b"]
        )
        cancelled = await call("cancel_responses", response_id=made.id)
        gone = await call("delete_responses", response_id=made.id)

        assert (got.id, got.output_text) == (made.id, made.output_text)
        assert (page.object, page.data[0].id) == ("list", "msg_in")
        assert (cancelled.status, cancelled.id) == ("cancelled", made.id)
        assert (gone.deleted, gone.id) == (True, made.id)
        assert [(one.method, one.path) for one in call.sent[1:]] == [
            ("GET", "/v1/responses/resp_1"),
            ("GET", "/v1/responses/resp_1/input_items"),
            ("POST", "/v1/responses/resp_1/cancel"),
            ("DELETE", "/v1/responses/resp_1"),
        ]
        assert {*call.sent[2].query.split("&")} >= {"limit=20", "order=asc", "after=m0"}
        with pytest.raises(litellm.NotFoundError):
            await call("get_responses", response_id=made.id)

    against(mode, ManyFormats(), body)


def test_an_id_that_litellm_made_leads_to_its_response(mode: Mode) -> None:
    said = b"litellm:custom_llm_provider:openai;model_id:None;response_id:resp_1"
    theirs = "resp_" + base64.b64encode(said).decode()

    async def body(call: LiteLLM) -> None:
        await call.ask(streamed=False)
        got = await call("get_responses", response_id=theirs)
        after = await call.ask(streamed=False, previous_response_id=theirs)

        assert got.output_text == after.output_text == STORY
        assert call.sent[1].path == "/v1/responses/resp_1"
        assert call.sent[2].body["previous_response_id"] == "resp_1"

    against(mode, ManyFormats(), body)


def test_a_raw_id_needs_the_provider_keyword(mode: Mode) -> None:
    async def body(call: LiteLLM) -> None:
        await call.ask(streamed=False)
        got = await call("get_responses", response_id="resp_1", custom_llm_provider="openai")
        with pytest.raises(litellm.InvalidParameter, match="custom_llm_provider"):
            await mode.either(lambda: litellm.get_responses("resp_1"), lambda: litellm.aget_responses("resp_1"))

        assert got.output_text == STORY

    against(mode, ManyFormats(), body)


def test_a_second_turn_names_the_first(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        first = await call.ask(streamed=streamed, input="Who wrote Faust?")
        second = await call.ask(streamed=streamed, input="And when?", previous_response_id=first.id)

        assert second.previous_response_id == first.id
        assert [one.body.get("previous_response_id") for one in call.sent] == [None, "resp_1"]
        assert call.sent[1].body["input"] == "And when?"

    against(mode, ManyFormats(), body)


def test_a_second_turn_at_a_bridged_host_has_the_whole_conversation(mode: Mode, streamed: bool) -> None:
    with serving(ManyFormats().serve) as server:

        async def body() -> None:
            call = LiteLLM(mode, server, {"api_base": server.url, "api_key": "sk-1234"})
            model = "anthropic/claude-3-5-sonnet-latest"
            first = await call.ask(streamed=streamed, model=model, input="Who wrote Faust?")
            await call.ask(streamed=streamed, model=model, input="And when?", previous_response_id=first.id)
            got = await call("get_responses", response_id=first.id)

            said = [(one["role"], one["content"][0]["text"]) for one in call.sent[1].body["messages"]]
            assert said == [("user", "Who wrote Faust?"), ("assistant", STORY), ("user", "And when?")]
            assert got.output_text == STORY

        mode.run_calls(body)


def test_a_conversation_is_compacted(mode: Mode) -> None:
    async def body(call: LiteLLM) -> None:
        compacted = await call("compact_responses", model="openai/gpt-5", input=[{"role": "user", "content": "Hi"}])

        assert [item.type for item in compacted.output] == ["compaction"]
        assert (call.sent[0].path, call.sent[0].body["model"]) == ("/v1/responses/compact", "gpt-5")

    against(mode, ManyFormats(), body)


# --- structured output, tools --------------------------------------------------------------------------------------


class Step(pydantic.BaseModel):
    text: str


class Recipe(pydantic.BaseModel):
    steps: list[Step]


def test_a_pydantic_text_format_is_asked_for_strictly_and_parsed(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        response = await call.ask(streamed=streamed, text_format=Recipe)

        asked = call.sent[0].body["text"]["format"]
        assert (asked["type"], asked["name"], asked["strict"]) == ("json_schema", "Recipe", True)
        assert asked["schema"]["additionalProperties"] is False
        assert response.output_parsed == Recipe(steps=[Step(text="boil")])

    against(mode, ManyFormats('{"steps": [{"text": "boil"}]}'), body)


def test_a_function_call_is_answered_by_the_caller(mode: Mode, streamed: bool) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}

    async def body(call: LiteLLM) -> None:
        first = await call.ask(streamed=streamed, tools=[tool], tool_choice="auto")
        asked = first.output[-1]
        result = {"type": "function_call_output", "call_id": asked.call_id, "output": "sunny"}
        second = await call.ask(
            streamed=streamed, input=[{"role": "user", "content": PROMPT}, *first.output, result], tools=[tool]
        )

        assert (asked.type, asked.name) == ("function_call", "get_weather")
        assert second.output_text == "It is sunny."
        assert [one["type"] for one in call.sent[1].body["input"][1:]] == ["function_call", "function_call_output"]

    against(mode, ManyFormats([function_call("get_weather", {})], "It is sunny."), body)


@pytest.mark.parametrize("url", ["litellm_proxy", "litellm_proxy/mcp/sums"])
def test_a_tool_of_an_mcp_server_is_run_without_a_proxy(mode: Mode, streamed: bool, url: str) -> None:
    called: list[Any] = []

    def add(post: Post) -> None:
        called.append(post.params["arguments"])
        post.text("3")

    tool = {"type": "mcp", "server_label": "litellm", "server_url": url, "require_approval": "never"}
    with scripted_mcp({"tools/call": add}) as tools:

        async def body(call: LiteLLM) -> None:
            keywords = {"model": "openai/gpt-5", "input": "1 + 2?", "mcp_servers": {"sums": tools.url}}
            reply = await call(
                "responses_api_with_mcp", tools=[tool], tool_choice="required", stream=streamed, **keywords
            )
            response = await mode.until_done(reply) if isinstance(reply, EventStream) else reply

            assert response.output_text == "It is 3."
            assert "mcp_call" in [item.type for item in response.output]
            assert called == [{"a": 1, "b": 2}]
            assert [one["type"] for one in call.sent[0].body["tools"]] == ["function"]
            assert call.sent[1].body["input"][-1]["output"] == "3"

        against(mode, ManyFormats([function_call("add", {"a": 1, "b": 2})], "It is 3."), body)


def test_an_images_parts_come_as_events(mode: Mode) -> None:
    part = {"output_index": 0, "item_id": "ig_1", "partial_image_index": 0, "partial_image_b64": "iVBORw=="}
    shown: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "resp_1", "output": [], "status": "in_progress"}},
        {"type": "response.image_generation_call.partial_image", **part},
        {"type": "response.completed", "response": {"id": "resp_1", "output": [], "status": "completed"}},
    ]

    def drawing(connection: Connection) -> None:
        connection.begin_stream()
        for number, event in enumerate(shown):
            data = json.dumps({**event, "sequence_number": number}).encode()
            connection.send_chunk(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), data))
        connection.send_chunk(b"")

    async def body(call: LiteLLM) -> None:
        tool = {"type": "image_generation", "partial_images": 2}
        stream = await call("responses", model="gpt-4.1", input="Draw a river.", stream=True, tools=[tool])
        events: list[Any] = list(await mode.events(stream))

        [part] = [event for event in events if event.type == "response.image_generation_call.partial_image"]
        assert (part.partial_image_index, base64.b64decode(part.partial_image_b64)) == (0, b"\x89PNG")
        assert call.sent[0].body["tools"] == [tool]

    against(mode, ManyFormats(drawing), body)


# --- keywords ------------------------------------------------------------------------------------------------------


def test_what_is_to_travel_travels(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        response = await call.ask(
            streamed=streamed,
            headers={"x-team": "mild", "x-app": "shop"},
            extra_headers={"X-Team": "search"},
            extra_query={"trace": "1"},
            extra_body={"temperature": 0.25, "new_parameter": {"deep": True}},
            temperature=1.0,
            metadata={"user": "ann"},
            include=["reasoning.encrypted_content"],
            reasoning_effort="low",
            user="ann",
            truncation="auto",
            store=False,
            service_tier="flex",
        )

        [sent] = call.sent
        assert (sent.headers["x-team"], sent.headers["x-app"], sent.query) == ("search", "shop", "trace=1")
        assert (sent.body["temperature"], sent.body["new_parameter"]) == (0.25, {"deep": True})
        assert sent.body["reasoning"] == {"effort": "low"}
        assert (sent.body["metadata"], response.metadata) == ({"user": "ann"}, {"user": "ann"})
        assert (sent.body["truncation"], sent.body["store"], sent.body["service_tier"]) == ("auto", False, "flex")

    against(mode, ManyFormats(), body)


def test_what_only_litellm_knows_is_reported_and_not_sent(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        response = await call.ask(
            streamed=streamed, litellm_call_id="1", litellm_metadata={"a": 1}, allowed_openai_params=["user"]
        )

        dropped = {one.name for one in response.meta.dropped}
        assert dropped == {"litellm_call_id", "litellm_metadata", "allowed_openai_params"}
        assert {*call.sent[0].body} - {"stream"} == {"model", "input"}

    against(mode, ManyFormats(), body)


@pytest.mark.parametrize("drop_params", [True, "true", False])
def test_a_parameter_that_a_host_does_not_take_is_dropped_or_refused(mode: Mode, drop_params: Any) -> None:
    with serving(ManyFormats().serve) as server:

        async def body() -> None:
            call = LiteLLM(mode, server, {"api_base": server.url, "api_key": "sk-1234", "drop_params": drop_params})
            given = {"model": "anthropic/claude-3-5-sonnet-20240620", "truncation": "auto"}
            if drop_params is False:
                with pytest.raises(litellm.UnsupportedParamsError, match="truncation"):
                    await call.ask(streamed=False, **given)
                assert call.sent == []
            else:
                response = await call.ask(streamed=False, **given)
                assert [one.name for one in response.meta.dropped] == ["truncation"]

        mode.run_calls(body)


def test_num_retries_counts_the_tries_after_the_first(mode: Mode, streamed: bool) -> None:
    busy = ("429 Too Many Requests", {"error": {"message": "slow down"}})

    async def body(call: LiteLLM) -> None:
        response = await call.ask(streamed=streamed, num_retries=2)

        assert (response.output_text, len(call.sent), len(response.meta.attempts)) == (STORY, 3, 3)

    against(mode, ManyFormats(busy, busy, STORY), body)


def test_mock_response_answers_without_a_host_and_streams(mode: Mode, streamed: bool) -> None:
    async def body(call: LiteLLM) -> None:
        response = await call.ask(streamed=streamed, mock_response="A canned story.")

        assert response.output_text == "A canned story."
        assert call.sent == []

    against(mode, ManyFormats(), body)


# --- failures ------------------------------------------------------------------------------------------------------


EXCEPTIONS = {
    "BadRequestError": "400 Bad Request",
    "AuthenticationError": "401 Unauthorized",
    "PermissionDeniedError": "403 Forbidden",
    "NotFoundError": "404 Not Found",
    "UnprocessableEntityError": "422 Unprocessable Entity",
    "RateLimitError": "429 Too Many Requests",
    "InternalServerError": "500 Internal Server Error",
    "BadGatewayError": "502 Bad Gateway",
    "ServiceUnavailableError": "503 Service Unavailable",
    "ContextWindowExceededError": "400 Bad Request",
    "ContentPolicyViolationError": "400 Bad Request",
}
CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_policy_violation",
}


def test_an_exception_has_litellms_name_and_attributes(mode: Mode, streamed: bool) -> None:
    answers = [
        (status, {"error": {"message": "not today", "code": CODES.get(name)}}) for name, status in EXCEPTIONS.items()
    ]

    async def body(call: LiteLLM) -> None:
        for name, status in EXCEPTIONS.items():
            with pytest.raises(getattr(litellm, name)) as caught:
                await call.ask(streamed=streamed, num_retries=0)

            error = caught.value
            assert isinstance(error, litellm.APIError)
            assert (error.status_code, error.llm_provider, error.model) == (int(status[:3]), "openai", "o1-pro")
            assert "not today" in error.message

    against(mode, ManyFormats(*answers), body)


def test_a_timeout_is_a_timeout(mode: Mode, streamed: bool) -> None:
    with serving(Connection.wait_for_close) as server:

        async def body() -> None:
            call = LiteLLM(mode, server, {"api_base": server.url, "api_key": "sk-1234"})
            with pytest.raises(litellm.Timeout):
                await call.ask(streamed=streamed, timeout=0.02)

        mode.run_calls(body)


# --- callbacks -----------------------------------------------------------------------------------------------------


def test_callbacks_are_told_of_each_call_once(mode: Mode, streamed: bool) -> None:
    told: list[str] = []

    def on_success(kwargs: Any, completion_response: Any, start_time: Any, end_time: Any) -> None:
        told.append(f"success {kwargs['model']} {completion_response['usage']['total_tokens']}")

    class MyCustomHandler:
        def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            told.append(f"failure {type(kwargs['exception']).__name__}")

    callbacks = litellm.LiteLLMCallbacks(callbacks=(MyCustomHandler(),), success=(on_success,))
    chain = litellm.presets.responses.before(0, callbacks)
    with serving(ManyFormats(STORY, ("400 Bad Request", {"error": {"message": "no"}})).serve) as server:

        async def body() -> None:
            client = litellm.Client(chain.bind(api_base=f"{server.url}/v1", api_key="sk-1234"))
            await mode.response(client.chain, PROMPT, model="openai/o1-pro", streamed=streamed)
            with pytest.raises(litellm.BadRequestError):
                await mode.response(client.chain, PROMPT, model="openai/o1-pro", streamed=streamed)
            await mode.either(client.flush, client.aflush)
            await mode.close(client)

        mode.run(body)

    assert told == ["success o1-pro 7", "failure BadRequestError"]
