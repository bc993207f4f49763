"""Each stage has a page in docs/stages, named as the stage is in a chain; `make pages` writes its tables.

The prose is by hand. The tables of settings and options, which are made from the class, stand between two comments, or
at the end where there are none yet. The list of all stages in docs/stages.md and the one in docs/index.md are by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from doc_tables import cell, explained, names, ruled

import antiphon
from antiphon import Stage, presets
from antiphon.pipeline.stage import field_types

DOCS = Path(__file__).parents[2] / "docs"
BEGIN, END = "<!-- made from the class -->", "<!-- end -->"

STAGES = {
    kind.__name__: kind
    for name in antiphon.__all__
    if isinstance(kind := getattr(antiphon, name), type) and issubclass(kind, Stage) and kind is not Stage
}
PAGES = {kind: DOCS / "stages" / f"{kind.__struct_config__.tag}.md" for kind in STAGES.values()}
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


def page(stage: type[Stage], text: str) -> str:
    """Return the page as it should be: its prose, with the tables of today."""
    head, mark, rest = text.partition(BEGIN)
    made = "\n".join((BEGIN, "", *tables(stage), "", END))
    if not mark:
        return f"{head.rstrip()}\n\n{made}\n"
    return head + made + rest.partition(END)[2]


def tables(stage: type[Stage]) -> Iterator[str]:
    yield from (f"Its name in chains and chain files is `{stage.__struct_config__.tag}`.", "")
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


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_the_page_of_a_stage_says_what_the_class_does(stage: type[Stage]) -> None:
    text = PAGES[stage].read_text("utf-8")

    assert text.startswith(f"# {stage.__name__}\n")
    assert text == page(stage, text), "write it again: make pages"


def test_every_stage_that_has_a_name_in_chain_files_has_a_page_and_every_page_a_stage() -> None:
    named = {entry.load() for entry in entry_points(group="antiphon.stages") if entry.value.startswith("antiphon.")}

    assert named == {*STAGES.values()}
    assert sorted(PAGES.values()) == sorted((DOCS / "stages").glob("*"))


def test_the_list_has_every_stage_with_the_words_of_the_index() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\((stages/\w+\.md)\) \| (.+?) \| .+ \|$", read("stages.md"), re.MULTILINE)
    entries = re.findall(r"^- \[(\w+)\]\((stages/\w+\.md)\): (.+)$", read("index.md"), re.MULTILINE)

    assert rows == entries
    assert sorted((name, place) for name, place, _ in rows) == sorted(
        (kind.__name__, path.relative_to(DOCS).as_posix()) for kind, path in PAGES.items()
    )
    stock = [type(stage).__name__ for stage in presets.responses]
    assert [name for name, _, _ in rows][: len(stock)] == stock


def read(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_every_setting_of_a_stage_is_explained_by_its_docstring(stage: type[Stage]) -> None:
    said = [name for found, meaning in explained(stage) for name in found if meaning]

    assert sorted(said) == sorted(stage.__struct_fields__)


if __name__ == "__main__":
    for kind, path in PAGES.items():
        path.write_text(page(kind, path.read_text("utf-8")), "utf-8")
