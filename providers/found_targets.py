"""Targets that were found before, and still are what a call means: for as long as nothing they depend on changes."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from typing import Final

import msgspec

from ..pipeline.request import Target
from . import catalog
from .profiles import Profile
from .rows import Provider

_MOST: Final = 256  # kept per client; a program with more models than that finds some of them anew


class Found(msgspec.Struct, frozen=True):
    """Whom a call goes to.

    Args:
        target: as later stages see it, but for what depends on the call's parameters.
        row: the provider's.
        profile: the model's.
        base_url: the address before a dialect's own takes its place; it tells whose response an id means.
    """

    target: Target
    row: Provider
    profile: Profile
    base_url: str


class Environment(Mapping[str, str]):
    """The process's environment, with a note of each variable that was looked up, set or not."""

    def __init__(self) -> None:
        self.seen: dict[str, str | None] = {}

    def __getitem__(self, name: str) -> str:
        value = self.seen[name] = os.environ.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


class _Kept(msgspec.Struct, frozen=True):
    found: Found
    rows: tuple[Provider, ...]
    environment: tuple[tuple[str, str | None], ...]


class FoundTargets:
    """What one client's calls have found, by what the calls say about it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, said: Hashable) -> Found | None:
        """Return what was found for these words; None when that is unknown, or the world has changed since."""
        kept = self._kept.get(said)
        if kept is None or kept.rows is not catalog.rows():
            return None
        # Programs set variables late, and change keys: so each is looked up for every call.
        for name, value in kept.environment:
            if os.environ.get(name) != value:
                return None
        return kept.found

    def keep(self, said: Hashable, found: Found, environment: Environment) -> None:
        """Keep what was found with these variables."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[said] = _Kept(found, catalog.rows(), tuple(environment.seen.items()))
