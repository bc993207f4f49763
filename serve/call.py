"""One call for one request: made, answered, and cancelled when the client leaves."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ..pipeline.api.params import Operation
from ..pipeline.caller import Caller
from ..pipeline.chain import Chain
from ..pipeline.errors import AntiphonError, StageError
from ..pipeline.reply import Dropped
from ..pipeline.streams.event_stream import EventStream
from .event_answer import EventAnswer
from .exchange import Exchange, Gone
from .refusal import told


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all calls of an app.

    Args:
        keepalive_s: seconds of silence after which a stream gets a comment; None: never.
        callers_key: whether keys of hosts come with the calls.
    """

    keepalive_s: float | None
    callers_key: bool


class Call:
    """A call of the chain, and the answer to the request that asked for it."""

    __slots__ = ("_caller", "_chain", "_events", "_exchange", "_keywords", "_operation", "_runtime", "_settings")

    def __init__(
        self,
        chain: Chain,
        exchange: Exchange,
        operation: Operation,
        keywords: dict[str, Any],
        caller: Caller,
        settings: CallSettings,
    ) -> None:
        self._chain = chain
        self._exchange = exchange
        self._operation: Operation = operation
        self._keywords = keywords
        self._caller = caller
        self._settings = settings
        self._runtime = chain.engine.runtime(is_async=True)
        self._events = EventAnswer(exchange, self._runtime, settings.keepalive_s)

    async def run(self) -> None:
        """Make the call and answer; cancel both when the client leaves."""
        jobs = [self._answer, self._until_gone]
        if self._is_streamed:
            jobs.append(self._events.keep_alive)
        await self._runtime.race(jobs)

    @property
    def _is_streamed(self) -> bool:
        return {**self._chain.defaults, **self._keywords}.get("stream") is True

    async def _answer(self) -> None:
        try:
            reply = await self._chain.arun(self._operation, self._keywords, caller=self._caller)
            headers = _dropped(reply.meta.dropped)
            if isinstance(reply, EventStream):
                await self._events.relay(reply, headers)
            else:
                await self._events.take_turn()
                if self._exchange.has_begun:
                    raise StageError("the chain answered a streamed call by a plain reply")
                await self._exchange.answer(200, reply.raw, headers)
        except Gone:
            pass
        except Exception as error:
            with contextlib.suppress(Gone):
                await self._fail(error)

    async def _fail(self, error: Exception) -> None:
        refusal = told(error, self._exchange.id, callers_key=self._settings.callers_key)
        await self._events.take_turn()
        if self._exchange.has_begun:
            await self._events.fail(refusal, error.response if isinstance(error, AntiphonError) else None)
        else:
            await self._exchange.answer(refusal.status, refusal.body(), refusal.headers)

    async def _until_gone(self) -> None:
        await self._exchange.until_gone()
        if self._exchange.is_over:  # the answer is whole, and whoever gives it is about to return
            await self._runtime.event().wait()


_NO_HEADER = re.compile(r"[^\w.\[\]-]", re.ASCII)


def _dropped(dropped: Iterable[Dropped]) -> list[tuple[str, str]]:
    """Return the header that names what of the call did not reach the host."""
    names = ", ".join(dict.fromkeys(_NO_HEADER.sub("_", one.name) for one in dropped))
    return [("antiphon-dropped", names[:1000])] if names else []
