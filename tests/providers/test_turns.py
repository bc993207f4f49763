"""The input of a call as turns: grouping, pairs of calls and results, and what is decided for every kind of item."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseFunctionToolCall

from antiphon.pipeline.api.items import ITEMS, FunctionCall, read_item
from antiphon.pipeline.errors import InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.blocks import Block, Turn, written
from antiphon.providers.dialects.call_ids import CallIds
from antiphon.providers.dialects.turns import to_turns

FIXTURE: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "fixtures/responses/input_items.json").read_text()
)


def user(text: str = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str = "Well") -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def call(call_id: str, name: str = "f") -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}"}


def output(call_id: str, text: str = "done") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def thought(text: str = "Hm") -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


def turns(items: object, **settings: Any) -> list[Turn]:
    """Return the turns of an input from which nothing is left out."""

    def never(name: str, reason: str) -> None:
        raise AssertionError(f"{name} was dropped: {reason}")

    return to_turns(items, never, **settings)


def shape(found: list[Turn]) -> list[str]:
    """Return turns as "role: block block"; calls and results by their id, text as itself."""
    return [f"{turn.role}: {' '.join(_named(block.value) for block in turn.blocks)}".strip() for turn in found]


def _named(block: dict[str, Any]) -> str:
    if block["type"] == "reasoning":
        return "reasoning"
    named = block.get("text") or block.get("refusal") or block.get("call_id") or block["type"]
    return f">{named}" if block["type"].endswith("_output") else str(named)


# --- grouping


def test_text_is_one_turn_of_the_user() -> None:
    (turn,) = turns("Hi")

    assert turn.role == "user"
    assert [block.value for block in turn.blocks] == [{"type": "input_text", "text": "Hi"}]
    assert turn.blocks[0].where == "input"


def test_no_input_is_no_turn() -> None:
    assert turns(None) == []


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([user("a"), user("b")], ["user: a", "user: b"]),
        ([{"role": "developer", "content": "d"}, user()], ["developer: d", "user: Hi"]),
        ([user(), said("A"), said("B")], ["user: Hi", "assistant: A B"]),
        ([user(), thought(), said("A"), thought(), call("1"), output("1")],
         ["user: Hi", "assistant: reasoning A reasoning 1", "tool: >1"]),
        ([call("1"), thought(), call("2"), output("1"), output("2")], ["assistant: 1 reasoning 2", "tool: >1 >2"]),
        ([call("1"), output("1"), call("2"), output("2")],
         ["assistant: 1", "tool: >1", "assistant: 2", "tool: >2"]),
        ([call("1"), user(), call("2"), output("1"), output("2")],
         ["assistant: 1", "tool: >1", "user: Hi", "assistant: 2", "tool: >2"]),
        ([call("1"), call("2"), output("1"), user(), output("2"), said("A")],
         ["assistant: 1 2", "tool: >1 >2", "user: Hi", "assistant: A"]),
        ([call("1"), {"role": "system", "content": "s"}, output("1")], ["assistant: 1", "tool: >1", "system: s"]),
    ],
)  # fmt: skip
def test_items_become_turns_with_their_results_behind_them(items: list[Any], expected: list[str]) -> None:
    assert shape(turns(items)) == expected


def test_two_messages_of_the_assistant_stay_apart_inside_their_turn() -> None:
    (turn,) = turns([said("A"), said("B")])

    assert [block.where for block in turn.blocks] == ["input[0].content[0]", "input[1].content[0]"]


def test_wire_objects_pydantic_models_and_dicts_read_the_same() -> None:
    given = call("1")

    forms = [given, read_item(json.dumps(given).encode()), ResponseFunctionToolCall(**given)]

    for form in forms:
        assert turns((form, output("1"))) == turns([given, output("1")])
    assert isinstance(forms[1], FunctionCall)


def test_unknown_fields_of_an_item_stay() -> None:
    (turn, _) = turns([{**call("1"), "mood": "good"}, output("1")])

    assert turn.blocks[0].value["mood"] == "good"


# --- pairs


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([call("1")], "input[0] calls f (1), and no item answers it"),
        ([user(), call("1"), user()], "input[1] calls f (1), and no item answers it"),
        ([output("1")], 'input[0] (function_call_output) answers "1", and no item before it makes that call'),
        ([output("1"), call("1")], "no item before it makes that call"),
        ([call("1"), output("1"), output("1")], 'input[2] answers "1" a second time'),
        ([call("1"), call("1"), output("1")], 'input[1] and input[0] are calls with the same call_id "1"'),
        ([{**call("1"), "call_id": None}], "input[0] (function_call) has no call_id"),
        ([{"role": "tool", "content": "x"}], 'input[0].role is "tool"'),
        ([{"role": "user", "content": None}], "input[0].content is missing"),
        (["Hi"], "input[0] is str; an object is expected"),
        ([user(), object()], "input[1] cannot be encoded"),
        ([{"role": "user", "content": ["Hi"]}], "input[0].content[0] is str; an object is expected"),
    ],
)
def test_what_breaks_the_rules_is_an_error_that_names_the_item(items: list[Any], words: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        turns(items)

    assert words in caught.value.message
    if "answers" in words and "second" not in words:
        assert caught.value.hint


def test_an_id_that_is_used_again_after_its_answer_is_told_apart() -> None:
    items = [call("call_0"), output("call_0", "a"), call("call_0"), call("call_1"), output("call_1"), output("call_0")]

    assert shape(turns(items)) == [
        "assistant: call_0",
        "tool: >call_0",
        "assistant: call_0_2 call_1",
        "tool: >call_1 >call_0_2",
    ]


def test_the_callers_items_are_not_changed() -> None:
    items = [call("0"), output("0"), call("0"), output("0")]
    before = json.dumps(items)

    turns(items)

    assert json.dumps(items) == before


def test_ids_are_made_to_fit_and_never_meet() -> None:
    ids = CallIds(re.compile("[a-c]"), lambda text: "abc"[len(text) % 3])

    assert [ids.new(name) for name in ("a", "??", "a")] == ["a", "c", "b"]


def test_ids_do_not_depend_on_what_comes_later() -> None:
    first, second = CallIds(), CallIds()

    made = [first.new(name) for name in ("x", "x", "x_2")]

    assert [second.new(name) for name in ("x", "x")] == made[:2]
    assert made == ["x", "x_2", "x_2_2"]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Calls with ids that come again once answered, answers late and in any order, messages between them."""
    items: list[dict[str, Any]] = []
    waiting: list[str] = []
    for number in range(draw(st.integers(0, 15))):
        kind = draw(st.sampled_from(["user", "said", "thought", "call", "output"]))
        free = [name for name in ("call_0", "call_1", "call_0_2") if name not in waiting]
        if kind == "output" and waiting:
            items.append(output(waiting.pop(draw(st.integers(0, len(waiting) - 1))), str(number)))
        elif kind == "call" and free:
            waiting.append(draw(st.sampled_from(free)))
            items.append(call(waiting[-1]))
        else:
            items.append({"user": user, "said": said}.get(kind, thought)(str(number)))
    return items + [output(call_id, "end") for call_id in waiting]


def pairs(items: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return which item answers which, by reading the input from its start."""
    calls: dict[str, int] = {}
    found: set[tuple[int, int]] = set()
    for at, item in enumerate(items):
        if item.get("type") == "function_call":
            calls[item["call_id"]] = at
        elif item.get("type") == "function_call_output":
            found.add((calls[item["call_id"]], at))
    return found


@given(conversations())
@settings(max_examples=150, deadline=None)
def test_every_result_follows_its_call_at_once_and_nothing_is_lost(items: list[dict[str, Any]]) -> None:
    found = turns(items)

    assert sorted(block.item for turn in found for block in turn.blocks) == list(range(len(items)))
    answered: set[tuple[int, int]] = set()
    asked: dict[str, int] = {}
    for turn in found:
        if turn.role == "tool":
            answers = {block.value["call_id"]: block.item for block in turn.blocks}
            assert answers.keys() == asked.keys()
            answered |= {(asked[call_id], at) for call_id, at in answers.items()}
            asked = {}
        assert not asked
        for block in turn.blocks:
            if block.value["type"] == "function_call":
                asked[block.value["call_id"]] = block.item
        # The order of the input holds inside every turn …
        assert [block.item for block in turn.blocks] == sorted(block.item for block in turn.blocks)
    assert answered == pairs(items)
    # … and for all but the results.
    rest = [block.item for turn in found if turn.role != "tool" for block in turn.blocks]
    assert rest == sorted(rest)


@given(conversations())
@settings(max_examples=50, deadline=None)
def test_no_two_calls_of_a_request_have_one_id(items: list[dict[str, Any]]) -> None:
    made = Counter(
        block.value["call_id"]
        for turn in turns(items)
        for block in turn.blocks
        if block.value["type"] == "function_call"
    )

    assert set(made.values()) <= {1}


# --- every kind of item

# A new kind of item fails the test below until somebody decides: turns as `shape` has them, the name of what is
# dropped, or the error.
DECIDED: dict[str, list[str] | str | type[Exception]] = {
    "message": ["assistant: A page No more."],
    "reasoning": ["assistant: reasoning"],
    "function_call": ["assistant: call_1", "tool: >call_1"],
    "function_call_output": ["assistant: call_1", "tool: >call_1"],
    "custom_tool_call": ["assistant: call_2", "tool: >call_2"],
    "custom_tool_call_output": ["assistant: call_2", "tool: >call_2"],
    "computer_call": ["assistant: call_3", "tool: >call_3"],
    "computer_call_output": ["assistant: call_3", "tool: >call_3"],
    "local_shell_call": ["assistant: call_4", "tool: >call_4"],
    "local_shell_call_output": ["assistant: call_4", "tool: >call_4"],
    "shell_call": ["assistant: call_5", "tool: >call_5"],
    "shell_call_output": ["assistant: call_5", "tool: >call_5"],
    "apply_patch_call": ["assistant: call_6", "tool: >call_6"],
    "apply_patch_call_output": ["assistant: call_6", "tool: >call_6"],
    "mcp_call": ["assistant: mcp_2", "tool: >mcp_2"],
    "image_generation_call": "input[0] (image_generation_call)",  # the fixture's has failed
    "web_search_call": "input[0] (web_search_call)",
    "file_search_call": "input[0] (file_search_call)",
    "code_interpreter_call": "input[0] (code_interpreter_call)",
    "mcp_list_tools": "input[0] (mcp_list_tools)",
    "mcp_approval_request": "input[0] (mcp_approval_request)",
    "mcp_approval_response": "input[0] (mcp_approval_response)",
    "tool_search_call": "input[0] (tool_search_call)",
    "tool_search_output": "input[0] (tool_search_output)",
    "additional_tools": "input[0] (additional_tools)",
    "program": "input[0] (program)",
    "program_output": "input[0] (program_output)",
    "configuration_update": "input[0] (configuration_update)",
    "compaction": UnsupportedParameter,
    "compaction_trigger": UnsupportedParameter,
    "item_reference": UnsupportedParameter,
}


@pytest.mark.parametrize("kind", sorted(ITEMS))
def test_every_kind_of_item_is_decided(kind: str) -> None:
    item = [item for item in FIXTURE if item.get("type") == kind][-1]
    pair = kind.removesuffix("_output")
    items = [item]
    if isinstance(DECIDED[kind], list) and f"{pair}_output" in ITEMS:
        items = [next(item for item in FIXTURE if item.get("type") == each) for each in (pair, f"{pair}_output")]
    dropped: list[tuple[str, str]] = []
    expected = DECIDED[kind]

    if isinstance(expected, type):
        with pytest.raises(expected, match=r"input\[0\]") as caught:
            turns(items)
        assert kind in str(caught.value)
        assert isinstance(caught.value, UnsupportedParameter)
        assert caught.value.hint
        return
    found = to_turns(items, lambda name, reason: dropped.append((name, reason)))

    if isinstance(expected, str):
        assert [name for name, _ in dropped] == [expected]
        assert all(reason for _, reason in dropped)
        assert found == []
    else:
        assert shape(found) == expected
        assert not dropped


def test_the_table_names_no_item_that_does_not_exist() -> None:
    assert set(DECIDED) == set(ITEMS)


@pytest.mark.parametrize("item", [{"type": "acme:memo", "pages": 1}, {"pages": 1}, {"id": "msg_1"}])
def test_an_item_that_nobody_knows_is_an_error_that_names_it(item: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter, match=r"input\[1\] has") as caught:
        turns([user(), item])

    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "name", "arguments", "result"),
    [
        ("local_shell_call", "local_shell",
         {"type": "exec", "command": ["ls"], "env": {"A": "b"}, "timeout_ms": 5}, "{}"),
        ("shell_call", "shell", {"commands": ["ls"], "timeout_ms": 5, "max_output_length": 10},
         '[{"stdout":"a","stderr":"","outcome":{"type":"exit","exit_code":0}},'
         '{"stdout":"","stderr":"","outcome":{"type":"timeout"}}]'),
        ("apply_patch_call", "apply_patch", {"type": "update_file", "path": "a.py", "diff": "@@"},
         '{"status":"failed","output":"no such file"}'),
        ("computer_call", "computer",
         {"action": {"type": "click", "button": "left", "x": 1, "y": 2},
          "actions": [{"type": "drag", "path": [{"x": 1, "y": 2}]}, {"type": "wait"}]},
         [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]),
    ],
)  # fmt: skip
def test_calls_of_a_hosts_own_tools_become_calls_of_functions(
    kind: str, name: str, arguments: object, result: object
) -> None:
    items = [next(item for item in FIXTURE if item.get("type") == each) for each in (kind, f"{kind}_output")]

    asked, answered = turns(items)

    (made,), (given_back,) = asked.blocks, answered.blocks
    assert (made.value["type"], made.value["name"]) == ("function_call", name)
    assert json.loads(made.value["arguments"]) == arguments
    assert given_back.value["output"] == result


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"output": "found"}, "found"),
        ({"output": None, "error": "bad"}, "bad"),
        ({"error": {"type": "http_error", "code": 500}}, '{"type":"http_error","code":500}'),
        ({}, ""),
    ],
)
def test_a_call_over_mcp_becomes_a_call_and_its_result(fields: dict[str, Any], result: str) -> None:
    item = {"type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find", "arguments": "", **fields}

    asked, answered = turns([item])

    assert asked.blocks[0].value == {"type": "function_call", "call_id": "mcp_1", "name": "find", "arguments": ""}
    failed = {"is_error": True} if "error" in fields else {}
    assert answered.blocks[0].value == {"type": "function_call_output", "call_id": "mcp_1", "output": result, **failed}


def test_a_made_image_is_shown_by_the_user_behind_the_turn_that_made_it() -> None:
    made = {
        "type": "image_generation_call",
        "id": "ig_1",
        "status": "completed",
        "result": "AA==",
        "output_format": "webp",
    }

    found = turns([user(), thought(), made, said("Here"), user("Thanks")])

    assert shape(found) == [
        "user: Hi",
        "assistant: reasoning Here",
        "user: The image that the image_generation tool made: input_image",
        "user: Thanks",
    ]
    assert found[2].blocks[1].value == {"type": "input_image", "image_url": "data:image/webp;base64,AA=="}


@pytest.mark.parametrize("given", [None, "", " ", "null", '""', {}, "{}"], ids=repr)
def test_a_call_without_arguments_has_an_empty_object(given: object) -> None:
    assert written(Block({"type": "function_call", "arguments": given})) == "{}"


@pytest.mark.parametrize(("given", "text"), [({"a": 1}, '{"a":1}'), ('{"a": 1}', '{"a": 1}'), ('{"a', '{"a')], ids=repr)
def test_other_arguments_stay_as_they_are(given: object, text: str) -> None:
    assert written(Block({"type": "function_call", "arguments": given})) == text
