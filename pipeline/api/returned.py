"""The base of what calls return: the API's JSON, and beside it the facts of the call."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import msgspec

from .wire import Elsewhere, Wire, decode, encode, merge
from .wire import _set_cache as set_cache
from .wire import _set_raw as set_raw
from .wire import _Slots as Slots

if TYPE_CHECKING:
    from ..reply import Meta


class Running(Protocol):
    """A call that goes on, whose facts change."""

    def meta(self) -> Meta: ...


class Facts(msgspec.Struct, eq=False):
    """The facts of a call, the same object for all that came from it and for their copies: asked of the call for as
    long as it goes on, so that what a stage notes after the answer is there too; final from its end."""

    call: Running | None = None
    final: Meta | None = None

    def meta(self) -> Meta:
        """Return them as they are now."""
        call = self.call
        if call is not None:
            return call.meta()
        return _no_call() if self.final is None else self.final


class _Beside(msgspec.Struct, frozen=True):
    """What a returned object holds beside its JSON."""

    facts: Facts | None = None
    more: Any = None
    parsed: Any = None


_NOTHING = _Beside()


class _BesideSlot(Slots):
    __slots__ = ("_beside",)

    if TYPE_CHECKING:  # msgspec would resolve it
        _beside: _Beside


class Returned(Wire, _BesideSlot, frozen=True, kw_only=True):
    """Base of what a call returns: beside the JSON it carries `meta`, the facts of the call."""

    _object: ClassVar[str]

    _request_id = Elsewhere("meta.request_id has it")  # of OpenAI's package
    _hidden_params = Elsewhere("meta has what LiteLLM hides: cost, headers, provider, attempts, times, dropped")

    @property
    def meta(self) -> Meta:
        """Facts of the call that this came from: so far while it runs, then final. No part of the JSON.

        `call_id` is "" when it came from none.
        """
        facts = self.facts
        return _no_call() if facts is None else facts.meta()

    def with_meta(self, meta: Meta | None) -> Self:
        """Return a copy with these facts, which stay as they are; it shares the JSON and what is decoded of it."""
        return self.with_facts(None if meta is None else Facts(final=meta))

    @property
    def facts(self) -> Facts | None:
        """What `meta` is asked of; None when it came from no call."""
        facts: Facts | None = getattr(self, "_beside", _NOTHING).facts
        return facts

    def with_facts(self, facts: Facts | None) -> Self:
        """Return a copy that has its `meta` from here, e.g. from what it is made of."""
        return self._with_beside(facts=facts)

    def stamp(self, facts: Facts) -> Self:
        """Set the facts on this object itself, and return it: for whoever has just decoded it."""
        _set_beside(self, _Beside(facts))
        set_cache(self, {})  # shared with all copies, so that each nested object is decoded once
        return self

    def with_scalars(self, **fields: str | float | bool) -> Self:
        """Return a copy with these fields set, as `replace` does; its JSON is written when it is first looked at."""
        copy = msgspec.structs.replace(self, **fields)
        self._share(copy, getattr(self, "_beside", None))
        set_raw(copy, _Retold(self, fields))
        return copy

    def _with_beside(self, **changes: object) -> Self:
        copy = msgspec.structs.replace(self)
        if hasattr(self, "_raw"):  # not where it was made here, of fields
            set_raw(copy, self._raw)
        self._share(copy, msgspec.structs.replace(self._besides, **changes))
        return copy

    @property
    def _besides(self) -> _Beside:
        found: _Beside = getattr(self, "_beside", _NOTHING)
        return found

    def _share(self, copy: Self, beside: _Beside | None) -> None:
        """Give a copy what is decoded of the JSON, and what it holds beside it."""
        if (cache := getattr(self, "_cache", None)) is not None:
            set_cache(copy, cache)
        if beside is not None:
            _set_beside(copy, beside)

    @classmethod
    def new(cls, **fields: object) -> Self:
        """Build one from API fields; `object` is filled in."""
        return super().new(**{"object": cls._object, **fields})

    def replace(self, **fields: object) -> Self:
        """Return a copy with these API fields set; all others, known or not, and `meta` stay as they are."""
        return super().replace(**fields).with_facts(self.facts)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.raw, type(self), self.meta)


@cache
def _no_call() -> Meta:
    from ..reply import Meta  # which is built on this module

    return Meta(call_id="")


_set_beside = vars(_BesideSlot)["_beside"].__set__  # the way around `frozen`


class _Retold(msgspec.Struct, eq=False):
    """The JSON of an object with some scalars changed. Most responses are never asked for their JSON."""

    of: Returned | None
    fields: dict[str, Any]
    written: bytes = b""

    def __bytes__(self) -> bytes:
        of = self.of
        if of is not None:
            raw = of.raw
            for name, new in self.fields.items():
                raw = _retold(raw, name, getattr(of, name), new)
            self.written = raw
            self.of = None  # last, for another thread may be here too
        return self.written


def _retold(raw: bytes, name: str, old: object, new: object) -> bytes:
    """Return the JSON with one scalar changed, by its bytes where there is one place only that can be meant."""
    key, was, becomes = b'"%b":' % name.encode(), encode(old), encode(new)
    if isinstance(old, str):
        at = raw.find(was)
        is_clear = at >= 0 and raw.rfind(was) == at and raw.endswith((key, key + b" "), 0, at)
    else:
        at = raw.find(key) + len(key)
        at += raw.startswith(b" ", at)
        is_clear = at > len(key) and raw.count(key) == 1 and raw.startswith(was, at) and raw[at + len(was)] in b",}"
    if not is_clear:
        if old is None and key not in raw and raw.startswith(b'{"'):
            return b"{%b%b,%b" % (key, becomes, raw[1:])
        return merge(raw, {name: new})  # written otherwise, or it stands elsewhere too
    return raw[:at] + becomes + raw[at + len(was) :]


def _restore(raw: bytes, cls: type[Returned], meta: Meta | None) -> Returned:
    return decode(raw, cls).with_meta(meta)
