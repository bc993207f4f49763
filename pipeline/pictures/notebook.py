"""How chains, dry runs, responses and errors look in a notebook: HTML without scripts, images or network.

The style takes its ink from the page around it and mixes its lines out of it, so that it is right on light and on dark
pages alike. Where a viewer throws styles away, plain HTML is left that reads in the same order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ..api.items import AnyItem, FunctionCall, McpCall, Message, Reasoning
from ..api.parts import OutputText, ReasoningText, SummaryText
from ..errors import message_of
from ..secret import mask
from .html import Html, joined, tag
from .outline import Outline, outline

if TYPE_CHECKING:
    from ..api.response import Response
    from ..api.response_fields import Usage
    from ..chain import Chain
    from ..errors import AntiphonError
    from ..explain import Explanation
    from ..reply import Meta

_LONGEST = 20_000  # characters of one text on a page, since a notebook keeps what it shows

_STYLE = Html("""<style>
.antiphon { font: 13px/1.5 system-ui, sans-serif; max-width: 60rem;
  --line: color-mix(in srgb, currentColor 22%, transparent); --fill: color-mix(in srgb, currentColor 5%, transparent);
  --soft: color-mix(in srgb, currentColor 62%, transparent); --good: #3c8f5c; --bad: #d4553f; }
.antiphon header { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline; margin-bottom: 6px; }
.antiphon b { font-weight: 650; }
.antiphon small, .antiphon summary, .antiphon dt { color: var(--soft); font-size: 12px; }
.antiphon .box { border: 1px solid var(--line); border-radius: 7px; background: var(--fill); }
.antiphon .box { padding: 7px 11px; margin: 5px 0; }
.antiphon .text, .antiphon pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.antiphon code, .antiphon pre { font: 12px/1.5 ui-monospace, monospace; background: none; color: inherit; }
.antiphon pre { margin: 4px 0 0; padding: 0; }
.antiphon ol, .antiphon ul { margin: 0; padding: 0 0 0 30px; border-left: 1px solid var(--line); }
.antiphon ul { border-left-style: dashed; padding-left: 14px; list-style: none; }
.antiphon li { margin: 3px 0; }
.antiphon li::marker { color: var(--soft); font-variant-numeric: tabular-nums; }
.antiphon .mark { border: 1px solid var(--line); border-radius: 99px; padding: 0 8px; font-size: 11.5px; }
.antiphon .good { color: var(--good); border-color: currentColor; }
.antiphon .bad { color: var(--bad); border-color: currentColor; }
.antiphon dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 1px 14px; margin: 8px 0 0; }
.antiphon dd { margin: 0; overflow-wrap: anywhere; grid-column: 2; }
.antiphon details { margin: 3px 0; }
.antiphon summary { cursor: pointer; }
</style>""")


def _page(*inside: Html | None) -> str:
    return str(tag("div", _STYLE, *inside, class_="antiphon"))


# --- chains ---------------------------------------------------------------------------------------------------------


def chain_page(chain: Chain) -> str:
    """Return a chain: its stages, outermost first, with positions, settings and ways on."""
    return _page(_chain_of(outline(chain)))


def _chain_of(shape: Outline) -> Html:
    count = f"{len(shape.stages)} stage{'' if len(shape.stages) == 1 else 's'}"
    return tag("header", tag("b", shape.name), Html(" "), tag("small", count)) + _stages_of(shape)


def _stages_of(shape: Outline) -> Html:
    return tag("ol", *map(_stage_row, shape.stages), start="0")


def _stage_row(item: Outline) -> Html:
    return tag(
        "li",
        tag("b", item.name) if item.is_chain else tag("code", item.title),
        Html(" ") + tag("span", item.remark, class_="mark good" if item.answers else "mark") if item.remark else None,
        _stages_of(item) if item.is_chain else None,
        tag("ul", *(_way_row(way.when, way.to) for way in item.ways)) if item.ways else None,
    )


def _way_row(when: str, to: str | Outline) -> Html:
    if isinstance(to, str):
        return tag("li", tag("small", f"{when} → "), tag("code", to))
    return tag("li", tag("small", f"{when} → "), tag("b", to.name), _stages_of(to))


def explanation_page(explained: Explanation) -> str:
    """Return what a chain is and what a call would send: each stage's part in it, the request, what is dropped."""
    from ..explain import body_text

    steps = [
        tag("dt", step.stage) + joined(tag("dd", line) for line in step.says) for step in explained.steps if step.says
    ]
    sent = None
    if (request := explained.request) is not None:
        head = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
        sent = _folded("the request", "\n".join([*head, "", body_text(request)]))
    return _page(
        _chain_of(explained.outline),
        tag("dl", *steps) if steps else None,
        sent,
        _dropped_rows([(item.name, item.reason) for item in explained.dropped]),
    )


def _dropped_rows(dropped: list[tuple[str, str]]) -> Html | None:
    rows = [tag("dt", f"dropped {name}") + tag("dd", reason) for name, reason in dropped]
    return tag("dl", *rows) if rows else None


# --- responses ------------------------------------------------------------------------------------------------------


def response_page(response: Response) -> str:
    """Return a response: what it says, its tool calls, reasoning folded, and what it took."""
    meta = response.meta
    status = response.status or "unknown"
    mark = {"completed": "mark good", "failed": "mark bad"}.get(status, "mark")
    model = f"{meta.provider}/{meta.model}" if meta.provider else response.model
    why = response.incomplete_details.reason if response.incomplete_details is not None else None
    failure = response.error.message if response.error is not None else None
    facts = {"cut by": why, **_usage_facts(response.usage), **_call_facts(meta if meta.call_id else None)}
    return _page(
        tag(
            "header", tag("b", model), Html(" "), tag("span", status, class_=mark), Html(" "), tag("small", response.id)
        ),
        *(_item_box(item) for item in response.output),
        tag("div", mask(failure), class_="box text bad") if failure else None,
        tag("dl", *_rows(facts)),
        _dropped_rows([(item.name, item.reason) for item in response.dropped]),
    )


def _item_box(item: AnyItem) -> Html:
    if isinstance(item, Message) and not isinstance(item.content, str):
        return joined(map(_part_box, item.content))
    if isinstance(item, Message):
        return tag("div", _cut(str(item.content)), class_="box text")
    if isinstance(item, Reasoning):
        said = "\n\n".join(
            part.text for part in (*item.summary, *item.content) if isinstance(part, SummaryText | ReasoningText)
        )
        return _folded("reasoning" if said else "reasoning, sealed by its host", said)
    if isinstance(item, FunctionCall):
        return tag("div", tag("small", "calls "), tag("code", _call_text(item.name, item.arguments)), class_="box")
    if isinstance(item, McpCall):
        where = tag("small", f"called at {item.server_label} ")
        result = _folded("result", str(item.output)) if item.output is not None else None
        failed = tag("div", mask(_json_text(item.to_dict().get("error"))), class_="text bad") if item.error else None
        return tag("div", where, tag("code", _call_text(item.name, item.arguments)), result, failed, class_="box")
    return _folded(str(item.to_dict().get("type", "item")), _json_text(item.to_dict()))


def _part_box(part: Any) -> Html:
    if isinstance(part, OutputText):
        return tag("div", _cut(part.text), class_="box text")
    whole = part.to_dict()
    if "refusal" in whole:
        return tag("div", tag("small", "refuses: "), _cut(str(whole["refusal"])), class_="box text")
    return _folded(str(whole.get("type", "part")), _json_text(whole))


def _call_text(name: str, arguments: str) -> str:
    return _cut(f"{name}({arguments})")


def _usage_facts(usage: Usage | None) -> dict[str, str | None]:
    if usage is None:
        return {}
    cached, reasoning = usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens
    return {
        "input": f"{usage.input_tokens:,} tokens" + (f", {cached:,} of them cached" if cached else ""),
        "output": f"{usage.output_tokens:,} tokens" + (f", {reasoning:,} of them reasoning" if reasoning else ""),
    }


def _call_facts(meta: Meta | None) -> dict[str, str | None]:
    if meta is None:
        return {}
    tried = [f"{one.error or one.outcome}{f' ({one.status})' if one.status else ''}" for one in meta.attempts]
    first = f", first event after {meta.first_event_s:.2f} s" if meta.first_event_s is not None else ""
    return {
        "cost": f"${meta.cost:.6f} ({meta.cost_source})" if meta.cost is not None else None,
        "time": f"{meta.duration_s:.2f} s{first}",
        "attempts": ", ".join(tried) if len(tried) > 1 else None,
        "notes": "\n".join(meta.notes) or None,
    }


# --- errors ---------------------------------------------------------------------------------------------------------


def error_page(error: AntiphonError) -> str:
    """Return an error: what happened, where, the next move, and how it came about."""
    where = ("provider", "model", "status", "code", "param", "request_id", "retry_after_s")
    facts: dict[str, str | None] = {name: str(value) for name in where if (value := getattr(error, name)) is not None}
    cause = error.__cause__
    so_far = error.response.output_text if error.response is not None else ""
    return _page(
        tag("header", tag("b", type(error).__name__, class_="bad")),
        tag("div", _cut(mask(error.message)), class_="box text"),
        tag("div", tag("b", "next: "), mask(error.hint)) if error.hint else None,
        tag(
            "dl",
            *_rows(facts),
            *_rows({"caused by": f"{type(cause).__name__}: {mask(message_of(cause))}" if cause is not None else None}),
            *_rows(_call_facts(error.meta)),
            *_rows({"and": mask("\n".join(getattr(error, "__notes__", ()))) or None, "see": error.docs}),
        ),
        _folded("the answer so far", so_far) if so_far else None,
    )


# --- pieces ---------------------------------------------------------------------------------------------------------


def _rows(facts: dict[str, str | None]) -> Iterator[Html]:
    for name, value in facts.items():
        if value is not None:
            yield tag("dt", name) + tag("dd", mask(value), class_="text")


def _folded(title: str, inside: str) -> Html:
    if not inside:
        return tag("div", tag("small", title))
    return tag("details", tag("summary", title), tag("pre", _cut(inside)))


def _json_text(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text) - _LONGEST:,} more characters)"
