"""Tools of MCP servers: found, named, called, answered, shown."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from conftest import Mode
from tool_calls import (
    CHAIN,
    Shelf,
    Talk,
    calling,
    chat_body,
    chat_calling,
    close_all,
    failing,
    kinds,
    mcp,
    outputs,
    talk,
    texts,
)

from antiphon import InvalidParameter, Timeouts, check_grammar, presets
from antiphon.mcp import McpError, McpServerError, McpServers, ToolResult, UnknownMcpServer
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.items import McpCall, McpListTools
from antiphon.pipeline.errors import NetworkForbidden
from antiphon.providers.catalog import register
from antiphon.testing import function_call, message, scripted


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def find(text: str = "") -> str:
    """Find pages."""
    return f"found {text}"


def now() -> str:
    """Tell the time."""
    return "noon"


def docs(*answers: Any, server: Any = None, **settings: Any) -> Talk:
    """Return a client with one server, "docs"."""
    return talk(*answers, mcp_servers={"docs": server if server is not None else Shelf(find)}, **settings)


def call_of(response: Any) -> McpCall:
    (found,) = [item for item in response.output if isinstance(item, McpCall)]
    return found


def test_null_in_a_schema_is_not_offered(mode: Mode, streamed: bool) -> None:
    """Servers in Go write empty maps and lists so, and hosts refuse it."""

    async def body() -> None:
        given: dict[str, Any] = {"inputSchema": {"type": "object", "properties": None, "required": None, "$defs": {}}}
        call = docs("Hi.", server=Shelf(now, now=given))
        await call(mode, streamed=streamed, tools=[mcp("docs")])

        (offered,) = call.requests[0]["tools"]
        assert offered["parameters"] == {"type": "object", "properties": {}, "$defs": {}}

    mode.run(body)


def test_a_servers_tools_are_offered_called_and_answered(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = docs(calling(("find", {"text": "x"})), "Here it is.")
        response = await call(mode, streamed=streamed, tools=[mcp("docs")])

        assert response.output_text == "Here it is."
        assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
        (offered,) = call.requests[0]["tools"]
        assert offered == {
            "type": "function",
            "name": "find",
            "description": "Find pages.",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        }
        asked, answered = call.requests[1]["input"][1:]
        assert (asked["type"], asked["name"], asked["call_id"]) == ("function_call", "find", "call_1")
        assert answered == {"type": "function_call_output", "call_id": "call_1", "output": "found x"}
        listed, called = response.output[:2]
        assert isinstance(listed, McpListTools)
        assert (listed.server_label, [each.name for each in listed.tools]) == ("docs", ["find"])
        assert isinstance(called, McpCall)
        assert called.to_dict() == {
            "type": "mcp_call",
            "id": called.id,
            "status": "completed",
            "server_label": "docs",
            "name": "find",
            "arguments": '{"text":"x"}',
            "approval_request_id": None,
            "output": "found x",
            "error": None,
        }
        assert response.to_dict()["tools"] == [mcp("docs")]

    mode.run(body)


def test_the_events_are_those_of_the_api(mode: Mode) -> None:
    async def body() -> None:
        call = docs(calling(("find", {"text": "x"})), "Here.")
        await call(mode, streamed=True, tools=[mcp("docs")])

        assert call.types == [
            "created",
            "in_progress",
            "output_item.added",
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "output_item.done",
            "output_item.added",
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.completed",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]

    mode.run(body)


def test_the_first_events_come_before_a_call_has_ended(mode: Mode) -> None:
    order: list[str] = []

    def slow() -> str:
        order.append("ran")
        return "done"

    async def body() -> None:
        order.clear()
        client = scripted(calling(("slow", {})), "ok", chain=CHAIN, mcp_servers={"docs": Shelf(slow)})
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[mcp("docs")])
        events = []
        while not isinstance(event := await mode.next(stream), ev.McpCallArgumentsDone):
            events.append(event)

        assert [type(event) for event in events[:6]] == [
            *(ev.ResponseCreated, ev.ResponseInProgress, ev.OutputItemAdded),
            *(ev.McpListToolsInProgress, ev.McpListToolsCompleted, ev.OutputItemDone),
        ]
        assert not order
        events += [event, *await mode.events(stream)]
        assert order == ["ran"]
        assert check_grammar(events) == []

    mode.run(body)


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("antiphon", ["a", "b"]),
        ("litellm_proxy", ["a", "b"]),
        ("antiphon/b", ["b"]),
        ("litellm_proxy/mcp/a", ["a"]),
        ("antiphon/a,b", ["a", "b"]),
    ],
)
def test_servers_are_meant_by_name(mode: Mode, url: str, names: list[str]) -> None:
    async def body() -> None:
        call = talk("ok", mcp_servers={"a": Shelf(find), "b": Shelf(now)})
        tool = {"type": "mcp", "server_label": "mine", "server_url": url, "require_approval": "never"}
        response = await call(mode, streamed=False, tools=[tool])

        listed = [item.server_label for item in response.output if isinstance(item, McpListTools)]
        assert listed == (names if len(names) > 1 else ["mine"])
        offered = {"a": "find", "b": "now"}
        assert [each["name"] for each in call.requests[0]["tools"]] == [offered[name] for name in names]

    mode.run(body)


def test_a_label_alone_may_name_a_server(mode: Mode) -> None:
    async def body() -> None:
        call = docs("ok")
        await call(mode, streamed=False, tools=[{"type": "mcp", "server_label": "docs"}])

        assert [each["name"] for each in call.requests[0]["tools"]] == ["find"]

    mode.run(body)


def test_a_call_may_bring_servers_which_are_kept_for_the_next_one(mode: Mode) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = talk(calling(("find", {})), "ok", calling(("now", {})), "ok", mcp_servers={"clock": Shelf(now)})
        for tool in ("found ", "noon"):
            await call(
                mode, streamed=False, tools=[mcp("clock"), mcp("docs")], mcp_servers={"docs": shelf}, temperature=0
            )
            assert outputs(call.requests[-1]) == [tool]
        assert shelf.called == [("find", {})]
        await mode.close(call.client)

    mode.run(body)


def test_servers_that_calls_bring_are_kept_in_bounds(mode: Mode) -> None:
    async def body() -> None:
        call = talk("ok")
        for _ in range(70):
            await call(mode, streamed=False, tools=[mcp("docs")], mcp_servers={"docs": Shelf(find)})
        assert len(call.requests) == 70
        await mode.close(call.client)

    mode.run(body)


def test_a_registry_of_ones_own_serves_many_clients(mode: Mode) -> None:
    async def body() -> None:
        servers = McpServers({"docs": Shelf(find)})
        for _ in range(2):
            call = talk(calling(("find", {})), "ok", mcp_servers=servers)
            assert (await call(mode, streamed=False, tools=[mcp("docs")])).output_text == "ok"
            await mode.close(call.client)
        call = talk(calling(("find", {})), "ok")
        assert (await call(mode, streamed=False, tools=[mcp("docs")], mcp_servers=servers)).output_text == "ok"

    mode.run(body)


@pytest.mark.parametrize(
    ("allowed", "offered"),
    [
        (None, ["find", "now"]),
        (["now"], ["now"]),
        ({"tool_names": ["find"]}, ["find"]),
        ({"read_only": True}, ["now"]),
        ({"read_only": False}, ["find"]),
        ({"read_only": True, "tool_names": ["now", "find"]}, ["now"]),
        ({}, ["find", "now"]),
    ],
)
def test_allowed_tools_holds_for_its_own_server(mode: Mode, allowed: Any, offered: list[str]) -> None:
    async def body() -> None:
        shelf = Shelf(find, now, now={"annotations": {"readOnlyHint": True}})
        other = Shelf(find)
        call = talk("ok", mcp_servers={"docs": shelf, "other": other})
        response = await call(mode, streamed=False, tools=[mcp("docs", allowed_tools=allowed), mcp("other")])

        listed = [item for item in response.output if isinstance(item, McpListTools)]
        assert [[each.name for each in item.tools] for item in listed] == [offered, ["find"]]

    mode.run(body)


def test_an_allowed_tool_that_is_not_there_is_reported(mode: Mode) -> None:
    async def body() -> None:
        call = docs("ok")
        response = await call(mode, streamed=False, tools=[mcp("docs", allowed_tools=["find", "fnd"])])

        assert response.meta is not None
        assert [(each.name, each.reason) for each in response.meta.dropped] == [
            ("tools[0].allowed_tools", 'server "docs" has no tool "fnd"')
        ]

    mode.run(body)


def test_tools_of_one_name_get_their_servers_in_front(mode: Mode, streamed: bool) -> None:
    def other_find() -> str:
        return "other"

    async def body() -> None:
        other_find.__name__ = "find"
        call = talk(
            calling(("b__find", {}), ("a__find", {})), "ok", mcp_servers={"a": Shelf(find), "b": Shelf(other_find, now)}
        )
        response = await call(mode, streamed=streamed, tools=[mcp("a"), mcp("b")])

        assert [each["name"] for each in call.requests[0]["tools"]] == ["a__find", "b__find", "now"]
        called = [(item.server_label, item.name) for item in response.output if isinstance(item, McpCall)]
        assert called == [("b", "find"), ("a", "find")]
        assert outputs(call.requests[1]) == ["other", "found "]

    mode.run(body)


def test_a_thousand_tools_with_odd_names_are_told_apart(mode: Mode) -> None:
    async def body() -> None:
        made: list[Callable[..., Any]] = []
        for number in range(1000):

            def tool(number: int = number) -> str:
                return str(number)

            tool.__name__ = f"{'x' * 70}.{number}"
            made.append(tool)
        shelf = Shelf(*made)
        call = docs(lambda body: calling((body["tools"][777]["name"], {})), "ok", server=shelf)
        await call(mode, streamed=False, tools=[mcp("docs")])

        names = [each["name"] for each in call.requests[0]["tools"]]
        assert len(set(names)) == 1000
        assert all(len(name) <= 64 and name.isascii() for name in names)
        assert outputs(call.requests[1]) == ["777"]

    mode.run(body)


def test_the_list_is_shown_once_in_a_conversation(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = docs(calling(("find", {"text": "x"})), "Here.", "Bye.")
        first = await call(mode, streamed=streamed, tools=[mcp("docs")])
        items = [{"role": "user", "content": "Hi"}, *first.output, {"role": "user", "content": "Thanks"}]
        second = await call(mode, items, streamed=streamed, tools=[mcp("docs")])

        assert kinds(second) == ["message"]
        sent = call.requests[2]["input"]
        assert [item.get("type", item.get("role")) for item in sent] == [
            *("user", "function_call", "function_call_output", "message", "user")
        ]
        assert sent[1]["name"] == "find"
        assert sent[2]["output"] == "found x"

    mode.run(body)


def test_results_of_every_kind_reach_model_and_response(mode: Mode, streamed: bool) -> None:
    image = {"type": "image", "data": "aGk=", "mimeType": "image/jpeg"}
    link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
    part = {"type": "input_image", "image_url": "data:image/jpeg;base64,aGk=", "detail": "auto"}
    cases: list[tuple[ToolResult, Any, Any]] = [
        (ToolResult(content=tuple(texts("one", "two"))), "one\ntwo", "one\ntwo"),
        (ToolResult(), "", ""),
        (ToolResult(structured={"a": 1}), '{"a":1}', '{"a":1}'),
        (ToolResult(content=tuple(texts('{"a": 1}')), structured={"a": 1}), '{"a": 1}', '{"a": 1}'),
        (ToolResult(content=tuple(texts("one thing")), structured={"a": 1}), 'one thing\n{"a":1}', None),
        (ToolResult(content=tuple(texts("a", "b")), structured={"result": ["a", "b"]}), "a\nb", "a\nb"),
        (
            ToolResult(content=(*texts("see"), image)),
            [{"type": "input_text", "text": "see"}, part],
            [*texts("see"), image],
        ),
        (ToolResult(content=(link,)), json.dumps(link, separators=(",", ":")), [link]),
    ]

    async def body() -> None:
        for result, told, shown in cases:

            def give(result: ToolResult = result) -> ToolResult:
                return result

            call = docs(calling(("give", {})), "ok", server=Shelf(give))
            response = await call(mode, streamed=streamed, tools=[mcp("docs")])

            assert outputs(call.requests[1]) == [told]
            output = call_of(response).output
            assert output is not None
            if isinstance(shown, list):
                assert json.loads(output) == shown
            elif shown is not None:
                assert output == shown
            # Sent back by the user, it says the same to the model.
            again = docs("ok", server=Shelf(give))
            await again(mode, [*response.output, {"role": "user", "content": "?"}], streamed=False, tools=[mcp("docs")])
            if shown != [link]:
                assert outputs(again.requests[0]) == [told]

    mode.run(body)


@pytest.mark.usefixtures("own_catalogue")
def test_images_are_told_of_in_words_where_the_host_takes_none(mode: Mode) -> None:
    def see() -> list[dict[str, Any]]:
        return [*texts("see"), {"type": "image", "data": "aGk=", "mimeType": "image/png"}]

    async def body() -> None:
        for images in ("", "url"):
            row = {
                "name": "plain_text",
                "base_url": "https://h.example/v1",
                "dialects": ["chat"],
                "chat": {"images": images},
            }
            register(row, replace=True)
            call = docs(chat_body(chat_calling(("see", "{}"))), chat_body(chat_calling(text="ok")), server=Shelf(see))
            response = await call(mode, streamed=False, tools=[mcp("docs")], model="plain_text/m", dialect="chat")

            assert response.output_text == "ok"
            assert response.meta is not None
            dropped = [each.name for each in response.meta.dropped]
            (told,) = [said["content"] for said in call.requests[1]["messages"] if said["role"] == "tool"]
            if images:
                assert dropped == []
                assert call.requests[1]["messages"][-1]["content"][-1]["type"] == "image_url"
            else:
                assert dropped == ["images in results of tools"]
                assert told == "see\n[an image, which cannot be shown here]"

    mode.run(body)


def test_a_tool_that_fails_is_told_to_the_model(mode: Mode, streamed: bool) -> None:
    def fail() -> ToolResult:
        return ToolResult(content=tuple(texts("no such page")), is_error=True)

    async def body() -> None:
        call = docs(calling(("fail", {})), "sorry", server=Shelf(fail))
        response = await call(mode, streamed=streamed, tools=[mcp("docs")])

        assert response.output_text == "sorry"
        assert outputs(call.requests[1]) == ["Error: no such page"]
        failed = call_of(response)
        assert (failed.status, failed.output) == ("failed", None)
        assert failed.to_dict()["error"] == {
            "type": "mcp_tool_execution_error",
            "content": [{"type": "text", "text": "no such page"}],
        }
        if streamed:
            assert "mcp_call.failed" in call.types
            assert "mcp_call.completed" not in call.types

    mode.run(body)


def test_a_server_that_fails_in_a_call_is_told_to_the_model(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        shelf._tools["find"] = failing(RuntimeError("disk full"))
        call = docs(calling(("find", {})), "sorry", server=shelf)
        response = await call(mode, streamed=streamed, tools=[mcp("docs")])

        (told,) = outputs(call.requests[1])
        assert told.startswith("Error: ")
        assert "disk full" in told
        error = call_of(response).to_dict()["error"]
        assert error["type"] == "mcp_protocol_error"
        assert "disk full" in error["message"]
        assert len(shelf.called) == 1, "a call is never repeated"

    mode.run(body)


@pytest.mark.parametrize("arguments", ["[1]", '{"a"', "nonsense"])
def test_arguments_that_are_no_object_never_reach_the_server(mode: Mode, arguments: str) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        wrong = {**function_call("find", {}, "call_1"), "arguments": arguments}
        call = docs(calling(wrong), "sorry", server=shelf)
        response = await call(mode, streamed=True, tools=[mcp("docs")])

        assert shelf.called == []
        assert outputs(call.requests[1])[0].startswith("Error: the arguments are ")
        assert call_of(response).status == "failed"

    mode.run(body)


@pytest.mark.parametrize("mode", ["asyncio", "trio"], indirect=True)  # a server that blocks is in test_tools_servers
def test_a_tool_that_hangs_is_given_up(mode: Mode, streamed: bool) -> None:
    class Hanging(Shelf):
        async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
            await anyio.sleep(30)

    async def body() -> None:
        server = {"server": Hanging(find), "tool_timeout_s": 0.1}
        call = docs(calling(("find", {})), "sorry", server=server)
        began = time.monotonic()
        response = await call(mode, streamed=streamed, tools=[mcp("docs")])

        assert time.monotonic() - began < 5
        assert call_of(response).status == "failed"
        assert outputs(call.requests[1])[0].startswith("Error: ")

    mode.run(body)


@pytest.mark.parametrize("mode", ["asyncio", "trio"], indirect=True)
def test_the_calls_own_limit_for_tools_holds_too(mode: Mode) -> None:
    class Hanging(Shelf):
        async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
            await anyio.sleep(30)

    async def body() -> None:
        call = docs(calling(("find", {})), "sorry", server=Hanging(find))
        await call(mode, streamed=False, tools=[mcp("docs")], timeout=Timeouts(tool=0.1))

        assert outputs(call.requests[1])[0].startswith("Error: ")

    mode.run(body)


def test_a_huge_result_is_cut_in_its_middle_and_reported(mode: Mode) -> None:
    def flood() -> str:
        return "a" * 40_000 + "MIDDLE" + "b" * 40_000

    async def body() -> None:
        call = docs(calling(("flood", {})), "ok", server=Shelf(flood))
        response = await call(mode, streamed=False, tools=[mcp("docs")])

        (told,) = outputs(call.requests[1])
        assert len(told) < 50_100
        assert "30006 characters are left out here" in told
        assert told.startswith("aaa")
        assert told.endswith("bbb")
        assert call_of(response).output == told
        assert response.meta is not None
        assert [each.name for each in response.meta.dropped] == ["result of docs.flood"]

    mode.run(body)


def broken(error: Exception) -> Shelf:
    class Broken(Shelf):
        async def list_tools(self) -> Any:
            raise error

    return Broken(find)


def test_a_server_that_cannot_list_keeps_nobody_else_from_it(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("now", {})), "noon", mcp_servers={"docs": broken(RuntimeError("no")), "clock": Shelf(now)})
        response = await call(mode, streamed=streamed, tools=[mcp("docs"), mcp("clock")])

        assert response.output_text == "noon"
        failed, listed = [item for item in response.output if isinstance(item, McpListTools)]
        assert failed.server_label == "docs"
        assert failed.error is not None
        assert "no" in failed.error
        assert failed.tools == ()
        assert listed.error is None
        if streamed:
            assert call.types.count("mcp_list_tools.failed") == call.types.count("mcp_list_tools.completed") == 1

    mode.run(body)


def test_no_tools_at_all_is_an_error_that_names_the_servers(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        one = docs("never", server=broken(RuntimeError("down")))
        with pytest.raises(McpServerError, match=r'server "docs".*down'):
            await one(mode, streamed=streamed, tools=[mcp("docs")])

        two = talk("never", mcp_servers={"a": broken(RuntimeError("x")), "b": broken(RuntimeError("y"))})
        with pytest.raises(McpError, match=r"no MCP server gave a tool \(a: .*; b: .*\)"):
            await two(mode, streamed=streamed, tools=[mcp("a"), mcp("b")])

        none = docs("never")
        with pytest.raises(InvalidParameter, match=r"no MCP server has a tool .*docs: none"):
            await none(mode, streamed=streamed, tools=[mcp("docs", allowed_tools=["other"])])
        assert not [*one.requests, *two.requests, *none.requests]

    mode.run(body)


def test_beside_tools_of_the_caller_a_server_may_be_down(mode: Mode) -> None:
    own = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}

    async def body() -> None:
        call = docs("ok", server=broken(RuntimeError("down")))
        response = await call(mode, streamed=False, tools=[mcp("docs"), own])

        assert kinds(response) == ["mcp_list_tools", "message"]
        assert [each["name"] for each in call.requests[0]["tools"]] == ["f"]

    mode.run(body)


def test_an_unknown_server_is_an_error_before_anything_is_sent(mode: Mode) -> None:
    async def body() -> None:
        call = docs("never")
        with pytest.raises(UnknownMcpServer, match='did you mean "docs"'):
            await call(mode, streamed=False, tools=[mcp("dcos")])
        with pytest.raises(InvalidParameter, match=r"tools\[0\] names no MCP server"):
            await call(mode, streamed=False, tools=[{"type": "mcp", "server_label": "x"}])
        assert not call.requests

    mode.run(body)


def test_the_callers_own_call_ends_the_response_with_all_results_in_it(mode: Mode, streamed: bool) -> None:
    own = {"type": "function", "name": "ask", "parameters": {"type": "object", "properties": {}}}

    async def body() -> None:
        call = docs(calling(("find", {"text": "x"}), ("ask", {})), "fine")
        first = await call(mode, streamed=streamed, tools=[mcp("docs"), own])

        assert kinds(first) == ["mcp_list_tools", "mcp_call", "function_call"]
        assert call_of(first).output == "found x"
        answer = {"type": "function_call_output", "call_id": "call_2", "output": "yes"}
        second = await call(mode, [*first.output, answer], streamed=streamed, tools=[mcp("docs"), own])
        assert second.output_text == "fine"
        sent = call.requests[1]["input"]
        assert [item["type"] for item in sent] == [
            *("function_call", "function_call_output", "function_call", "function_call_output")
        ]

    mode.run(body)


def test_a_round_that_was_cut_shows_its_calls_as_incomplete(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        cut = {
            **calling(("find", {"text": "x"})),
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
        }
        call = docs(cut, "never", server=shelf)
        response = await call(mode, streamed=streamed, tools=[mcp("docs")])

        assert response.status == "incomplete"
        assert call_of(response).status == "incomplete"
        assert shelf.called == []

    mode.run(body)


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ({"type": "mcp", "server_label": "docs", "name": "find"}, {"type": "function", "name": "find"}),
        (
            {"type": "mcp", "server_label": "docs"},
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "function", "name": "find"}, {"type": "function", "name": "now"}],
            },
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp", "server_label": "clock"}]},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "tick"}]},
        ),
    ],
)
def test_a_choice_of_a_server_becomes_one_of_its_functions(mode: Mode, choice: Any, sent: Any) -> None:
    def tick() -> str:
        return "tick"

    async def body() -> None:
        call = talk("ok", mcp_servers={"docs": Shelf(find, now), "clock": Shelf(tick)})
        response = await call(mode, streamed=False, tools=[mcp("docs"), mcp("clock")], tool_choice=choice)

        assert call.requests[0]["tool_choice"] == sent
        assert response.to_dict()["tool_choice"] == choice

    mode.run(body)


def test_a_choice_of_the_only_server_requires_some_tool(mode: Mode) -> None:
    async def body() -> None:
        call = talk("ok", mcp_servers={"docs": Shelf(find, now)})
        await call(mode, streamed=False, tools=[mcp("docs")], tool_choice={"type": "mcp", "server_label": "docs"})
        assert call.requests[0]["tool_choice"] == "required"

        with pytest.raises(InvalidParameter, match='tool_choice asks for x of server "docs"'):
            await call(
                mode,
                streamed=False,
                tools=[mcp("docs")],
                tool_choice={"type": "mcp", "server_label": "docs", "name": "x"},
            )

    mode.run(body)


URL = {"type": "mcp", "server_label": "far", "server_url": "https://mcp.example/mcp"}


@pytest.mark.parametrize(
    ("model", "tool", "options"),
    [
        ("openai/m", URL, {}),
        ("openai/m", {"type": "mcp", "server_label": "c", "connector_id": "connector_dropbox"}, {}),
        ("xai/m", {**URL, "require_approval": "never"}, {}),
    ],
)
def test_a_host_that_calls_servers_itself_gets_the_tool_as_it_is(
    mode: Mode, model: str, tool: dict[str, Any], options: dict[str, Any]
) -> None:
    async def body() -> None:
        call = docs("ok")
        response = await call(mode, streamed=False, model=model, tools=[tool], **options)

        assert call.requests[0]["tools"] == [tool]
        assert kinds(response) == ["message"]

    mode.run(body)


@pytest.mark.parametrize(
    ("model", "tool", "options"),
    [
        ("openai/m", URL, {"mcp_execute": "local"}),
        ("openai/m", URL, {"dialect": "chat"}),
        ("openai/m", URL, {"api_base": "https://gateway.example/v1"}),
        ("xai/m", URL, {}),
        ("groq/m", URL, {}),
    ],
)
def test_elsewhere_the_server_is_called_from_here(
    mode: Mode, model: str, tool: dict[str, Any], options: dict[str, Any]
) -> None:
    async def body() -> None:
        call = docs("never")
        # A scripted call asks no server elsewhere: it is enough to see that it was about to.
        with pytest.raises(NetworkForbidden, match=r"mcp\.example"):
            await call(mode, streamed=False, model=model, tools=[tool], **options)

    mode.run(body)


def test_a_connector_cannot_be_called_from_here() -> None:
    with pytest.raises(InvalidParameter, match="connector_id"):
        scripted("x").responses(
            "Hi",
            "openai/m",
            mcp_execute="local",
            tools=[{"type": "mcp", "server_label": "c", "connector_id": "connector_dropbox"}],
        )


def test_what_has_no_effect_here_is_reported(mode: Mode) -> None:
    async def body() -> None:
        call = docs("ok")
        tool = mcp("docs", server_description="Docs.", defer_loading=True, headers={"X-Key": "k"})
        response = await call(mode, streamed=False, tools=[tool])

        assert response.meta is not None
        assert [each.name for each in response.meta.dropped] == [
            *("tools[0].server_description", "tools[0].defer_loading", "tools[0].headers")
        ]

    mode.run(body)


def test_a_paused_turn_is_gone_on_with(mode: Mode, streamed: bool) -> None:
    search = {"type": "web_search"}

    def paused(text: str, reason: str) -> dict[str, Any]:
        return {
            "body": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": text}],
                "stop_reason": reason,
                "usage": {"input_tokens": 3, "output_tokens": 2},
            }
        }

    async def body() -> None:
        call = talk(paused("One ", "pause_turn"), paused("two.", "end_turn"))
        response = await call(
            mode, streamed=streamed, model="anthropic/claude-sonnet-4-5", dialect="anthropic", tools=[search]
        )

        assert response.status == "completed"
        assert response.output_text == "One two."
        assert [said["role"] for said in call.requests[1]["messages"]] == ["user", "assistant"]
        assert response.usage is not None
        assert response.usage.total_tokens == 10

    mode.run(body)


def test_a_dry_run_asks_no_server() -> None:
    shelf = Shelf(find)
    client = scripted("x", mcp_servers={"docs": shelf})
    explanation = client.chain.explain("Hi", model="openai/m", tools=[mcp("docs")])

    assert explanation.request is not None
    assert "tools" not in explanation.request.body
    assert [each.name for each in explanation.dropped] == ["tools[0] (mcp)"]
    assert shelf.listed == 0


def test_credentials_of_a_tool_are_not_in_the_response(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = docs("ok")
        tool = mcp("docs", authorization="s3cret", headers={"X-Key": "s3cret"})
        response = await call(mode, streamed=streamed, tools=[tool])

        assert b"s3cret" not in response.raw
        assert "s3cret" not in repr(call.events)
        assert "s3cret" not in json.dumps(call.requests)

    mode.run(body)


def test_one_call_functions_have_litellms_name_too(mode: Mode) -> None:
    import antiphon

    async def body() -> None:
        call = {
            "input": "Hi",
            "model": "openai/m",
            "mock_response": {"output": [message("ok")]},
            "tools": [mcp("docs")],
            "mcp_servers": {"docs": Shelf(find)},
            "max_agentic_loops": 3,
        }
        response = await mode.either(
            lambda: antiphon.responses_api_with_mcp(**call),  # type: ignore[call-overload]
            lambda: antiphon.aresponses_api_with_mcp(**call),  # type: ignore[call-overload]
        )
        assert kinds(response) == ["mcp_list_tools", "message"]

    mode.run_calls(body)


def test_the_stage_stands_between_remember_and_retry() -> None:
    names = [stage.name for stage in presets.responses]

    assert names[names.index("remember") + 1] == "tools"
    assert names[names.index("tools") + 1] == "retry"
