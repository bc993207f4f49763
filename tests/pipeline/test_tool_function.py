"""Python functions as tools: what the model is told of them, and how they are called."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest

from antiphon import InvalidParameter, ToolContext, ToolError, ToolFunction, tool
from antiphon.pipeline.tool_function import object_of, result_output, tool_function

NO_CONTEXT: Any = None


def parameters(fn: Any) -> dict[str, Any]:
    found: dict[str, Any] = tool_function(fn).definition["parameters"]
    return found


def call(fn: Any, arguments: str) -> Any:
    return tool_function(fn).bind(arguments, NO_CONTEXT)()


def test_a_definition_comes_from_signature_and_docstring() -> None:
    def get_weather(city: str, days: int) -> str:
        """Say what the weather is like.

        Only for cities.

        Args:
            city: the name of a city,
                as people write it.
            days (int): how many.

        Returns:
            a sentence.
        """
        return city

    assert tool_function(get_weather).definition == {
        "type": "function",
        "name": "get_weather",
        "description": "Say what the weather is like.\n\nOnly for cities.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the name of a city, as people write it."},
                "days": {"type": "integer", "description": "how many."},
            },
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    }


def test_the_fields_of_a_docstring_describe_parameters_too() -> None:
    def search(query: str, limit: int = 3) -> None:
        """Search.

        :param query: what to look for
        :param int limit: how many
            at most
        :returns: nothing
        """

    assert tool_function(search).definition["description"] == "Search."
    assert [each["description"] for each in parameters(search)["properties"].values()] == [
        "what to look for",
        "how many at most",
    ]


def test_annotations_describe_parameters_first() -> None:
    def f(
        a: Annotated[int, "from the annotation"],
        b: Annotated[int, msgspec.Meta(ge=1, description="from Meta")],
        c: Annotated[str, msgspec.Meta(max_length=3)],
    ) -> None:
        """F.

        Args:
            a: from the docstring.
            b: from the docstring.
            c: from the docstring.
        """

    found = parameters(f)["properties"]
    assert found["a"]["description"] == "from the annotation"
    assert found["b"] == {"type": "integer", "minimum": 1, "description": "from Meta"}
    assert found["c"] == {"type": "string", "maxLength": 3, "description": "from the docstring."}


def test_a_default_makes_a_parameter_optional_and_the_tool_not_strict() -> None:
    def f(a: int, b: int = 2, c: list[int] = [], d: Any = object()) -> Any:  # noqa: B006, B008
        return a, b, c

    definition = tool_function(f).definition
    assert definition["strict"] is False
    assert definition["parameters"]["required"] == ["a"]
    assert definition["parameters"]["properties"]["b"]["default"] == 2
    assert call(f, '{"a": 1}') == (1, 2, [])
    assert call(f, '{"a": 1, "c": [4]}') == (1, 2, [4])


class City(msgspec.Struct):
    name: str


@dataclass
class Point:
    x: int


class Person(pydantic.BaseModel):
    name: str
    city: Inner


class Inner(pydantic.BaseModel):
    zip: int


Person.model_rebuild()


def test_types_of_all_kinds_are_described_and_read() -> None:
    def f(city: City, point: Point, person: Person, unit: Literal["c", "f"], many: list[City]) -> Any:
        return city, point, person, unit, many

    schema = parameters(f)
    assert {"City", "Point", "Inner"} <= schema["$defs"].keys()
    assert tool_function(f).definition["strict"] is True
    assert call(
        f,
        '{"city": {"name": "Rome"}, "point": {"x": 1}, "person": {"name": "Ann", "city": {"zip": 1}},'
        ' "unit": "c", "many": [{"name": "Bonn"}]}',
    ) == (City("Rome"), Point(1), Person(name="Ann", city=Inner(zip=1)), "c", [City("Bonn")])
    with pytest.raises(ToolError, match="do not fit"):
        call(f, '{"city": {"name": "Rome"}, "point": {"x": 1}, "person": {"name": 1}, "unit": "c", "many": []}')


def test_sloppy_arguments_are_read_as_they_are_meant() -> None:
    def f(n: int, yes: bool) -> Any:
        return n, yes

    assert call(f, '{"n": "5", "yes": "true"}') == (5, True)


def test_no_arguments_may_be_no_text() -> None:
    assert call(lambda_named("f", lambda: "done"), "") == "done"


def lambda_named(name: str, fn: Any) -> ToolFunction[..., Any]:
    return tool(fn, name=name)


def test_the_context_is_no_parameter_of_the_model() -> None:
    def f(a: int, ctx: ToolContext) -> Any:
        return a, ctx

    def g(a: int, ctx: ToolContext | None = None) -> Any:
        return a, ctx

    given: Any = object()
    for fn in (f, g):
        assert parameters(fn)["properties"].keys() == {"a"}
        assert tool_function(fn).bind('{"a": 1}', given)() == (1, given)


def test_a_decorated_function_is_still_a_function() -> None:
    @tool(name="sum", description="Add.", timeout_s=3)
    def add(a: int, b: int) -> int:
        """Not this."""
        return a + b

    @tool
    def sub(a: int, b: int) -> int:
        """Subtract."""
        return a - b

    assert add(1, 2) == 3
    assert (add.name, add.definition["description"], add.timeout_s) == ("sum", "Add.", 3)
    assert (sub.name, sub.definition["description"], sub(3, 1)) == ("sub", "Subtract.", 2)
    assert repr(add) == "ToolFunction(sum)"


class Shop:
    def __init__(self) -> None:
        self.sold: list[str] = []

    def sell(self, thing: str) -> int:
        """Sell."""
        self.sold.append(thing)
        return len(self.sold)

    @tool(name="refund")
    def give_back(self, thing: str) -> int:
        """Take it back."""
        self.sold.remove(thing)
        return len(self.sold)

    def __call__(self, thing: str) -> str:
        return thing


def test_methods_partials_and_objects_are_tools_too() -> None:
    shop = Shop()

    assert parameters(shop.sell)["properties"].keys() == {"thing"}
    assert call(shop.sell, '{"thing": "tea"}') == 1
    assert shop.give_back.definition["name"] == "refund"
    assert call(shop.give_back, '{"thing": "tea"}') == 0
    assert call(tool(shop, name="shop"), '{"thing": "x"}') == "x"
    partial = tool(functools.partial(shop.sell, thing="milk"), name="sell_milk")
    assert partial.definition["description"] == "Sell."
    assert call(partial, "{}") == 1


@pytest.mark.parametrize(
    ("fn", "words"),
    [
        (lambda: None, 'a tool is called "<lambda>"'),
        (functools.partial(print), "partial without a name"),
    ],
)
def test_a_tool_needs_a_name(fn: Any, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        tool_function(fn)


def test_parameters_that_no_model_can_fill_in_are_refused() -> None:
    def rest(*args: int) -> None: ...

    def named(**kwargs: int) -> None: ...

    def ordered(a: int, /) -> None: ...

    def odd(a: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for fn in (rest, named, ordered):
        with pytest.raises(InvalidParameter, match="can only fill in parameters by name"):
            tool_function(fn)
    with pytest.raises(InvalidParameter, match="tool odd: its signature cannot be read"):
        tool_function(odd)
    with pytest.raises(InvalidParameter, match="timeout_s is 0"):
        tool(rest, timeout_s=0)


def test_a_type_without_a_schema_is_refused() -> None:
    class Handle:
        pass

    def f(a: Handle) -> None: ...

    f.__annotations__["a"] = Handle
    with pytest.raises(InvalidParameter, match="its parameters have no JSON schema"):
        tool_function(f)


def test_results_become_what_a_model_can_read() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}

    assert result_output("text") == "text"
    assert result_output({"a": City("Rome")}) == '{"a":{"name":"Rome"}}'
    assert result_output([image]) == [image]
    assert result_output([]) == "[]"
    with pytest.raises(ToolError, match="no JSON form"):
        result_output(object())


def test_arguments_as_an_object() -> None:
    assert object_of(" ") == object_of("null") == object_of('""') == {}
    assert object_of('{"a": 1}') == {"a": 1}
    with pytest.raises(ToolError, match="no JSON"):
        object_of("{")
    with pytest.raises(ToolError, match="list; a JSON object"):
        object_of("[]")
