"""The catalogue: providers as rows of data."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec

from ..pipeline.errors import InvalidModel, InvalidParameter, SetupError, UnknownProvider, did_you_mean
from ..pipeline.params import Operation


class Provider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider. A vendor that differs only by address and key is a row, not code.

    Args:
        name: what stands before the first "/" of a model string.
        aliases: further such names.
        base_url: address to which the dialect adds its paths; "" when the call or the environment must give it.
        key_env: environment variables that may hold the key; the first one set wins.
        base_env: environment variables that may hold another address.
        header_env: headers that are sent when the named environment variable is set.
        key_required: whether a call without a key is refused before it is sent.
        auth: how the key is sent; "bearer" is `Authorization: Bearer KEY`.
        dialects: API formats that the host speaks, the preferred one first.
        launcher: "local" starts a model on this machine, "scripted" answers in this process.
        bare_models: beginnings of model names that mean this provider without being prefixed by its name.
        operations: which calls of the API the host serves.
        unsupported: API parameters that the host refuses or ignores; they are reported as dropped.
        source, checked: where the row's facts come from, and the day they were looked at (ISO date).
        verified: whether this library's own tests have spoken to the real thing.
    """

    name: str
    aliases: tuple[str, ...] = ()
    base_url: str = ""
    key_env: tuple[str, ...] = ()
    base_env: tuple[str, ...] = ()
    header_env: dict[str, str] = {}
    key_required: bool = True
    auth: Literal["bearer"] = "bearer"
    dialects: tuple[str, ...]
    launcher: Literal["", "local", "scripted"] = ""
    bare_models: tuple[str, ...] = ()
    operations: frozenset[Operation] = frozenset({"create"})
    unsupported: frozenset[str] = frozenset()
    source: str
    checked: str
    verified: bool = False


class _File(msgspec.Struct, forbid_unknown_fields=True):
    provider: tuple[Provider, ...]


@functools.cache
def rows() -> tuple[Provider, ...]:
    """Return all rows of the catalogue.

    Raises:
        SetupError: two rows share a name.
    """
    import tomllib

    text = resources.files(__name__.rpartition(".")[0]).joinpath("catalog.toml").read_text("utf-8")
    found = msgspec.convert(tomllib.loads(text), _File).provider
    _by_name(found)
    return found


def _by_name(found: tuple[Provider, ...]) -> dict[str, Provider]:
    names: dict[str, Provider] = {}
    for row in found:
        for name in (row.name, *row.aliases):
            if name in names:
                raise SetupError(f'catalogue: "{name}" names both {names[name].name} and {row.name}')
            names[name] = row
    return names


@functools.cache
def names() -> dict[str, Provider]:
    """Return every name and alias with its row."""
    return _by_name(rows())


def find(name: str) -> Provider:
    """Return the row of a provider name or alias.

    Raises:
        UnknownProvider: there is none.
    """
    row = names().get(name)
    if row is None:
        raise UnknownProvider(
            f'there is no provider "{name}"{did_you_mean(name, names())}',
            hint=f"known: {', '.join(sorted(row.name for row in rows()))}; "
            "any other host that serves the Responses API: give its address as api_base=",
        )
    return row


def split_model(model: str | None, provider: str | None, has_base: bool) -> tuple[Provider, str]:
    """Return the provider row and the host's model name that a call means.

    Args:
        model: "provider/model" (split at the first "/"), or a model alone.
        provider: the provider, when the call names it by itself.
        has_base: whether the call brings an address of its own; then an unknown prefix belongs to the model.

    Raises:
        InvalidModel: no model, or no provider can be read from it.
        UnknownProvider: the provider is not in the catalogue.
    """
    if not model or not model.strip() or model != model.strip():
        raise InvalidModel(
            f"model is {model!r}; a name is expected", param="model", hint='write "provider/model", e.g. "openai/gpt-5"'
        )
    prefix, slash, rest = model.partition("/")
    if provider is not None:
        row = find(provider)
        return row, _named(rest if slash and names().get(prefix) is row else model, model)
    if slash and (known := names().get(prefix)) is not None:
        return known, _named(rest, model)
    if not slash:
        for row in rows():
            if model.startswith(row.bare_models or ("\0",)):
                return row, model
    if has_base:
        return find("openai_compatible"), model
    if slash and prefix:
        find(prefix)  # raises, with the closest names
    raise InvalidModel(
        f'model "{model}" names no provider', param="model", hint=f'write "provider/{model.lstrip("/")}"'
    )


def provider_of(provider: str | None, has_base: bool) -> Provider:
    """Return the provider row of a call that names no model: one on a stored response.

    Raises:
        InvalidParameter: nothing says which provider it is.
        UnknownProvider: it is not in the catalogue.
    """
    if provider is not None:
        return find(provider)
    if has_base:
        return find("openai_compatible")
    raise InvalidParameter(
        "nothing says which provider keeps this response",
        param="response_id",
        hint='pass the id as this library returned it, or name the provider: custom_llm_provider="openai"',
    )


def _named(rest: str, model: str) -> str:
    # LiteLLM's own routing prefix; it means the native Responses API.
    rest = rest.removeprefix("responses/")
    if not rest:
        raise InvalidModel(f'model "{model}" ends after the provider', param="model", hint=f'write "{model}MODEL"')
    return rest
