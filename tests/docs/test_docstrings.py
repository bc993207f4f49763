"""Public names are explained where they are defined, as `help` and the API reference show them."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pydoc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from doc_tables import explained

import antiphon
from antiphon import mcp, providers, serve, testing
from antiphon.pipeline.api.params import PARAMS
from antiphon.pipeline.api.wire import Wire


def public() -> Iterator[tuple[str, Any]]:
    for module in (antiphon, mcp, providers, serve, testing):
        for name in module.__all__:
            found = getattr(module, name)
            if not isinstance(found, ModuleType | str) and name not in ("Answer", "Handler", "NULL", "Reply"):
                yield f"{module.__name__}.{name}", found


ROOT = Path(__file__).parents[2]
FOLDERS = ("commands", "mcp", "pipeline", "providers", "serve", "stages", "testing")

# Modules whose docstrings have examples.
DOCTESTED = (
    "calls",
    "pipeline.chain",
    "pipeline.function_stages",
    "pipeline.stores.store",
    "pipeline.streams.event_stream",
    "pipeline.tool_function",
    "pipeline.wording",
    "serve.application",
    "testing.scripted_client",
)

PUBLIC = dict(public())
CLASSES = {name: found for name, found in PUBLIC.items() if isinstance(found, type)}


def own(found: type) -> Iterator[str]:
    """Yield the public methods and properties that a class or a base of this library's defines."""
    for name, value in inspect.getmembers_static(found):
        function = getattr(value, "fget", None) or getattr(value, "__func__", value)
        module = getattr(function, "__module__", None) or ""
        if not name.startswith("_") and inspect.isroutine(function) and module.startswith("antiphon"):
            yield name


def test_every_public_name_has_a_docstring_of_its_own() -> None:
    missing = [
        name
        for name, found in PUBLIC.items()
        if not (found.__dict__.get("__doc__") or (inspect.isroutine(found) and found.__doc__))
    ]

    assert missing == []


def test_every_public_method_has_a_docstring() -> None:
    missing = [
        f"{name}.{method}"
        for name, kind in CLASSES.items()
        for method in own(kind)
        if not inspect.getdoc(getattr(kind, method))
    ]

    assert missing == []


def test_every_field_of_a_public_class_is_explained() -> None:
    """But those of the API's own objects and parameters, which the API's reference explains."""
    structs = [kind for kind in CLASSES.values() if issubclass(kind, msgspec.Struct)]
    ours = [kind for kind in structs if not issubclass(kind, (Wire, *PARAMS.values()))]
    said = {kind: {name for base in kind.__mro__ for names, _ in explained(base) for name in names} for kind in ours}

    assert {kind: left for kind in ours if (left := {*kind.__struct_fields__} - said[kind])} == {}


def test_every_public_name_has_a_signature() -> None:
    """Names that are imported for type checkers only would make `help` fail where msgspec looks types up."""
    builtin = [kind for kind in CLASSES.values() if issubclass(kind, Exception) and "__init__" not in vars(kind)]

    assert all(inspect.signature(found) for found in PUBLIC.values() if found not in builtin)


def test_help_says_what_the_package_is_and_shows_all_of_it() -> None:
    text = pydoc.plain(pydoc.render_doc(antiphon))

    assert (
        text.index("as a chain of stages that you compose")
        < text.index("Where to begin")
        < text.index("PACKAGE CONTENTS")
    )
    assert [name for name in antiphon.__all__ if not name.startswith("_") and name not in text] == []


@pytest.mark.parametrize("module", ["__init__", *DOCTESTED])
def test_the_examples_of_docstrings_are_true(module: str) -> None:
    found = importlib.import_module("antiphon" if module == "__init__" else f"antiphon.{module}")

    failed, tried = doctest.testmod(found, optionflags=doctest.ELLIPSIS)

    assert (failed, tried > 0) == (0, True)


def test_every_module_with_examples_is_tried() -> None:
    sources = [*ROOT.glob("*.py"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))]
    names = [path.relative_to(ROOT).with_suffix("").as_posix() for path in sources if ">>> " in path.read_text("utf-8")]

    assert sorted(name.replace("/", ".") for name in names) == ["__init__", *DOCTESTED]
