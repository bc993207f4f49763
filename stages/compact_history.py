"""Keep a long conversation under a number of tokens."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from ..pipeline.api.params import CompactParams, CreateParams
from ..pipeline.api.response import CompactedResponse, Response
from ..pipeline.api.wire import encode, loads
from ..pipeline.errors import SetupError, StageError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..pipeline.token_estimate import about_tokens
from .state.compaction import question, summary_item


class CompactHistory(Stage, frozen=True):
    """Keep the input of a call under a number of tokens, by leaving out or summing up its oldest turns.

    A turn begins with what the user says and has all that follows; calls of tools and their results stay together.
    Instructions, system messages and the last turns always stay. What was left out is in `meta.dropped`. Inside
    Remember, where it belongs, it sees whole conversations, but for those that their host keeps; inside Tools every
    round. What is kept in a store stays whole.

    Args:
        max_tokens: how long instructions, tools and input may be together, about.
        by: "drop" leaves the oldest turns out; "summary" asks the model of the call for a summary of them, which is
            one call more; "host" has the host compact them, where it can, else as "summary".
        target_tokens: how far it is shortened once it is too long; by default to `max_tokens` by "drop", and to half
            of it by the others, so that not every turn needs another summary.
        keep_turns: how many of the last turns stay in any case; >= 1.
        estimate: counts tokens of an item, of the instructions or of the list of tools; by default four bytes make
            one (`pipeline/token_estimate.py`).

    Raises:
        APIError: the summary could not be had.
    """

    max_tokens: Annotated[int, Meta(ge=1)]
    by: Literal["drop", "summary", "host"] = "drop"
    target_tokens: Annotated[int, Meta(ge=1)] | None = None
    keep_turns: Annotated[int, Meta(ge=1)] = 1
    estimate: Callable[[Any], int] | None = None

    sets = ()
    calls_again_for = "summary"

    def setup(self, scope: Scope) -> object:
        if self.target_tokens is not None and self.target_tokens > self.max_tokens:
            raise StageError(
                f"stage CompactHistory: target_tokens={self.target_tokens} is over max_tokens={self.max_tokens}"
            )
        return _Summaries()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        given = request.param("input")
        if request.operation != "create" or not isinstance(given, list | tuple):
            return await call_next(request)
        count = self.estimate or about_tokens
        sizes = [count(item) for item in given]
        fixed = sum(count(value) for name in ("instructions", "tools") if (value := request.param(name)))
        if fixed + sum(sizes) <= self.max_tokens:
            return await call_next(request)
        history = _History(list(given), sizes)
        if self.by == "drop":
            cut = history.cut((self.target_tokens or self.max_tokens) - fixed, self.keep_turns)
            self._tell(request, history, cut, "are left out")
            return await call_next(request.with_params(input=history.without(cut, [])))
        if request.context.dry:
            request.context.note(f"the oldest turns would be compacted: the input is over {self.max_tokens:,} tokens")
            return await call_next(request)
        return await call_next(request.with_params(input=await self._summed_up(request, call_next, history, fixed)))

    async def _summed_up(self, request: Request, call_next: Handler, history: _History, fixed: int) -> list[Any]:
        """Return the input with its oldest turns as a summary: one that is known already, where that is enough."""
        count = self.estimate or about_tokens
        summaries = request.context.state_of(self, _Summaries)
        whose = self._whose(request)
        known, summary = summaries.longest(whose, history)
        length = sum(count(item) for item in summary)
        if known and fixed + history.tokens_without(known) + length <= self.max_tokens:
            self._tell(request, history, known, "stand in a summary")
            return history.without(known, summary)
        target = self.max_tokens // 2 if self.target_tokens is None else self.target_tokens
        cut = history.cut(target - fixed, self.keep_turns)
        if cut > max(known, history.lead):
            older = [*summary, *history.older(known, cut)]
            summary = await self._summary(request, call_next, older)
            summaries.keep(whose, history, cut, summary)
        else:
            cut = known
        self._tell(request, history, cut, "stand in a summary")
        return history.without(cut, summary)

    async def _summary(self, request: Request, call_next: Handler, older: list[Any]) -> list[Any]:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        ask = CompactParams(
            model=params.model,
            input=older,
            instructions=params.instructions,
            prompt_cache_key=params.prompt_cache_key,
            service_tier=params.service_tier,
        )
        if self.by == "host":
            if target is not None and target.dialect.name == "responses" and "compact" in target.operations:
                answer = await call_next(request.replace(operation="compact", params=ask))
                if not isinstance(answer, CompactedResponse):
                    raise SetupError(f"a call that compacts was answered by {type(answer).__name__}")
                return [loads(item.raw) for item in answer.output]
            request.context.note("the host cannot compact; the model was asked for a summary")
        answer = await call_next(request.replace(params=question(ask, older)))
        if not isinstance(answer, Response):
            raise SetupError(f"a call that creates a response was answered by {type(answer).__name__}")
        return [summary_item(answer)]

    def _whose(self, request: Request) -> bytes:
        """Return who can read a summary: a host's own is encrypted."""
        target = request.target
        return b"" if target is None else f"{target.provider} {target.base_url} {target.model}".encode()

    def _tell(self, request: Request, history: _History, cut: int, what: str) -> None:
        context = request.context
        if cut <= history.lead:
            context.note(f"the input is over {self.max_tokens:,} tokens, and its last turns cannot be shortened")
            return
        left_out = history.tokens - history.tokens_without(cut)
        reason = f"the oldest turns, about {left_out:,} tokens, {what}: the input is over {self.max_tokens:,}"
        context.drop(f"input[{history.lead}:{cut}]", reason)


class _History:
    """An input as turns.

    Attributes:
        lead: how many items at its front belong to no turn: system and developer messages.
        tokens: about how many it has.
    """

    __slots__ = ("_gone", "_is_system", "_items", "_plain", "_starts", "lead", "tokens")

    def __init__(self, items: list[Any], sizes: list[int]) -> None:
        self._items = items
        self._plain = [item if type(item) is dict else _plain(item) for item in items]
        self._is_system = [item.get("role") in ("system", "developer") for item in self._plain]
        self.tokens = sum(sizes)
        self.lead = next((at for at, system in enumerate(self._is_system) if not system), len(items))
        self._starts = [
            at
            for at in range(self.lead + 1, len(items))
            if self._plain[at].get("role") == "user" and self._plain[at - 1].get("role") != "user"
        ]
        # How many tokens leave before each place, if all turns before it do.
        leaving = [0 if system else size for system, size in zip(self._is_system, sizes, strict=True)]
        self._gone = [0, *itertools.accumulate(leaving)]

    def cut(self, room: int, keep_turns: int) -> int:
        """Return where the turns begin that stay: as many as have room, at least so many of the last ones."""
        best, splits = self.lead, self._splits()
        for at in self._starts[: len(self._starts) - keep_turns + 1]:
            if not splits[at]:
                best = at
                if self.tokens_without(at) <= room:
                    break
        return best

    def _splits(self) -> list[int]:
        """Return how many pairs of a call and its result a cut before each place would part."""
        calls: dict[object, int] = {}
        changes = [0] * (len(self._plain) + 1)
        for at, item in enumerate(self._plain):
            if not _is_result(item):
                calls[_call_id(item)] = at
            elif (called := calls.get(_call_id(item))) is not None:
                changes[called + 1] += 1
                changes[at + 1] -= 1
        return list(itertools.accumulate(changes))

    def tokens_without(self, cut: int) -> int:
        """Return the tokens of what stays, without a summary."""
        return self.tokens - self._gone[cut]

    def older(self, start: int, cut: int) -> list[Any]:
        """Return the items from there on that leave."""
        return [self._items[at] for at in self._leaving(max(start, self.lead), cut)]

    def without(self, cut: int, summary: list[Any]) -> list[Any]:
        """Return the input with a summary in the place of what leaves."""
        leaving = set(self._leaving(self.lead, cut))
        front = [item for at, item in enumerate(self._items[:cut]) if at not in leaving]
        return [*front, *summary, *self._items[cut:]]

    def _leaving(self, start: int, cut: int) -> list[int]:
        """Return the places of what leaves: system messages in between stay."""
        return [at for at in range(start, cut) if not self._is_system[at]]

    def digests(self, whose: bytes) -> dict[int, bytes]:
        """Return a digest of everything before each turn, by the place where the turn begins."""
        digest, found, starts = hashlib.sha256(whose), {}, set(self._starts)
        for at, item in enumerate(self._items):
            if at in starts:
                found[at] = digest.digest()
            digest.update(encode(item) + b"\n")
        return found


class _Summaries:
    """Summaries by what they stand for, those that were used last, so that a conversation's next turn needs no other.

    In this process's memory, of one client, bounded.
    """

    __slots__ = ("_kept", "_lock")

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, list[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def longest(self, whose: bytes, history: _History) -> tuple[int, list[Any]]:
        """Return how much of an input the best summary stands for, and the summary; (0, []) without one."""
        with self._lock:
            for at, digest in sorted(history.digests(whose).items(), reverse=True):
                if (found := self._kept.get(digest)) is not None:
                    self._kept.move_to_end(digest)
                    return at, found
        return 0, []

    def keep(self, whose: bytes, history: _History, cut: int, summary: list[Any]) -> None:
        with self._lock:
            self._kept[history.digests(whose)[cut]] = summary
            while len(self._kept) > _MANY:
                self._kept.popitem(last=False)


_MANY: Final = 512


def _plain(item: Any) -> Mapping[str, Any]:
    found = loads(encode(item))
    return found if isinstance(found, Mapping) else {}


def _is_result(item: Mapping[str, Any]) -> bool:
    return str(item.get("type")).endswith(("_output", "_response"))


def _call_id(item: Mapping[str, Any]) -> object:
    return item.get("call_id") or item.get("approval_request_id") or item.get("id")
