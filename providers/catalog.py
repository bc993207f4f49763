"""The catalogue: providers as rows of data."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from importlib import resources
from typing import Any, TypeVar

import msgspec

from ..pipeline.api.params import CreateParams
from ..pipeline.errors import AntiphonError, InvalidModel, InvalidParameter, SetupError, UnknownProvider, did_you_mean
from ..pipeline.wording import misfit, quoted
from .rows import Planned, Provider

F = TypeVar("F")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    provider: tuple[Provider, ...] = ()
    planned: tuple[Planned, ...] = ()


class _Catalogue(msgspec.Struct, frozen=True):
    """One state of the catalogue. A change makes a new one, so that a reader never sees half of it."""

    rows: tuple[Provider, ...]
    names: dict[str, Provider]
    bare: tuple[tuple[tuple[str, ...], Provider], ...]
    planned: dict[str, Planned]


USER_FILE = "ANTIPHON_PROVIDERS"
"""Environment variable that may name a TOML file with further rows; read when the catalogue is first asked."""

CHAT_PARAMS = (*CreateParams.__struct_fields__, "text.verbosity")
"""What `chat.unsupported` may name: parameters, and the one part of a parameter that is a field of its own in chat."""

_ANY_HOST = (
    "any other host that serves the Responses API: give its address as api_base=; "
    'for one that serves chat completions, dialect="chat" too'
)

_catalogue: _Catalogue | None = None
_lock = threading.Lock()


def rows() -> tuple[Provider, ...]:
    """Return all rows of the catalogue: those of this library, the user's file, and registered ones.

    Raises:
        SetupError: two rows share a name, or the user's file is wrong.
    """
    return (_catalogue or _load()).rows


def names() -> dict[str, Provider]:
    """Return every name and alias with its row."""
    return (_catalogue or _load()).names


def register(row: Provider | Mapping[str, Any], *, replace: bool = False) -> Provider:
    """As `antiphon.providers.register`."""
    global _catalogue
    new = _checked(msgspec.to_builtins(row) if isinstance(row, Provider) else dict(row), "register")
    _load()
    with _lock:
        current = _catalogue
        assert current is not None
        found = list(current.rows)
        at = next((at for at, old in enumerate(found) if old.name == new.name), None)
        if at is None:
            found.append(new)
        elif replace:
            found[at] = new
        else:
            raise SetupError(
                f'register: there is a provider "{new.name}" already',
                hint="pass replace=True to put this one in its place",
            )
        _catalogue = _index(tuple(found), current.planned, "register")
    return new


def _load() -> _Catalogue:
    global _catalogue
    with _lock:
        if _catalogue is None:
            text = resources.files(__name__.rpartition(".")[0]).joinpath("catalog.toml").read_text("utf-8")
            file = _read(text, "catalogue", _File)
            found, where = file.provider, "catalogue"
            if path := os.environ.get(USER_FILE, "").strip():
                found, where = (*found, *_user_rows(path)), f"{USER_FILE} {path}"
            planned = {name: row for row in file.planned for name in (row.name, *row.aliases)}
            _catalogue = _index(found, planned, where)
        return _catalogue


class _UserFile(msgspec.Struct, forbid_unknown_fields=True):
    provider: tuple[dict[str, Any], ...] = ()


def _user_rows(path: str) -> list[Provider]:
    where = f"{USER_FILE} {path}"
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(
            f"{where} cannot be read: {getattr(error, 'strerror', None) or error}", hint=f"correct or unset {USER_FILE}"
        ) from None
    return [_checked(row, where) for row in _read(text, where, _UserFile).provider]


def _read(text: str, where: str, kind: type[F]) -> F:
    import tomllib

    try:
        return msgspec.convert(tomllib.loads(text), kind)
    except tomllib.TOMLDecodeError as error:
        raise SetupError(f"{where} is no TOML: {error}", hint=f"correct or unset {USER_FILE}") from None
    except msgspec.ValidationError as error:
        said = misfit(error, "", None)
        raise SetupError(f"{where}: {said}", hint="rows are tables [[provider]] with the fields of Provider") from None


def _checked(fields: dict[str, Any], where: str) -> Provider:
    """Return a user's row, or say what is wrong with it."""
    from .addresses import clean_base
    from .dialects import DIALECTS

    where = f"{where}: provider {quoted(fields.get('name'))}"
    try:
        row = msgspec.convert(fields, Provider)
    except msgspec.ValidationError as error:
        said = misfit(error, "", None)
        raise SetupError(f"{where}: {said}", hint="the fields are those of Provider in providers/rows.py") from None
    for name in (row.name, *row.aliases):
        if not re.fullmatch(r"[\w.-]+", name):
            raise SetupError(
                f"{where}: {quoted(name)} cannot stand before the slash of a model; letters, digits, _ . and - can"
            )
    if not row.dialects:
        raise SetupError(f"{where}: dialects is empty", hint=f"known: {', '.join(DIALECTS)}")
    known = (
        ("dialects", row.dialects, DIALECTS),
        ("unsupported", row.unsupported, CreateParams.__struct_fields__),
        ("chat.unsupported", row.chat.unsupported, CHAT_PARAMS),
    )
    for field, given, all_known in known:
        for name in given:
            if name not in all_known:
                raise SetupError(f'{where}: {field} has "{name}", which is not known{did_you_mean(name, all_known)}')
    for better in row.prefer:
        if better.dialect not in row.dialects:
            raise SetupError(
                f'{where}: prefer.dialect has "{better.dialect}", which is none of its dialects',
                hint=f"its dialects: {', '.join(row.dialects)}",
            )
    for dialect in row.base_paths:
        if dialect not in row.dialects:
            raise SetupError(
                f'{where}: base_paths has "{dialect}", which is none of its dialects',
                hint=f"its dialects: {', '.join(row.dialects)}",
            )
    if row.auth == "aws" and not row.aws_service:
        raise SetupError(f'{where}: auth is "aws", and aws_service, which signatures name, is empty')
    paths = (("base_paths", path) for path in (*row.base_paths.values(), *row.model_paths.values()))
    for field, path in (("base_path", row.base_path), ("chat.path", row.chat.path), *paths):
        if path and not path.startswith("/"):
            raise SetupError(f"{where}: {field} {quoted(path)} does not begin with a slash")

    def cleaned(field: str, url: str) -> str:
        try:
            return clean_base(url, row.name) if url else ""
        except AntiphonError as error:
            raise SetupError(f"{where}: {field}: {error.message.replace('api_base', 'it')}") from None

    chat = msgspec.structs.replace(row.chat, base_url=cleaned("chat.base_url", row.chat.base_url))
    return msgspec.structs.replace(row, base_url=cleaned("base_url", row.base_url), chat=chat)


def _index(found: tuple[Provider, ...], planned: dict[str, Planned], where: str) -> _Catalogue:
    bare = tuple((row.bare_models, row) for row in found if row.bare_models)
    return _Catalogue(found, _by_name(found, where), bare, planned)


def _by_name(found: tuple[Provider, ...], where: str = "catalogue") -> dict[str, Provider]:
    names: dict[str, Provider] = {}
    for row in found:
        for name in (row.name, *row.aliases):
            if name in names:
                raise SetupError(f'{where}: "{name}" names both {names[name].name} and {row.name}')
            names[name] = row
    return names


def find(name: str) -> Provider:
    """Return the row of a provider name or alias.

    Raises:
        UnknownProvider: there is none.
    """
    catalogue = _catalogue or _load()
    row = catalogue.names.get(name)
    if row is None:
        if planned := catalogue.planned.get(name):
            raise UnknownProvider(
                f'there is no provider "{name}" yet: it speaks {planned.speaks}, which is not served',
                hint="ask its models through a provider that is served, such as openrouter, vercel_ai_gateway or "
                f"litellm_proxy, or through {_ANY_HOST}",
            )
        raise UnknownProvider(
            f'there is no provider "{name}"{did_you_mean(name, names())}',
            hint=f"docs/providers.md lists all that are known; {_ANY_HOST}",
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
            f"model is {quoted(model)}; a name is expected",
            param="model",
            hint='write "provider/model", e.g. "openai/gpt-5"',
        )
    catalogue = _catalogue or _load()
    prefix, slash, rest = model.partition("/")
    if provider is not None:
        row = find(provider)
        return row, _named(rest if slash and catalogue.names.get(prefix) is row else model, model)
    if slash and (known := catalogue.names.get(prefix)) is not None:
        return known, _named(rest, model)
    if not slash:
        for starts, row in catalogue.bare:
            if model.startswith(starts):
                return row, model
    if has_base:
        return find("openai_compatible"), model
    if slash and prefix:
        find(prefix)  # raises, with the closest names
    is_input = " " in model.strip()
    hint = "the input comes first: responses(input, model)" if is_input else f'write "provider/{model.lstrip("/")}"'
    raise InvalidModel(f'model "{model}" names no provider', param="model", hint=hint)


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
    if not rest:
        raise InvalidModel(f'model "{model}" ends after the provider', param="model", hint=f'write "{model}MODEL"')
    return rest
