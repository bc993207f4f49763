"""The facts of a call for people: the chain it walked, times, tokens and cost."""

from __future__ import annotations

from collections.abc import Iterator

from ..pipeline.api.response import Response
from ..pipeline.reply import Meta
from . import terminal


def print_facts(meta: Meta, response: Response | None) -> None:
    """Say on stderr what `-v` asks for; of a call that failed there may be no response."""
    numbers = [] if response is None else _numbers(response, meta)
    for line in [*_stages(meta), *_attempts(meta), *numbers]:
        terminal.note(line)


def summary(response: Response) -> str:
    """Return tokens, time and cost of a call in one line."""
    meta, usage = response.meta, response.usage
    facts: list[str] = []
    if usage is not None:
        facts.append(f"{usage.input_tokens} → {usage.output_tokens} tokens")
    facts.append(f"{meta.duration_s:.2f} s")
    if meta.first_event_s is not None:
        facts.append(f"first event {meta.first_event_s:.2f} s")
    facts.append(f"${meta.cost:.6f}" if meta.cost is not None else "cost not known")
    return ", ".join(facts)


def _stages(meta: Meta) -> Iterator[str]:
    if not meta.stages:
        return
    row = "  {:<16} {:>9} {:>9}".format
    yield "\nchain, outermost stage first; ms"
    yield row("stage", "own work", "waiting")
    for stage in meta.stages:
        yield row(stage.name, _ms(stage.own_s), _ms(stage.waited_s) if stage.waited_s else "")
    yield row("together", *(_ms(sum(getattr(stage, name) for stage in meta.stages)) for name in ("own_s", "waited_s")))


def _attempts(meta: Meta) -> Iterator[str]:
    yield f"target     {meta.provider} · {meta.model} · dialect {meta.dialect}"
    for attempt in meta.attempts:
        said = [attempt.outcome, *(str(fact) for fact in (attempt.status, attempt.error) if fact is not None)]
        took = f", {attempt.duration_s:.2f} s" if attempt.duration_s is not None else ""
        yield f"attempt {attempt.number}  {' '.join(said)}{took}"


def _numbers(response: Response, meta: Meta) -> Iterator[str]:
    yield f"response   {response.id} {response.status}"
    yield f"numbers    {summary(response)}{f' ({meta.cost_source})' if meta.cost_source else ''}"
    if (usage := response.usage) is not None:
        cached, thought = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
        if cached or thought:
            yield f"           {cached} input tokens from the cache, {thought} output tokens of reasoning"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"
