"""How a sync caller runs a coroutine: in place by one step, or on an event loop in another thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import SetupError, SuspendedInSync

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end and return its value.

    Raises:
        SuspendedInSync: it awaited something other than a sync runtime's methods; it was told so by the same error,
            so its clean-up has run.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    except RuntimeError as error:
        if wants_loop(error):
            raise _suspended(_stage_in_traceback(error)) from error
        raise
    suspended = _suspended(_stage_in_frames(coroutine))
    try:
        coroutine.throw(suspended)
    except StopIteration as stop:  # a stage handled it
        value = stop.value
        return value
    finally:
        coroutine.close()
    raise suspended


def wants_loop(error: RuntimeError) -> bool:
    """Tell whether asyncio, anyio or trio complains that no loop is running."""
    text = str(error)
    return (
        type(error).__name__ in ("NoEventLoopError", "AsyncLibraryNotFoundError")
        or "no running event loop" in text
        or "must be called from async context" in text
        or "unknown async library" in text
    )


def _suspended(where: str) -> SuspendedInSync:
    return SuspendedInSync(
        f"{where} awaited something other than the runtime's methods in a sync call",
        hint=(
            "await request.context.runtime (call, sleep, open, gather) instead, "
            'or call the async twin, or use Client(blocking="portal")'
        ),
    )


def _stage_in_frames(coroutine: Any) -> str:
    """Name the innermost stage among the frames of a suspended coroutine."""
    found = "the chain"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            found = _stage_of(frame) or found
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return found


def _stage_in_traceback(error: BaseException) -> str:
    found, tb = "the chain", error.__traceback__
    while tb is not None:
        found = _stage_of(tb.tb_frame) or found
        tb = tb.tb_next
    return found


def _stage_of(frame: Any) -> str | None:
    """Tell which stage a frame runs: the one that was handed `call_next`, or that `build` holds to the contract."""
    if frame.f_code.co_name == "checked" and "name" in frame.f_code.co_freevars:
        return f"stage {frame.f_locals['name']}"
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    if len(names) == 2 and names[1] == "call_next" and not frame.f_code.co_name.startswith("_"):
        return f"stage {frame.f_code.co_name}"
    if len(names) == 3 and names[2] == "call_next":
        stage = frame.f_locals.get(names[0])
        return f"stage {getattr(stage, 'name', type(stage).__name__)}"
    return None


_CLEAN_UP_S = 1.0


class Portal:
    """An event loop in a thread of its own, for sync callers whose stages await foreign async libraries."""

    def __init__(self) -> None:
        from anyio.from_thread import start_blocking_portal

        self._manager = start_blocking_portal()
        self._portal = self._manager.__enter__()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, return its value here. Ctrl-C cancels it, and waits a little for its clean-up.

        Raises:
            SetupError: the loop has been stopped, or it is the one that runs here.
        """
        import anyio

        over, scopes = threading.Event(), list[anyio.CancelScope]()
        is_interrupted = False

        async def awaited() -> T:
            try:
                with anyio.CancelScope() as scope:
                    scopes.append(scope)
                    if is_interrupted:
                        scope.cancel()
                    return await coroutine
                raise SetupError("interrupted")  # nobody waits for it; what is no Exception would end the loop
            finally:
                over.set()

        async def stop() -> None:
            for scope in scopes:
                scope.cancel()

        future: Future[T] | None = None
        try:
            future = self._portal.start_task_soon(awaited)
            return future.result()
        except RuntimeError as error:
            if future is not None:
                raise
            coroutine.close()
            raise SetupError(
                f"a sync call cannot run on its client's event loop: {error}",
                hint="make calls before the client is closed, and inside its own stages and hooks the async ones",
            ) from error
        except (KeyboardInterrupt, SystemExit):
            is_interrupted = True
            with contextlib.suppress(RuntimeError):
                self._portal.start_task_soon(stop)
                over.wait(_CLEAN_UP_S)
            raise

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._manager.__exit__(None, None, None)
