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

import importlib
import inspect
import operator
import re
from collections.abc import Awaitable, Callable
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
    get_type_hints,
    overload,
)

import msgspec

from .errors import InvalidParameter, StageError, did_you_mean
from .event_stream import EventStream
from .reply import Reply
from .request import Handler, Request
from .response import Response
from .secret import Secret

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

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """Return the client's one object of this key, made at the first call; closed with the client if it can be."""
        ...

    def on_close(self, fn: Callable[[], object]) -> None:
        """Call blocking `fn` when the client closes."""
        ...


def snake_case(name: str) -> str:
    """Return "response_ids" for "ResponseIds"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class StageMeta(msgspec.StructMeta):
    """Catches what goes wrong in a stage's first hour, where it is written."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> StageMeta:
        call = namespace.get("__call__")
        if isinstance(call, FunctionType) and not inspect.iscoroutinefunction(call):
            raise StageError(f"stage {name}: __call__ is not async", hint="write `async def __call__(...)`")
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
            raise StageError(f"stage {cls.__name__}: {error}") from None
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
        raise StageError(f"{cls.__name__} is the stage's class", hint=f"write {cls.__name__}() in the chain")


def _no_assignment(stage: Stage, name: str, value: object) -> NoReturn:
    raise StageError(
        f"stage {type(stage).__name__} is frozen; it cannot set self.{name}",
        hint="keep what lives within a call in request.context.scratch, and across calls in what setup(scope) returns",
    )


def _check_values(stage: Stage) -> None:
    cls = type(stage)
    for name, expected in _types_of(cls).items():
        value = getattr(stage, name)
        try:
            msgspec.convert(value, expected, dec_hook=_as_is)
        except msgspec.ValidationError as error:
            raise StageError(f"stage {cls.__name__}: {name}={value!r}: {error}") from None
        except TypeError:
            continue  # a type that msgspec cannot check, e.g. a protocol


def _as_is(expected: type, value: object) -> object:
    return value


def _types_of(cls: type[Stage]) -> dict[str, Any]:
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
        is_terminal: it answers itself and never calls `call_next`.
        at_most_once: a second one on the same path is an error.
    """

    options: ClassVar[tuple[Option, ...]] = ()
    needs: ClassVar[tuple[str, ...]] = ()
    sets: ClassVar[tuple[str, ...] | None] = None
    is_terminal: ClassVar[bool] = False
    at_most_once: ClassVar[bool] = False

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        """Answer the request, usually by `await call_next(request)`; see the module's text."""
        raise NotImplementedError(f"stage {type(self).__name__} has no __call__")

    def setup(self, scope: Scope) -> object:
        """Make what lives across calls; called once per client and position. Read it with `context.state_of`."""
        return None

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

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        defaults = {field.name: field.default for field in msgspec.structs.fields(type(self))}
        shown = ", ".join(f"{name}={value!r}" for name, value in values if value != defaults.get(name))
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[object, ...]:
        settings = {name: getattr(self, name) for name in self.__struct_fields__}
        made_of = settings.get("function")
        if made_of is not None and _stage_at(*_place_of(made_of)) == self:
            return _stage_at, _place_of(made_of)  # a decorator has put the stage in its function's place
        return _make, (type(self), settings)


def _make(cls: type[Stage], settings: dict[str, Any]) -> Stage:
    made: Stage = cls(**settings)
    return made


def _place_of(function: object) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", "")


def _stage_at(module: str, name: str) -> object:
    """Return what stands in a module under this name, None when nothing does."""
    try:
        return operator.attrgetter(name)(importlib.import_module(module))
    except (AttributeError, ImportError, ValueError):
        return None


class FunctionStage(Stage, frozen=True, tag="function"):
    """A stage made of a function; `@stage` and bare functions in a chain become one."""

    function: Callable[..., Any]
    reads: tuple[Option, ...] = ()
    terminal: bool = False

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply: Reply = await self.function(request, call_next)
        return reply

    @property
    def name(self) -> str:
        return _name_of(self.function)

    def __repr__(self) -> str:
        return _name_of(self.function)


class Before(Stage, frozen=True):
    """Change the request on its way in: `function(request)` returns a changed copy, or None to leave it.

    For calls that create a response; those on a stored one pass by.
    """

    function: Callable[..., Any]

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.operation != "create":
            return await call_next(request)
        changed = self.function(request)
        if inspect.isawaitable(changed):
            changed = await changed
        if changed is not None and not isinstance(changed, Request):
            raise StageError(f"@before {self.name} returned {type(changed).__name__}; a Request or None is expected")
        return await call_next(request if changed is None else changed)

    @property
    def name(self) -> str:
        return _name_of(self.function)

    def __repr__(self) -> str:
        return f"before({_name_of(self.function)})"


class After(Stage, frozen=True):
    """See the final response on its way out: `function(request, response)`, once per call, plain or streamed.

    It may return a changed response; in a stream that replaces the one of the terminal event. It is not called when
    the call fails or the stream is left early, nor for calls on a stored response.
    """

    function: Callable[..., Any]

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        if request.operation != "create":
            return reply
        if isinstance(reply, EventStream):
            return reply.map(lambda event: self._at_end(request, event))
        if isinstance(reply, Response):
            return self._changed(request, reply) or reply
        return reply

    def _at_end(self, request: Request, event: Any) -> Any:
        response = getattr(event, "response", None)
        if not isinstance(response, Response) or response.status not in ("completed", "incomplete"):
            return None
        changed = self._changed(request, response)
        return None if changed is None else event.replace(response=changed)

    def _changed(self, request: Request, response: Response) -> Response | None:
        changed = self.function(request, response)
        if changed is not None and not isinstance(changed, Response):
            raise StageError(f"@after {self.name} returned {type(changed).__name__}; a Response or None is expected")
        return changed

    @property
    def name(self) -> str:
        return _name_of(self.function)

    def __repr__(self) -> str:
        return f"after({_name_of(self.function)})"


class OnStreamEvent(Stage, frozen=True):
    """See every event of a streamed reply: `function(event)` returns a changed copy, or None to leave it."""

    function: Callable[..., Any]

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        return reply.map(self.function) if isinstance(reply, EventStream) else reply

    @property
    def name(self) -> str:
        return _name_of(self.function)

    def __repr__(self) -> str:
        return f"on_stream_event({_name_of(self.function)})"


def _name_of(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


@overload
def stage(function: StageFunction, /) -> FunctionStage: ...
@overload
def stage(*, options: tuple[Option, ...] = (), terminal: bool = False) -> Callable[[StageFunction], FunctionStage]: ...
def stage(
    function: StageFunction | None = None, /, *, options: tuple[Option, ...] = (), terminal: bool = False
) -> FunctionStage | Callable[[StageFunction], FunctionStage]:
    """Make a stage of an `async def (request, call_next)`.

    Args:
        options: call options that it reads.
        terminal: it answers itself and never calls `call_next`.

    Raises:
        StageError: the function is not async, or does not take two arguments.
    """

    def make(function: StageFunction) -> FunctionStage:
        name = _name_of(function)
        if not _is_async(function):
            raise StageError(f"stage {name} is not async", hint="write `async def`, or use @before / @after")
        if not _takes(function, 2):
            raise StageError(f"stage {name} does not take (request, call_next)")
        return FunctionStage(function=function, reads=options, terminal=terminal)

    return make if function is None else make(function)


def before(function: Callable[[Request], Any]) -> Before:
    """Make a stage of a plain or async `(request)` that returns a changed request or None."""
    return Before(_one_liner(function, 1, "(request)"))


def after(function: Callable[[Request, Response], Response | None]) -> After:
    """Make a stage of a plain `(request, response)` that sees the final response, plain or streamed."""
    return After(_plain(_one_liner(function, 2, "(request, response)")))


def on_stream_event(function: Callable[[Any], Any]) -> OnStreamEvent:
    """Make a stage of a plain `(event)` that sees every event of a stream and may return a changed copy."""
    return OnStreamEvent(_plain(_one_liner(function, 1, "(event)")))


def _one_liner(function: T, count: int, shape: str) -> T:
    if not callable(function) or not _takes(function, count):
        raise StageError(f"{_name_of(function)} does not take {shape}")
    return function


def _plain(function: T) -> T:
    if _is_async(function):
        raise StageError(f"{_name_of(function)} is async; a plain function is expected", hint="write a @stage for that")
    return function


def _is_async(function: object) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004  whether it is async, not whether it is there
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def _takes(function: Any, count: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * count)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True
