"""Every type of the API has its class, and every field of it an attribute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.pipeline.api import answer_settings, events, items, parts, response, response_fields, tool_choices, tools
from antiphon.pipeline.api.wire import Wire

NAMES: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "responses" / "api_names.json").read_bytes()
)
FAMILIES: dict[str, dict[str, type[Any]]] = {
    "items": {**items.ITEMS},
    "events": {**events.EVENTS},
    "tools": {**tools.TOOLS},
    "tool_choices": {**tool_choices.TOOL_CHOICES},
    "parts": {**parts.PARTS},
    "annotations": {**parts.ANNOTATIONS},
    "text_formats": {**answer_settings.TEXT_FORMATS},
}
MODULES = (response, response_fields, events, items, tools, tool_choices, answer_settings, parts)
KEYWORDS = {"async": "async_"}


def lacking(cls: type[Any], fields: list[str]) -> list[str]:
    """Return those API fields that cannot be read from an object of the class."""
    return [field for field in fields if not hasattr(cls, KEYWORDS.get(field, field))]


@pytest.mark.parametrize("family", FAMILIES)
def test_each_type_of_the_api_has_a_class(family: str) -> None:
    assert NAMES[family].keys() <= FAMILIES[family].keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_field_of_a_typed_object_is_an_attribute(family: str) -> None:
    found = {name: lacking(FAMILIES[family][name], fields) for name, fields in NAMES[family].items()}

    assert {name: fields for name, fields in found.items() if fields} == {}


@pytest.mark.parametrize("name", NAMES["objects"])
def test_each_field_of_a_nested_object_is_an_attribute(name: str) -> None:
    cls = next(getattr(module, name) for module in MODULES if hasattr(module, name))

    assert lacking(cls, NAMES["objects"][name]) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_type_attribute_is_the_tag(family: str) -> None:
    for name, cls in FAMILIES[family].items():
        assert issubclass(cls, Wire)
        assert cls.type == name  # type: ignore[attr-defined]


def test_there_are_as_many_types_as_the_api_has() -> None:
    assert {name: len(classes) for name, classes in FAMILIES.items()} == {
        "items": 31,
        "events": 59,
        "tools": 18,
        "tool_choices": 15,
        "parts": 7,
        "annotations": 4,
        "text_formats": 3,
    }


def test_events_are_named_by_their_type() -> None:
    kept = {"created", "queued", "in_progress", "completed", "incomplete", "failed"}
    for kind, cls in events.EVENTS.items():
        short = kind.removeprefix("response.")
        words = kind if short in kept else short if kind != "error" else "error_event"

        assert cls.__name__.lower() == words.replace(".", "").replace("_", "")


def test_every_public_class_has_a_line_of_documentation() -> None:
    for module in MODULES:
        for name, cls in vars(module).items():
            if isinstance(cls, type) and issubclass(cls, Wire) and not name.startswith("_"):
                assert (vars(cls).get("__doc__") or "").strip(), name
