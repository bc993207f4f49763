"""What a chain is, and what a call would send: the dry run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from .build import link
from .engine import _finish
from .function_stages import stage
from .reply import Dropped, Reply
from .request import Handler, Request
from .response import Response
from .runtime import drive
from .secret import MASK, Secret, mask, mask_url
from .tools import hide_in_body
from .wire import loads

if TYPE_CHECKING:
    from .chain import Chain
    from .engine import Engine


class WireRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP request of a dry run, secrets masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain is, and what a call would do. `str()` of it is for people.

    Args:
        chain: the stages, outermost first, one line each.
        options: the call options that its stages accept, with a line about each.
        provider, model, dialect: the resolved target; None without a call.
        why: why this dialect, where it is not the provider's usual one; "" else.
        request: what would be sent; None without a call.
        dropped: what of the call would not reach the host.
    """

    chain: list[str]
    options: dict[str, str]
    provider: str | None = None
    model: str | None = None
    dialect: str | None = None
    why: str = ""
    request: WireRequest | None = None
    dropped: tuple[Dropped, ...] = ()

    def __str__(self) -> str:
        lines = ["chain", *(f"  {line}" for line in self.chain)]
        if self.provider is not None:
            why = f" ({self.why})" if self.why else ""
            lines.append(f"target   {self.provider} · {self.model} · dialect {self.dialect}{why}")
        if self.request is not None:
            lines.append(f"sends    {self.request.method} {self.request.url}")
            lines += [f"         {name}: {value}" for name, value in self.request.headers.items()]
            # Half a character cannot be printed; it becomes the escape that is sent.
            body = (
                json.dumps(self.request.body, indent=2, ensure_ascii=False).encode(errors="backslashreplace").decode()
            )
            lines += [f"         {line}" for line in body.splitlines()]
        lines += [f"drops    {item.name}: {item.reason}" for item in self.dropped]
        return "\n".join(lines)


def explain(engine: Engine, chain: Chain, keywords: dict[str, Any], defaults: dict[str, Any]) -> Explanation:
    """Describe the chain; with keywords, also run it up to its terminal stage, which is replaced by a probe."""
    stages = chain.flat()
    shown = [repr(item) for item in stages]
    options = {option.name: option.doc for option in chain.options.values()}
    if not keywords:
        return Explanation(chain=shown, options=options)
    seen: list[Request] = []

    @stage(terminal=True)
    async def probe(request: Request, call_next: Handler) -> Reply:
        seen.append(request)
        return Response.from_json(b'{"object":"response","status":"completed"}')

    # The stages of the real chain with their states: a dry run sets nothing up a second time.
    request = engine.dry_run(chain, {**defaults, **keywords})
    drive(_finish(link([*engine._build(chain).stages[:-1], probe]), request))
    return _explanation(shown, options, seen[-1] if seen else request)


def _explanation(chain: list[str], options: dict[str, str], request: Request) -> Explanation:
    target, wire = request.target, request.wire
    secrets = [value for _, value in wire.headers if isinstance(value, Secret)] if wire else []
    return Explanation(
        chain=chain,
        options=options,
        provider=target.provider if target else None,
        model=target.model if target else None,
        dialect=target.dialect.name if target else None,
        why=target.why if target else "",
        request=WireRequest(
            method=wire.method,
            url=mask_url(wire.url, secrets),
            headers={name: MASK if isinstance(value, Secret) else mask(value) for name, value in wire.headers},
            body=hide_in_body(loads(wire.body)) if wire.body else None,
        )
        if wire
        else None,
        dropped=tuple(request.context.dropped),
    )
