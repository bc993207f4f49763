"""One run over the rows of a batch.

Its reader does all the book-keeping, in `next`: it takes rows from the source, has them answered by jobs beside it,
and reports those that are done. A row is outstanding from when it was taken until it is reported, and at most
`concurrency` rows are: so a source of any length is read no further than that, whoever is slow, the calls or the
reader. With a checkpoint, a row that is done is written down before it is reported; all that have come meanwhile are
written together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Any

from ..errors import CallError, SetupError, StoreError
from ..runtimes.jobs import Job, Jobs
from .row import Item, Row, RowCalls
from .settings import Settings
from .workers import Answer, Workers

if TYPE_CHECKING:
    from ..runtimes.runtime import Runtime
    from .checkpoint import Checkpoint
    from .progress import Meter

_END: Any = object()
_PULL: Any = object()  # the tag of the job that waits for an async source


class Run:
    """Runs the rows of one batch. One reader.

    Args:
        source: the rows. Read in `next`; an async iterable in tasks beside it, in async mode only.
    """

    def __init__(
        self,
        runtime: Runtime,
        source: Iterable[Any] | AsyncIterable[Any],
        calls: RowCalls,
        workers: Workers,
        settings: Settings,
        *,
        checkpoint: Checkpoint | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._runtime = runtime
        self._source = source
        self._calls = calls
        self._workers = workers
        self._window = settings.concurrency
        self._in_order = settings.order == "input"
        self._raises = settings.on_error == "raise"
        self._checkpoint = checkpoint
        self._meter = meter
        limit = settings.concurrency + 1  # one more, which waits for an async source
        spawn, self._end_crew = runtime.crew(limit)
        self._jobs: Jobs[Any] = Jobs(runtime, limit, spawn=spawn)
        self._plain: Iterator[Any] | None = None
        self._async: AsyncIterator[Any] | None = None
        self._is_pulling = False
        self._source_ended = False
        self._source_error: BaseException | None = None
        self._index = 0  # of the row that is taken next
        self._outstanding = 0
        self._chunk: list[Item] = []  # taken, and waiting for the rest of its chunk
        self._calling = 0  # jobs under way that answer rows
        self._unsaved: list[tuple[Row, bytes]] = []  # done, and not in the checkpoint yet
        self._early: dict[int, Row] = {}  # done before their turn
        self._turn = 0
        self._ready: deque[Row] = deque()  # to be reported
        self._stopped: list[Job[Any]] = []  # told to stop, and perhaps not there yet
        self._has_begun = False
        self._is_over = False

    def __repr__(self) -> str:
        if not self._has_begun:
            return "not begun"
        return f"{'over' if self._is_over else 'under way'}, {self._index}"

    async def next(self) -> Row | None:
        """Return the next row that is done, None when there is none left.

        After an error, or an interruption, the rows that were done by then are still handed out.

        Raises:
            SetupError: the batch cannot run, e.g. the checkpoint is another one's; or its client was closed.
            StoreError: the checkpoint cannot be read or written.
            Exception: with on_error "raise", what a row raised; or what the source raised, after the rows before it.
        """
        if not self._is_over:
            try:
                await self._advance()
                if self._meter is not None and self._ready:
                    self._meter.row(self._ready[0])
            except BaseException:
                self.stop()
                raise
        if not self._ready:
            return None
        self._outstanding -= 1
        return self._ready.popleft()

    async def _advance(self) -> None:
        if not self._has_begun:
            await self._begin()
        await self._fill(self._window)
        while not self._ready and not (self._jobs.is_idle and not self._chunk):
            await self._collect()
            await self._fill(self._window)
        if self._ready:  # the room that this row leaves is used while its reader works on it
            await self._fill(self._window + 1)
            return
        if self._source_error is not None:
            raise self._source_error
        if self._checkpoint is not None:
            await self._runtime.call(self._checkpoint.check_end, self._index)
        self.stop()

    async def _begin(self) -> None:
        if isinstance(self._source, AsyncIterable):
            self._async = aiter(self._source)
        else:
            self._plain = iter(self._source)
        if self._checkpoint is not None:
            await self._runtime.call(self._checkpoint.begin, self._source)
        await self._workers.prepare()
        if self._meter is not None:
            self._meter.begin(length_hint(self._source, 0) or None)
        self._has_begun = True

    # --- taking rows -----------------------------------------------------------------------------------------------

    async def _fill(self, window: int) -> None:
        """Take rows from the source until so many are outstanding, and have them answered."""
        while not self._source_ended and self._outstanding < window:
            if self._async is not None:
                if not self._is_pulling:
                    self._is_pulling = True
                    self._jobs.add(Job("batch-source", partial(_pull, self._async), tag=_PULL))
                break
            assert self._plain is not None
            try:
                request = next(self._plain, _END)
            except Exception as error:
                self._source_error, request = error, _END
            await self._take(request)
        is_stuck = self._calling == 0 and not self._ready
        if self._chunk and (self._source_ended or is_stuck):
            self._answer_chunk()

    async def _take(self, request: Any) -> None:
        if request is _END:
            self._source_ended = True
            return
        index, self._index = self._index, self._index + 1
        self._outstanding += 1
        try:
            own, dropped = self._calls.own(request)
        except CallError as error:
            if self._raises:
                raise
            self._done(Row(index=index, request=request, error=error))
            return
        key = b"" if self._checkpoint is None else self._checkpoint.key(own)
        item = Item(index, request, self._calls.keywords(own), self._calls.dropped(dropped), key)
        if (kept := await self._kept(item)) is not None:
            if kept.error is not None and self._raises:
                raise kept.error
            self._done(kept)
            return
        self._chunk.append(item)
        if len(self._chunk) == self._workers.chunk_size:
            self._answer_chunk()

    async def _kept(self, item: Item) -> Row | None:
        if self._checkpoint is None:
            return None
        if not self._checkpoint.is_loaded(item.index):
            await self._runtime.call(self._checkpoint.load, item.index)
        return self._checkpoint.kept(item)

    def _answer_chunk(self) -> None:
        items, self._chunk = self._chunk, []
        self._calling += 1
        self._jobs.add(Job("batch-rows", partial(self._workers.answer, items), tag=items))

    # --- those that are done ---------------------------------------------------------------------------------------

    async def _collect(self) -> None:
        """Wait for a job, and take in the rows of all that have ended by then."""
        job: Job[Any] | None = await self._jobs.next()
        while job is not None:
            if job.tag is _PULL:
                await self._take_pulled(job)
            else:
                self._take_answers(job)
            job = self._jobs.ended()
        if self._unsaved and self._checkpoint is not None:
            await self._runtime.call(self._checkpoint.save, self._unsaved)
        self._show_saved()

    async def _take_pulled(self, job: Job[Any]) -> None:
        self._is_pulling = False
        if isinstance(job.error, Exception):
            self._source_error, self._source_ended = job.error, True
        elif job.error is not None:
            raise _stopped() from job.error
        else:
            await self._take(job.result)

    def _take_answers(self, job: Job[list[Answer]]) -> None:
        self._calling -= 1
        if isinstance(job.error, (Exception, KeyboardInterrupt, SystemExit)):
            raise job.error
        if job.error is not None:
            raise _stopped() from job.error
        answers: list[Answer] = job.result or []
        for item, answer in zip(job.tag, answers, strict=True):
            facts: dict[str, Any] = {"index": item.index, "request": item.request}
            row = Row(**facts, error=answer) if isinstance(answer, Exception) else Row(**facts, response=answer)
            self._unsaved.append((row, item.key))

    def _show_saved(self) -> None:
        saved, self._unsaved = self._unsaved, []
        failed: Exception | None = None
        for row, _ in saved:
            if row.error is not None and self._raises:
                failed = failed or row.error
            else:
                self._done(row)
        if failed is not None:
            raise failed

    def _done(self, row: Row) -> None:
        if not self._in_order:
            self._ready.append(row)
            return
        self._early[row.index] = row
        while self._turn in self._early:
            self._ready.append(self._early.pop(self._turn))
            self._turn += 1

    # --- the end ---------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the run: no row begins any more, those under way are told to stop. From any thread, without waiting.

        What is done is kept: in the checkpoint, and for `next`.
        """
        if self._is_over:
            return
        self._is_over = True
        while (job := self._jobs.ended()) is not None:
            if job.tag is not _PULL and job.error is None:
                self._take_answers(job)
        self._stopped = self._jobs.cancel()
        self._end_crew()
        self._chunk = []
        unsaved, self._unsaved = self._unsaved, []
        if self._checkpoint is not None:
            try:
                if unsaved:
                    self._checkpoint.save(unsaved)
            except StoreError:  # the error that has led here says more; what is not written down is not reported
                unsaved = []
            self._checkpoint.close()
        for row, _ in unsaved:
            self._done(row)
        self._ready.extend(self._early[index] for index in sorted(self._early))
        self._early = {}
        if self._meter is not None:
            self._meter.end()

    async def close(self) -> None:
        """End the run, and wait until what was under way has ended. Idempotent."""
        self.stop()
        self._ready.clear()
        while self._stopped:
            await self._stopped.pop().wait()


async def _pull(source: AsyncIterator[Any]) -> Any:
    return await anext(source, _END)


def _stopped() -> SetupError:
    return SetupError(
        "the batch was stopped before its end: its client was closed", hint="close the client after its batches"
    )
