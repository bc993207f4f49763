"""Code as users write it, for type checkers only: nothing here is run.

A line that ends with `# expect: A, B` is wrong, and must be reported by mypy with the code A and by pyright with the
rule B; every other line must be clean in both. `assert_type` says what an editor shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import msgspec

import antiphon
from antiphon import (
    Attempt,
    Cache,
    CallEnded,
    Chain,
    Client,
    ConcurrencyLimit,
    Defaults,
    Dispatch,
    EventStream,
    Fallback,
    Guard,
    Handler,
    LiteLLMCallbacks,
    Meta,
    Observe,
    Outcome,
    Record,
    Rename,
    Replay,
    Reply,
    Request,
    Resolve,
    Response,
    Retry,
    Route,
    Scope,
    Stage,
    Timeouts,
    Transform,
    Usage,
    presets,
)
from antiphon.errors import RateLimitError
from antiphon.events import OutputTextDelta
from antiphon.items import FunctionCall, Message
from antiphon.mcp import ToolInfo, ToolResult
from antiphon.parts import OutputText
from antiphon.pipeline.api.response import DeletedResponse, InputTokens, ItemPage
from antiphon.presets import agentic
from antiphon.testing import scripted

# --- one call -----------------------------------------------------------------------------------------------------

response = antiphon.responses("Hi", model="openai/gpt-5", temperature=0.2, metadata={"topic": "music"})
assert_type(response, Response)
assert_type(response.output_text, str)
assert_type(response.status, str | None)
assert_type(response.usage, Usage | None)
assert_type(response.meta, Meta)
assert_type(response.meta.attempts, tuple[Attempt, ...])
assert_type(response.function_calls, tuple[FunctionCall, ...])
for item in response.output:
    if item.type == "message":
        assert_type(item, Message)

        for part in item.content:
            if isinstance(part, OutputText):
                assert_type(part.text, str)


def spent(usage: Usage) -> int:
    return usage.total_tokens


assert_type(agentic, Chain)
antiphon.responses([{"role": "user", "content": "Hi"}, *response.output], "openai/gpt-5", api_key=lambda: "k")
antiphon.responses("Hi", "azure/mine", api_version="preview", timeout=Timeouts(total=30), drop="error")
antiphon.responses("Hi", "openai/gpt-5", fallbacks=["xai/grok-4", {"model": "groq/x"}], use_cache="refresh")
antiphon.responses("Hi", "openai/gpt-5", temprature=0)  # expect: call-overload, reportCallIssue
antiphon.responses("Hi", "openai/gpt-5", temperature="warm")  # expect: call-overload, reportArgumentType
antiphon.responses("Hi", "openai/gpt-5", drop="maybe")  # expect: call-overload, reportArgumentType
print(response.outputtext)  # expect: attr-defined, reportAttributeAccessIssue
print(response.usage.total_tokens)  # expect: union-attr, reportOptionalMemberAccess
response.status = "completed"  # expect: misc, reportAttributeAccessIssue

# --- streams ------------------------------------------------------------------------------------------------------

stream = antiphon.responses("Hi", model="openai/gpt-5", stream=True)
assert_type(stream, EventStream)
assert_type(stream.meta, Meta)
assert_type(stream.outcome, Outcome | None)
assert_type(stream.response, Response | None)
for event in stream:
    if event.type == "response.output_text.delta":
        assert_type(event, OutputTextDelta)
        assert_type(event.delta, str)
    print(event.delta)  # expect: union-attr, reportAttributeAccessIssue
for text in stream.text:
    assert_type(text, str)
assert_type(stream.until_done(), Response)
print(stream.output_text)  # expect: attr-defined, reportAttributeAccessIssue


def either(streamed: bool) -> str:
    reply = antiphon.responses("Hi", model="openai/gpt-5", stream=streamed)
    assert_type(reply, Response | EventStream)
    reply = reply.until_done() if isinstance(reply, EventStream) else reply
    return reply.output_text


# --- async --------------------------------------------------------------------------------------------------------


async def in_async_code() -> None:
    assert_type(await antiphon.aresponses("Hi", "openai/gpt-5"), Response)
    async with await antiphon.aresponses("Hi", "openai/gpt-5", stream=True) as stream:
        async for event in stream:
            print(event.type, event.sequence_number)
        async for text in stream.text:
            assert_type(text, str)
    assert_type(await stream.auntil_done(), Response)
    assert_type(await presets.responses.ainvoke("Hi", model="openai/gpt-5"), Response)
    assert_type(await presets.responses.astream("Hi", model="openai/gpt-5"), EventStream)
    assert_type(await presets.responses.abatch(["a", "b"], model="openai/gpt-5"), list[Response])
    assert_type(await antiphon.aget_responses("resp_1"), Response)
    print(antiphon.aresponses("Hi", "openai/gpt-5").output_text)  # expect: attr-defined, reportAttributeAccessIssue
    await antiphon.responses("Hi", "openai/gpt-5")  # expect: misc, reportGeneralTypeIssues


# --- the API's other calls ----------------------------------------------------------------------------------------

assert_type(antiphon.get_responses("resp_1"), Response)
assert_type(antiphon.get_responses("resp_1", stream=True, starting_after=3), EventStream)
assert_type(antiphon.poll_responses("resp_1", interval_s=1), Response)
assert_type(antiphon.cancel_responses("resp_1"), Response)
assert_type(antiphon.delete_responses("resp_1"), DeletedResponse)
assert_type(antiphon.list_input_items("resp_1", limit=5), ItemPage)
assert_type(antiphon.count_input_tokens("Hi", "openai/gpt-5"), InputTokens)
antiphon.list_input_items("resp_1", order="newest")  # expect: arg-type, reportArgumentType

# --- structured output --------------------------------------------------------------------------------------------


class City(msgspec.Struct):
    name: str


@dataclass
class Town:
    name: str


assert_type(antiphon.responses("Which?", "openai/gpt-5", text_format=City).output_parsed, City | None)
assert_type(antiphon.responses("Which?", "openai/gpt-5", text_format=Town).output_parsed, Town | None)
assert_type(antiphon.responses("Which?", "openai/gpt-5", text_format={"type": "object"}), Response)
assert_type(antiphon.responses("Which?", "openai/gpt-5", text_format=City, stream=True), EventStream)
antiphon.responses("Which?", "openai/gpt-5", text_format="City")  # expect: call-overload, reportArgumentType

# --- chains -------------------------------------------------------------------------------------------------------

chain = Chain([Resolve(), Retry(attempts=5), Transform(), Dispatch()], name="short")
assert_type(chain.invoke("Hi", model="openai/gpt-5"), Response)
assert_type(chain.invoke("Hi", model="openai/gpt-5", stream=True), EventStream)
assert_type(chain.stream("Hi", model="openai/gpt-5"), EventStream)
assert_type(chain.batch(["a", "b"]), list[Response])
assert_type(chain.batch(["a", "b"], on_error="return"), list[Response | Exception])
assert_type(chain.before("retry", Observe()).without("resolve").with_(retry={"attempts": 2}), Chain)
assert_type(Observe() | chain | chain, Chain)
assert_type(chain.bind(model="openai/gpt-5").named("bound"), Chain)
assert_type(Retry(attempts=5).attempts, int)
assert_type(chain.stages, tuple[Stage | Chain, ...])
Retry(attempts="five")  # expect: arg-type, reportArgumentType
Retry(atempts=5)  # expect: call-arg, reportCallIssue
Retry().attempts = 4  # expect: misc, reportAttributeAccessIssue
Chain([Retry])  # expect: list-item, reportArgumentType
chain.before("retry", 5)  # expect: arg-type, reportArgumentType
chain.batch(["a"], on_error="ignore")  # expect: call-overload, reportArgumentType


def no_secrets(request: Request) -> str | None:
    return "a secret" if "secret" in str(request.params) else None


def on_success(kwargs: dict[str, Any], response: Any, start_time: Any, end_time: Any) -> None: ...


stages: list[Stage] = [
    Fallback(["xai/grok-4", {"model": "groq/x", "max_output_tokens": 9}], on=["RateLimitError"]),
    Route({"smart": ["openai/gpt-5", {"model": "xai/grok-4", "weight": 3}]}, by="turn"),
    Cache(ttl_s=600),
    ConcurrencyLimit(8, per="provider"),
    Guard(on_input=no_secrets),
    Defaults({"store": False}, models=["openai/*"]),
    Rename({"fast": "groq/openai/gpt-oss-20b"}),
    Record("run.jsonl"),
    Replay("run.jsonl", ignore=["user"]),
    LiteLLMCallbacks(success=[on_success]),
    Observe(only=["call.*"], when=lambda signal: signal.operation == "create"),
]
Guard(on_inptu=no_secrets)  # expect: call-arg, reportCallIssue
Route({"smart": ["openai/gpt-5"]}, by="speed")  # expect: arg-type, reportArgumentType

# --- stages of one's own ------------------------------------------------------------------------------------------


class Label(Stage):
    value: str = "demo"

    def setup(self, scope: Scope) -> list[str]:
        return []

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        assert_type(request.options, Mapping[str, Any])
        seen = request.context.state_of(self, list)
        seen.append(self.value)
        reply = await call_next(request.with_params(metadata={"app": self.value}))
        assert_type(reply.meta, Meta)
        return reply


class Silent(Stage):
    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        await call_next(request)
        return None  # expect: return-value, reportReturnType


assert_type(Label(value="shop").value, str)
Label(valeu="shop")  # expect: call-arg, reportCallIssue


@antiphon.before
def polite(request: Request) -> Request:
    return request.with_params(input="Please.")


@antiphon.after
def length(request: Request, response: Response) -> None:
    print(len(response.output_text))


@antiphon.stage
async def untouched(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


def not_async(request: Request, call_next: Handler) -> str:
    return ""


antiphon.stage(not_async)  # expect: arg-type, reportArgumentType


presets.responses.before("retry", Label(), polite, length, untouched)

# --- clients, hooks, tools ----------------------------------------------------------------------------------------


def bill(end: CallEnded) -> None:
    assert_type(end.usage, Usage | None)
    assert_type(end.meta.cost, float | None)
    print(end.tokens)  # expect: attr-defined, reportAttributeAccessIssue


@antiphon.tool(name="weather")
def get_weather(city: str) -> str:
    """Say what the weather is like."""
    return f"sunny in {city}"


with Client(presets.responses, timeouts=Timeouts(total=30), hooks=[bill], mcp_servers={"d": "https://d/mcp"}) as client:
    assert_type(client, Client)
    assert_type(client.responses("Hi", tools=[get_weather]), Response)
Client(blocking="thread")  # expect: arg-type, reportArgumentType
Timeouts(totl=30)  # expect: call-arg, reportCallIssue
Observe(on_call_end=3)  # expect: arg-type, reportArgumentType

with scripted("Hello!", {"status": 429, "body": {}}) as script:
    assert_type(script.responses("Hi", "openai/gpt-5"), Response)
    assert_type(script.requests, list[dict[str, Any]])


async def with_a_server() -> None:
    async with antiphon.mcp.connect("https://example.com/mcp") as server:
        assert_type(await server.alist_tools(), tuple[ToolInfo, ...])
        assert_type(await server.acall_tool("search", {"query": "x"}), ToolResult)


official = antiphon.OpenAI()
assert_type(official.responses.create(input="Hi", model="gpt-5"), Response)
assert_type(official.responses.create(input="Hi", model="gpt-5", stream=True), EventStream)
assert_type(official.responses.parse(input="Hi", model="gpt-5", text_format=City).output_parsed, City | None)

try:
    antiphon.responses("Hi", model="openai/gpt-5")
except RateLimitError as error:
    assert_type(error.retry_after_s, float | None)
    assert_type(error.meta, Meta | None)
    print(error.wait)  # expect: attr-defined, reportAttributeAccessIssue
