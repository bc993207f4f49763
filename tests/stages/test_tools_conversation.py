"""One conversation in every mode and format: two rounds, two servers, calls side by side, an approval."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Mode
from tool_calls import Shelf, calling, chat_body, chat_calling, chat_completion, close_all, kinds, mcp, outputs, talk

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.items import McpApprovalRequest
from antiphon.testing import message, scripted


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def find(text: str) -> str:
    """Find pages."""
    time.sleep(0.02)  # so that the other one mostly ends first
    return f"found {text}"


def now() -> str:
    """Tell the time."""
    return "noon"


def drop(table: str) -> str:
    """Drop a table."""
    return f"dropped {table}"


TOOLS = [mcp("docs", {"never": {"tool_names": ["find"]}}), mcp("clock")]

NATIVE = [
    calling(("find", {"text": "x"}), ("now", {}), text="Let me look."),
    calling(("drop", {"table": "t"})),
    {"output": [message("Gone.")]},
]
BRIDGED = [
    chat_body(chat_calling(("find", '{"text":"x"}'), ("now", "{}"), text="Let me look.")),
    chat_body(chat_calling(("drop", '{"table":"t"}'))),
    chat_body(chat_completion({"role": "assistant", "content": "Gone."})),
]
FORMATS: dict[str, tuple[str, list[Any]]] = {"native": ("openai/m", NATIVE), "bridged": ("cerebras/m", BRIDGED)}

LISTED = ["output_item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed", "output_item.done"]
SAID = [
    *("output_item.added", "content_part.added", "output_text.delta"),
    *("output_text.done", "content_part.done", "output_item.done"),
]
CALLED = [
    *("output_item.added", "mcp_call.in_progress", "mcp_call_arguments.delta"),
    *("mcp_call_arguments.done", "mcp_call.completed", "output_item.done"),
]
APPROVED = [name for name in CALLED if name != "mcp_call_arguments.delta"]
ASKED = ["output_item.added", "output_item.done"]


def by_item(events: list[ev.Event]) -> dict[int | None, list[str]]:
    """Return the types of the events of each item, in order; deltas of one text count once. None: of the whole."""
    found: dict[int | None, list[str]] = {}
    for event in events:
        name = event.type.removeprefix("response.")
        said = found.setdefault(getattr(event, "output_index", None), [])
        if not (name.endswith(".delta") and said and said[-1] == name):
            said.append(name)
    return found


@pytest.mark.parametrize("form", FORMATS)
def test_a_conversation_is_the_same_in_every_mode_and_format(mode: Mode, streamed: bool, form: str) -> None:
    model, answers = FORMATS[form]
    dialect = "chat" if form == "bridged" else "responses"

    async def body() -> None:
        docs, clock = Shelf(find, drop), Shelf(now)
        call = talk(*answers, mcp_servers={"docs": docs, "clock": clock})
        question = [{"role": "user", "content": "Tidy up"}]
        first = await call(mode, question, streamed=streamed, model=model, dialect=dialect, tools=TOOLS)

        assert kinds(first) == [
            *("mcp_list_tools", "mcp_list_tools", "message", "mcp_call", "mcp_call", "mcp_approval_request")
        ]
        calls = [item.to_dict() for item in first.output if item.type == "mcp_call"]
        assert [(each["server_label"], each["name"], each["arguments"], each["output"]) for each in calls] == [
            ("docs", "find", '{"text":"x"}', "found x"),
            ("clock", "now", "{}", "noon"),
        ]
        assert (docs.called, clock.called) == ([("find", {"text": "x"})], [("now", {})])
        if streamed:
            assert by_item(call.events) == {
                None: ["created", "in_progress", "completed"],
                0: LISTED,
                1: LISTED,
                2: SAID,
                3: CALLED,
                4: CALLED,
                5: ASKED,
            }

        (request,) = [item for item in first.output if isinstance(item, McpApprovalRequest)]
        yes = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        second = await call(
            mode, [*question, *first.output, yes], streamed=streamed, model=model, dialect=dialect, tools=TOOLS
        )

        assert second.output_text == "Gone."
        assert kinds(second) == ["mcp_call", "message"]
        assert docs.called[1:] == [("drop", {"table": "t"})]
        if streamed:
            assert by_item(call.events) == {
                None: ["created", "in_progress", "completed"],
                0: APPROVED,
                1: SAID,
            }
        if form == "native":
            assert [item.get("type", item.get("role")) for item in call.requests[2]["input"]] == [
                *("user", "message", "function_call", "function_call_output", "function_call"),
                *("function_call_output", "function_call", "function_call_output"),
            ]
            assert outputs(call.requests[2]) == ["found x", "noon", "dropped t"]
        else:
            said = call.requests[2]["messages"]
            assert [each["role"] for each in said] == ["user", "assistant", "tool", "tool", "tool"] or [
                each["role"] for each in said
            ] == ["user", "assistant", "tool", "assistant", "tool", "assistant", "tool"]
            assert [each["content"] for each in said if each["role"] == "tool"] == ["found x", "noon", "dropped t"]

    mode.run(body)


def test_a_call_ends_once_for_those_who_watch(mode: Mode, streamed: bool) -> None:
    seen: list[str] = []

    async def body() -> None:
        seen.clear()
        call = talk(*NATIVE, mcp_servers={"docs": Shelf(find, drop), "clock": Shelf(now)})
        await call(mode, streamed=streamed, tools=TOOLS, hooks=[lambda signal: seen.append(signal.name)], temperature=0)

        assert seen[0] == "call.start"
        assert seen[-1] == "call.end"
        assert seen.count("call.start") == seen.count("call.end") == 1
        assert seen.count("attempt.start") == seen.count("attempt.end") == 2
        assert seen.count("tool.start") == seen.count("tool.end") == 2

    mode.run(body)


def test_tools_are_told_of_without_content_unless_asked(mode: Mode, streamed: bool) -> None:
    from tool_calls import CHAIN

    from antiphon import ToolEnded, ToolStarted

    async def body() -> None:
        for content in (False, True):
            seen: list[Any] = []
            call = talk(
                *NATIVE,
                mcp_servers={"docs": Shelf(find, drop), "clock": Shelf(now)},
                chain=CHAIN.with_(tools={"signal_content": content}),
            )
            await call(mode, streamed=streamed, tools=TOOLS, hooks=[seen.append])

            started = {each.tool: each for each in seen if isinstance(each, ToolStarted)}
            ended = {each.tool: each for each in seen if isinstance(each, ToolEnded)}
            assert started.keys() == ended.keys() == {"find", "now"}
            assert (started["find"].server, started["find"].tool_call_id) == ("docs", "call_1")
            assert started["find"].arguments == ('{"text":"x"}' if content else None)
            assert ended["find"].result == ("found x" if content else None)
            assert (ended["find"].outcome, ended["find"].error) == ("completed", None)
            assert ended["find"].duration_s >= 0.02

    mode.run(body)


def test_with_state_kept_here_the_answer_to_a_question_is_enough(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        docs, clock = Shelf(find, drop), Shelf(now)
        call = talk(*BRIDGED, mcp_servers={"docs": docs, "clock": clock})
        ask: dict[str, Any] = {"streamed": streamed, "model": "cerebras/m", "dialect": "chat", "tools": TOOLS}
        first = await call(mode, "Tidy up", **ask)
        (request,) = [item for item in first.output if isinstance(item, McpApprovalRequest)]
        yes = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
        second = await call(mode, [yes], previous_response_id=first.id, **ask)

        assert second.output_text == "Gone."
        assert docs.called == [("find", {"text": "x"}), ("drop", {"table": "t"})]
        told = [each["content"] for each in call.requests[2]["messages"] if each["role"] == "tool"]
        assert told == ["found x", "noon", "dropped t"]

    mode.run(body)


def test_what_a_tool_does_is_found_below_it(mode: Mode) -> None:
    from antiphon import CallStarted

    seen: list[Any] = []
    inner = scripted("inner", hooks=[seen.append])

    def look_up() -> str:
        """Ask another model."""
        return inner.responses("Hi", "openai/m").output_text

    async def body() -> None:
        seen.clear()
        call = talk(calling(("look_up", {})), "ok")
        response = await call(mode, streamed=False, tools=[look_up])

        assert outputs(call.requests[1]) == ["inner"]
        (started,) = [each for each in seen if isinstance(each, CallStarted)]
        assert response.meta is not None
        assert started.parent_id == response.meta.call_id

    mode.run(body)
    inner.close()


PAST = [
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "docs", "tools": []},
    {"type": "mcp_call", "id": "mcp_1", "server_label": "docs", "name": "find", "arguments": '{"a":1}', "output": "x"},
    {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "docs", "name": "drop", "arguments": "{}"},
    {"role": "user", "content": "And now?"},
]


@pytest.mark.parametrize("others", [False, True], ids=["no tools", "another server's tools"])
def test_what_ran_before_is_told_as_functions_to_a_host_that_knows_no_mcp(
    mode: Mode, streamed: bool, others: bool
) -> None:
    async def body() -> None:
        call = talk("Done.", mcp_servers={"clock": Shelf(now)})
        given: dict[str, Any] = {"tools": [mcp("clock")]} if others else {}
        await call(mode, PAST, streamed=streamed, model="groq/m", dialect="responses", api_key="k", **given)

        *sent, last = call.requests[-1]["input"]
        assert [item["type"] for item in sent] == ["function_call", "function_call_output"] * 2
        assert [item.get("name") for item in sent] == ["docs__find", None, "docs__drop", None]
        assert (sent[1]["output"], sent[3]["output"]) == ("x", "The call was not made: nobody has approved it.")
        assert last == PAST[-1]

    mode.run(body)


@pytest.mark.parametrize("call", [{"model": "openai/m"}, {"model": "groq/m", "mcp_execute": "native"}])
def test_a_host_that_knows_mcp_gets_the_items_as_they_are(mode: Mode, call: dict[str, Any]) -> None:
    async def body() -> None:
        client = scripted("Done.")
        await mode.call(client.chain, PAST, dialect="responses", api_key="k", **call)

        assert client.requests[-1]["input"] == PAST

    mode.run(body)
