"""The mechanism under all wire objects."""

from __future__ import annotations

import copy
import json
import pickle
import types
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from antiphon.pipeline.api import views, wire
from antiphon.pipeline.api.wire import Lazy, Raw, Wire, encode, many, one, raw_field


class Leaf(Wire, frozen=True, kw_only=True, tag="leaf"):
    size: int = 0


class Tree(Wire, frozen=True, kw_only=True, tag="tree"):
    name: str
    height: float | None = None
    marks: tuple[str, ...] = ()
    leaf_json: Raw = raw_field("leaf")
    leaf = Lazy(one(Leaf.from_json))
    leaves_json: Raw = raw_field("leaves")
    leaves = Lazy(many(Leaf.from_json))


DATA = (
    b'{ "type":"tree", "name":"oak", "leaf":{"type":"leaf","size":3,"hue":"red"}, "age": 1.50, "leaves":[{"size":1}] }'
)


def test_bytes_are_kept_as_they_came() -> None:
    assert Tree.from_json(DATA).raw == DATA


def test_views_are_decoded_once_and_keep_their_bytes() -> None:
    tree = Tree.from_json(DATA)

    assert tree.leaf is tree.leaf
    assert tree.leaf is not None
    assert tree.leaf.raw == b'{"type":"leaf","size":3,"hue":"red"}'
    assert [leaf.size for leaf in tree.leaves] == [1]


def test_views_stay_readable_when_the_whole_is_gone() -> None:
    """A nested object is a window into the bytes of the whole, and keeps them alive."""
    leaf = Tree.from_json(bytes(bytearray(DATA))).leaf

    assert leaf is not None
    assert leaf.to_dict()["hue"] == "red"


def test_an_object_made_here_encodes_without_defaults() -> None:
    assert Tree(name="elm").raw == b'{"type":"tree","name":"elm"}'
    assert Tree(name="elm", leaf_json=Raw(b'{"size":1}')).leaf == Leaf(size=1)


def test_fields_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Tree(name="elm").name = "oak"  # type: ignore[misc]


def test_required_fields_are_keywords() -> None:
    with pytest.raises(TypeError):
        Tree()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Tree("elm")  # type: ignore[call-arg]


def test_replace_keeps_everything_else() -> None:
    tree = Tree.from_json(DATA).replace(name="elm", leaf=Leaf(size=9), age=None)

    assert (tree.name, tree.leaf) == ("elm", Leaf(size=9))
    assert tree.to_dict() == json.loads(DATA) | {"name": "elm", "leaf": {"type": "leaf", "size": 9}, "age": None}


def test_new_adds_the_type() -> None:
    assert Tree.new(name="elm", leaves=[Leaf(size=1), {"size": 2}]).leaves == (Leaf(size=1), Leaf(size=2))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"name":"\\ud83d","leaf":{"size":1}}', ("\ud83d", None, 1)),
        (b'{"name":"a","height":NaN,"leaf":{"size":1}}', ("a", float, 1)),
        (b'{"name":"a","odd":[Infinity],"leaf":{"size":1}}', ("a", None, 1)),
        (b'{"name":"a\xff","leaf":{"size":1}}', ("a\ufffd", None, 1)),
        (b'{"name":null,"height":"tall","marks":[1],"leaf":{"size":"big"}}', ("", None, 0)),
        (b'{"type":"shrub","name":"a","leaf":"?"}', ("a", None, None)),
        (b"{}", ("", None, None)),
    ],
    ids=["lone surrogate", "NaN", "Infinity", "bad UTF-8", "wrong types", "other tag", "empty"],
)
def test_odd_json_is_read_and_kept(data: bytes, expected: tuple[Any, Any, Any]) -> None:
    name, height, size = expected

    tree = Tree.from_json(data)

    assert tree.name == name
    assert isinstance(tree.height, height) if height else tree.height is None
    assert (tree.leaf.size if tree.leaf else None) == size
    assert tree.marks == ()
    assert tree.raw == data


def test_lone_surrogates_survive_a_change() -> None:
    tree = Tree.from_json(b'{"type":"tree","name":"\\ud83d","age":3}').replace(height=2)

    assert tree.name == "\ud83d"
    assert tree.height == 2
    assert json.loads(tree.raw) == {"type": "tree", "name": "\ud83d", "age": 3, "height": 2}


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b'"a"', b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Tree.from_json(data)


def test_copies_and_pickles_keep_the_bytes() -> None:
    tree = Tree.from_json(DATA)

    assert copy.copy(tree) is tree
    assert copy.deepcopy([tree])[0] is tree
    assert pickle.loads(pickle.dumps(tree)).raw == DATA


def test_a_long_repr_is_cut() -> None:
    assert len(repr(Tree(name="x" * 1000))) < 320
    assert repr(Leaf(size=2)) == 'Leaf({"type":"leaf","size":2})'


@dataclass
class Plain:
    leaf: Leaf


class Model:
    """Stands for a pydantic model."""

    def model_dump(self, **options: object) -> dict[str, object]:
        return {"size": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Leaf(size=1), {"type": "leaf", "size": 1}),
        ({"a": [Leaf(size=1), (Leaf(),)]}, {"a": [{"type": "leaf", "size": 1}, [{"type": "leaf"}]]}),
        (Model(), {"size": 1}),
        (None, None),
        ("a\u2028", "a\u2028"),
    ],
)
def test_encode_takes_what_has_a_json_form(value: object, expected: object) -> None:
    assert json.loads(encode(value)) == expected


def test_encode_names_what_has_no_json_form() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode({"a": object()})


# --- readers of views -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b'"a"', "a"), (b"7", "7"), (b"1.5", "1.5"), (b"true", None), (b"null", None), (b"", None), (b"[]", None)],
)
def test_a_code_reads_as_text(data: bytes, expected: str | None) -> None:
    assert views.text_or_number(Raw(data)) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"a":"b","n":1,"o":{"x":null}}', {"a": "b", "n": "1", "o": '{"x":null}'}),
        (b"null", {}),
        (b"[]", {}),
        (b"", {}),
    ],
)
def test_a_map_of_strings_is_never_none(data: bytes, expected: dict[str, str]) -> None:
    assert views.texts(Raw(data)) == expected


def test_free_objects_read_as_plain_values() -> None:
    assert views.json_object(Raw(b'{"a":[1,null]}')) == {"a": [1, None]}
    assert views.json_object(Raw(b"[]")) is None
    assert views.json_objects(Raw(b'[{"a":1},2,null]')) == ({"a": 1},)
    assert views.json_objects(Raw(b"{}")) == ()
    assert views.anything(Raw(b"[1]")) == [1]


@pytest.mark.parametrize("data", [b"1" * 5000, b'"\\x"', b"1e999", b"[" * 100_000])
def test_what_cannot_be_decoded_reads_as_missing(data: bytes) -> None:
    assert views.anything(Raw(data)) in (None, float("inf"))
    assert views.number(Raw(data)) in (None, float("inf"))
    assert views.text_or_number(Raw(data)) in (None, "inf")
    assert views.text_or(views.anything)(Raw(data)) in (None, "", float("inf"))


def test_type_of_sees_the_type_anywhere() -> None:
    assert wire.type_of(b'{"a":{"type":"x"},"type":"y"}') == "y"
    assert wire.type_of(b'{"type":null}') == ""
    assert wire.type_of(b'{"type":"y","a":NaN}') == "y"
    with pytest.raises(msgspec.DecodeError):
        wire.type_of(b"[]")


class Inner(msgspec.Struct, rename="camel"):
    one_name: str = "a"


@dataclass
class Point:
    said: str


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("\ud83d", "\ud83d"),
        ({"a": ["\ud83d\ude00", 1.5, None]}, {"a": ["😀", 1.5, None]}),
        (
            {"a": "\ud83d", "b": Leaf.new(size=2), "c": Raw(b'{"x":[]}')},
            {"a": "\ud83d", "b": {"type": "leaf", "size": 2}, "c": {"x": []}},
        ),
        ([Inner("\ud83d"), Inner()], [{"oneName": "\ud83d"}, {"oneName": "a"}]),
        ({"a": Point("\ud83d")}, {"a": {"said": "\ud83d"}}),
        (types.MappingProxyType({"a": "\ud83d"}), {"a": "\ud83d"}),
    ],
    ids=["text", "joined", "raw", "structs", "dataclass", "mapping"],
)
def test_half_a_character_is_encoded_as_its_escape(value: object, expected: object) -> None:
    assert json.loads(encode(value)) == expected


def test_half_a_character_does_not_make_foreign_things_encodable() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        encode({"a": "\ud83d", "b": object()})
