"""Spans and metrics, as the real SDK exports them."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from typing import Any

import pytest
from conftest import Mode
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from antiphon import Cache, presets
from antiphon.pipeline.api.events import Event
from antiphon.pipeline.errors import APIStatusError, MissingExtra
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import ToolEnded, ToolStarted
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.providers.opentelemetry_names import NAMES
from antiphon.stages.opentelemetry import OpenTelemetry
from antiphon.testing import ScriptedClient, function_call, message, scripted

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"
SLOW_DOWN = {"status": 429, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": f"slow down, {KEY}"}}}


class Telemetry:
    """The SDK with exporters in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider(metric_readers=[self.reader])

    def stage(self, **settings: Any) -> OpenTelemetry:
        given: dict[str, Any] = {"tracer_provider": self.tracers, "meter_provider": self.meters, **settings}
        return OpenTelemetry(**given)

    def client(self, *answers: Any, inside: tuple[Any, ...] = (), **settings: Any) -> ScriptedClient:
        return scripted(*answers, chain=presets.responses.before(0, self.stage(**settings), *inside))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        found = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        return {metric.name: list(metric.data.data_points) for metric in found}


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_call_is_a_client_span(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello there.", attributes={"deployment.environment.name": "test"})
        await mode.response(
            client.chain, model="openai/m", streamed=streamed, temperature=0.5, max_output_tokens=9, top_p=1
        )

        (span,) = telemetry.spans
        assert (span.name, span.kind, span.status.status_code.name) == ("chat openai/m", trace.SpanKind.CLIENT, "UNSET")
        found = attributes(span)
        expected = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "m",
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.top_p": 1,
            "gen_ai.request.max_tokens": 9,
            "gen_ai.output.type": "text",
            "gen_ai.response.model": "m",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 1,
            "gen_ai.usage.output_tokens": 2,
            "server.address": "api.openai.com",
            "antiphon.outcome": "completed",
            "antiphon.attempts": 1,
            "deployment.environment.name": "test",
        }
        assert {name: found.get(name) for name in expected} == expected
        assert found["gen_ai.response.id"].startswith("resp_")
        assert ("gen_ai.request.stream" in found, "gen_ai.response.time_to_first_chunk" in found) == (streamed,) * 2
        assert "Hello" not in json.dumps(found, default=str)

    mode.run(body)


def test_the_names_are_those_of_the_conventions() -> None:
    """The official package knows each `gen_ai.` name, but for those that are newer than it."""
    attributes = import_module("opentelemetry.semconv._incubating.attributes.gen_ai_attributes")
    metrics = import_module("opentelemetry.semconv._incubating.metrics.gen_ai_metrics")
    newer = {"gen_ai.request.reasoning.level", "gen_ai.request.stream_cursor", "gen_ai.response.status"}
    known = {value for name, value in vars(attributes).items() if name.startswith("GEN_AI")}
    ours = {name for name in NAMES["2026-11"].attributes.values() if name.startswith("gen_ai.")}
    assert ours - known == newer
    instruments = {value for name, value in vars(metrics).items() if name.startswith("GEN_AI")}
    assert {name for name, _, _ in NAMES["2026-11"].histograms.values()} - instruments == {
        "gen_ai.execute_tool.duration"
    }


def test_metrics_count_duration_and_tokens(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello there.")
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        found = telemetry.metrics()
        (duration,) = found["gen_ai.client.operation.duration"]
        assert duration.count == 1
        assert duration.explicit_bounds[:2] == (0.01, 0.02)
        assert dict(duration.attributes)["gen_ai.response.model"] == "m"
        tokens = {
            dict(point.attributes)["gen_ai.token.type"]: point.sum for point in found["gen_ai.client.token.usage"]
        }
        assert tokens == {"input": 1, "output": 2}
        assert ("gen_ai.client.operation.time_to_first_chunk" in found) is streamed

    mode.run(body)


def test_tokens_of_an_answer_from_the_cache_are_counted_once(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    async def body() -> None:
        chain = telemetry.client("Hello there.").chain.after("resolve", Cache())
        for _ in range(3):
            await mode.response(chain, model="openai/m", streamed=streamed)

        found = telemetry.metrics()
        assert [point.count for point in found["gen_ai.client.token.usage"]] == [1, 1]
        assert sum(point.count for point in found["gen_ai.client.operation.duration"]) == 3

    mode.run(body)


def test_a_failed_call_is_an_error_without_its_secrets(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client(SLOW_DOWN)
        with pytest.raises(APIStatusError):
            await mode.response(client.chain, model="openai/m", streamed=streamed, num_retries=1)

        (span,) = telemetry.spans
        assert span.status.status_code.name == "ERROR"
        assert span.status.description == "slow down, ***"
        assert attributes(span)["error.type"] == "RateLimitError"
        assert attributes(span)["antiphon.attempts"] == 2
        assert [event.name for event in span.events] == ["attempt failed", "retry", "attempt failed"]
        assert KEY not in span.to_json()
        (duration,) = telemetry.metrics()["gen_ai.client.operation.duration"]
        assert dict(duration.attributes)["error.type"] == "RateLimitError"

    mode.run(body)


def test_a_span_ends_however_the_stream_is_left(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello.")
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        await mode.next(stream)
        assert telemetry.spans == []
        del stream
        gc.collect()

        (span,) = telemetry.spans
        assert attributes(span)["antiphon.outcome"] == "abandoned"
        assert span.status.status_code.name == "UNSET"

    mode.run(body)


def test_no_span_is_current_while_a_stream_is_read(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello.")
        before = otel_context.get_current()
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        assert otel_context.get_current() is before
        await mode.next(stream)
        assert otel_context.get_current() is before
        await mode.until_done(stream)
        assert otel_context.get_current() is before

    mode.run(body)


def test_the_callers_span_is_the_parent_and_the_calls_span_that_of_calls_inside(
    mode: Mode, streamed: bool, telemetry: Telemetry
) -> None:
    async def body() -> None:
        helper = telemetry.client("Inside.")

        @stage
        async def asks(request: Request, call_next: Handler) -> Reply:
            await mode.call(helper.chain, model="openai/small")
            return await call_next(request)

        client = telemetry.client("Hello.", inside=(asks,))
        tracer = telemetry.tracers.get_tracer("test")
        with tracer.start_as_current_span("mine") as mine:
            response = await mode.call(client.chain, model="openai/m", **({"stream": True} if streamed else {}))
        if streamed:
            await mode.until_done(response)

        spans = {span.name: span for span in telemetry.spans}
        outer, inner = spans["chat openai/m"], spans["chat openai/small"]
        assert outer.parent is not None
        assert outer.parent.span_id == mine.get_span_context().span_id
        assert inner.parent is not None
        assert outer.context is not None
        assert inner.parent.span_id == outer.context.span_id
        assert attributes(inner)["antiphon.call.parent_id"] == attributes(outer)["antiphon.call.id"]

    mode.run(body)


def test_the_trace_is_carried_on_to_the_host(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello.")
        await mode.response(client.chain, model="openai/m", streamed=streamed)
        own = {"Traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
        await mode.response(client.chain, model="openai/m", streamed=streamed, extra_headers=own)

        first, second = (
            [str(value) for name, value in request.headers if name.lower() == "traceparent"]
            for request in client.host.requests
        )
        span = telemetry.spans[0]
        assert span.context is not None
        assert [value[:-3] for value in first] == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"]
        assert second == [own["Traceparent"]]

    mode.run(body)


def test_a_tool_is_a_span_below_its_call(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        carried: list[Any] = []

        @stage
        async def runs_tools(request: Request, call_next: Handler) -> Reply:
            context = request.context
            facts: dict[str, Any] = {"call_id": context.id, "operation": "create", "at_s": context.runtime.now()}
            docs: dict[str, Any] = {"tool": "search", "tool_call_id": "call_1", "server": "docs"}
            own: dict[str, Any] = {"tool": "add", "tool_call_id": "call_2"}
            context.emit(ToolStarted(**docs, **facts))
            context.emit(ToolStarted(**own, **facts))
            carried.append(context.trace_headers("call_1")["traceparent"])
            context.emit(ToolEnded(**docs, duration_s=0.1, outcome="completed", **facts))
            context.emit(ToolEnded(**own, duration_s=0.2, outcome="failed", error="ValueError", **facts))
            return await call_next(request)

        await mode.call(telemetry.client("Hello.", inside=(runs_tools,)).chain, model="openai/m")

        spans = {span.name: span for span in telemetry.spans}
        call, docs, own = spans["chat openai/m"], spans["execute_tool search"], spans["execute_tool add"]
        for tool in (docs, own):
            assert tool.parent is not None
            assert call.context is not None
            assert tool.parent.span_id == call.context.span_id
        assert docs.context is not None
        assert f"{docs.context.span_id:016x}" in carried[0]
        assert (docs.kind, own.kind) == (trace.SpanKind.CLIENT, trace.SpanKind.INTERNAL)
        assert attributes(docs)["mcp.method.name"] == "tools/call"
        assert attributes(docs)["gen_ai.tool.call.id"] == "call_1"
        assert (own.status.status_code.name, attributes(own)["error.type"]) == ("ERROR", "ValueError")
        assert sum(point.count for point in telemetry.metrics()["gen_ai.execute_tool.duration"]) == 2

    mode.run(body)


def test_what_a_tool_does_is_below_its_span(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    """Between two events of a stream too, where the call's span is not the current one."""

    async def body() -> None:
        helper = telemetry.client("Inside.")

        @stage
        async def runs_a_tool(request: Request, call_next: Handler) -> Reply:
            context = request.context
            facts: dict[str, Any] = {"call_id": context.id, "operation": "create", "at_s": context.runtime.now()}
            tool: dict[str, Any] = {"tool": "ask", "tool_call_id": "call_1"}
            reply = await call_next(request)

            async def run() -> None:
                context.emit(ToolStarted(**tool, **facts))
                before = otel_context.get_current()
                with context.inside("call_1"):
                    await mode.call(helper.chain, model="openai/small")
                assert otel_context.get_current() is before
                context.emit(ToolEnded(**tool, duration_s=0.1, outcome="completed", **facts))

            if not isinstance(reply, EventStream):
                await run()
                return reply

            async def events() -> AsyncIterator[Event]:
                async for event in reply:
                    if event.type == "response.completed":
                        await run()
                    yield event

            return EventStream.of(events(), context)

        client = telemetry.client("Hello.", inside=(runs_a_tool,))
        await mode.response(client.chain, model="openai/m", streamed=streamed)

        spans = {span.name: span for span in telemetry.spans}
        call, tool, inner = spans["chat openai/m"], spans["execute_tool ask"], spans["chat openai/small"]
        assert tool.context is not None
        assert inner.parent is not None
        assert inner.parent.span_id == tool.context.span_id
        assert attributes(inner)["antiphon.call.parent_id"] == attributes(call)["antiphon.call.id"]

    mode.run(body)


def test_metadata_for_observability_never_reaches_the_host(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello.")
        metadata = {
            "session_id": "s1",
            "trace_user_id": "ann",
            "tags": ["a", "b"],
            "trace_metadata": {"tier": 2},
            "order": "17",
        }
        await mode.call(client.chain, model="openai/m", metadata=metadata)
        await mode.call(client.chain, model="openai/m", metadata={"session_id": "s2"})
        await mode.call(client.chain, model="openai/m", metadata={"order": "18"})

        assert [request.get("metadata") for request in client.requests] == [{"order": "17"}, None, {"order": "18"}]
        found = attributes(telemetry.spans[0])
        assert (found["session.id"], found["user.id"]) == ("s1", "ann")
        assert found["langfuse.trace.tags"] == ("a", "b")
        assert found["langfuse.trace.metadata.tier"] == "2"

    mode.run(body)


def test_content_is_there_only_when_asked_for_and_without_keys(
    mode: Mode, streamed: bool, telemetry: Telemetry
) -> None:
    async def body() -> None:
        client = telemetry.client(
            {"output": [message(f"It is {KEY}, so."), function_call("add", {"a": 1})]}, content="full"
        )
        await mode.response(client.chain, "Who?", model="openai/m", instructions="Be brief.", streamed=streamed)

        found = attributes(telemetry.spans[0])
        assert json.loads(found["gen_ai.input.messages"]) == [
            {"role": "user", "parts": [{"type": "text", "content": "Who?"}]}
        ]
        assert found["gen_ai.system_instructions"] == "Be brief."
        said, called = json.loads(found["gen_ai.output.messages"])
        assert said == {"role": "assistant", "parts": [{"type": "text", "content": "It is ***, so."}]}
        assert (called["parts"][0]["type"], called["parts"][0]["name"]) == ("tool_call", "add")
        assert found["gen_ai.response.finish_reasons"] == ("tool_call",)
        assert KEY not in telemetry.spans[0].to_json()

    mode.run(body)


def test_a_call_with_python_functions_as_tools_has_its_span(mode: Mode, streamed: bool, telemetry: Telemetry) -> None:
    def double(x: int) -> int:
        return 2 * x

    async def body() -> None:
        client = telemetry.client("Hello.", content="full")
        await mode.response(client.chain, "Hi", model="openai/m", tools=[double], streamed=streamed)

        (span,) = telemetry.spans
        assert json.loads(attributes(span)["gen_ai.tool.definitions"]) == [{"type": "function", "name": "double"}]

    mode.run(body)


def test_what_is_not_sampled_still_counts_in_metrics(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = telemetry.client("Hello.", tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
        await mode.call(client.chain, model="openai/m")

        assert telemetry.spans == []
        assert telemetry.metrics()["gen_ai.client.operation.duration"][0].count == 1

    mode.run(body)


def test_inside_retry_each_attempt_is_a_span(mode: Mode, telemetry: Telemetry) -> None:
    async def body() -> None:
        client = scripted(SLOW_DOWN, "Hello.", chain=presets.responses.after("retry", telemetry.stage()))
        await mode.call(client.chain, model="openai/m")

        assert [attributes(span)["antiphon.outcome"] for span in telemetry.spans] == ["failed", "completed"]

    mode.run(body)


def test_the_global_providers_are_used_when_none_are_given() -> None:
    client = scripted("Hello.", chain=presets.responses.before(0, OpenTelemetry()))

    assert client.responses("Hi", "openai/m").output_text == "Hello."  # the API's own no-op ones
    assert not any(name == "traceparent" for name, _ in client.host.requests[0].headers)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    client = scripted("Hello.", chain=presets.responses.before(0, OpenTelemetry()))

    with pytest.raises(MissingExtra, match="OpenTelemetry needs opentelemetry-api"):
        client.responses("Hi", "openai/m")


def test_a_dry_run_makes_no_span(telemetry: Telemetry) -> None:
    client = telemetry.client("Hello.")

    explanation = client.chain.explain("Hi", model="openai/m", metadata={"session_id": "s1"})

    assert explanation.request is not None
    assert "metadata" not in str(explanation.request.body)
    assert telemetry.spans == []
