"""Targets that were found before, and still are what a call means: for as long as nothing they depend on changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from ..pipeline.request import Target
from ..pipeline.secret import Secret
from . import catalog
from .credentials import fixed_key, sent_as
from .profiles import Profile
from .rows import Provider

_PROCESS: Final = os.environ  # as Python made it; tests put others in its place
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

    def with_key(self, key: Secret) -> Found:
        """Return it for a call that brings this key."""
        secret, auth = fixed_key(self.row, key)
        auth = sent_as(self.row, self.target.dialect.name, auth)
        return replace(self, target=replace(self.target, api_key=secret, auth=auth))

    def without_key(self) -> Found:
        """Return it for a call of which no key may be kept."""
        return replace(self, target=replace(self.target, api_key=None))


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
    """What was found, with the catalogue and the variables that led to it; `look_up` finds what these are now."""

    found: Found
    rows: tuple[Provider, ...]
    environ: Mapping[str, str]
    look_up: Callable[[Any], Any]
    variables: tuple[tuple[object, object], ...]

    def __repr__(self) -> str:  # some variables are keys
        return f"_Kept({self.found.target.provider}/{self.found.target.model})"


class FoundTargets:
    """What one client's calls have found, by what the calls say about it."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}

    def get(self, said: Hashable) -> Found | None:
        """Return what was found for these words; None when that is unknown, or the world has changed since."""
        kept = self._kept.get(said)
        if kept is None or kept.rows is not catalog.rows() or kept.environ is not os.environ:
            return None
        # Programs set variables late, and change keys: so each is looked up for every call.
        look_up = kept.look_up
        for name, value in kept.variables:
            if look_up(name) != value:
                return None
        return kept.found

    def keep(self, said: Hashable, found: Found, environment: Environment) -> None:
        """Keep what was found with these variables."""
        if len(self._kept) >= _MOST:
            self._kept.clear()
        environ = os.environ
        variables: tuple[tuple[object, object], ...] = tuple(environment.seen.items())
        look_up: Callable[[Any], Any] = environ.get
        # The bytes that CPython has beneath are found in a tenth of the time: there, what is not set is no exception.
        beneath = getattr(environ, "_data", None)
        if type(environ) is type(_PROCESS) and isinstance(beneath, dict):
            look_up = beneath.get
            variables = tuple(
                (environ.encodekey(name), None if value is None else environ.encodevalue(value))
                for name, value in environment.seen.items()
            )
        self._kept[said] = _Kept(found, catalog.rows(), environ, look_up, variables)
