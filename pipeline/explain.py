"""What a chain is, and what a call would send: the dry run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from .api.response import Response
from .api.tools import hide_in_body
from .api.wire import loads
from .build import link
from .engine import _finish
from .function_stages import FunctionStage, stage
from .pictures.outline import Outline, outline
from .reply import Dropped, Reply
from .request import Handler, Request, Target
from .runtimes.driver import drive
from .secret import MASK, Secret, mask, mask_url

if TYPE_CHECKING:
    from .chain import Chain
    from .engine import Engine

_LONGEST = 60  # characters of a value that a line about a stage shows


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request of a dry run, secrets masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


class Step(msgspec.Struct, frozen=True):
    """What one stage did to the call of a dry run.

    Args:
        stage: the stage's name.
        says: a line for each change that it made to the request on its way in; () when it left it as it was.
    """

    stage: str
    says: tuple[str, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain is, and what a call would do. `str()` of it is for people.

    Args:
        chain: the stages, outermost first, one line each, those of nested chains in their place.
        outline: the same as a tree, with positions and ways on; `str()` shows it.
        options: the call options that its stages accept, with a line about each.
        steps: what each stage did to the call, outermost first; () without a call.
        provider, model, dialect: the resolved target; None without a call.
        why: why this dialect, where it is not the provider's usual one; "" else.
        request: what would be sent; None without a call.
        dropped: what of the call would not reach the host.
    """

    chain: list[str]
    outline: Outline
    options: dict[str, str]
    steps: tuple[Step, ...] = ()
    provider: str | None = None
    model: str | None = None
    dialect: str | None = None
    why: str = ""
    request: WireRequest | None = None
    dropped: tuple[Dropped, ...] = ()

    def __str__(self) -> str:
        lines = [f"chain {line}" if at == 0 else line for at, line in enumerate(self.outline.lines())]
        told = [step for step in self.steps if step.says]
        width = max((len(step.stage) for step in told), default=0)
        for at, (name, line) in enumerate((step.stage, line) for step in told for line in step.says):
            lines.append(f"{'' if at else 'steps':<8} {name:<{width}}  {line}")
        if self.provider is not None:
            why = f" ({self.why})" if self.why else ""
            lines.append(f"target   {self.provider} · {self.model} · dialect {self.dialect}{why}")
        if self.request is not None:
            lines.append(f"sends    {self.request.method} {self.request.url}")
            lines += [f"         {name}: {value}" for name, value in self.request.headers.items()]
            lines += [f"         {line}" for line in body_text(self.request).splitlines()]
        lines += [f"drops    {item.name}: {item.reason}" for item in self.dropped]
        return "\n".join(lines)

    __repr__ = __str__  # what a prompt shows of it; the fields alone would fill the screen

    def _repr_html_(self) -> str:
        from .pictures.notebook import explanation_page

        return explanation_page(self)


def body_text(request: WireRequest) -> str:
    """Return the body as indented JSON; half a character, which cannot be printed, as the escape that is sent."""
    return json.dumps(request.body, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode()


def explain(engine: Engine, chain: Chain, keywords: dict[str, Any], defaults: dict[str, Any]) -> Explanation:
    """Describe the chain; with keywords, also run it up to its terminal stage, which is replaced by a probe."""
    described: dict[str, Any] = {
        "chain": [repr(item) for item in chain.flat()],
        "outline": outline(chain),
        "options": {option.name: option.doc for option in chain.options.values()},
    }
    if not keywords:
        return Explanation(**described)
    request = engine.dry_run(chain, {**defaults, **keywords})
    # The stages of the real chain with their states: a dry run sets nothing up a second time.
    stages = engine._build(chain).stages[:-1]
    passed: list[_Passed | None] = [None] * (len(stages) + 1)
    linked = [item for at, stage in enumerate(stages) for item in (_look(passed, at), stage)]
    drive(_finish(link([*linked, _look(passed, len(stages)), _probe]), request, (), sync=True))
    seen = [one for one in passed if one is not None]
    steps = [Step(stages[at].name, tuple(_said(*passed[at : at + 2]))) for at in range(min(len(seen), len(stages)))]
    return _explanation(described, tuple(steps), seen[-1].request if seen else request)


class _Passed(msgspec.Struct, frozen=True):
    """The call as it reached a stage, and how much had been reported by then."""

    request: Request
    dropped: int
    notes: int


def _look(passed: list[_Passed | None], at: int) -> FunctionStage:
    """Return a stage that notes the call that passes it."""

    @stage
    async def look(request: Request, call_next: Handler) -> Reply:
        passed[at] = _Passed(request, len(request.context.dropped), len(request.context.notes))
        return await call_next(request)

    return look


@stage(terminal=True)
async def _probe(request: Request, call_next: Handler) -> Reply:
    return Response.from_json(b'{"object":"response","status":"completed"}')


def _said(before: _Passed | None, after: _Passed | None) -> Iterator[str]:
    """Yield what changed of a call between two stages, a line each."""
    assert before is not None
    if after is None:
        yield "answers itself"
        return
    was, now = before.request, after.request
    secrets = now.secrets()
    for name in was.params.__struct_fields__:
        old, new = getattr(was.params, name), getattr(now.params, name, None)
        if new is None and old is not None:
            yield f"takes {name} away"
        elif new is not old and new != old:
            is_short = isinstance(new, str | int | float) and len(str(new)) <= _LONGEST
            shown = f" = {mask(repr(new), secrets)}" if is_short else ""
            yield f"{'sets' if old is None else 'changes'} {name}{shown}"
    for name in sorted(name for name in now.options if now.options[name] is not was.options.get(name)):
        yield f"sets the option {name}"
    if now.target is not None and now.target is not was.target:
        yield from _target_lines(now.target, is_new=was.target is None)
    if now.wire is not None and now.wire is not was.wire:
        yield f"{'makes' if was.wire is None else 'changes'} the request: {now.wire.method} {_url(now.wire, secrets)}"
    context = now.context
    yield from (f"drops {item.name}: {item.reason}" for item in context.dropped[before.dropped : after.dropped])
    yield from context.notes[before.notes : after.notes]


def _target_lines(target: Target, *, is_new: bool) -> Iterator[str]:
    if not is_new:
        yield "changes the target"
        return
    why = f", since {target.why}" if target.why else ""
    yield f"asks {target.provider} for {target.model or 'it'} in the format {target.dialect.name}{why}"
    if target.credential is not None:
        yield "has each attempt ask who calls"
    elif target.api_key is None:
        yield f"sends no key{f': {target.key_note}' if target.key_note else ''}"


def _url(wire: Any, secrets: list[Any]) -> str:
    return mask_url(wire.url, [*secrets, *(value for _, value in wire.headers if isinstance(value, Secret))])


def _explanation(described: dict[str, Any], steps: tuple[Step, ...], request: Request) -> Explanation:
    target, wire = request.target, request.wire
    return Explanation(
        **described,
        steps=steps,
        provider=target.provider if target else None,
        model=target.model if target else None,
        dialect=target.dialect.name if target else None,
        why=target.why if target else "",
        request=WireRequest(
            method=wire.method,
            url=_url(wire, []),
            headers={name: MASK if isinstance(value, Secret) else mask(value) for name, value in wire.headers},
            body=hide_in_body(loads(wire.body)) if wire.body else None,
        )
        if wire
        else None,
        dropped=tuple(request.context.dropped),
    )
