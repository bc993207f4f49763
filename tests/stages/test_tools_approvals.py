"""Approvals: who may call what, asked by items of the response or by a function."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Mode
from tool_calls import Shelf, Talk, calling, close_all, kinds, mcp, outputs, talk

from antiphon import ApprovalRequest, InvalidParameter, RateLimitError
from antiphon.mcp.types import ToolInfo
from antiphon.pipeline.api.items import McpApprovalRequest, McpCall
from antiphon.stages.tools.approvals import needs_approval


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def find(text: str = "") -> str:
    """Find pages."""
    return f"found {text}"


def drop(table: str = "") -> str:
    """Drop a table."""
    return f"dropped {table}"


def docs(*answers: Any, shelf: Shelf) -> Talk:
    return talk(*answers, mcp_servers={"docs": shelf})


def request_of(response: Any) -> McpApprovalRequest:
    (found,) = [item for item in response.output if isinstance(item, McpApprovalRequest)]
    return found


def answer(request: McpApprovalRequest, approve: bool, **fields: Any) -> dict[str, Any]:
    return {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": approve, **fields}


@pytest.mark.parametrize("approval", [None, "always", {"never": {"tool_names": ["other"]}}])
def test_a_call_waits_for_the_users_approval(mode: Mode, streamed: bool, approval: Any) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"}), text="May I?"), "never", shelf=shelf)
        response = await call(mode, streamed=streamed, tools=[mcp("docs", approval)])

        assert kinds(response) == ["mcp_list_tools", "message", "mcp_approval_request"]
        assert response.status == "completed"
        request = request_of(response)
        assert (request.server_label, request.name, request.arguments) == ("docs", "find", '{"text":"x"}')
        assert shelf.called == []
        assert len(call.requests) == 1
        if streamed:
            assert not [name for name in call.types if name.startswith(("mcp_call", "function_call"))]

    mode.run(body)


def test_an_approved_call_is_made_and_the_model_goes_on(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "Here it is.", "Bye.", shelf=shelf)
        tools = [mcp("docs", "always")]
        first = await call(mode, streamed=streamed, tools=tools)
        items: list[Any] = [{"role": "user", "content": "Hi"}, *first.output, answer(request_of(first), True)]
        second = await call(mode, items, streamed=streamed, tools=tools)

        assert second.output_text == "Here it is."
        assert kinds(second) == ["mcp_call", "message"]
        (called,) = [item for item in second.output if isinstance(item, McpCall)]
        assert (called.approval_request_id, called.output) == (request_of(first).id, "found x")
        assert [item.get("type", item.get("role")) for item in call.requests[1]["input"]] == [
            *("user", "function_call", "function_call_output")
        ]
        assert outputs(call.requests[1]) == ["found x"]
        assert shelf.called == [("find", {"text": "x"})]
        if streamed:
            assert call.types[:8] == [
                *("created", "in_progress", "output_item.added", "mcp_call.in_progress"),
                *("mcp_call_arguments.done", "mcp_call.completed", "output_item.done", "output_item.added"),
            ]

        # Later in the conversation the same items say the same, and nothing runs again.
        await call(mode, [*items, *second.output], streamed=streamed, tools=tools)
        assert call.requests[2]["input"][1]["name"] == "find"
        assert outputs(call.requests[2]) == ["found x"]
        assert len(shelf.called) == 1

    mode.run(body)


def test_a_refused_call_is_not_made_and_the_model_learns_why(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "Then not.", shelf=shelf)
        tools = [mcp("docs", "always")]
        first = await call(mode, streamed=streamed, tools=tools)
        said = answer(request_of(first), False, reason="too early")
        second = await call(mode, [*first.output, said], streamed=streamed, tools=tools)

        assert kinds(second) == ["message"]
        assert outputs(call.requests[1]) == [
            "The user did not approve this call, so it was not made. Reason: too early"
        ]
        assert shelf.called == []

    mode.run(body)


def test_a_question_that_nobody_answers_leaves_a_whole_conversation(mode: Mode) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "Well then.", shelf=shelf)
        tools = [mcp("docs", "always")]
        first = await call(mode, streamed=False, tools=tools)
        await call(mode, [*first.output, {"role": "user", "content": "Forget it"}], streamed=False, tools=tools)

        assert outputs(call.requests[1]) == ["The call was not made: nobody has approved it."]
        assert shelf.called == []

    mode.run(body)


def test_calls_that_need_none_run_beside_one_that_waits(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find, drop)
        call = docs(calling(("find", {"text": "x"}), ("drop", {"table": "t"})), "Done.", shelf=shelf)
        tools = [mcp("docs", {"never": {"tool_names": ["find"]}})]
        first = await call(mode, streamed=streamed, tools=tools)

        assert kinds(first) == ["mcp_list_tools", "mcp_call", "mcp_approval_request"]
        assert shelf.called == [("find", {"text": "x"})]
        second = await call(mode, [*first.output, answer(request_of(first), True)], streamed=streamed, tools=tools)
        assert second.output_text == "Done."
        assert outputs(call.requests[1]) == ["found x", "dropped t"]

    mode.run(body)


def test_the_answer_alone_is_enough_where_the_host_keeps_the_conversation(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "Here.", shelf=shelf)
        tools = [mcp("docs", "always")]
        first = await call(mode, streamed=streamed, tools=tools)
        second = await call(
            mode, [answer(request_of(first), True)], streamed=streamed, tools=tools, previous_response_id=first.id
        )

        assert second.output_text == "Here."
        # The host has the model's call, under the model's own id.
        assert call.requests[1]["input"] == [{"type": "function_call_output", "call_id": "call_1", "output": "found x"}]

    mode.run(body)


def test_an_answer_to_an_unknown_question_is_refused(mode: Mode) -> None:
    async def body() -> None:
        call = docs("never", shelf=Shelf(find))
        with pytest.raises(InvalidParameter, match=r'input\[0\] answers the approval request "mcpr_1"'):
            await call(
                mode,
                [{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}],
                streamed=False,
                tools=[mcp("docs")],
            )
        assert not call.requests

    mode.run(body)


def test_an_approved_call_is_not_made_twice_when_the_model_cannot_be_asked(mode: Mode, streamed: bool) -> None:
    async def again(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except RateLimitError:
            return await call_next(request)

    async def body() -> None:
        from tool_calls import CHAIN

        shelf = Shelf(drop)
        slow = {"status": 429, "body": {"error": {"message": "slow down"}}}
        call = talk(
            calling(("drop", {"table": "t"})),
            slow,
            "Gone.",
            chain=CHAIN.before("resolve", again),
            mcp_servers={"docs": shelf},
        )
        first = await call(mode, streamed=streamed, tools=[mcp("docs", "always")])
        items = [*first.output, answer(request_of(first), True)]
        second = await call(mode, items, streamed=streamed, tools=[mcp("docs", "always")], num_retries=0)

        assert second.output_text == "Gone."
        assert len(shelf.called) == 1

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "told", "ran"),
    [
        (True, "found x", True),
        (False, "Error: The user did not approve this call, so it was not made.", False),
        (None, "Error: The user did not approve this call, so it was not made.", False),
        ("no", "Error: The user did not approve this call, so it was not made. Reason: no", False),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_function_may_approve(mode: Mode, streamed: bool, given: Any, told: str, ran: bool, is_async: bool) -> None:
    asked: list[ApprovalRequest] = []

    def approve(request: ApprovalRequest) -> Any:
        asked.append(request)
        return given

    async def aapprove(request: ApprovalRequest) -> Any:
        return approve(request)

    async def body() -> None:
        asked.clear()
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "ok", shelf=shelf)
        response = await call(
            mode, streamed=streamed, tools=[mcp("docs", "always")], approve=aapprove if is_async else approve
        )

        assert response.output_text == "ok"
        assert kinds(response) == ["mcp_list_tools", "mcp_call", "message"]
        (request,) = asked
        assert (request.server_label, request.name, request.arguments) == ("docs", "find", {"text": "x"})
        assert request.tool.description == "Find pages."
        assert outputs(call.requests[1]) == [told]
        assert bool(shelf.called) is ran
        (called,) = [item for item in response.output if isinstance(item, McpCall)]
        assert called.status == ("completed" if ran else "failed")

    mode.run(body)


def test_a_function_is_not_asked_about_what_needs_no_approval(mode: Mode) -> None:
    async def body() -> None:
        call = docs(calling(("find", {"text": "x"})), "ok", shelf=Shelf(find))
        await call(mode, streamed=False, tools=[mcp("docs", "never")], approve=lambda request: pytest.fail("asked"))

        assert outputs(call.requests[1]) == ["found x"]

    mode.run(body)


def test_an_approver_may_take_longer_than_a_tool(mode: Mode) -> None:
    from antiphon import Timeouts

    wait = threading.Event()

    def approve(request: ApprovalRequest) -> bool:
        wait.wait(0.3)
        return True

    async def body() -> None:
        call = docs(calling(("find", {"text": "x"})), "ok", shelf=Shelf(find))
        await call(mode, streamed=False, tools=[mcp("docs", "always")], approve=approve, timeout=Timeouts(tool=0.1))

        assert outputs(call.requests[1]) == ["found x"]

    mode.run(body)


READS = ToolInfo(name="find", input_schema={}, annotations={"readOnlyHint": True})
WRITES = ToolInfo(name="drop", input_schema={})


@pytest.mark.parametrize(
    ("require", "reads", "writes"),
    [
        (None, True, True),
        ("always", True, True),
        ("never", False, False),
        ({"never": {"tool_names": ["find"]}}, False, True),
        ({"never": {"read_only": True}}, False, True),
        ({"never": {"read_only": False}}, True, False),
        ({"never": {}}, True, True),
        ({"always": {"tool_names": ["drop"]}}, True, True),
        ({"always": {"tool_names": ["drop"]}, "never": {"tool_names": ["drop", "find"]}}, False, True),
        ({"never": {"tool_names": ["drop"], "read_only": True}}, True, True),
        ({}, True, True),
    ],
)
def test_filters_say_which_tools_need_an_approval(require: Any, reads: bool, writes: bool) -> None:
    assert needs_approval(require, READS, "tools[0]") is reads
    assert needs_approval(require, WRITES, "tools[0]") is writes


@pytest.mark.parametrize("require", ["sometimes", True, {"allways": {}}, {"never": ["find"]}, {"never": {"names": []}}])
def test_a_filter_that_cannot_be_read_is_refused(require: Any) -> None:
    with pytest.raises(InvalidParameter, match=r"tools\[0\]\.require_approval"):
        needs_approval(require, READS, "tools[0]")


def test_an_approver_that_fails_ends_the_call_with_its_error(mode: Mode, streamed: bool) -> None:
    seen: list[str] = []

    def approve(request: ApprovalRequest) -> bool:
        raise LookupError("no such user")

    async def body() -> None:
        seen.clear()
        shelf = Shelf(find)
        call = docs(calling(("find", {"text": "x"})), "never", shelf=shelf)
        with pytest.raises(LookupError, match="no such user"):
            await call(
                mode,
                streamed=streamed,
                tools=[mcp("docs", "always")],
                approve=approve,
                hooks=[lambda signal: seen.append(signal.name)],
            )

        assert shelf.called == []
        assert seen.count("tool.start") == seen.count("tool.end") == seen.count("call.end") == 1

    mode.run(body)
