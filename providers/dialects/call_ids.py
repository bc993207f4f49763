"""Ids of calls, as a host takes them."""

from __future__ import annotations

import re
from collections.abc import Callable


class CallIds:
    """Ids of calls as a host takes them, made for one request: two calls never get the same.

    The same input gives the same ids, so that a growing conversation keeps its prefix in the host's cache.

    Args:
        fits: what an id may look like; None when anything may.
        make: returns such an id for any text, mostly different ones for different texts.
    """

    __slots__ = ("_fits", "_make", "_taken", "_times")

    def __init__(self, fits: re.Pattern[str] | None = None, make: Callable[[str], str] = str) -> None:
        self._fits, self._make = fits, make
        self._taken: set[str] = set()
        self._times: dict[str, int] = {}

    def new(self, call_id: str) -> str:
        """Return the id for one more call, which had this id."""
        times = self._times.get(call_id, 0)
        while True:
            times += 1
            made = call_id if times == 1 else f"{call_id}_{times}"
            if self._fits is not None and not self._fits.fullmatch(made):
                made = self._make(made)
            if made not in self._taken:
                break
        self._times[call_id] = times
        self._taken.add(made)
        return made
