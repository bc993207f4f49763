"""Spans and metrics of OpenTelemetry's conventions for generative AI. Needs the API package alone (extra `otel`).

The span of a call is never made current across a stream's events: it is current while the call's stages run, and ended
by the call's one end. So nothing leaks into the reader's context, whoever reads the stream, and wherever it is dropped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from ..pipeline.api.half_characters import whole_text
from ..pipeline.api.response import Response
from ..pipeline.api.response_fields import Usage
from ..pipeline.api.wire import encode_loosely, loads
from ..pipeline.context import CallContext
from ..pipeline.errors import MissingExtra, message_of
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.secret import mask
from ..pipeline.signals import (
    AttemptEnded,
    CallEnded,
    FallbackScheduled,
    ResponseSettled,
    RetryScheduled,
    Signal,
    ToolEnded,
    ToolStarted,
)
from ..pipeline.stage import Scope, Stage
from ..pipeline.watch import watch
from ..providers.opentelemetry_names import BUCKETS, METADATA, NAMES, OPERATIONS, PROVIDERS

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

Attributes = dict[str, "str | int | float | bool | Sequence[str]"]


class OpenTelemetry(Stage, frozen=True):
    """Make a client span of each call, a span of each tool, and the metrics of both.

    Outermost it makes a span of the whole call, retries and all, which are its span events; inside Retry one of each
    attempt. The trace is carried on to hosts and MCP servers by W3C headers. In front of Validate it also takes those
    keys out of `metadata` that are meant for observability, e.g. `session_id`, `trace_user_id` and `tags`: they become
    attributes and never reach the host.

    Args:
        content: "full" puts input and output on the span as JSON, but for what looks like a key; never by default.
        attributes: put on every span and metric, e.g. {"deployment.environment.name": "staging"}.
        tracer_provider, meter_provider: instead of the global ones.
        semconv: version of the names, see `opentelemetry_names`.

    Raises:
        MissingExtra: opentelemetry-api is not installed; raised when the chain is built.
    """

    content: Literal["none", "full"] = "none"
    attributes: Mapping[str, str | int | float | bool] = {}
    tracer_provider: Any = None
    meter_provider: Any = None
    semconv: Literal["2026-11"] = "2026-11"

    sets = ()

    def setup(self, scope: Scope) -> object:
        return _Instruments(self)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.context.dry:
            return await call_next(_without_metadata(request)[0])
        instruments = request.context.state_of(self, _Instruments)
        request, marks = _without_metadata(request)
        span = _CallSpan(instruments, request, marks)
        otel = instruments.context
        token = otel.attach(span.context)
        try:
            return await watch(request, call_next, (span.tell,))
        finally:
            otel.detach(token)


class _Instruments:
    """What one position in a chain makes spans and metrics with."""

    def __init__(self, stage: OpenTelemetry) -> None:
        try:
            from opentelemetry import context, metrics, propagate, trace
        except ImportError as error:
            hint = "pip install 'antiphon[otel]'"
            raise MissingExtra(
                "the stage OpenTelemetry needs opentelemetry-api, which is not installed", hint=hint
            ) from error
        tracers: TracerProvider | None = stage.tracer_provider
        meters: MeterProvider | None = stage.meter_provider
        self.trace, self.context = trace, context
        self.inject, self.extract = propagate.inject, propagate.extract
        self.tracer = trace.get_tracer("antiphon", tracer_provider=tracers)
        meter = metrics.get_meter("antiphon", meter_provider=meters)
        self.names = NAMES[stage.semconv]
        self.constant: Attributes = dict(stage.attributes)
        self.content = stage.content
        self._histograms = {
            fact: meter.create_histogram(name, unit, text, explicit_bucket_boundaries_advisory=BUCKETS[unit])
            for fact, (name, unit, text) in self.names.histograms.items()
        }

    def record(self, fact: str, value: float | None, attributes: Attributes, **more: str) -> None:
        if value is not None:
            self._histograms[fact].record(value, {**attributes, **self.constant, **self.named(more)})

    def named(self, facts: Mapping[str, Any]) -> Attributes:
        """Return facts under the convention's names; what is None is left out, and text is such as can be exported."""
        names = self.names.attributes
        return {names[fact]: whole_text(value) for fact, value in facts.items() if value is not None}


class _CallSpan:
    """The span of one call and of the tools inside it."""

    def __init__(self, instruments: _Instruments, request: Request, marks: Attributes) -> None:
        self._instruments = instruments
        self._request = request
        self._tools: dict[str, tuple[Span, Context]] = {}
        self._operation = OPERATIONS[request.operation]
        trace = instruments.trace
        self._span = instruments.tracer.start_span(
            whole_text(f"{self._operation} {request.model}") if request.model else self._operation,
            context=self._parent(),
            kind=trace.SpanKind.CLIENT,
            attributes={**instruments.constant, **marks, **self._asked()},
        )
        self.context = trace.set_span_in_context(self._span)
        request.context.propagator, request.context.attach = self._headers, self._attach

    def _parent(self) -> Context | None:
        """Return what the span is below: what is current, where nothing is the trace of whoever asked over HTTP."""
        asked = self._request.context.trace
        if not asked or self._instruments.trace.get_current_span().get_span_context().is_valid:
            return None
        return self._instruments.extract(asked)

    def _asked(self) -> Attributes:
        """Return the attributes that are known at the start, by which samplers decide."""
        param = self._request.param
        text, reasoning, conversation = param("text"), param("reasoning"), param("conversation")
        shape = text.get("format") if isinstance(text, dict) else None
        is_json = isinstance(shape, dict) and str(shape.get("type", "")).startswith("json")
        found = self._instruments.named(
            {
                "operation": self._operation,
                "request_model": self._request.model,
                "stream": True if self._request.streamed else None,
                "max_tokens": param("max_output_tokens"),
                "temperature": param("temperature"),
                "top_p": param("top_p"),
                "output_type": None if self._request.operation != "create" else "json" if is_json else "text",
                "reasoning_level": reasoning.get("effort") if isinstance(reasoning, dict) else None,
                "conversation": conversation.get("id") if isinstance(conversation, dict) else conversation,
                "cursor": param("starting_after"),
                "service_tier_asked": param("service_tier"),
                "call_id": self._request.context.id,
                "parent_call_id": self._request.context.parent_id,
            }
        )
        return {name: value for name, value in found.items() if isinstance(value, (str, int, float, bool))}

    def _headers(self, tool_call_id: str | None) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        self._instruments.inject(carrier, context=self._context_of(tool_call_id))
        return carrier

    def _attach(self, tool_call_id: str | None) -> Callable[[], None]:
        otel = self._instruments.context
        return partial(otel.detach, otel.attach(self._context_of(tool_call_id)))

    def _context_of(self, tool_call_id: str | None) -> Context:
        tool = self._tools.get(tool_call_id or "")
        return self.context if tool is None else tool[1]

    def tell(self, signal: Signal) -> None:
        match signal:
            case CallEnded():
                self._end(signal)
            case ToolStarted():
                self._begin_tool(signal)
            case ToolEnded():
                self._end_tool(signal)
            case AttemptEnded() if signal.attempt.error is not None:
                self._note("attempt failed", signal, attempt=signal.attempt.number, error_type=signal.attempt.error)
            case RetryScheduled():
                self._note("retry", signal, attempt=signal.attempt, delay_s=signal.delay_s, error_type=signal.error)
            case FallbackScheduled():
                self._note("fallback", signal, failed=signal.failed, next=signal.next, error_type=signal.error)
            case ResponseSettled() if signal.usage is not None:
                self._record_tokens(signal.usage, self._common())
            case _:
                pass

    def _note(self, event: str, signal: Signal, **facts: Any) -> None:
        self._span.add_event(event, self._instruments.named(facts), _wall_ns(signal.at_s, self._request.context))

    def _common(self) -> Attributes:
        """Return what spans and metrics share."""
        target = self._request.context.target
        where = urlsplit(target.base_url) if target is not None else None
        return self._instruments.named(
            {
                "operation": self._operation,
                "provider": None if target is None else PROVIDERS.get(target.provider, target.provider),
                "request_model": self._request.model if target is None else target.model or self._request.model,
                "server": where.hostname if where is not None else None,
                "port": where.port if where is not None else None,
            }
        )

    def _end(self, signal: CallEnded) -> None:
        meta, outcome = signal.meta, signal.outcome
        response, usage, error = outcome.response, outcome.usage, outcome.error
        common = self._common()
        failed = outcome.kind == "failed"
        kind = type(error).__name__ if error is not None else None
        if failed or kind is not None:
            common |= self._instruments.named({"error_type": kind or outcome.kind})
        span = self._span
        if span.is_recording():
            span.set_attributes(common)
            span.set_attributes(
                self._instruments.named(
                    {
                        "outcome": outcome.kind,
                        "attempts": len(meta.attempts),
                        "cost": meta.cost,
                        "request_id": meta.request_id,
                        "http_status": meta.status,
                        "first_chunk_s": meta.first_event_s,
                    }
                )
            )
            if response is not None:
                span.set_attributes(self._answered(response, usage))
            if self._instruments.content == "full":
                span.set_attributes(self._content(response))
            if failed:
                message = mask(message_of(error) if error is not None else "", self._request.secrets())[:500]
                span.set_status(self._instruments.trace.StatusCode.ERROR, whole_text(message))
        for tool, _ in self._tools.values():  # whose own end never came
            tool.end()
        self._tools.clear()
        span.end()
        metric = {**common, **self._instruments.named({"response_model": response.model if response else None})}
        self._instruments.record("duration", meta.duration_s, metric)
        self._instruments.record("first_chunk", meta.first_event_s, metric)
        if usage is not None and not meta.is_from_cache:
            self._record_tokens(usage, metric)

    def _record_tokens(self, usage: Usage, attributes: Attributes) -> None:
        for kind, count in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            self._instruments.record("tokens", count, attributes, token_type=kind)

    def _answered(self, response: Response, usage: Usage | None) -> Attributes:
        facts: dict[str, Any] = {
            "response_id": response.id,
            "response_model": response.model,
            "finish_reasons": [_finish_reason(response)],
            "status": response.status if self._operation == "fetch_response" else None,
            "service_tier": response.service_tier,
        }
        if usage is not None:
            facts |= {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "cache_read_tokens": usage.input_tokens_details.cached_tokens,
                "cache_write_tokens": usage.input_tokens_details.cache_write_tokens,
                "reasoning_tokens": usage.output_tokens_details.reasoning_tokens,
            }
        return self._instruments.named(facts)

    def _content(self, response: Response | None) -> Attributes:
        """Return input and output as the conventions' messages, in JSON."""
        secrets, given = self._request.secrets(), self._request.param("input")
        facts = {
            "instructions": self._request.param("instructions"),
            "input": None if given is None else _messages(given),
            "output": None if response is None else _messages(list(response.output)),
            "tools": self._request.param("tools"),
        }
        shown = {
            name: mask(value if isinstance(value, str) else encode_loosely(value).decode(), secrets)
            for name, value in facts.items()
            if value
        }
        return self._instruments.named(shown)

    def _begin_tool(self, signal: ToolStarted) -> None:
        is_mcp = signal.kind == "mcp"
        span = self._instruments.tracer.start_span(
            whole_text(f"execute_tool {signal.tool}"),
            context=self.context,
            kind=self._instruments.trace.SpanKind.CLIENT if is_mcp else self._instruments.trace.SpanKind.INTERNAL,
            attributes={**self._instruments.constant, **self._tool(signal)},
        )
        self._tools[signal.tool_call_id] = span, self._instruments.trace.set_span_in_context(span)

    def _tool(self, signal: ToolStarted | ToolEnded) -> Attributes:
        return self._instruments.named(
            {
                "operation": "execute_tool",
                "tool": signal.tool,
                "tool_call_id": signal.tool_call_id,
                "tool_type": "extension" if signal.kind == "mcp" else "function",
                "mcp_method": "tools/call" if signal.kind == "mcp" else None,
                "mcp_server": signal.server,
            }
        )

    def _end_tool(self, signal: ToolEnded) -> None:
        found = self._tools.pop(signal.tool_call_id, None)
        failed = self._instruments.named({"error_type": signal.error})
        if found is not None:
            span, _ = found
            span.set_attributes(failed)
            if signal.outcome == "failed":
                span.set_status(self._instruments.trace.StatusCode.ERROR)
            span.end()
        one = self._instruments.named({"operation": "execute_tool", "tool": signal.tool})
        self._instruments.record("tool_duration", signal.duration_s, {**one, **failed})


def _messages(value: Any) -> list[dict[str, Any]]:
    """Return the API's input or output as the conventions' messages: a role and parts."""
    if isinstance(value, str):
        return [{"role": "user", "parts": [{"type": "text", "content": value}]}]
    return [_message(item) for item in loads(encode_loosely(value)) if isinstance(item, dict)]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    match item.get("type", "message"):
        case "message":
            content = item.get("content")
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            return {"role": item.get("role", "user"), "parts": [_part(part) for part in parts]}
        case "function_call":
            call = {"type": "tool_call", "id": item.get("call_id"), "name": item.get("name")}
            return {"role": "assistant", "parts": [{**call, "arguments": item.get("arguments")}]}
        case "function_call_output":
            result = {"type": "tool_call_response", "id": item.get("call_id"), "response": item.get("output")}
            return {"role": "tool", "parts": [result]}
        case other:  # as it is, under its own type
            return {"role": "assistant", "parts": [{"type": other, "content": item}]}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {"type": "text", "content": part["text"]}
    kind = part.get("type", "unknown") if isinstance(part, dict) else "unknown"
    return {"type": kind, "content": part}


def _finish_reason(response: Response) -> str:
    """Return the conventions' word for how generation ended."""
    details = response.incomplete_details
    reason = details.reason if details is not None else None
    if reason is not None:
        return {"max_output_tokens": "length"}.get(reason, reason)
    if response.status == "failed":
        return "error"
    return "tool_call" if any(item.type == "function_call" for item in response.output) else "stop"


def _without_metadata(request: Request) -> tuple[Request, Attributes]:
    """Take the keys that observability knows out of `metadata`; return the request without, and their attributes."""
    metadata = request.param("metadata")
    if request.operation != "create" or not isinstance(metadata, Mapping) or METADATA.keys().isdisjoint(metadata):
        return request, {}
    marks: Attributes = {}
    for key, value in metadata.items():
        name = METADATA.get(key)
        if name is None or value is None:
            continue
        if isinstance(value, Mapping):
            marks |= {f"{name}.{inner}": str(one) for inner, one in value.items()}
        elif isinstance(value, (list, tuple)):
            marks[name] = [str(one) for one in value]
        else:
            marks[name] = str(value)
    rest = {key: value for key, value in metadata.items() if key not in METADATA}
    return request.with_params(metadata=rest or None), whole_text(marks)


def _wall_ns(at_s: float, context: CallContext) -> int:
    """Return the time of day, nanoseconds, of a moment on the runtime's clock."""
    return time.time_ns() - int((context.runtime.now() - at_s) * 1e9)
