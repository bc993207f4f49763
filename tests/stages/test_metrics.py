"""Numbers over all calls, in Prometheus' text format."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from conftest import Mode

from antiphon import Cache, Chain, Observe, presets, stage
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import RateLimitError
from antiphon.pipeline.reply import Dropped, Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import CacheHit, FallbackScheduled, ParameterDropped, ResponseSettled, ToolEnded
from antiphon.stages.metrics import Metrics
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": "slow down"}}}
SAMPLE = re.compile(r'^[a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? [0-9.e+-]+$')


def samples(metrics: Metrics) -> dict[str, float]:
    """Return the numbers by name and labels; every line must be well formed."""
    found: dict[str, float] = {}
    for line in metrics.text().splitlines():
        if line.startswith("#"):
            assert re.match(r"^# (HELP|TYPE) antiphon_[a-z_]+ \S", line), line
            continue
        assert SAMPLE.match(line), line
        name, _, value = line.rpartition(" ")
        assert name not in found
        found[name] = float(value)
    return found


def test_calls_attempts_tokens_and_dollars_are_counted(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        metrics = Metrics()
        usage = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11, "cost": 0.25}
        client = scripted(SLOW_DOWN, {"usage": usage}, hooks=[metrics])
        for _ in range(2):
            await mode.response(client.chain, model="openai/m", streamed=streamed)

        found = samples(metrics)
        assert found["antiphon_calls_in_flight"] == 0
        target = 'provider="openai",model="m"'
        assert found[f'antiphon_calls_total{{operation="create",{target},outcome="completed"}}'] == 2
        assert found[f'antiphon_attempts_total{{{target},outcome="failed",error="RateLimitError"}}'] == 1
        assert found[f'antiphon_attempts_total{{{target},outcome="completed",error=""}}'] == 2
        assert found['antiphon_retries_total{error="RateLimitError"}'] == 1
        assert found[f'antiphon_tokens_total{{{target},direction="input"}}'] == 20
        assert found[f"antiphon_cost_usd_total{{{target}}}"] == 0.5
        assert found[f'antiphon_call_duration_seconds_bucket{{operation="create",{target},le="+Inf"}}'] == 2
        assert found[f'antiphon_call_duration_seconds_count{{operation="create",{target}}}'] == 2
        assert (f"antiphon_first_event_seconds_count{{{target}}}" in found) is streamed

    mode.run(body)


def test_tokens_of_an_answer_from_the_cache_are_counted_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        metrics = Metrics()
        usage = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}
        client = scripted({"usage": usage}, chain=presets.responses.after("resolve", Cache()), hooks=[metrics])
        for _ in range(3):
            response = await mode.response(client.chain, model="openai/m", streamed=streamed)
            assert response.usage is not None
            assert response.usage.input_tokens == 10

        found = samples(metrics)
        assert found['antiphon_cache_total{result="hit"}'] == 2
        assert [count for name, count in found.items() if name.startswith("antiphon_tokens_total")] == [10, 1]

    mode.run(body)


def test_tokens_of_a_stage_that_answers_by_itself_are_counted(mode: Mode) -> None:
    async def body() -> None:
        @stage(terminal=True)
        async def own(request: Request, call_next: Handler) -> Reply:
            return Response.new(id="r", usage={"input_tokens": 10, "output_tokens": 1, "total_tokens": 11})

        metrics = Metrics()
        client = scripted("Unasked.", chain=Chain([own]), hooks=[metrics])
        await mode.response(client.chain, model="openai/m", streamed=False)

        tokens = [count for name, count in samples(metrics).items() if name.startswith("antiphon_tokens_total")]
        assert tokens == [10, 1]

    mode.run(body)


def test_an_open_stream_is_in_flight_until_it_is_let_go(mode: Mode) -> None:
    async def body() -> None:
        metrics = Metrics()
        client = scripted("Hello.", chain=presets.responses.before(0, Observe(metrics)))
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        assert samples(metrics)["antiphon_calls_in_flight"] == 1
        await mode.close(stream)

        assert samples(metrics)["antiphon_calls_in_flight"] == 0

    mode.run(body)


def test_a_failed_call_is_counted_as_failed(mode: Mode) -> None:
    async def body() -> None:
        metrics = Metrics()
        with pytest.raises(RateLimitError):
            await mode.call(scripted(SLOW_DOWN, hooks=[metrics]).chain, model="openai/m", num_retries=0)

        failed = 'antiphon_calls_total{operation="create",provider="openai",model="m",outcome="failed"}'
        assert samples(metrics)[failed] == 1

    mode.run(body)


def test_the_other_signals_have_numbers_too() -> None:
    metrics = Metrics()
    facts: dict[str, Any] = {"call_id": "call_1", "operation": "create", "at_s": 0.0}
    tool: dict[str, Any] = {"tool": 'odd "name"\n\\', "tool_call_id": "call_1", "server": "docs"}
    metrics(ToolEnded(**tool, duration_s=0.05, outcome="completed", **facts))
    metrics(CacheHit(key="k", **facts))
    metrics(FallbackScheduled(failed="a/m", next="b/m", error="RateLimitError", **facts))
    metrics(ParameterDropped(dropped=Dropped("top_p", "no"), **facts))
    metrics(ResponseSettled(response_id="resp_1", outcome="completed", **facts))

    found = samples(metrics)
    odd = r'tool="odd \"name\"\n\\",server="docs"'
    assert found[f'antiphon_tools_total{{{odd},outcome="completed"}}'] == 1
    assert found[f'antiphon_tool_duration_seconds_bucket{{{odd},le="0.05"}}'] == 1  # the bound belongs to its bucket
    assert found['antiphon_cache_total{result="hit"}'] == 1
    assert found['antiphon_fallbacks_total{failed="a/m",error="RateLimitError"}'] == 1
    assert found['antiphon_dropped_total{parameter="top_p"}'] == 1
    assert found['antiphon_settled_total{outcome="completed"}'] == 1


def test_made_up_names_do_not_fill_the_memory() -> None:
    metrics = Metrics(max_series=3)
    client = scripted("Hello.", hooks=[metrics])
    for number in range(10):
        client.responses("Hi", f"openai/m{number}")

    found = {name: value for name, value in samples(metrics).items() if name.startswith("antiphon_calls_total")}
    assert len(found) == 4
    other = 'antiphon_calls_total{operation="other",provider="other",model="other",outcome="other"}'
    assert found[other] == 7


def test_large_counts_keep_their_last_digit() -> None:
    metrics = Metrics()
    usage = {"input_tokens": 123_456_789, "output_tokens": 1, "total_tokens": 123_456_790}
    scripted({"usage": usage}, hooks=[metrics]).responses("Hi", "openai/m")

    assert 'direction="input"} 123456789\n' in metrics.text()


def test_threads_lose_no_count() -> None:
    metrics = Metrics()
    hit = CacheHit(key="k", call_id="call_1", operation="create", at_s=0.0)

    def count() -> None:
        for _ in range(2000):
            metrics(hit)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert samples(metrics)['antiphon_cache_total{result="hit"}'] == 8000
