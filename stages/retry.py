"""Repeat what failed for a passing reason."""

from __future__ import annotations

import random
from typing import Annotated, Any

from msgspec import Meta

from ..pipeline.errors import AntiphonError, forget_frames
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.signals import RetryScheduled
from ..pipeline.stage import Option, Stage
from ..pipeline.streams.event_stream import committed


class Retry(Stage, frozen=True):
    """Repeat the rest of the chain when an attempt fails for a passing reason.

    Stages before this one see one call; stages after it see every attempt. A stream is repeated only until its first
    content: its leading lifecycle events are held back until then, and once this stage has returned, events may have
    been shown and a repeat would show them twice. Nothing is repeated that could not end within the call's total limit.

    Which failures are passing: errors whose `retryable` is true (connections, time limits, 408, 409, 429, 5xx,
    unless the host says otherwise by `x-should-retry`).

    Args:
        attempts: total tries, the first included; >= 1. The call option `num_retries` (tries after the first) wins.
        base_delay_s: upper bound of the first wait, seconds; doubles with every repeat.
        max_delay_s: upper bound of one computed wait, seconds.
        max_retry_after_s: the longest wait that a host may ask for, seconds. Within it the host's wish wins over the
            computed wait; a host that asks for more is not asked again.

    Raises:
        The last attempt's error, unchanged.
    """

    attempts: Annotated[int, Meta(ge=1)] = 3
    base_delay_s: Annotated[float, Meta(ge=0)] = 0.5
    max_delay_s: Annotated[float, Meta(ge=0)] = 20.0
    max_retry_after_s: Annotated[float, Meta(ge=0)] = 60.0

    options = (
        Option("num_retries", (int,), "tries after the first one, 0 for none"),
        Option("max_retries", (int,), "the same, by OpenAI's name"),
    )
    sets = ()
    at_most_once = True
    calls_again_for = "attempt"

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        try:
            return await committed(await call_next(request), request)
        except AntiphonError as error:  # the good path pays nothing; tenacity decides from here
            if not error.retryable:
                raise
            return await self._again(request, call_next, error)

    async def _again(self, request: Request, call_next: Handler, error: AntiphonError) -> Reply:
        import tenacity

        context = request.context
        failed: list[BaseException] = []
        replies: list[Reply] = []  # tenacity's own cycles would keep what it returns, and a dropped stream open
        is_first = True

        async def attempt() -> None:
            nonlocal is_first
            if is_first:
                is_first = False
                raise error  # the first failure, which has happened already
            replies.append(await committed(await call_next(request), request))

        last_attempt = tenacity.stop_after_attempt(self._attempts(request))

        def is_over(state: Any) -> bool:
            return last_attempt(state) or state.upcoming_sleep >= context.time_left()

        def wait(state: Any) -> float:
            return self.delay_s(state.attempt_number, state.outcome.exception())

        def tell(state: Any) -> None:
            failed.append(state.outcome.exception())
            if context.sinks:
                context.emit(
                    RetryScheduled(
                        call_id=context.id,
                        operation=context.operation,
                        at_s=context.runtime.now(),
                        attempt=state.attempt_number,
                        delay_s=state.upcoming_sleep,
                        error=type(state.outcome.exception()).__name__,
                    )
                )

        retrying = tenacity.AsyncRetrying(
            stop=is_over,
            wait=wait,
            retry=tenacity.retry_if_exception(self._repeats),
            sleep=lambda seconds: context.waiting(context.runtime.sleep(seconds)),
            before_sleep=tell,
            reraise=True,
        )
        await retrying(attempt)
        for one in failed:
            forget_frames(one)  # they lead to frames of this call, which keep its stream when its reader drops it
        return replies.pop()

    def delay_s(self, attempt: int, error: BaseException | None) -> float:
        """Return the wait, seconds, after failure number `attempt` (from 1): the host's wish, else a random one."""
        asked = getattr(error, "retry_after_s", None)
        if asked is not None and asked > 0:
            return float(asked)
        ceiling = min(self.max_delay_s, self.base_delay_s * 2.0 ** min(attempt - 1, _DOUBLINGS))
        return random.uniform(ceiling / 2, ceiling)  # noqa: S311  spreading load, not keeping secrets

    def _repeats(self, error: BaseException) -> bool:
        if not isinstance(error, AntiphonError) or not error.retryable:
            return False
        return error.retry_after_s is None or error.retry_after_s <= self.max_retry_after_s

    def _attempts(self, request: Request) -> int:
        options = request.options
        retries = options.get("num_retries", options.get("max_retries"))
        return self.attempts if retries is None else max(0, retries) + 1


_DOUBLINGS = 60  # of a wait; more of them are no number, at the thousandth attempt
