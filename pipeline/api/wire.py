"""Wire objects: the JSON bytes of an API object, with a typed view on them.

A wire object keeps the bytes it was decoded from. Attributes are the typed view: scalars are decoded at once, nested
objects on first access. Sending it again sends the bytes, so fields and types that this library does not know survive
every round trip. Decoding is open: a field of an unexpected type reads as its default and stays in the bytes; only
something that is no JSON object at all is an error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Generic,
    Self,
    SupportsBytes,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

import msgspec

T = TypeVar("T")
W = TypeVar("W", bound="Wire")

Raw = msgspec.Raw
ABSENT = Raw()
"""Default of a raw field: the key is not there."""
REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the fast decoder raises: not JSON, or odd, or nested too deeply. The slow path then has the last word."""


JSONText = Annotated[str, "JSON"]
"""Text that is JSON; some hosts put the object itself in its place."""


class _Slots:
    __slots__ = ("_cache", "_raw")

    if TYPE_CHECKING:
        _raw: bytes | Raw | SupportsBytes
        _cache: dict[str, Any]


class Elsewhere:
    """A name that other libraries' objects have: an AttributeError that says what to write here."""

    def __init__(self, move: str) -> None:
        self._move = move

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, obj: object, owner: type) -> Self:
        if obj is None:
            return self
        raise AttributeError(f"{type(obj).__name__!r} object has no attribute {self._name!r}\n  hint: {self._move}")


class Wire(msgspec.Struct, _Slots, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all wire objects. Frozen; `replace` makes a changed copy.

    Subclasses declare scalar fields with their API names, and nested ones as `Raw` fields named `…_json` with a `Lazy`
    view of the API's name beside them. No cycle can arise, so the collector need not look at them.
    """

    @property
    def raw(self) -> bytes:
        """The JSON of this object: as it came, or encoded now if it was made here."""
        try:
            return bytes(self._raw)
        except AttributeError:
            return _encoded(self)

    @classmethod
    def from_json(cls, data: bytes | Raw) -> Self:
        """Decode one object, openly.

        Raises:
            msgspec.DecodeError: `data` is not a JSON object.
        """
        return decode(data, cls)

    @classmethod
    def new(cls, **fields: object) -> Self:
        """Build one from API fields, e.g. `Message.new(role="user", content="Hi")`; values may be wire objects."""
        return cls.from_json(encode({**tag_of(cls), **fields}))

    def replace(self, **fields: object) -> Self:
        """Return a copy with these API fields set; all others, known or not, stay as they are."""
        return type(self).from_json(merge(self.raw, fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the object as plain JSON values, unknown fields included."""
        return _loads_object(self.raw)

    # Of pydantic, with which LiteLLM's and OpenAI's objects are made.
    model_dump = Elsewhere("call to_dict()")
    model_dump_json = Elsewhere("raw has the JSON, as bytes")

    def __repr__(self) -> str:
        text = self.raw.decode("utf-8", "replace")
        return f"{type(self).__name__}({text if len(text) <= 300 else text[:297] + '...'})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return decode, (self.raw, type(self))


# The way around `frozen`, for decoding only.
_set_raw = vars(_Slots)["_raw"].__set__
_set_cache = vars(_Slots)["_cache"].__set__


def tag_of(cls: type[Wire]) -> dict[str, object]:
    """Return the `{"type": ...}` of a tagged wire class, or {}."""
    tag = cls.__struct_config__.tag
    return {} if tag is None else {"type": tag}


class Lazy(Generic[T]):
    """A typed view of the raw field `<name>_json`, decoded on first access and kept."""

    def __init__(self, read: Callable[[Raw], T]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name, self._field = name, f"{name}_json"

    @overload
    def __get__(self, obj: None, owner: type) -> Self: ...
    @overload
    def __get__(self, obj: Wire, owner: type) -> T: ...
    def __get__(self, obj: Wire | None, owner: type) -> Self | T:
        if obj is None:
            return self
        try:
            cache = obj._cache
        except AttributeError:
            cache = {}
            _set_cache(obj, cache)
        if self._name not in cache:
            cache[self._name] = self._read(getattr(obj, self._field))
        value: T = cache[self._name]
        return value


def raw_field(name: str) -> Raw:
    """Declare the raw field behind a `Lazy` view of API field `name`."""
    field: Raw = msgspec.field(default=ABSENT, name=name)
    return field


def is_absent(raw: bytes | Raw) -> bool:
    """Tell whether a raw field is missing or null."""
    return not len(data := bytes(raw)) or data == b"null"


def one(read: Callable[[Raw], T]) -> Callable[[Raw], T | None]:
    """Reader of a nested object; missing, null or not an object reads as None."""

    def read_one(raw: Raw) -> T | None:
        if is_absent(raw):
            return None
        try:
            return read(raw)
        except msgspec.DecodeError:
            return None

    return read_one


def many(read: Callable[[Raw], T]) -> Callable[[Raw], tuple[T, ...]]:
    """Reader of a list of nested objects; missing, null or no list reads as (); members that are none are left out."""

    def read_many(raw: Raw) -> tuple[T, ...]:
        if is_absent(raw):
            return ()
        try:
            return tuple([read(item) for item in read_list(raw)])
        except msgspec.DecodeError:
            return tuple(_readable(raw, read))

    return read_many


def _readable(raw: Raw, read: Callable[[Raw], T]) -> Iterator[T]:
    with contextlib.suppress(msgspec.DecodeError):
        for item in read_list(raw):
            with contextlib.suppress(msgspec.DecodeError):
                yield read(item)


def value(raw: Raw) -> Any:
    """Reader of a field of any JSON type: plain values; missing reads as None."""
    return None if is_absent(raw) else loads(bytes(raw))


def read_list(raw: bytes | Raw) -> list[Raw]:
    """Split a JSON list into the raw JSON of its members."""
    try:
        return _list_decoder.decode(raw)
    except REFUSED:
        members = loads(bytes(raw))
        if not isinstance(members, list):
            raise msgspec.ValidationError("a JSON list is expected") from None
        return [Raw(_dumps(member)) for member in members]


_list_decoder = msgspec.json.Decoder(list[Raw])
_object_decoder = msgspec.json.Decoder(dict[str, Raw])


def read_object(raw: bytes | Raw) -> dict[str, Raw]:
    """Split a JSON object into the raw JSON of its fields."""
    try:
        return _object_decoder.decode(raw)
    except REFUSED:
        return {name: Raw(_dumps(item)) for name, item in _loads_object(bytes(raw)).items()}


FIRST_USE: Final = threading.RLock()
"""Held where a struct's class is first decoded or converted to. msgspec then learns its fields by running Python, and
another thread that meets a class half learned crashes the interpreter (seen with msgspec 0.22.0, 2026-11)."""


@functools.cache
def decoder(cls: type[W]) -> Callable[[bytes | Raw], W]:
    """Return the strict decode function of a wire class, made once."""
    with FIRST_USE:
        read: Callable[[bytes | Raw], W] = msgspec.json.Decoder(cls).decode
    return read


def decode(data: bytes | Raw, cls: type[W]) -> W:
    """Decode one wire object openly and keep its bytes. Raises as `Wire.from_json`."""
    try:
        decoded: W = decoder(cls)(data)
    except REFUSED:
        decoded = _decode_leniently(bytes(data), cls)
    _set_raw(decoded, data)
    return decoded


class _Peek(msgspec.Struct):
    type: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode


def type_of(data: bytes | Raw) -> str:
    """Return an object's `type`, "" where it has none."""
    try:
        return _peek(data).type or ""
    except REFUSED:
        found = _loads_object(bytes(data)).get("type")
        return found if isinstance(found, str) else ""


def open_union(known: Mapping[str, type[Wire]], unknown: type[Wire]) -> Callable[[bytes | Raw], Any]:
    """Return the reader of a family of wire classes, chosen by `type`; a type nobody knows becomes `unknown`."""

    def read(data: bytes | Raw) -> Wire:
        return decode(data, known.get(type_of(data), unknown))

    return read


def family(*classes: type[Wire]) -> dict[str, type[Wire]]:
    """Return `{type: class}` of tagged wire classes."""
    return {str(cls.__struct_config__.tag): cls for cls in classes}


def encode(value: object) -> bytes:
    """Encode to JSON, wire objects as their own bytes; pydantic models, dataclasses and structs as JSON objects.

    Raises:
        TypeError: a value that has no JSON form, or holds itself.
    """
    if isinstance(value, Wire):
        return value.raw
    try:
        embedded = embed(value) if isinstance(value, (list, tuple, dict)) else value
        return _encoded(embedded)
    except RecursionError:
        raise TypeError("a value is nested too deeply, or holds itself") from None


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value, enc_hook=_foreign)
    except UnicodeEncodeError:  # half a character, as hosts cut them; JSON can say it, UTF-8 cannot
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def encode_loosely(value: object) -> bytes:
    """Encode to JSON for those who watch: as `encode`, and what has no JSON form stands there by a name of it.

    A Python function is told as a tool of its name. Never raises for what a caller may have passed.
    """
    try:
        return encode(value)
    except (TypeError, ValueError):
        return json.dumps(_legible(value, ()), separators=(",", ":")).encode()


_DEEPEST: Final = 100


def _legible(value: object, around: tuple[int, ...]) -> object:
    if isinstance(value, str | bool | int | float | None):
        return value
    if len(around) < _DEEPEST and id(value) not in around:
        if isinstance(value, Mapping):
            return {str(name): _legible(member, (*around, id(value))) for name, member in value.items()}
        if isinstance(value, list | tuple):
            return [_legible(member, (*around, id(value))) for member in value]
        try:
            return loads(encode(value))
        except (TypeError, ValueError):
            pass
    name = getattr(value, "__name__", None)
    return {"type": "function", "name": name} if callable(value) and name else type(value).__name__


def merge(data: bytes, fields: Mapping[str, object]) -> bytes:
    """Return a JSON object with these fields set, all others byte by byte as they are."""
    known = read_object(data)
    known.update((name, Raw(encode(value))) for name, value in fields.items())
    try:
        return msgspec.json.encode(known)
    except UnicodeEncodeError:  # in a name
        return b"{%b}" % b",".join([b"%b:%b" % (encode(name), bytes(value)) for name, value in known.items()])


def embed(value: object) -> Any:
    """Return plain containers with the wire objects in them as raw JSON; everything else as it is."""
    if isinstance(value, Wire):
        return Raw(value.raw)
    if isinstance(value, (list, tuple)):
        return [item if type(item) in _LEAVES else embed(item) for item in value]
    if isinstance(value, dict):
        return {name: item if type(item) in _LEAVES else embed(item) for name, item in value.items()}
    return value


_LEAVES: Final = frozenset({str, int, float, bool, type(None), Raw})  # most of what there is, told without a call


def _plain(value: object) -> object:
    """Return what `json` cannot encode by itself as what it can, one level of it."""
    if isinstance(value, Raw):
        return loads(bytes(value))
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        tag = {} if config.tag is None else {config.tag_field: config.tag}
        members = [(field, getattr(value, field.name)) for field in _fields(type(value))]
        return tag | {
            field.encode_name: member
            for field, member in members
            if not config.omit_defaults or member != field.default
        }
    if isinstance(value, Mapping):
        return dict(value)
    return msgspec.to_builtins(value, enc_hook=_foreign)


def _foreign(value: object) -> object:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        return dump(exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


# --- the slow path: odd but legal JSON, and fields of unexpected types ---------------------------------------------


def loads(data: bytes | str) -> Any:
    """Decode any JSON to plain values; takes what the fast decoder refuses (lone surrogates, NaN, bad UTF-8).

    Text may hold lone surrogates as themselves, too.

    Raises:
        msgspec.DecodeError: not JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (*REFUSED, UnicodeEncodeError):
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            return json.loads(text, strict=False)
        except (ValueError, RecursionError) as error:
            raise msgspec.DecodeError(f"not JSON: {error}") from None


def _loads_object(data: bytes) -> dict[str, Any]:
    found = loads(data)
    if not isinstance(found, dict):
        raise msgspec.ValidationError(f"a JSON object is expected, not {type(found).__name__}")
    return found


def _dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()  # ASCII escapes keep lone surrogates


_ZERO: dict[object, object] = {str: "", JSONText: "", int: 0, float: 0.0, bool: False, Raw: ABSENT}


def _decode_leniently(data: bytes, cls: type[W]) -> W:
    found = _loads_object(data)
    values: dict[str, Any] = {}
    for field in _fields(cls):
        if field.encode_name in found:
            converted = _coerce(found[field.encode_name], field.type)
            if converted is not ABSENT or field.type is Raw:
                values[field.name] = converted
                continue
        if field.required:
            values[field.name] = _zero(field.type)
    return cls(**values)


_fields = functools.cache(msgspec.structs.fields)


def _coerce(found: object, expected: object) -> object:
    """Return `found` as the expected scalar type, or ABSENT when it is something else."""
    if expected is Raw:
        return Raw(_dumps(found))
    if expected == JSONText and isinstance(found, dict):
        return json.dumps(found)
    try:
        return msgspec.convert(found, expected)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter for text with a lone surrogate
        return ABSENT


def _zero(expected: object) -> object:
    if get_origin(expected) in (Union, types.UnionType) and type(None) in get_args(expected):
        return None
    return _ZERO.get(expected)
