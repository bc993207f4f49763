"""The tables of settings and options in docs/stages.md are made from the stages; `make pages` writes them.

The prose of a section is by hand. Its tables stand between two comments, or at its end where there are none yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from doc_tables import cell, explained, names, ruled

import antiphon
from antiphon import Stage
from antiphon.pipeline.stage import field_types

PAGE = Path(__file__).parents[2] / "docs" / "stages.md"
BEGIN, END = "<!-- made from the class -->", "<!-- end -->"

STAGES = {
    kind.__name__: kind
    for name in antiphon.__all__
    if isinstance(kind := getattr(antiphon, name), type) and issubclass(kind, Stage) and kind is not Stage
}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
WORDS = {
    "Any": "any",
    "Callable": "function",
    "Mapping": "mapping",
    "NoneType": "None",
    "Sequence": "list",
    "dict": "mapping",
    "tuple": "list",
}


def page(text: str) -> str:
    """Return the page as it should be: its prose, with the tables of today."""

    def with_tables(found: re.Match[str]) -> str:
        stage = STAGES.get(found["title"])
        if stage is None:
            return found[0]
        made = "\n".join((BEGIN, "", *tables(stage), "", END))
        head, mark, rest = found[0].partition(BEGIN)
        if mark:
            return head + made + rest.partition(END)[2]
        return f"{head.rstrip()}\n\n{made}\n\n"

    whole = re.sub(r"^## (?P<title>.+)\n(?:(?!^## ).*\n)*", with_tables, text, flags=re.MULTILINE)
    return whole.rstrip("\n") + "\n"


def tables(stage: type[Stage]) -> Iterator[str]:
    settings, options = list(setting_rows(stage)), [(f"`{one.name}`", cell(one.doc)) for one in stage.options]
    if settings:
        yield from ruled(("setting", "type", "default", "meaning"), settings)
    if settings and options:
        yield ""
    if options:
        yield from ruled(("option of a call", "meaning"), options)
    if not settings and not options:
        yield "No settings and no options."


def setting_rows(stage: type[Stage]) -> Iterator[tuple[str, str, str, str]]:
    fields, types = {field.name: field for field in msgspec.structs.fields(stage)}, field_types(stage)
    for found, meaning in explained(stage):
        kinds = list(dict.fromkeys(cell(shown_type(types.get(name, Any))) for name in found))
        values = list(dict.fromkeys(shown_default(fields[name]) for name in found))
        yield names(found), ", ".join(kinds), ", ".join(values), meaning


def shown_type(kind: Any) -> str:
    """Return a type in the words of a page, with its bounds."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        limits = [
            f" {sign} {value:g}"
            for meta in inside[1:]
            for name, sign in BOUNDS.items()
            if (value := getattr(meta, name)) is not None
        ]
        return shown_type(inside[0]) + " and".join(limits)
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in inside)
    if origin in (Union, UnionType):
        return " or ".join(map(shown_type, inside))
    name: str = (origin or kind).__name__
    return WORDS.get(name, name)


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "–"
    if field.default is msgspec.NODEFAULT:
        return f"`{field.default_factory()}`"
    value = field.default
    if isinstance(value, tuple) and value:
        return "see there"
    return f"`{value:,}`".replace(",", "_") if type(value) is int else f"`{value!r}`".replace("'", '"')


def test_the_page_says_what_the_stages_do() -> None:
    text = PAGE.read_text("utf-8")

    assert text == page(text), "write it again: make pages"


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_setting_of_a_stage_is_explained_by_its_docstring(stage: type[Stage]) -> None:
    said = [name for found, meaning in explained(stage) for name in found if meaning]

    assert sorted(said) == sorted(stage.__struct_fields__)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
