"""The pages of the API reference, from the public names and their docstrings."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import NamedTuple

import msgspec
from sphinx.pycode import ModuleAnalyzer

import antiphon
from antiphon.pipeline.api import events, items, response, response_fields
from antiphon.pipeline.api.wire import Lazy, Wire


class Page(NamedTuple):
    """One page.

    Args:
        homes: the modules whose public names it has, by the beginnings of their names.
    """

    title: str
    about: str
    homes: tuple[str, ...]


PAGES = {
    "calls.md": Page(
        "Calls and clients",
        "The functions of one call, and the clients. See [Quick start](../quickstart.md); what may be given by name is "
        "in [LiteLLM's keywords](../keywords.md).",
        ("prebuilt", "client", "openai_client", "pipeline.default_engine", "pipeline.timeouts", "pipeline.secret"),
    ),
    "replies.md": Page(
        "Replies and their facts",
        "What comes back, and what is known of how it came about. See [Concepts](../concepts.md#reply).",
        ("pipeline.api.response", "pipeline.reply", "pipeline.streams.event_stream", "pipeline.streams.grammar"),
    ),
    "chains.md": Page(
        "Chains and stages of your own",
        "What stages are made of, and how they are composed. See [Concepts](../concepts.md#stage).",
        ("pipeline.chain", "pipeline.stage", "pipeline.function_stages", "pipeline.request", "pipeline.explain"),
    ),
    "stages.md": Page(
        "Stages",
        "The stages that come with the library. [Stages](../stages.md) says where each of them stands.",
        ("stages",),
    ),
    "signals.md": Page(
        "Signals and hooks",
        "What hooks are told, and what listens to it. See [Observability](../observability.md).",
        ("pipeline.signals", "pipeline.hook_queue", "stages.log", "stages.metrics", "stages.trace"),
    ),
    "tools.md": Page(
        "Tools and MCP",
        "Functions as tools, and the MCP client. See [Tools](../tools.md) and [MCP](../mcp.md).",
        ("pipeline.tool_function", "stages.tools", "mcp"),
    ),
    "stores.md": Page("Stores", "Where state is kept. See [Stores](../stores.md).", ("pipeline.stores",)),
    "serve.md": Page("Serving", "A chain as an HTTP endpoint. See [Serve a chain](../serve.md).", ("serve",)),
    "errors.md": Page(
        "Errors",
        "The tree of errors. [Errors](../errors.md) has the cause and the next move of each.",
        ("pipeline.errors",),
    ),
    "parameters.md": Page(
        "Parameters",
        "What the API's calls take, as a stage sees it in `request.params`.",
        ("pipeline.api.params",),
    ),
    "further.md": Page("Further names", "Smaller things that are public too.", ("",)),
}

ALIASES = {
    "Answer": "providers.scripted",
    "Handler": "pipeline.request",
    "NULL": "pipeline.api.params",
    "Reply": "pipeline.reply",
}
"""Names that are neither class nor function, by the module that says what they are."""

MODULES = {"tools.md": "mcp", "further.md": "providers", "calls.md": "testing", "serve.md": "serve"}
"""Modules whose own public names stand on a page too."""


def pages() -> dict[str, str]:
    """Return the pages by their file names, each as MyST Markdown."""
    made = {name: "\n".join(page_lines(name, page)) for name, page in PAGES.items()}
    return {**made, "wire.md": "\n".join(wire_lines())}


def page_of(name: str) -> str:
    """Return the page that has a public name: stages on theirs, else that of the closest module."""
    if is_stage(getattr(antiphon, name)):
        return "stages.md"
    home = antiphon._WHERE[name]
    fits = [(len(start), file) for file, page in PAGES.items() for start in page.homes if is_inside(home, start)]
    return max(fits)[1]


def is_stage(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, antiphon.Stage) and found is not antiphon.Stage


def is_inside(module: str, package: str) -> bool:
    return not package or f"{module}.".startswith(f"{package}.")


def page_lines(file: str, page: Page) -> Iterator[str]:
    """Yield a page: its names in the order of its modules and of their sources, then what its module adds."""
    names = [name for found in antiphon._HOMES.values() for name in found if page_of(name) == file]
    yield from (f"# {page.title}", "", page.about, "", "```{eval-rst}", ".. currentmodule:: antiphon", "")
    for name in sorted(names, key=lambda name: place(name, page)):
        if name != "__version__":
            yield from entry(name, antiphon)
    yield "```"
    if (inside := MODULES.get(file)) is not None:
        module = importlib.import_module(f"antiphon.{inside}")
        yield from ("", f"## antiphon.{inside}", "", "```{eval-rst}", f".. automodule:: antiphon.{inside}", "")
        for name in module.__all__:
            if not (inside == "mcp" and name in antiphon.__all__):
                yield from entry(name, module)
        yield "```"
    yield ""


def place(name: str, page: Page) -> tuple[int, str, int]:
    """Return where a name stands on its page; stages go by the alphabet."""
    home = antiphon._WHERE[name]
    if is_stage(getattr(antiphon, name)):
        return 0, name, 0
    rank = next(rank for rank, start in enumerate(page.homes) if is_inside(home, start))
    return rank, home, list(vars(importlib.import_module(f"antiphon.{home}"))).index(name)


def entry(name: str, module: ModuleType) -> Iterator[str]:
    """Yield the directive of one public name."""
    public = {*antiphon.__all__, *module.__all__}
    found, path = getattr(module, name), f"{module.__name__}.{name}"
    if name in ALIASES:
        said = ModuleAnalyzer.for_module(f"antiphon.{ALIASES[name]}").find_attr_docs().get(("", name), [])
        yield from (f".. py:data:: {name}", "", *(f"   {line.replace('`', '``')}" for line in said), "")
    elif not isinstance(found, type):
        # Of a bound method Sphinx would leave out the first parameter, taking it for self.
        signature = str(inspect.signature(found)).replace("'", "") if inspect.ismethod(found) else ""
        yield from (f".. autofunction:: {path}{signature}", "")
    elif issubclass(found, BaseException):
        signature = "" if "__init__" in vars(found) else "()"  # else that of AntiphonError, again and again
        yield from (f".. autoexception:: {path}{signature}", "   :show-inheritance:", "")
    elif is_stage(found):
        yield from (f".. autoclass:: {path}", "")
    else:
        # No user makes a wire object or a stream by its constructor.
        signature = "()" if issubclass(found, (Wire, antiphon.EventStream)) else ""
        yield from (f".. autoclass:: {path}{signature}", "   :members:")
        if not any(base.__name__ in public for base in found.__mro__[1:]):  # what a public base has is said there
            yield "   :inherited-members: Struct, Protocol"
        if issubclass(found, Wire):
            yield from ("", f"   Fields of the API: {', '.join(f'``{name}``' for name in fields(found))}.")
        yield ""


# --- the API's objects ----------------------------------------------------------------------------------------------


def wire_lines() -> Iterator[str]:
    """Yield the tables of the API's own objects: events, items, and what is inside a response."""
    yield from (
        "# Events, items and other objects of the API",
        "",
        "Fields have the API's names. Absent ones read as None, as an empty value, or as -1 for an index; fields that",
        "are not listed survive in `raw` and `to_dict()`. An object of a type that is not listed is an `UnknownEvent`",
        "or an `UnknownItem`. Every event has a `sequence_number`, and every item a `type`.",
        "",
    )
    yield from ("## Events", "", "In `antiphon.events`.", "")
    yield from table(events.EVENTS.values(), "event")
    yield from ("", "## Items", "", "In `antiphon.items`: what stands in `response.output` and `input`.", "")
    yield from table(items.ITEMS.values(), "item")
    yield from ("", "## Responses, and what is in them", "")
    yield from (
        "In `antiphon.pipeline.api.response`, and of their fields in `antiphon.pipeline.api.response_fields`.",
        "",
    )
    yield from table([*_wire_classes(response), *_wire_classes(response_fields)], "object")
    yield ""


def _wire_classes(module: ModuleType) -> list[type]:
    own = [kind for kind in vars(module).values() if isinstance(kind, type) and kind.__module__ == module.__name__]
    return [kind for kind in own if issubclass(kind, Wire)]


def table(kinds: Iterable[type], left: str) -> Iterator[str]:
    """Yield a table of wire classes; those of a family begin with their type."""
    yield from (f"| {left} | fields | meaning |", "| --- | --- | --- |")
    for cls in kinds:
        shown = ", ".join(f"`{name}`" for name in fields(cls) if name != "sequence_number") or "–"
        meaning = " ".join((inspect.getdoc(cls) or "").partition("\n\n")[0].split()).replace("|", "\\|")
        kind = f"`{cls.type}` " if isinstance(getattr(cls, "type", None), str) else ""
        yield f"| {kind}`{cls.__name__}` | {shown} | {meaning} |"


def fields(cls: type) -> list[str]:
    """Return the fields of a wire class in their order; a raw field goes by the name of its view."""
    names = [field.name for field in msgspec.structs.fields(cls)]
    views = {name for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, Lazy)}
    return [view if (view := name.removesuffix("_json")) in views else name for name in names]
