"""Stores across a fork: no lock stays held in the child, and no connection is used by two processes."""

from __future__ import annotations

import os
import threading
import weakref
from functools import partial
from typing import Protocol


class Forkable(Protocol):
    """A store as a fork sees it."""

    def before_fork(self) -> None:
        """Wait until no operation runs, and let none begin."""
        ...

    def after_fork(self, *, in_child: bool) -> None:
        """Go on; in the child without what belongs to the parent."""
        ...


_stores: weakref.WeakSet[Forkable] = weakref.WeakSet()
_one_fork = threading.RLock()
_waiting: list[Forkable] = []
_is_registered = False


def watch_forks(store: Forkable) -> None:
    """Tell a store of forks from now on. It is held weakly."""
    global _is_registered
    with _one_fork:
        _stores.add(store)
        if not _is_registered and hasattr(os, "register_at_fork"):
            _is_registered = True  # once a process, and a child inherits it
            os.register_at_fork(
                before=_before,
                after_in_parent=partial(_after, in_child=False),
                after_in_child=partial(_after, in_child=True),
            )


def _before() -> None:
    _one_fork.acquire()
    for store in list(_stores):
        store.before_fork()
        _waiting.append(store)


def _after(*, in_child: bool) -> None:
    while _waiting:
        _waiting.pop().after_fork(in_child=in_child)
    _one_fork.release()
