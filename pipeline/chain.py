"""Chains: immutable lists of stages that run as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, cast, overload

from .api.params import NAMES, Operation
from .api.response import Response
from .batches.verbs import Batches
from .caller import NOBODY, Caller
from .errors import ChainError, MissingExtra, SetupError, did_you_mean
from .function_stages import stage as make_stage
from .reply import Dropped, Reply
from .secret import Secret, mask
from .stage import Option, Stage, StageLike, StageMeta
from .streams.event_stream import EventStream
from .wording import quoted

if TYPE_CHECKING:
    from pathlib import Path

    from .batches.row import RowCalls
    from .chain_files.stage_names import Named
    from .engine import Engine
    from .explain import Explanation
    from .langchain_model import ChainModel


_WIDEST = 60  # characters of a bound value that a repr shows


class HasEngine(Protocol):
    """A client."""

    @property
    def engine(self) -> Engine:
        """What runs its calls."""
        ...


class ChainKey:
    """Stands for a list of stages, whatever is bound to it: by it a client finds what the stages keep."""

    __slots__ = ("__weakref__",)


class Chain(Batches):
    """Stages in order, outermost first; itself a stage, so chains nest.

    A chain is a value: surgery returns a new one. It is checked when it is first run (or by `check`); a chain without
    a terminal stage is a fragment, good for nesting.

        >>> from antiphon import Chain, Dispatch, Resolve, Retry, Transform
        >>> chain = Chain([Resolve(), Retry(), Transform(), Dispatch()], name="short")
        >>> chain.with_(retry={"attempts": 5})
        Chain([Resolve(), Retry(attempts=5), Transform(), Dispatch()], name='short')
        >>> chain.invoke("Hello there.", model="scripted/echo").output_text
        'Hello there.'

    Args:
        stages: stages, chains, or bare `async def (request, call_next)` functions.
        name: shown in errors and traces.

    Raises:
        ChainError: something in the list is no stage.
    """

    __slots__ = ("__weakref__", "_defaults", "_engine", "_inherited", "key", "name", "stages")

    stages: tuple[Stage | Chain, ...]

    def __init__(self, stages: Iterable[StageLike], *, name: str = "chain") -> None:
        self.name = name
        if isinstance(stages, Stage) or not hasattr(stages, "__iter__"):  # a stage or a function by itself
            raise ChainError(
                f'chain "{name}": {quoted(stages)} is no list of stages', hint=f"write Chain([{quoted(stages)}])"
            )
        self.stages = tuple(_as_stage(item, index, name) for index, item in enumerate(stages))
        self.key = ChainKey()
        nested = [item for item in self.stages if isinstance(item, Chain)]
        self._engine: Engine | None = next((item._engine for item in nested if item._engine is not None), None)
        self._defaults: dict[str, Any] = {}
        self._inherited: dict[str, Any] = {}  # what is bound to nested chains
        for item in nested:
            self._inherited |= self._masked(item.defaults)

    # --- reading ---------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Stage | Chain]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self.stages == other.stages and self._defaults == other._defaults

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        bound = ", ".join(_shown(name, value) for name, value in self._defaults.items())
        return f"Chain([{', '.join(map(repr, self.stages))}], name={self.name!r})" + (
            f".bind({bound})" if bound else ""
        )

    def __str__(self) -> str:
        return "\n".join(self._tree(0))

    def _tree(self, depth: int) -> Iterator[str]:
        yield "  " * depth + self.name
        for item in self.stages:
            if isinstance(item, Chain):
                yield from item._tree(depth + 1)
            else:
                yield "  " * (depth + 1) + repr(item)

    def to_mermaid(self) -> str:
        """Return the chain as a mermaid flowchart, e.g. for a Markdown page; secrets are masked."""
        from .pictures.mermaid import mermaid
        from .pictures.outline import outline

        return mermaid(outline(self))

    def _repr_html_(self) -> str:
        from .pictures.notebook import chain_page

        return chain_page(self)

    def flat(self) -> list[Stage]:
        """Return all stages in order, those of nested chains in their place."""
        found: list[Stage] = []
        for item in self.stages:
            found.extend(item.flat() if isinstance(item, Chain) else [item])
        return found

    @property
    def options(self) -> dict[str, Option]:
        """The call options that calls of this chain accept: those that its stages read."""
        found: dict[str, Option] = {}
        for item in self.flat():
            reads = getattr(item, "reads", ()) or item.options
            found.update((option.name, option) for option in reads)
        return found

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What is bound, here or to nested chains: parameters and options of calls that do not give their own."""
        return MappingProxyType({**self._inherited, **self._defaults})

    @property
    def own_defaults(self) -> Mapping[str, Any]:
        """What is bound to this chain itself."""
        return MappingProxyType(self._defaults)

    # --- composing -------------------------------------------------------------------------------------------------

    def __or__(self, other: StageLike) -> Chain:
        if isinstance(other, Chain):
            joined = other._with([*self.stages, *other.stages])
            joined._engine = other._engine or self._engine
            joined._defaults = {**self._defaults, **other._defaults}
            return joined
        return self._with([*self.stages, other])

    def __ror__(self, other: StageLike) -> Chain:
        return self._with([other, *self.stages])

    def before(self, where: str | int, *stages: StageLike) -> Chain:
        """Return a chain with `stages` placed just outside the stage named `where` (or at that index)."""
        at = self._index(where)
        return self._with([*self.stages[:at], *stages, *self.stages[at:]])

    def after(self, where: str | int, *stages: StageLike) -> Chain:
        """Return a chain with `stages` placed just inside the stage named `where` (or at that index)."""
        at = self._index(where) + 1
        return self._with([*self.stages[:at], *stages, *self.stages[at:]])

    def replace(self, where: str | int, *stages: StageLike) -> Chain:
        """Return a chain with the stage named `where` (or at that index) replaced by `stages`."""
        at = self._index(where)
        return self._with([*self.stages[:at], *stages, *self.stages[at + 1 :]])

    def without(self, *names: str | int) -> Chain:
        """Return a chain without these stages."""
        gone = {self._index(name) for name in names}
        return self._with([item for index, item in enumerate(self.stages) if index not in gone])

    def with_(self, **settings: dict[str, Any]) -> Chain:
        """Return a chain with stages' settings changed, e.g. `with_(retry={"attempts": 5})`."""
        stages: list[StageLike] = list(self.stages)
        for name, changes in settings.items():
            at = self._index(name)
            found = self.stages[at]
            if isinstance(found, Chain):
                raise ChainError(
                    f'chain "{self.name}": "{name}" is a chain, which has no settings',
                    hint="change that chain, and put it in place by replace",
                )
            current = {field: getattr(found, field) for field in found.__struct_fields__}
            stages[at] = type(found)(**{**current, **changes})
        return self._with(stages)

    def named(self, name: str) -> Chain:
        """Return the same chain under another name."""
        return self._with(self.stages, name=name)

    def _with(self, stages: Iterable[StageLike], name: str | None = None) -> Chain:
        changed = Chain(stages, name=name or self.name)
        changed._engine, changed._defaults = self._engine or changed._engine, self._defaults
        return changed

    def _index(self, where: str | int) -> int:
        if isinstance(where, int):
            if not -len(self.stages) <= where < len(self.stages):
                raise ChainError(f'chain "{self.name}" has {len(self.stages)} stages; there is no index {where}')
            return where % len(self.stages)
        names = [item.name for item in self.stages]
        found = [index for index, name in enumerate(names) if name == where]
        if not found:
            raise ChainError(
                f'chain "{self.name}" has no stage "{where}"{did_you_mean(where, names)}',
                hint=f"its stages: {', '.join(names)}",
            )
        if len(found) > 1:
            raise ChainError(
                f'chain "{self.name}" has {len(found)} stages named "{where}"', hint=f"use one of the indexes {found}"
            )
        return found[0]

    # --- as data ---------------------------------------------------------------------------------------------------

    @classmethod
    def from_file(cls, path: str | Path, *, stages: Iterable[Named] = (), allow_imports: Iterable[str] = ()) -> Chain:
        """Return the chain that a `.toml` or `.json` file describes; see `from_toml`."""
        from .chain_files.chain_file import read_file
        from .chain_files.stage_names import StageNames

        return read_file(path, StageNames(stages, allow_imports))

    @classmethod
    def from_toml(cls, text: str, *, stages: Iterable[Named] = (), allow_imports: Iterable[str] = ()) -> Chain:
        """Return the chain that TOML text describes; docs/chain-files.md has the form.

        Args:
            text: the TOML.
            stages: stages of your own that the text may name: classes, decorated functions, chains.
            allow_imports: modules, with their sub-modules, from which the text may name "module:Name".

        Raises:
            ChainError: no chain; the message says where, and what was meant perhaps.
        """
        from .chain_files.chain_file import read_toml
        from .chain_files.stage_names import StageNames

        return read_toml(text, StageNames(stages, allow_imports))

    @classmethod
    def from_json(cls, text: str | bytes, *, stages: Iterable[Named] = (), allow_imports: Iterable[str] = ()) -> Chain:
        """Return the chain that JSON text describes. As `from_toml`."""
        from .chain_files.chain_file import read_json
        from .chain_files.stage_names import StageNames

        return read_json(text, StageNames(stages, allow_imports))

    @staticmethod
    def json_schema(*, stages: Iterable[Named] = ()) -> dict[str, Any]:
        """Return the JSON Schema of a chain file, of which editors make completion and checks."""
        from .chain_files.chain_file import json_schema
        from .chain_files.stage_names import StageNames

        return json_schema(StageNames(stages))

    def to_toml(self) -> str:
        """Return the chain as TOML; settings that have their default are left out.

        Raises:
            NotSerializable: a stage or a bound value that has no form in a file.
        """
        from .chain_files.chain_file import write_toml

        return write_toml(self)

    def to_json(self) -> str:
        """Return the chain as JSON. As `to_toml`."""
        from .chain_files.chain_file import write_json

        return write_json(self)

    def as_runnable(self, **defaults: Any) -> ChainModel:
        """Return the chain as a chat model of LangChain, which composes with prompts, parsers and agents.

        Args:
            defaults: bound as by `bind`, e.g. `model="openai/gpt-5"`.

        Raises:
            MissingExtra: langchain-core is not installed.
        """
        try:
            from .langchain_model import ChainModel
        except ImportError as error:
            raise MissingExtra(
                f"as_runnable needs langchain-core, which cannot be imported: {error}",
                hint='pip install "langchain-core>=1"',
            ) from error
        return ChainModel(self.bind(**defaults) if defaults else self)

    # --- running ---------------------------------------------------------------------------------------------------

    def bind(self, client: HasEngine | Engine | None = None, /, **defaults: Any) -> Chain:
        """Return a chain that runs on this client, and/or with these parameters unless a call gives its own.

        What is bound goes along when the chain is nested in another or joined with it. What is bound to the outer chain
        wins, and of two side by side the later one. On one client the chain and those bound to it share what their
        stages keep between calls: a budget, a cache, places.
        """
        bound = self._with(self.stages)
        bound.key = self.key
        if client is not None:
            bound._engine = _engine_of(client)
        bound._defaults = {**self._defaults, **self._masked(defaults)}
        return bound

    def _masked(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters and options with those wrapped that are secret."""
        if not defaults:
            return {}
        known = self.options
        return {name: known[name].masked(value) if name in known else value for name, value in defaults.items()}

    def check(self) -> Self:
        """Check that the chain can run, without running it; return it.

        Raises:
            ChainError: no terminal stage or more than one, a stage right of it, two Retrys on the path, wrong order.
        """
        from .build import check

        check(self)
        return self

    @overload
    def invoke(self, input: Any = None, /, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    def invoke(self, input: Any = None, /, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
    @overload
    def invoke(self, input: Any = None, /, *, stream: bool | None, **keywords: Any) -> Response | EventStream: ...
    def invoke(self, input: Any = None, /, **keywords: Any) -> Reply:
        """Run the chain for one call (sync): `chain.invoke("Hi", model="openai/gpt-5")`.

        Args:
            input: the API's `input`.
            keywords: API parameters, and the options that this chain's stages read.

        Raises:
            UnknownKeyword: a keyword that neither the API nor a stage of this chain knows.
            AntiphonError: whatever the chain raises.
        """
        return self.run("create", _with_input(input, keywords))

    @overload
    async def ainvoke(self, input: Any = None, /, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    async def ainvoke(
        self, input: Any = None, /, *, stream: Literal[False] | None = None, **keywords: Any
    ) -> Response: ...
    @overload
    async def ainvoke(
        self, input: Any = None, /, *, stream: bool | None, **keywords: Any
    ) -> Response | EventStream: ...
    async def ainvoke(self, input: Any = None, /, **keywords: Any) -> Reply:
        """Run the chain for one call (async). As `invoke`."""
        return await self.arun("create", _with_input(input, keywords))

    def stream(self, input: Any = None, /, **keywords: Any) -> EventStream:
        """Run the chain for one call, streamed (sync). As `invoke`; the caller reads or closes the stream."""
        return self.invoke(input, **keywords, stream=True)

    async def astream(self, input: Any = None, /, **keywords: Any) -> EventStream:
        """Run the chain for one call, streamed (async). As `stream`."""
        return await self.ainvoke(input, **keywords, stream=True)

    def _row_calls(self, common: dict[str, Any]) -> tuple[Chain, RowCalls]:
        from .batches.row import RowCalls

        return self, RowCalls(common)

    def explain(self, input: Any = None, /, **keywords: Any) -> Explanation:
        """Say what the chain is; given an input or keywords, also what a call would send, without sending it.

        The dry run resolves the target and encodes the request; secrets are masked; nothing is stored or logged.
        """
        from .explain import explain

        return explain(self.engine, self, _with_input(input, keywords), dict(self.defaults))

    def run(
        self,
        operation: Operation,
        keywords: dict[str, Any],
        dropped: Iterable[Dropped] = (),
        caller: Caller = NOBODY,
    ) -> Reply:
        """Run the chain for one operation (sync).

        Args:
            operation: which call of the API.
            keywords: API parameters and call options.
            dropped: what an entry point already had to leave out; reported with the reply.
            caller: for whom an entry point makes the call.
        """
        engine = self._engine or self.engine
        return engine.run(self, operation, self._with_defaults(operation, keywords), dropped, caller)

    async def arun(
        self,
        operation: Operation,
        keywords: dict[str, Any],
        dropped: Iterable[Dropped] = (),
        caller: Caller = NOBODY,
    ) -> Reply:
        """Run the chain for one operation (async). As `run`."""
        return await self.engine.arun(self, operation, self._with_defaults(operation, keywords), dropped, caller)

    def _with_defaults(self, operation: Operation, keywords: dict[str, Any]) -> dict[str, Any]:
        """Add what is bound, but not the parameters of `create` that the operation does not have."""
        if not self._defaults and not self._inherited:
            return keywords
        others = NAMES["create"] - NAMES[operation]
        return {**{name: value for name, value in self.defaults.items() if name not in others}, **keywords}

    @property
    def own_engine(self) -> Engine | None:
        """That of the client it is bound to; None when it is bound to none."""
        return self._engine

    @property
    def engine(self) -> Engine:
        """What runs the chain: that of the client it is bound to, else the process's default one."""
        if self._engine is not None:
            return self._engine
        from .default_engine import default_engine

        return default_engine()

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickle, (self.stages, self.name, self._defaults)


def _engine_of(client: HasEngine | Engine) -> Engine:
    from .engine import Engine

    engine = client if isinstance(client, Engine) else getattr(client, "engine", None)
    if not isinstance(engine, Engine):
        raise SetupError(f"a chain is bound to a {type(client).__name__}", hint='bind(client), or bind(model="…")')
    return engine


def _unpickle(stages: tuple[StageLike, ...], name: str, defaults: dict[str, Any]) -> Chain:
    return Chain(stages, name=name).bind(**defaults)


def _with_input(value: Any, keywords: dict[str, Any]) -> dict[str, Any]:
    return keywords if value is None else {"input": value, **keywords}


def _shown(name: str, value: object) -> str:
    """Return what a repr says of a bound value: a headers' or a body's could hold keys under any name."""
    text = mask(f"{name}={value!r}") if isinstance(value, str | int | float | Secret) else f"{name}=…"
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _as_stage(item: object, index: int, chain: str) -> Stage | Chain:
    if isinstance(item, (Stage, Chain)):
        return item
    where = f'chain "{chain}", stages[{index}]'
    if isinstance(item, StageMeta):
        raise ChainError(f"{where}: {item.__name__} is a class; a stage is expected", hint=f"write {item.__name__}()")
    if isinstance(item, FunctionType) or callable(item):
        return make_stage(cast(Any, item))
    raise ChainError(
        f"{where}: {quoted(item)} is no stage",
        hint="a stage is a Stage, a Chain, or an `async def (request, call_next)`",
    )
