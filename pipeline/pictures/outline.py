"""The shape of a chain as values, from which all its pictures are drawn: the tree, mermaid, HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from ..build import is_terminal
from ..secret import mask
from ..stage import Stage, chains_in

if TYPE_CHECKING:
    from ..chain import Chain

_WIDEST = 60  # characters of one setting that a picture shows


class Way(msgspec.Struct, frozen=True):
    """Where a call may go on from a stage, other than straight on.

    Args:
        when: what leads there, e.g. "when it fails".
        to: a target's name, or a chain.
    """

    when: str
    to: str | Outline


class Outline(msgspec.Struct, frozen=True, kw_only=True):
    """A stage, or a chain with what is in it.

    Args:
        name: as surgery calls it.
        kind: class of a stage, "Chain" of a chain.
        title: a chain's name, or a stage as it is written, secrets masked.
        settings: those of a stage that are not its defaults, as in its repr; "" when there are none.
        index: place in its chain, from 0; None for the outermost chain and for those that ways lead to.
        stages: what is in a chain, outermost first; () for a stage.
        ways: other ways on from a stage.
        again: what it may call the stages inside it again for, e.g. "attempt"; "" for once a call.
        answers: whether it is the terminal stage.
    """

    name: str
    kind: str
    title: str
    settings: str = ""
    index: int | None = None
    stages: tuple[Outline, ...] = ()
    ways: tuple[Way, ...] = ()
    again: str = ""
    answers: bool = False

    @property
    def is_chain(self) -> bool:
        return self.kind == "Chain"

    @property
    def remark(self) -> str:
        """What its position means for the stages inside it, in a few words."""
        if self.answers:
            return "answers"
        return f"inside: once for each {self.again}" if self.again else ""

    def lines(self) -> Iterator[str]:
        """Yield the lines of a tree for a terminal."""
        yield self.title
        rows = list(self._rows(""))
        column = min(max((len(row) for row, remark in rows if remark), default=0), 60)
        for row, remark in rows:
            yield f"{row:<{column}}   {remark}" if remark else row

    def _rows(self, margin: str) -> Iterator[tuple[str, str]]:
        width = len(str(len(self.stages) - 1))
        for at, item in enumerate(self.stages):
            is_last = at == len(self.stages) - 1
            yield f"{margin}{'└─' if is_last else '├─'} {item.index:>{width}}  {item.title}", item.remark
            inner = margin + ("   " if is_last else "│  ") + " " * (width + 2)
            yield from item._rows(inner)
            for way in item.ways:
                to = way.to if isinstance(way.to, str) else way.to.title
                yield f"{inner}╌╌ {way.when} → {to}", ""
                if not isinstance(way.to, str):
                    yield from way.to._rows(inner + "   ")


def outline(chain: Chain, index: int | None = None) -> Outline:
    """Return the shape of a chain."""
    stages = tuple([_outline_of(item, at) for at, item in enumerate(chain.stages)])
    return Outline(name=chain.name, kind="Chain", title=chain.name, index=index, stages=stages)


def _outline_of(item: Stage | Chain, index: int) -> Outline:
    from ..chain import Chain

    if isinstance(item, Chain):
        return outline(item, index)
    is_plain = type(item).__repr__ is Stage.__repr__
    kind, paren, settings = (type(item).__name__, "(", _settings(item)) if is_plain else repr(item).partition("(")
    settings = settings if is_plain else mask(settings.removesuffix(")"))
    return Outline(
        name=item.name,
        kind=kind,
        title=f"{kind}({settings})" if paren else kind,
        settings=settings,
        index=index,
        ways=tuple([Way(when, to if isinstance(to, str) else outline(to)) for when, to in item.ways_on()]),
        again=item.calls_again_for,
        answers=is_terminal(item),
    )


def _settings(item: Stage) -> str:
    """Return a stage's settings as in its repr, long ones cut, without the chains, which are ways on."""
    shown = [mask(f"{name}={value!r}") for name, value in item.changed_settings().items() if not chains_in(value)]
    return ", ".join(text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…" for text in shown)
