"""How far a batch is, for whoever watches it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from ..errors import MissingExtra
from .row import Row


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a batch is.

    Args:
        done: rows that were handed out, those that follow included.
        failed: rows with an error.
        kept: rows from the checkpoint.
        total: all rows; None where the inputs do not say.
    """

    done: int = 0
    failed: int = 0
    kept: int = 0
    total: int | None = None

    def with_row(self, row: Row) -> Progress:
        """Return it with one more row."""
        return msgspec.structs.replace(
            self,
            done=self.done + 1,
            failed=self.failed + (row.error is not None),
            kept=self.kept + row.is_kept,
        )


class Meter(Protocol):
    """Is told how far a batch is, by its reader."""

    def begin(self, total: int | None) -> None: ...
    def row(self, row: Row) -> None: ...
    def end(self) -> None: ...


def meter_of(progress: bool | Callable[[Progress], object]) -> Meter | None:
    """Return what is told of a batch's progress; None for a bar where stderr is no terminal.

    Raises:
        MissingExtra: a bar is wanted, and the package that draws it is not installed.
    """
    if callable(progress):
        return _Told(progress)
    if not progress or sys.stderr is None or not sys.stderr.isatty():
        return None
    return _Bar()


class _Told:
    """A function that is told after each row. What it raises ends the batch."""

    def __init__(self, tell: Callable[[Progress], object]) -> None:
        self._tell = tell
        self._progress = Progress()

    def begin(self, total: int | None) -> None:
        self._progress = Progress(total=total)

    def row(self, row: Row) -> None:
        self._progress = self._progress.with_row(row)
        self._tell(self._progress)

    def end(self) -> None:
        """It has been told of the last row."""


class _Bar:
    """A bar on stderr."""

    def __init__(self) -> None:
        try:
            import rich.console
            import rich.progress as parts
        except ImportError as error:
            raise MissingExtra(
                "progress=True draws with the package rich, which is not installed",
                hint="pip install 'antiphon[cli]', or pass a function as progress=",
            ) from error
        self._bar: Any = parts.Progress(
            parts.BarColumn(),
            parts.MofNCompleteColumn(),
            parts.TimeElapsedColumn(),
            parts.TimeRemainingColumn(),
            parts.TextColumn("{task.description}"),
            console=rich.console.Console(stderr=True),
        )
        self._progress = Progress()
        self._task: Any = None

    def begin(self, total: int | None) -> None:
        self._progress = Progress(total=total)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def row(self, row: Row) -> None:
        self._progress = progress = self._progress.with_row(row)
        said = [f"{progress.failed} failed"] * (progress.failed > 0) + [f"{progress.kept} kept"] * (progress.kept > 0)
        self._bar.update(self._task, completed=progress.done, description=", ".join(said))

    def end(self) -> None:
        self._bar.stop()
