"""Canary secrets, in every place where one can be given, appear nowhere that is written down or shown."""

from __future__ import annotations

import io
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import Mode
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from antiphon import (
    AntiphonError,
    Client,
    LiteLLMCallbacks,
    Metrics,
    OpenTelemetry,
    Trace,
    configure_logging,
    presets,
    read_trace,
    render_trace,
)
from antiphon.pipeline.signals import CallEnded
from antiphon.providers.scripted import ScriptedHost

KEY = "canary-7f3a-in-the-key"  # no vendor's shape: it can be masked by value alone
HEADER = "canary-7f3a-in-a-header"
SHAPED = "sk-proj-canary7f3acanary7f3acanary"
CANARIES = (KEY, HEADER, SHAPED)

ECHO = f"you sent {KEY} and {HEADER}; try {SHAPED}"
ANSWERS: dict[str, Any] = {
    "refused": {"status": 401, "body": {"error": {"message": ECHO, "code": SHAPED}}},
    "failed in a 200": {"status": "failed", "error": {"code": "server_error", "message": ECHO}},
    "no json": {"status": 502, "body": f"<html>{ECHO}</html>"},
    "unreachable": ConnectionResetError(ECHO),
}


@pytest.fixture(autouse=True)
def _own_logging() -> Any:
    logger = logging.getLogger("antiphon")
    before = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.setLevel(before[0])
    logger.propagate, logger.handlers[:] = before[1:]


@pytest.mark.parametrize("where", ["call", "environment"])
@pytest.mark.parametrize("failure", ANSWERS)
def test_no_canary_is_written_or_shown(
    mode: Mode, streamed: bool, where: str, failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    configure_logging("DEBUG", json=True, stream=written)
    if where == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    exporter = InMemorySpanExporter()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    metrics, shown, told = Metrics(), list[str](), list[Any]()

    def broken(signal: Any) -> None:
        raise LookupError(SHAPED)

    def callback(kwargs: Any, response: Any, start: Any, end: Any) -> None:
        payload = dict(kwargs["standard_logging_object"])
        payload["response"] = None  # the answer itself, which is what the callback is there for
        shown.append(repr(payload))

    async def body() -> None:
        observers = OpenTelemetry(tracer_provider=tracers), LiteLLMCallbacks(success=(callback,), failure=(callback,))
        client = Client(
            presets.responses.before(0, *observers).with_(retry={"base_delay_s": 0}),
            transport=ScriptedHost([ANSWERS[failure]]),
            hooks=[Trace(tmp_path / "run.jsonl"), metrics, told.append, broken],
        )
        keywords: dict[str, Any] = {"api_key": KEY} if where == "call" else {}
        with structlog.contextvars.bound_contextvars(password=SHAPED):
            try:
                await mode.response(
                    client.chain,
                    model="openai/m",
                    streamed=streamed,
                    extra_headers={"X-Api-Key": HEADER},
                    num_retries=1,
                    **keywords,
                )
            except (AntiphonError, ConnectionResetError) as error:
                if isinstance(error, AntiphonError):
                    shown.extend([str(error), repr(error)])
            else:
                raise AssertionError("it was to fail")
        await mode.either(client.flush, client.aflush)
        shown.extend([repr(client), repr(client.chain), str(client.chain)])
        await mode.close(client)

    mode.run(body)

    with (tmp_path / "run.jsonl").open("rb") as file:
        calls = read_trace(file)
    shown += [written.getvalue(), metrics.text(), render_trace(calls).decode(), (tmp_path / "run.jsonl").read_text()]
    shown += [span.to_json() for span in exporter.get_finished_spans()]
    ends = [signal for signal in told if isinstance(signal, CallEnded)]
    assert (len(ends), len(calls), len(exporter.get_finished_spans())) == (1, 1, 1)
    shown += [repr(signal) for signal in told]
    if failure != "unreachable":  # a foreign exception's text is its own
        shown += traceback.format_exception(ends[0].outcome.error)
    for text in shown:
        for canary in CANARIES:
            assert canary not in text, text[max(0, text.find(canary) - 300) :][:600]
