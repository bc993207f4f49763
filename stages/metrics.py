"""Numbers over all calls, as text that Prometheus reads.

    metrics = antiphon.Metrics()
    client = antiphon.Client(hooks=[metrics])     # or antiphon.Observe(metrics) in a chain
    ...
    metrics.text()                                # what GET /metrics answers

Source of the format: Prometheus documentation, Exposition formats, text format 0.0.4, read 2026-11.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Mapping

from ..pipeline.api.half_characters import whole_text
from ..pipeline.signals import (
    AttemptEnded,
    CacheHit,
    CacheMissed,
    CacheStored,
    CallEnded,
    CallStarted,
    FallbackScheduled,
    ParameterDropped,
    ResponseSettled,
    RetryScheduled,
    Signal,
    ToolEnded,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What the answer of an endpoint should say it is."""

# Seconds. Answers of models take from a few hundredths to minutes.
_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
_OTHER = "other"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """A hook that counts: calls, attempts, tokens, dollars, tools, and how long they took. Safe between threads.

    Args:
        max_series: different label values that one metric may have. What comes after them is counted with "other" in
            place of its labels, so that model names made up by callers cannot fill the memory of whoever scrapes.
        prefix: what all names begin with.
    """

    def __init__(self, *, max_series: int = 200, prefix: str = "antiphon") -> None:
        self._lock = threading.Lock()
        self._max_series = max_series
        self._prefix = prefix
        self._numbers: dict[str, dict[Labels, float]] = {name: {} for name in _NUMBERS}
        self._times: dict[str, dict[Labels, _Times]] = {name: {} for name in _TIMES}

    def __repr__(self) -> str:
        return f"Metrics(max_series={self._max_series}, prefix={self._prefix!r})"

    def __call__(self, signal: Signal) -> None:
        with self._lock:
            self._count(signal)

    def _count(self, signal: Signal) -> None:
        match signal:
            case CallStarted():
                self._add("calls_in_flight", 1)
            case CallEnded():
                self._call(signal)
            case AttemptEnded():
                one = signal.attempt
                self._add(
                    "attempts_total",
                    provider=one.provider,
                    model=one.model,
                    outcome=one.outcome,
                    error=one.error or "",
                )
            case RetryScheduled():
                self._add("retries_total", error=signal.error)
            case FallbackScheduled():
                self._add("fallbacks_total", failed=signal.failed, error=signal.error)
            case CacheHit() | CacheMissed() | CacheStored():
                self._add("cache_total", result=signal.name.partition(".")[2])
            case ParameterDropped():
                self._add("dropped_total", parameter=signal.dropped.name)
            case ToolEnded():
                labels = {"tool": signal.tool, "server": signal.server or ""}
                self._add("tools_total", 1, **labels, outcome=signal.outcome)
                self._observe("tool_duration_seconds", signal.duration_s, **labels)
            case ResponseSettled():
                self._add("settled_total", outcome=signal.outcome)
            case _:
                pass

    def _call(self, signal: CallEnded) -> None:
        meta, usage = signal.meta, signal.usage
        target = {"provider": meta.provider or "", "model": meta.model or signal.model or ""}
        self._add("calls_in_flight", -1)
        self._add("calls_total", 1, operation=signal.operation, **target, outcome=signal.kind)
        self._observe("call_duration_seconds", meta.duration_s, operation=signal.operation, **target)
        if meta.first_event_s is not None:
            self._observe("first_event_seconds", meta.first_event_s, **target)
        if usage is not None and not meta.is_from_cache:
            self._add("tokens_total", usage.input_tokens, **target, direction="input")
            self._add("tokens_total", usage.output_tokens, **target, direction="output")
        if meta.cost is not None:
            self._add("cost_usd_total", meta.cost, **target)

    def _add(self, name: str, amount: float = 1, /, **labels: str) -> None:
        series = self._numbers[name]
        key = self._key(series, labels)
        series[key] = series.get(key, 0) + amount

    def _observe(self, name: str, seconds: float, /, **labels: str) -> None:
        series = self._times[name]
        key = self._key(series, labels)
        series.setdefault(key, _Times()).add(seconds)

    def _key(self, series: Mapping[Labels, object], labels: dict[str, str]) -> Labels:
        key = tuple(labels.items())
        if key in series or len(series) < self._max_series:
            return key
        return tuple((name, _OTHER) for name in labels)

    def text(self) -> str:
        """Return all numbers as they are now, in Prometheus' text format."""
        lines: list[str] = []
        with self._lock:
            for name, (kind, about) in _NUMBERS.items():
                full = f"{self._prefix}_{name}"
                lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}"]
                lines += [f"{full}{_labels(key)} {_number(value)}" for key, value in self._numbers[name].items()]
            for name, about in _TIMES.items():
                full = f"{self._prefix}_{name}"
                lines += [f"# HELP {full} {about}", f"# TYPE {full} histogram"]
                for key, times in self._times[name].items():
                    lines += times.lines(full, key)
        text: str = whole_text("\n".join(lines) + "\n")
        return text


class _Times:
    """One histogram: how many fell under each bound, how many there are, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.sum += seconds

    def lines(self, name: str, key: Labels) -> list[str]:
        lines, under = [], 0
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self.counts, strict=True):
            under += count
            lines.append(f"{name}_bucket{_labels((*key, ('le', bound)))} {under}")
        return [*lines, f"{name}_sum{_labels(key)} {_number(self.sum)}", f"{name}_count{_labels(key)} {under}"]


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(value)


def _labels(key: Labels) -> str:
    if not key:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in key) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


_NUMBERS = {
    "calls_in_flight": ("gauge", "Calls that have begun and not ended, open streams among them."),
    "calls_total": ("counter", "Calls that have ended, by outcome."),
    "attempts_total": ("counter", "Exchanges with hosts, by outcome."),
    "retries_total": ("counter", "Repeats, by the error that caused them."),
    "fallbacks_total": ("counter", "Targets given up for another one."),
    "cache_total": ("counter", "Answers looked for in a cache, or kept there."),
    "tokens_total": ("counter", "Tokens that hosts reported."),
    "cost_usd_total": ("counter", "US dollars, of calls whose cost is known."),
    "dropped_total": ("counter", "Parameters that did not reach a host."),
    "tools_total": ("counter", "Tools that were run, by outcome."),
    "settled_total": ("counter", "Background responses that have come to their end."),
}
_TIMES = {
    "call_duration_seconds": "Duration of calls, streams to their end.",
    "first_event_seconds": "Time from a call's start to the first event of its stream.",
    "tool_duration_seconds": "Duration of tools.",
}
