"""Spans of OpenTelemetry: one of each call, its tools below it, in the trace of whoever called.

Run it from a clone of the repository, with the extra `otel` and OpenTelemetry's SDK:

    python examples/spans.py                   offline
    python examples/spans.py local/smollm2     a small real model on this machine
"""

import sys

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def short(span: ReadableSpan) -> str:
    facts = span.attributes or {}
    shown = ("gen_ai.usage.output_tokens", "antiphon.outcome", "session.id")
    return f"{span.name}: {', '.join(f'{name}={facts[name]!s}' for name in shown if name in facts)}\n"


tracers = TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=short)))
chain = antiphon.presets.responses.before(0, antiphon.OpenTelemetry(tracer_provider=tracers))

with tracers.get_tracer("example").start_as_current_span("my work"):
    # session_id is for the span, and never reaches the host.
    chain.invoke("Say hello.", model=model, max_output_tokens=16, metadata={"session_id": "s1"})
    with chain.stream("Say hello.", model=model, max_output_tokens=16) as stream:
        next(stream)
