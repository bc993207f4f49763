"""Providers, their dialects and credentials.

    antiphon.providers.list()             the rows of the catalogue
    antiphon.providers.find("groq")       one of them, by name or alias
    antiphon.providers.register({...})    one of your own
    antiphon.providers.profile("gpt-5")   what is particular in a model

Importing this package loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .profiles import Profile as Profile
    from .rows import Provider as Provider

__all__ = ["Profile", "Provider", "find", "list", "profile", "register"]  # pyright: ignore[reportUnsupportedDunderAll]


def list() -> tuple[Provider, ...]:
    """Return all rows of the catalogue, in order: this library's, the user file's, registered ones.

    Raises:
        SetupError: the file that ANTIPHON_PROVIDERS names is wrong.
    """
    from . import catalog

    return catalog.rows()


def find(name: str) -> Provider:
    """Return the row of a provider name or alias.

    Raises:
        UnknownProvider: there is none.
    """
    from . import catalog

    return catalog.find(name)


def register(row: Provider | Mapping[str, Any], *, replace: bool = False) -> Provider:
    """Add a row for this whole process, and return it as it is in the catalogue. Safe to call from any thread.

    Args:
        row: a `Provider`, or a mapping with its fields; only `name` has to be there.
        replace: whether it may take the place of the row of that name. An alias of another row stays taken.

    Raises:
        SetupError: a wrong field, or a name that is taken.
    """
    from . import catalog

    return catalog.register(row, replace=replace)


def profile(model: str, provider: str = "") -> Profile:
    """Return what is particular in a model; for one that nobody knows, a profile of the defaults, with no `models`.

    Args:
        model: its name, as in a call: with or without the provider before the first "/".
        provider: the provider by name or alias, when the model does not name it.

    Raises:
        SetupError: the file that ANTIPHON_PROVIDERS names is wrong.
    """
    from . import catalog, profiles

    names = catalog.names()
    prefix, slash, _ = model.partition("/")
    row = names.get(provider or (prefix if slash else ""))
    return profiles.profile_of(model, row.name if row else provider)


def __getattr__(name: str) -> Any:
    if name == "Provider":
        from .rows import Provider

        return Provider
    if name == "Profile":
        from .profiles import Profile

        return Profile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> tuple[str, ...]:
    return (*__all__, "__all__", "__doc__", "__name__")
