"""Schemas of types, and their strict form."""

from __future__ import annotations

import copy
import dataclasses
import re
from typing import Annotated, Any, Generic, Literal, TypedDict, TypeVar

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.pipeline.errors import InvalidParameter
from antiphon.pipeline.json_schema import can_be_strict, output_type, schema_of, strict_schema

T = TypeVar("T")


class Place(msgspec.Struct):
    """Where."""

    city: str
    zip: str | None = None


class Person(msgspec.Struct):
    name: str
    home: Place
    work: Place | None = None
    tags: list[str] = []


class Node(msgspec.Struct):
    value: int
    children: list[Node] = []


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    tricks: list[str]


class Owner(msgspec.Struct):
    pet: Cat | Dog
    age: Annotated[int, msgspec.Meta(ge=0)] | str


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Open(msgspec.Struct):
    counts: dict[str, int]


class Anything(msgspec.Struct):
    value: Any


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Words(TypedDict):
    first: str
    kind: Literal["a", "b"]


class Model(pydantic.BaseModel):
    name: str
    size: int | None = None


class Holder(pydantic.BaseModel):
    model: Annotated[Model, pydantic.Field(description="the one")]
    model_2: Model | None = None


class Tree(pydantic.BaseModel):
    kids: list[Tree] = []
    parent: Annotated[Tree | None, pydantic.Field(description="up")] = None


def objects(schema: Any) -> list[dict[str, Any]]:
    """Return every object of a schema."""
    if isinstance(schema, list):
        return [found for member in schema for found in objects(member)]
    if not isinstance(schema, dict):
        return []
    here = [schema] if schema.get("type") == "object" else []
    return here + [found for member in schema.values() for found in objects(member)]


@pytest.mark.parametrize(
    ("kind", "name", "properties"),
    [
        (Place, "Place", ["city", "zip"]),
        (Person, "Person", ["name", "home", "work", "tags"]),
        (Node, "Node", ["value", "children"]),
        (Owner, "Owner", ["pet", "age"]),
        (Page[int], "Page", ["items"]),
        (Point, "Point", ["x", "y"]),
        (Words, "Words", ["first", "kind"]),
        (Model, "Model", ["name", "size"]),
        (Holder, "Holder", ["model", "model_2"]),
        (Tree, "Tree", ["kids", "parent"]),
    ],
)
def test_a_class_gives_its_name_and_a_closed_object(kind: Any, name: str, properties: list[str]) -> None:
    found = output_type(kind)

    assert (found.name, found.strict, found.schema["type"]) == (name, True, "object")
    assert list(found.schema["properties"]) == properties
    assert "$ref" not in found.schema
    for node in objects(found.schema):
        assert node["additionalProperties"] is False
        assert node["required"] == list(node["properties"])
    assert '"default"' not in repr(found.schema).replace("'", '"')
    assert found.format == {"type": "json_schema", "name": name, "schema": found.schema, "strict": True}


def test_a_nested_class_stays_a_definition() -> None:
    _, schema = schema_of(Person)

    assert list(schema["$defs"]) == ["Place"]
    assert schema["properties"]["home"] == {"$ref": "#/$defs/Place"}


def test_a_recursive_class_stands_at_the_root_and_among_the_definitions() -> None:
    _, schema = schema_of(Node)

    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["properties"].keys() == {"value", "children"}
    assert strict_schema(schema)["$defs"]["Node"]["additionalProperties"] is False


def test_a_recursive_reference_with_siblings_is_kept_bare() -> None:
    schema = {
        "$ref": "#/$defs/A",
        "$defs": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/$defs/B", "description": "b"}}},
            "B": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A", "title": "a"}, "n": {"type": "null"}}},
        },
    }

    strict = strict_schema(schema)

    assert strict["type"] == "object"
    inlined = strict["properties"]["b"]
    assert (inlined["description"], inlined["required"]) == ("b", ["a", "n"])
    assert inlined["properties"]["a"] == {"$ref": "#/$defs/A"}
    assert strict["$defs"]["A"]["properties"]["b"]["properties"]["a"] == {"$ref": "#/$defs/A"}


def test_a_reference_with_siblings_is_replaced_by_what_it_points_to() -> None:
    strict = output_type(Holder).schema

    assert strict["properties"]["model"]["description"] == "the one"
    assert strict["properties"]["model"]["required"] == ["name", "size"]
    assert {"$ref": "#/$defs/Model"} in strict["properties"]["model_2"]["anyOf"]


def test_one_member_of_all_of_is_merged_and_more_are_kept() -> None:
    member = {"type": "object", "properties": {"a": {"type": "integer"}}}
    closed = {**member, "required": ["a"], "additionalProperties": False}

    assert strict_schema({"allOf": [member], "description": "d"}) == {**closed, "description": "d"}
    assert strict_schema({"allOf": [member, member]}) == {"allOf": [closed, closed]}
    assert strict_schema({"allOf": [{"type": "string"}], "type": "string"})["allOf"] == [{"type": "string"}]


def test_a_property_may_bear_the_name_of_a_keyword() -> None:
    names = ["default", "$ref", "allOf", "oneOf", "properties", "required", "items", "discriminator"]
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    assert strict_schema(schema)["required"] == names
    assert strict_schema(schema)["properties"] == schema["properties"]


def test_one_of_becomes_any_of() -> None:
    union = output_type(Owner).schema["properties"]["pet"]
    strict = strict_schema({"oneOf": [{"type": "object", "properties": {}}], "discriminator": {"propertyName": "t"}})

    assert union.keys() == {"anyOf"}
    assert strict == {"anyOf": [{"type": "object", "properties": {}, "required": [], "additionalProperties": False}]}


@pytest.mark.parametrize("schema", [{"$ref": "https://x/y", "title": "t"}, {"$ref": "#/no/where", "title": "t"}])
def test_a_reference_that_leads_nowhere_is_kept(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) == schema


@pytest.mark.parametrize("kind", [Open, Anything])
def test_a_type_that_strict_mode_cannot_say_is_asked_for_without_it(kind: Any) -> None:
    found = output_type(kind)

    assert found.strict is found.format["strict"] is False
    assert found.schema == schema_of(kind)[1]


def test_a_schema_dict_is_sent_as_it_is() -> None:
    loose = {"title": "A city!", "type": "object", "properties": {"name": {"type": "string", "default": None}}}
    strict = strict_schema(loose)

    assert schema_of(loose)[1] is loose
    assert output_type(loose).format == {"type": "json_schema", "name": "A_city", "schema": loose, "strict": False}
    assert output_type(strict).strict is True


def test_a_whole_format_passes_as_it_is() -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": False, "description": "d"}

    assert output_type(form).format is form
    assert schema_of(form) == ("n", {"type": "object"})
    assert output_type({"type": "json_object"}).format == {"type": "json_object"}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (list[int], "describes array at its root; an object is expected"),
        (int, "describes integer"),
        (Cat | Dog, "describes anyOf"),
        (Place | None, "describes anyOf"),
        (Any, "describes no type"),
        (pydantic.RootModel[list[int]], "describes array"),
        ({"type": "array", "items": {}}, "describes array"),
        ({}, "describes no type"),
        ({"type": "text"}, "describes text"),
        (Place("Rome"), "has no JSON schema"),
        ("Place", "has no JSON schema"),
        (object, "has no JSON schema"),
        ({"type": "json_schema", "json_schema": {}}, "without a schema"),
    ],
)
def test_what_is_no_object_is_refused(kind: Any, says: str) -> None:
    with pytest.raises(InvalidParameter, match=re.escape(says)) as caught:
        output_type(kind)

    assert caught.value.param == "text_format"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("title", "name"),
    [("Ünïcode name", "n_code_name"), ("x" * 80, "x" * 64), ("!!", "response"), (None, "response"), (7, "7")],
)
def test_names_are_cut_to_what_the_api_takes(title: Any, name: str) -> None:
    assert schema_of({"type": "object", "title": title})[0] == name


def test_a_type_is_looked_at_once_and_an_unhashable_one_works() -> None:
    assert output_type(Place) is output_type(Place)
    meta = msgspec.Meta(extra_json_schema={"title": "x"}, extra={"a": []})
    assert output_type(Annotated[Place, meta]).schema["title"] == "x"


SCHEMAS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "null", "default": None}, {"$ref": "#/$defs/D", "title": "t"}, {}]),
    lambda inner: st.one_of(
        st.builds(lambda p: {"type": "object", "properties": p}, st.dictionaries(st.text(max_size=3), inner)),
        st.builds(lambda m: {"anyOf": m}, st.lists(inner, max_size=3)),
        st.builds(lambda m: {"allOf": [m]}, inner),
        st.builds(lambda m: {"type": "array", "items": m}, inner),
    ),
    max_leaves=12,
)


@given(SCHEMAS, SCHEMAS)
def test_a_strict_schema_is_a_fixed_point_and_the_given_one_is_left_alone(root: Any, definition: Any) -> None:
    given_ = {**root, "$defs": {"D": definition}}
    before = copy.deepcopy(given_)

    strict = strict_schema(given_)

    assert given_ == before
    assert strict_schema(strict) == strict
    for node in objects(strict):
        assert node["additionalProperties"] is False
        assert set(node["required"]) == node["properties"].keys()


def test_values_of_each_kind_come_back_typed() -> None:
    assert output_type(Node).decode('{"value":1,"children":[{"value":2}]}') == Node(1, [Node(2)])
    assert output_type(Owner).decode('{"pet":{"type":"dog","tricks":[]},"age":"old"}') == Owner(Dog([]), "old")
    assert output_type(Point).decode('{"x":1}') == Point(1)
    assert output_type(Words).decode('{"first":"x","kind":"a"}') == {"first": "x", "kind": "a"}
    assert output_type(Tree).decode('{"kids":[{}]}') == Tree(kids=[Tree()])
    assert output_type({"type": "object"}).decode('{"a":[1]}') == {"a": [1]}
    with pytest.raises(ValueError, match="object is expected"):
        output_type({"type": "object"}).decode("[1]")


def test_what_keeps_its_meaning_when_closed() -> None:
    assert can_be_strict({"type": "object", "properties": {"a": {"$ref": "#/x"}}, "additionalProperties": False})
    assert not can_be_strict({"type": "object", "properties": {"a": True}})
    assert not can_be_strict({"type": "object"})
    assert not can_be_strict({"type": "object", "properties": {"a": {"type": "array", "items": {}}}})
