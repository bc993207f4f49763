"""The one contract: a stage wraps the rest of the chain.

    class Audit(Stage):
        label: str = "audit"

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            reply = await call_next(request)
            ...
            return reply

A stage is its own spec: its settings are its annotated fields. State that lives across calls is made by `setup`, once
per client and position, and read with `request.context.state_of(self, Kind)`; what lives within a call goes to
`request.context.scratch`. A bare `async def (request, call_next)` is a stage too.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import operator
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import FunctionType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    NoReturn,
    Protocol,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_origin,
    get_type_hints,
)

import msgspec

from .errors import InvalidParameter, StageError, did_you_mean
from .reply import Reply
from .request import Handler, Request
from .secret import Secret
from .wording import known_values, misfit

if TYPE_CHECKING:
    from .chain import Chain

T = TypeVar("T")

StageFunction: TypeAlias = Callable[[Request, Handler], Awaitable[Reply]]
StageLike: TypeAlias = "Stage | Chain | StageFunction"


class Option(msgspec.Struct, frozen=True):
    """A call option that a stage reads: a keyword that calls of its chain accept.

    Args:
        name: the keyword.
        types: what its value may be an instance of; int is taken for float, True is not taken for 1.
        doc: one line for the user.
        secret: text given for it becomes a `Secret`, which no repr, log or pickle shows.
    """

    name: str
    types: tuple[type, ...]
    doc: str = ""
    secret: bool = False

    def masked(self, value: object) -> object:
        """Return the value as it is kept: of a secret option as a `Secret`."""
        return Secret(value) if self.secret and isinstance(value, str) else value

    def check(self, value: object) -> None:
        """Raise InvalidParameter when the value has another type."""
        allowed = self.types
        if value.__class__ in allowed:
            return
        if isinstance(value, bool) and bool not in allowed and object not in allowed:
            ok = False
        else:
            ok = isinstance(value, allowed) or (float in allowed and isinstance(value, int))
            ok = ok or (Callable in allowed and callable(value))  # type: ignore[comparison-overlap]
        if not ok:
            names = " or ".join(kind.__name__ for kind in allowed)
            raise InvalidParameter(
                f'option "{self.name}" is {type(value).__name__}; {names} is expected', param=self.name
            )


class Scope(Protocol):
    """What a stage's `setup` may use. One scope is one position in one chain of one client."""

    position: str
    tenant: str | None
    """Whose data stores keep apart, as the client says; that of a call is in its context, and may be another's."""
    resources: Mapping[str, object]
    """What the client was given for stages to use, by the name of its argument, e.g. "state_store"."""
    options: Mapping[str, Option]
    """The call options that the stages of the chain read, by name."""

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """Return the client's one object of this key, made at the first call; closed with the client if it can be."""
        ...

    def on_close(self, fn: Callable[[], object]) -> None:
        """Call blocking `fn` when the client closes."""
        ...


def snake_case(name: str) -> str:
    """Return "response_ids" for "ResponseIds"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def takes(function: Callable[..., object], count: int) -> bool:
    """Tell whether a function can be called with so many positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class StageMeta(msgspec.StructMeta):
    """Catches what goes wrong in a stage's first hour, where it is written."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> StageMeta:
        call = namespace.get("__call__")
        if isinstance(call, FunctionType) and not inspect.iscoroutinefunction(call):
            raise StageError(f"stage {name}: __call__ is not async", hint="write `async def __call__(...)`")
        if isinstance(call, FunctionType) and not takes(call, 3):
            raise StageError(
                f"stage {name}: __call__ does not take (self, request, call_next)",
                hint="write `async def __call__(self, request: Request, call_next: Handler) -> Reply`",
            )
        cls: StageMeta = super().__new__(mcls, name, bases, namespace, **config)
        annotated = _annotated(cls)
        for attribute, value in namespace.items():
            if attribute.startswith("__") or attribute in annotated or _is_member(value):
                continue
            raise StageError(
                f'stage {name}: "{attribute} = {value!r}" has no annotation, so it would not be a setting',
                hint=f"write `{attribute}: {type(value).__name__} = {value!r}`, or ClassVar[...] for a constant",
            )
        cls.__setattr__ = _no_assignment  # type: ignore[assignment,method-assign]
        return cls

    if not TYPE_CHECKING:  # checkers take settings from `dataclass_transform`, and `|` of classes for a union

        def __call__(cls, *args: Any, **settings: Any) -> Any:
            fields = cls.__struct_fields__
            if len(args) > 1:
                pairs = ", ".join(f"{name}={value!r}" for name, value in zip(fields, args, strict=False))
                raise StageError(
                    f"stage {cls.__name__} takes at most one positional value, {len(args)} were given",
                    hint=f"name them: {cls.__name__}({pairs})",
                )
            unknown = [name for name in settings if name not in fields]
            if unknown:
                raise StageError(
                    f'stage {cls.__name__} has no setting "{unknown[0]}"{did_you_mean(unknown[0], fields)}',
                    hint=f"its settings: {', '.join(fields) or 'none'}",
                )
            try:
                stage = super().__call__(*args, **settings)
            except TypeError as error:
                missing = re.fullmatch(r"Missing required argument '(\w+)'", str(error))
                if missing is None:
                    raise StageError(f"stage {cls.__name__}: {error}") from None
                raise StageError(
                    f'stage {cls.__name__} needs the setting "{missing[1]}"',
                    hint=f"write {cls.__name__}({missing[1]}=...)",
                ) from None
            _check_values(stage)
            return stage

        def __or__(cls, other: Any) -> Any:
            _refuse_class(cls, other)
            return super().__or__(other)

        def __ror__(cls, other: Any) -> Any:
            _refuse_class(cls, other)
            return super().__ror__(other)


def _annotated(cls: type) -> set[str]:
    """Return the names that a class or one of its bases annotates."""
    try:
        return {name for base in cls.__mro__ for name in getattr(base, "__annotations__", ())}
    except NameError:  # Python 3.14 looks annotations up now, and one names what is not there yet
        return set(dir(cls))


def _is_member(value: object) -> bool:
    return callable(value) or hasattr(value, "__get__") or isinstance(value, classmethod | staticmethod)


def _refuse_class(cls: type, other: object) -> None:
    # Not for `Stage | None` and the like, which are types. (isinstance with a tuple: `|` would come back here.)
    if isinstance(other, (Stage, StageMeta, FunctionType)) or type(other).__name__ == "Chain":
        raise StageError(f"{cls.__name__} is a class; a stage is expected", hint=f"write {cls.__name__}() in the chain")


def _no_assignment(stage: Stage, name: str, value: object) -> NoReturn:
    raise StageError(
        f"stage {type(stage).__name__} is frozen; it cannot set self.{name}",
        hint="keep what lives within a call in request.context.scratch, and across calls in what setup(scope) returns",
    )


_SEQUENCES = (tuple, Sequence)


def _check_values(stage: Stage) -> None:
    cls = type(stage)
    for name, expected in field_types(cls).items():
        value = getattr(stage, name)
        if value.__class__ is list and get_origin(expected) in _SEQUENCES:
            value = tuple(value)  # a stage stays as it was made
            msgspec.structs.force_setattr(stage, name, value)
        try:
            msgspec.convert(value, expected, dec_hook=_as_is)
        except msgspec.ValidationError as error:
            raise StageError(
                f"stage {cls.__name__}: {misfit(error, name, value)}", hint=known_values(expected)
            ) from None
        except TypeError:
            continue  # a type that msgspec cannot check, e.g. a protocol


def _as_is(expected: type, value: object) -> object:
    return value


def field_types(cls: type[Stage]) -> dict[str, Any]:
    """Return the types of a stage's settings; those that only type checkers know are left out."""
    found = cls.__dict__.get("_field_types")
    if found is None:
        try:
            hints = get_type_hints(cls, include_extras=True)
        except NameError:  # a type imported for checking only, or local to a function
            hints = {}
        found = {name: hints[name] for name in cls.__struct_fields__ if name in hints}
        type.__setattr__(cls, "_field_types", found)
    return found


class Stage(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="use", tag=snake_case, metaclass=StageMeta
):
    """Base of stages; see the module's text for the contract.

    Class attributes that a stage may declare:
        options: call options that it reads.
        needs, sets: which of "target" and "wire" it needs on the request and sets; checked when a chain is built.
        outside: which of "target" and "wire" must not be set yet where it stands; checked like `needs`.
        is_terminal: it answers itself and never calls `call_next`.
        at_most_once: a second one on the same path is an error.
        calls_again_for: for pictures: what it may call `call_next` again for in one call, e.g. "attempt".
    """

    options: ClassVar[tuple[Option, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    outside: ClassVar[tuple[str, ...]] = ()
    sets: ClassVar[tuple[str, ...] | None] = None
    is_terminal: ClassVar[bool] = False
    at_most_once: ClassVar[bool] = False
    calls_again_for: ClassVar[str] = ""

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        """Answer the request, usually by `await call_next(request)`; see the module's text."""
        raise NotImplementedError(f"stage {type(self).__name__} has no __call__")

    def setup(self, scope: Scope) -> object:
        """Make what lives across calls; called once per client and position. Read it with `context.state_of`."""
        return None

    def ways_on(self) -> Iterable[tuple[str, str | Chain]]:
        """For pictures: where a call may go from here other than straight on, as (what leads there, target or chain).

        By default these are the chains among the stage's settings.
        """
        for name in self.__struct_fields__:
            for key, chain in chains_in(getattr(self, name)).items():
                yield (name if key is None else f"{name}[{key!r}]"), chain

    @property
    def name(self) -> str:
        """The stage's name in a chain: its class name in snake case, or its function's."""
        tag = type(self).__struct_config__.tag
        assert isinstance(tag, str)
        return tag

    def __or__(self, other: StageLike) -> Chain:
        from .chain import Chain

        return Chain([self, other])

    def __ror__(self, other: StageLike) -> Chain:
        from .chain import Chain

        return Chain([other, self])

    def changed_settings(self) -> dict[str, Any]:
        """Return the settings that are not their defaults, by name."""
        found: dict[str, Any] = {}
        for field in _fields(type(self)):
            usual = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            value = getattr(self, field.name)
            if value is not usual and value != usual:
                found[field.name] = value
        return found

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.changed_settings().items())
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[object, ...]:
        settings = {name: getattr(self, name) for name in self.__struct_fields__}
        made_of = settings.get("function")
        if made_of is not None and found_at(*place_in_code(made_of)) == self:
            return found_at, place_in_code(made_of)  # a decorator has put the stage in its function's place
        return _make, (type(self), settings)


# Without it, most of a dry run's time would go into reading annotations again and again.
_fields = functools.cache(msgspec.structs.fields)


def chains_in(value: object) -> dict[Any, Chain]:
    """Return the chains in a setting by their keys or indexes; by None when it is a chain itself."""
    from .chain import Chain

    if isinstance(value, Chain):
        return {None: value}
    held = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, tuple | list) else ()
    return {key: one for key, one in held if isinstance(one, Chain)}


def _make(cls: type[Stage], settings: dict[str, Any]) -> Stage:
    made: Stage = cls(**settings)
    return made


def place_in_code(function: object) -> tuple[str, str]:
    """Return the module and the qualified name under which a function or class was defined."""
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", "")


def found_at(module: str, name: str) -> object:
    """Return what stands in a module under this name, None when nothing does."""
    try:
        return operator.attrgetter(name)(importlib.import_module(module))
    except (AttributeError, ImportError, ValueError):
        return None
