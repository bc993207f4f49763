"""Chains as data: TOML or JSON in and out, and the JSON Schema of such a file.

    name = "careful"
    stages = ["log", "validate", { use = "retry", attempts = 5 }, "transform", "dispatch"]

    [defaults]                     # what chain.bind(...) binds
    model = "openai/gpt-5"
    api_key = { env = "OPENAI_API_KEY" }

A stage is its name, or a table with its name under `use` and its settings beside it; what is left out has the stage's
default. A table with `stages` is a chain inside the chain. A key is named by the environment variable that holds it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from ..chain import Chain
from ..errors import ChainError, NotSerializable, StageError, did_you_mean
from ..function_stages import After, Before, FunctionStage, OnStreamEvent
from ..secret import FromEnv, Secret
from ..stage import Stage, StageMeta, field_types
from ..wording import known_values, misfit, quoted
from .stage_names import StageNames, installed, is_place, name_of, place_of
from .toml_text import to_toml

_FUNCTION_STAGES = (After, Before, FunctionStage, OnStreamEvent)


def read_file(path: str | Path, names: StageNames) -> Chain:
    """Return the chain in a `.toml` or `.json` file.

    Raises:
        ChainError: the file cannot be read, or describes no chain; the message says where.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ChainError(f"chain file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    readers: dict[str, Callable[..., Chain]] = {".toml": read_toml, ".json": read_json}
    reader = readers.get(path.suffix)
    if reader is None:
        raise ChainError(f"chain file {path} has {path.suffix or 'no suffix'}; .toml or .json is expected")
    return reader(text, names, str(path))


def read_toml(text: str, names: StageNames, source: str = "TOML") -> Chain:
    """Return the chain that TOML text describes; `source` stands in messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ChainError(f"{source} is no TOML: {error}") from error
    return _chain(data, names, source)


def read_json(text: str | bytes, names: StageNames, source: str = "JSON") -> Chain:
    """Return the chain that JSON text describes; `source` stands in messages."""
    try:
        data = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChainError(f"{source} is no JSON: {error}") from error
    return _chain(data, names, source)


# --- from data ------------------------------------------------------------------------------------------------------

_CHAIN_KEYS = ("name", "stages", "defaults")


def _chain(data: Any, names: StageNames, source: str, where: str = "") -> Chain:
    if not isinstance(data, Mapping) or not isinstance(data.get("stages"), list):
        raise ChainError(
            f"{where or source} has no list `stages`, so it is no chain", hint='e.g. stages = ["validate", "dispatch"]'
        )
    unknown = [key for key in data if key not in _CHAIN_KEYS]
    if unknown:
        raise ChainError(
            f'{source}: a chain has no key "{unknown[0]}"{did_you_mean(unknown[0], _CHAIN_KEYS)}',
            hint=f"its keys: {', '.join(_CHAIN_KEYS)}; the settings of a stage stand beside its `use`",
        )
    name = data.get("name", "chain")
    if not isinstance(name, str):
        raise ChainError(f"{source}: the name of a chain is {quoted(name)}; text is expected")
    title = f'{source}: chain "{name}"'
    chain = Chain(
        [read_stage(item, names, source, f"{title}, stages[{index}]") for index, item in enumerate(data["stages"])],
        name=name,
    )
    defaults = data.get("defaults", {})
    if not isinstance(defaults, Mapping):
        raise ChainError(f"{title}: defaults is {quoted(defaults)}; a table of parameters and options is expected")
    return chain.bind(**_defaults(chain, defaults, title)) if defaults else chain


def read_stage(item: Any, names: StageNames, source: str, where: str) -> Any:
    """Return what an item of a list of stages means: a stage, or a chain inside the chain."""
    if isinstance(item, str):
        item = {"use": item}
    if isinstance(item, Mapping) and "stages" in item and "use" not in item:
        return _chain(item, names, source, where)
    use = item.get("use") if isinstance(item, Mapping) else None
    if not isinstance(use, str):
        raise ChainError(
            f"{where}: {quoted(item)} is no stage", hint='write its name, or a table with its name under "use"'
        )
    found = names.find(use, where)
    settings = {key: value for key, value in item.items() if key != "use"}
    if isinstance(found, StageMeta):
        return _made(found, settings, names, f"{where} {use}")
    if settings:
        raise ChainError(f'{where}: "{use}" is no stage class, so it has no settings: {", ".join(settings)}')
    return found


def _made(cls: Any, settings: dict[str, Any], names: StageNames, where: str) -> Stage:
    types = field_types(cls)
    values: dict[str, Any] = {}
    for name, value in settings.items():
        if name not in cls.__struct_fields__:
            raise ChainError(
                f'{where} has no setting "{name}"{did_you_mean(name, cls.__struct_fields__)}',
                hint=f"its settings: {', '.join(cls.__struct_fields__) or 'none'}",
            )
        values[name] = _setting(value, types.get(name, Any), names, f"{where}: {name}")
    try:
        stage: Stage = cls(**values)
    except StageError as error:
        raise ChainError(f"{where}: {error.message}", hint=error.hint) from error
    return stage


def _setting(value: Any, expected: Any, names: StageNames, where: str) -> Any:
    if isinstance(value, Mapping) and set(value) == {"env"}:
        return FromEnv(str(value["env"]))
    try:
        return msgspec.convert(value, expected)
    except (msgspec.ValidationError, TypeError) as error:  # TypeError: nothing of this type can stand in a file
        if isinstance(value, str) and is_place(value):
            return names.imported(value, where)
        if isinstance(error, TypeError) and _is_one_of(value, expected):
            return value
        is_code = "Callable" in str(error)
        hint = 'code is named by its place, "module:name"' if is_code else known_values(expected)
        raise ChainError(misfit(error, where, value), hint=hint) from None


def _is_one_of(value: object, expected: Any) -> bool:
    """Tell whether a value fits a union that msgspec does not check, e.g. `str | Callable[..., Any]`."""
    kinds = [get_origin(member) or member for member in get_args(expected)]
    return any(isinstance(value, kind) for kind in kinds if kind in (str, int, float, Mapping))


def _defaults(chain: Chain, defaults: Mapping[str, Any], where: str) -> dict[str, Any]:
    options = chain.options
    found: dict[str, Any] = {}
    for name, value in defaults.items():
        is_secret = name in options and options[name].secret
        if isinstance(value, Mapping) and set(value) == {"env"}:
            found[name] = FromEnv(str(value["env"]))
        elif is_secret:
            raise ChainError(
                f"{where}: defaults.{name} is a secret, which must not stand in a file",
                hint=f'name the environment variable that holds it: {name} = {{ env = "NAME" }}',
            )
        else:
            found[name] = value
    return found


# --- to data --------------------------------------------------------------------------------------------------------


def write_toml(chain: Chain) -> str:
    """Return the chain as TOML. Raises NotSerializable, also for a null, which TOML has no form for."""
    data = to_data(chain)
    try:
        return to_toml(data)
    except TypeError as error:
        raise NotSerializable(f'chain "{chain.name}": {error}', hint="write JSON instead") from None


def write_json(chain: Chain) -> str:
    """Return the chain as JSON. Raises NotSerializable."""
    return msgspec.json.format(msgspec.json.encode(to_data(chain)), indent=2).decode()


def to_data(chain: Chain) -> dict[str, Any]:
    """Return the chain as plain data.

    Raises:
        NotSerializable: a stage or default that has no form in a file.
    """
    data: dict[str, Any] = {"name": chain.name, "stages": [_item_data(item, chain.name) for item in chain]}
    if chain.own_defaults:
        where = f'chain "{chain.name}": default'
        data["defaults"] = {name: _plain(value, f'{where} "{name}"') for name, value in chain.own_defaults.items()}
    return data


def _item_data(item: Stage | Chain, chain: str) -> str | dict[str, Any]:
    if isinstance(item, Chain):
        return to_data(item)
    where = f'chain "{chain}": stage {item.name}'
    if isinstance(item, _FUNCTION_STAGES):
        place = place_of(item)
        if place is None:
            raise NotSerializable(
                f"{where} is made of a function that cannot be found again by its module and name",
                hint="define it at the top of a module that can be imported",
            )
        return place
    data = {name: _plain(value, f"{where}: {name}") for name, value in item.changed_settings().items()}
    use = _use_of(type(item))
    return {"use": use, **data} if data else use


def _use_of(cls: type[Stage]) -> str:
    """Return the short name of an installed stage, else the place of its class."""
    name = name_of(cls)
    point = installed().get(name)
    place = f"{cls.__module__}:{cls.__qualname__}"
    if point is not None and point.value == place:
        return name
    if place_of(cls) is None:
        return name  # only `stages=[...]` can hand it in
    return place


def _plain(value: Any, where: str) -> Any:
    def hook(inner: Any) -> Any:
        if isinstance(inner, Secret):
            raise NotSerializable(
                f"{where} is a secret",
                hint='bind antiphon.FromEnv("NAME") instead: the file then names the environment variable',
            )
        place = place_of(inner) if callable(inner) else None
        if place is None:
            raise NotSerializable(
                f"{where} is {type(inner).__name__}, which has no form in a file",
                hint="give what is text, a number, a list, a table, or a function that can be imported",
            )
        return place

    if isinstance(value, FromEnv):
        return {"env": value.name}
    return msgspec.to_builtins(value, str_keys=True, enc_hook=hook)


# --- schema ---------------------------------------------------------------------------------------------------------


def json_schema(names: StageNames) -> dict[str, Any]:
    """Return the JSON Schema of a chain file with these stages, for editors and checks."""
    known = {name: names.find(name, "schema") for name in names}
    chain = {"$ref": "#/$defs/chain"}
    shapes = [_schema_of(name, found) for name, found in known.items()]
    components = [schema for schema, _ in shapes]
    definitions: dict[str, Any] = {}
    for _, extra in shapes:
        definitions.update(extra)
    definitions["chain"] = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "stages": {
                "type": "array",
                "items": {"anyOf": [{"enum": sorted(known)}, {"type": "string", "pattern": ":"}, *components, chain]},
            },
            "defaults": {"type": "object"},
        },
        "required": ["stages"],
        "additionalProperties": False,
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **chain, "$defs": definitions}


def _schema_of(name: str, found: object) -> tuple[dict[str, Any], dict[str, Any]]:
    plain = {"type": "object", "properties": {"use": {"const": name}}, "required": ["use"]}
    if not isinstance(found, StageMeta):
        return {**plain, "additionalProperties": False}, {}
    place = {"type": "string", "pattern": ":", "description": 'a place in code, "module:name"'}
    try:
        (schema,), definitions = msgspec.json.schema_components([found], schema_hook=lambda kind: place)
    except (NameError, TypeError):  # a field whose type is known to type checkers only
        return plain, {}
    return schema, definitions
