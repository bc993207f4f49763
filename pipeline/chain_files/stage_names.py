"""Which stage a name in a chain file means.

Names come from the entry points of the group `antiphon.stages`, this package's own ones among them, and from what the
caller of `Chain.from_toml` hands in. A name with a colon, "package.module:Name", is a place in code; it is looked up
only where the caller allows its module, since a file that may import anything may do anything.
"""

from __future__ import annotations

import functools
import importlib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from ..chain import Chain
from ..errors import ChainError, SetupError, did_you_mean, message_of
from ..function_stages import FunctionStage
from ..stage import Stage, StageLike, StageMeta, found_at, place_in_code
from ..wording import quoted

GROUP = "antiphon.stages"

Named: TypeAlias = "StageLike | type[Stage]"


class StageNames:
    """The stages that a chain file may name.

    Args:
        given: stage classes, decorated functions, chains and bare functions, by the names that they have in a chain.
        allow_imports: modules, with their sub-modules, from which "module:Name" may be taken.

    Raises:
        SetupError: two stages with one name.
    """

    def __init__(self, given: Iterable[Named] = (), allow_imports: Iterable[str] = ()) -> None:
        self._known: dict[str, Callable[[], Named]] = {}
        self._allowed = tuple(allow_imports)
        for point in installed().values():
            self._known[point.name] = point.load
        for item in given:
            name = name_of(item)
            if name in self._known:
                raise SetupError(
                    f'two stages are named "{name}": one that is installed or was given before, and {quoted(item)}'
                )
            self._known[name] = lambda item=item: item  # type: ignore[misc]

    def __iter__(self) -> Any:
        return iter(sorted(self._known))

    def find(self, name: str, where: str) -> Named:
        """Return what `name` means.

        Raises:
            ChainError: nobody knows it, it may not be imported, or what is there is no stage.
        """
        if is_place(name):
            return _as_named(self.imported(name, where), name, where)
        if name not in self._known:
            raise ChainError(
                f'{where}: unknown stage "{name}"{did_you_mean(name, self._known)}',
                hint=f"known: {', '.join(self)}; a stage of your own is handed in by stages=[...], "
                'or named by its place, "module:Name", and allowed by allow_imports=[...]',
            )
        return _as_named(self._known[name](), name, where)

    def imported(self, name: str, where: str) -> Any:
        """Return what stands at a place in code, "module:Name".

        Raises:
            ChainError: the module is not one of those that may be imported, or there is no such thing in it.
        """
        module, _, path = name.partition(":")
        if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in self._allowed):
            raise ChainError(
                f'{where}: "{name}" names code to be imported, and module "{module}" is not allowed',
                hint=f'pass allow_imports=["{module}"], if you trust the file',
            )
        try:
            return operator.attrgetter(path)(importlib.import_module(module))
        except (ImportError, AttributeError) as error:
            raise ChainError(f'{where}: "{name}" cannot be imported: {message_of(error)}') from error


def is_place(name: str) -> bool:
    """Whether text has the form of a place in code, "package.module:Name"."""
    return re.fullmatch(r"[\w.]+:[\w.]+", name) is not None


def name_of(item: Named) -> str:
    """Return the name that a stage, its class or its function has in a chain."""
    if isinstance(item, StageMeta):
        return str(item.__struct_config__.tag)
    if isinstance(item, (Stage, Chain)):
        return item.name
    return getattr(item, "__name__", None) or type(item).__name__


def place_of(item: object) -> str | None:
    """Return "module:Name" for a stage, class or function that can be found again there, else None."""
    made_of = getattr(item, "function", item)
    module, name = place_in_code(made_of)
    found: Any = found_at(module, name)
    if found is None or module == "__main__":
        return None
    is_bare = isinstance(item, FunctionStage) and found is made_of
    same = FunctionStage(function=found) == item if is_bare else found is item or found == item
    return f"{module}:{name}" if same else None


@functools.lru_cache(maxsize=1)  # to find them, every installed package's files are looked through
def installed() -> Mapping[str, EntryPoint]:
    """Return the entry points of all installed packages, by name, as they were when this process first asked.

    Raises:
        SetupError: two packages register different stages under one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise SetupError(
                f'two installed packages register a stage named "{point.name}": {other.value} and {point.value}',
                hint=f"rename or uninstall one of them (entry points of the group {GROUP})",
            )
    return MappingProxyType(found)


def _as_named(found: object, name: str, where: str) -> Named:
    if isinstance(found, (StageMeta, Stage, Chain)) or callable(found):
        return cast("Named", found)
    raise ChainError(f'{where}: "{name}" is {type(found).__name__}; a stage is expected')
