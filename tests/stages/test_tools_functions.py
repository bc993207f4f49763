"""Python functions as tools: offered, called, answered."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import msgspec
import pytest
from conftest import Mode
from tool_calls import CHAIN, calling, chat_body, chat_calling, chat_completion, close_all, kinds, outputs, talk

from antiphon import (
    APITimeoutError,
    InvalidParameter,
    RateLimitError,
    StageError,
    Timeouts,
    ToolContext,
    ToolError,
    ToolFailed,
    Tools,
    UnsupportedParameter,
    presets,
    tool,
)
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.stage import Stage
from antiphon.pipeline.streams.event_stream import finally_
from antiphon.testing import Fault, faulty, function_call, message, scripted


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def boom() -> str:
    """Fail."""
    raise ValueError("no such thing")


OWN = {"type": "function", "name": "ask_user", "parameters": {"type": "object", "properties": {}}}


def test_a_function_is_offered_called_and_answered(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), "It is 3.")
        response = await call(mode, "What is 1 + 2?", streamed=streamed, tools=[add])

        assert response.output_text == "It is 3."
        assert kinds(response) == ["function_call", "function_call_output", "message"]
        first, second = call.requests
        assert [each["name"] for each in first["tools"]] == ["add"]
        assert first["tools"][0]["description"] == "Add two numbers."
        assert first["tools"][0]["parameters"]["required"] == ["a", "b"]
        assert second["tools"] == first["tools"]
        question, asked, answered = second["input"]
        assert question == {"role": "user", "content": "What is 1 + 2?"}
        assert (asked["call_id"], answered) == (
            "call_1",
            {"type": "function_call_output", "call_id": "call_1", "output": "3"},
        )

    mode.run(body)


def test_a_stream_is_one_response_from_its_beginning_to_its_end(mode: Mode) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2}), text="Well."), "It is 3.")
        response = await call(mode, streamed=True, tools=[add])

        assert call.types[:2] == ["created", "in_progress"]
        assert call.types.count("created") == call.types.count("in_progress") == call.types.count("completed") == 1
        assert [event.sequence_number for event in call.events] == list(range(len(call.events)))
        added = [event.output_index for event in call.events if isinstance(event, ev.OutputItemAdded)]
        assert added == [0, 1, 2, 3]
        assert kinds(response) == ["message", "function_call", "function_call_output", "message"]
        ids = {event.response.id for event in call.events if isinstance(event, ev.LifecycleEvent)}
        assert ids == {response.id}

    mode.run(body)


def test_usage_is_that_of_all_rounds(mode: Mode, streamed: bool) -> None:
    def used(tokens: int) -> dict[str, Any]:
        return {
            "input_tokens": tokens,
            "input_tokens_details": {"cached_tokens": 1},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": tokens + 2,
            "cost": 0.5,
        }

    async def body() -> None:
        call = talk(
            {**calling(("add", {"a": 1, "b": 2})), "usage": used(10)}, {"output": [message("3")], "usage": used(20)}
        )
        response = await call(mode, streamed=streamed, tools=[add])

        assert response.usage is not None
        assert response.usage.to_dict() == {
            "input_tokens": 30,
            "input_tokens_details": {"cached_tokens": 2},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 34,
            "cost": 1.0,
        }
        assert response.meta is not None
        assert len(response.meta.attempts) == 2

    mode.run(body)


def test_calls_of_one_round_run_side_by_side(mode: Mode, streamed: bool) -> None:
    barrier = threading.Barrier(3, timeout=5)

    def meet(n: int) -> int:
        barrier.wait()
        return n

    async def body() -> None:
        call = talk(calling(("meet", {"n": 1}), ("meet", {"n": 2}), ("meet", {"n": 3})), "met")
        response = await call(mode, streamed=streamed, tools=[meet])

        assert response.output_text == "met"
        assert outputs(call.requests[1]) == ["1", "2", "3"]

    mode.run(body)


def test_no_more_than_so_many_calls_run_at_once(mode: Mode) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return "done"

    async def body() -> None:
        nonlocal most
        most = 0
        call = talk(calling(*[("work", {})] * 6), "ok", chain=CHAIN.with_(tools={"parallel": 2}))
        await call(mode, streamed=False, tools=[work])

        assert most == 2
        assert outputs(call.requests[1]) == ["done"] * 6

    mode.run(body)


def test_a_finished_call_is_shown_while_others_still_run(mode: Mode) -> None:
    go = threading.Event()

    def quick() -> str:
        return "quick"

    def slow() -> str:
        assert go.wait(5)
        return "slow"

    async def body() -> None:
        go.clear()
        client = scripted(calling(("slow", {}), ("quick", {})), "ok", chain=CHAIN)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[slow, quick])
        while True:
            event = await mode.next(stream)
            if isinstance(event, ev.OutputItemDone) and event.item and event.item.type == "function_call_output":
                break

        assert event.item.to_dict()["output"] == "quick"
        go.set()
        assert (await mode.until_done(stream)).output_text == "ok"

    mode.run(body)


def test_rounds_go_on_until_the_model_answers(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), calling(("add", {"a": 3, "b": 3})), "6")
        response = await call(mode, streamed=streamed, tools=[add])

        assert kinds(response) == ["function_call", "function_call_output"] * 2 + ["message"]
        assert outputs(call.requests[2]) == ["3", "6"]
        ids = [item.to_dict()["id"] for item in response.output]
        assert len(set(ids)) == len(ids), "both rounds' calls have the same id at this host"

    mode.run(body)


def test_at_the_cap_the_model_has_to_answer_without_tools(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        again = calling(("add", {"a": 1, "b": 2}))
        call = talk(again, again, "enough")
        response = await call(mode, streamed=streamed, tools=[add], max_tool_rounds=2)

        assert response.output_text == "enough"
        assert [request.get("tool_choice") for request in call.requests] == [None, None, "none"]
        assert response.tool_choice != "none"

    mode.run(body)


def test_a_model_that_calls_on_after_the_cap_is_stopped(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})))  # repeats
        response = await call(mode, streamed=streamed, tools=[add], max_tool_rounds=1)

        assert len(call.requests) == 2
        assert kinds(response) == ["function_call", "function_call_output"] * 2
        assert "no more tools" in str(response.output[-1].to_dict()["output"])

    mode.run(body)


def test_the_callers_own_calls_are_handed_back_untouched(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2}), ("ask_user", {})), "unused")
        response = await call(mode, streamed=streamed, tools=[add, OWN])

        assert len(call.requests) == 1
        assert kinds(response) == ["function_call", "function_call", "function_call_output"]
        assert [item.to_dict().get("call_id") for item in response.output] == ["call_1", "call_2", "call_1"]
        assert response.status == "completed"

        # And the conversation goes on with all of it, and the caller's answer.
        items = [
            {"role": "user", "content": "Hi"},
            *response.output,
            {"type": "function_call_output", "call_id": "call_2", "output": "yes"},
        ]
        go_on = talk("fine")
        assert (await go_on(mode, items, streamed=streamed, tools=[add, OWN])).output_text == "fine"

    mode.run(body)


def test_a_call_with_only_the_callers_tools_is_not_touched(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("ask_user", {})), "unused")
        response = await call(mode, streamed=streamed, tools=[OWN])

        assert kinds(response) == ["function_call"]
        assert call.requests[0]["tools"] == [OWN]
        assert response.id.startswith("resp_")

    mode.run(body)


def test_what_a_function_returns_reaches_the_model(mode: Mode) -> None:
    class Point(msgspec.Struct):
        x: int

    returns: list[tuple[Any, Any]] = [
        ("text", "text"),
        (3, "3"),
        (None, "null"),
        ({"a": [1]}, '{"a":[1]}'),
        (Point(1), '{"x":1}'),
        ([{"type": "input_text", "text": "t"}], [{"type": "input_text", "text": "t"}]),
        (object(), "Error: it returned what has no JSON form: object has no JSON form"),
    ]

    async def body() -> None:
        for value, expected in returns:

            def give(value: Any = value) -> Any:
                return value

            call = talk(calling(("give", {})), "ok")
            await call(mode, streamed=False, tools=[tool(lambda give=give: give(), name="give")])

            assert outputs(call.requests[1]) == [expected]

    mode.run(body)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"a": 1, "b"', "Error: the arguments do not fit: Input data was truncated"),
        ('{"a": 1}', "Error: the arguments do not fit: Object missing required field `b`"),
        ('{"a": 1, "b": "x"}', "Error: the arguments do not fit: Expected `int`, got `str` - at `$.b`"),
        ('{"a": 1, "b": 2, "c": 3}', "Error: the arguments do not fit: Object contains unknown field `c`"),
        ("[1, 2]", "Error: the arguments do not fit: Expected `object`, got `array`"),
    ],
)
def test_arguments_that_do_not_fit_are_told_to_the_model(mode: Mode, arguments: str, words: str) -> None:
    async def body() -> None:
        wrong = {**function_call("add", {}, "call_1"), "arguments": arguments}
        call = talk(calling(wrong), calling(("add", {"a": 1, "b": 2})), "3")
        response = await call(mode, streamed=True, tools=[add])

        assert response.output_text == "3"
        assert outputs(call.requests[1]) == [words]

    mode.run(body)


def test_an_exception_is_told_to_the_model_and_logged(
    mode: Mode, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        call = talk(calling(("boom", {})), "sorry")
        response = await call(mode, streamed=streamed, tools=[boom])

        assert response.output_text == "sorry"
        assert outputs(call.requests[1]) == ["Error: ValueError: no such thing"]

    with caplog.at_level(logging.WARNING, "antiphon"):
        mode.run(body)
    assert "tool boom raised ValueError('no such thing')" in caplog.text


def test_a_tool_error_is_told_in_its_own_words(mode: Mode, streamed: bool, caplog: pytest.LogCaptureFixture) -> None:
    def find(city: str) -> str:
        raise ToolError(f"there is no {city}; try Rome")

    async def body() -> None:
        call = talk(calling(("find", {"city": "Rom"})), "sorry")
        await call(mode, streamed=streamed, tools=[find])

        assert outputs(call.requests[1]) == ["Error: there is no Rom; try Rome"]

    mode.run(body)
    assert caplog.text == ""


def test_exceptions_may_be_raised_instead(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2}), ("boom", {})), chain=CHAIN.with_(tools={"tool_errors": "raise"}))

        with pytest.raises(ToolFailed, match=r"tool boom raised ValueError: no such thing") as caught:
            await call(mode, streamed=streamed, tools=[add, boom])

        assert isinstance(caught.value.__cause__, ValueError)
        assert caught.value.tool == "boom"
        assert caught.value.response is not None
        assert kinds(caught.value.response)[:2] == ["function_call", "function_call"]
        assert len(call.requests) == 1

    mode.run(body)


def test_a_function_that_takes_too_long_is_given_up(mode: Mode, streamed: bool) -> None:
    go = threading.Event()

    @tool(timeout_s=0.05)
    def hang() -> str:
        go.wait(5)
        return "late"

    async def body() -> None:
        call = talk(calling(("hang", {})), "sorry")
        began = time.monotonic()
        await call(mode, streamed=streamed, tools=[hang])

        assert time.monotonic() - began < 2
        assert outputs(call.requests[1]) == ["Error: the tool did not answer within 0.05 s"]

    try:
        mode.run(body)
    finally:
        go.set()


def test_the_calls_total_limit_holds_while_a_tool_runs(mode: Mode, streamed: bool) -> None:
    go = threading.Event()

    def hang() -> str:
        go.wait(5)
        return "late"

    async def body() -> None:
        call = talk(calling(("hang", {})), "never")

        with pytest.raises(APITimeoutError) as caught:
            await call(mode, streamed=streamed, tools=[hang], timeout=Timeouts(total=0.2))

        assert caught.value.limit == "total"
        assert len(call.requests) == 1

    try:
        mode.run(body)
    finally:
        go.set()


def test_an_async_function_waits_for_what_it_likes(mode: Mode, streamed: bool) -> None:
    async def sleepy(seconds: float) -> str:
        """Sleep."""
        await (anyio.sleep(seconds) if mode.name == "trio" else asyncio.sleep(seconds))
        return "woke"

    async def body() -> None:
        call = talk(calling(("sleepy", {"seconds": 0.001}), ("sleepy", {"seconds": 0})), "ok")
        await call(mode, streamed=streamed, tools=[sleepy])

        assert outputs(call.requests[1]) == ["woke", "woke"]

    mode.run(body)


def test_a_function_may_ask_for_the_context(mode: Mode) -> None:
    seen: list[ToolContext] = []

    def look(city: str, context: ToolContext) -> str:
        seen.append(context)
        return city

    async def rest(ctx: ToolContext) -> str:
        await ctx.runtime.sleep(0)
        return f"{ctx.tool_call_id} {ctx.time_left() > 0}"

    async def body() -> None:
        seen.clear()
        call = talk(calling(("look", {"city": "Rome"}), ("rest", {})), "ok")
        response = await call(mode, streamed=False, tools=[look, rest], metadata={"user": "me"})

        assert outputs(call.requests[1]) == ["Rome", "call_2 True"]
        assert call.requests[0]["tools"][0]["parameters"]["properties"].keys() == {"city"}
        (context,) = seen
        assert (context.tool_call_id, context.model, context.metadata) == ("call_1", "openai/m", {"user": "me"})
        assert response.meta is not None
        assert context.call_id == response.meta.call_id

    mode.run(body)


def test_a_name_that_nobody_has_is_told_to_the_model(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("sub", {})), "sorry")
        response = await call(mode, streamed=streamed, tools=[add])

        assert response.output_text == "sorry"
        assert outputs(call.requests[1]) == ['Error: there is no tool "sub"; known: add']

    mode.run(body)


def test_a_round_that_was_cut_runs_nothing(mode: Mode, streamed: bool) -> None:
    ran: list[int] = []

    def act(n: int) -> None:
        ran.append(n)

    async def body() -> None:
        cut = {
            **calling(("act", {"n": 1})),
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
        }
        call = talk(cut, "never")
        response = await call(mode, streamed=streamed, tools=[act])

        assert response.status == "incomplete"
        assert len(call.requests) == 1
        assert not ran

    mode.run(body)


@pytest.mark.parametrize(
    ("choice", "second"),
    [
        ("required", None),
        ({"type": "function", "name": "add"}, None),
        ("auto", "auto"),
    ],
)
def test_a_forced_tool_is_forced_once(mode: Mode, choice: Any, second: Any) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), "3")
        response = await call(mode, streamed=False, tools=[add], tool_choice=choice)

        assert call.requests[0]["tool_choice"] == choice
        assert call.requests[1].get("tool_choice") == second
        assert response.to_dict()["tool_choice"] == choice

    mode.run(body)


def test_with_tools_of_the_callers_own_a_forced_tool_stays_forced(mode: Mode) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), calling(("ask_user", {})))
        response = await call(mode, streamed=False, tools=[add, OWN], tool_choice="required")

        assert [request["tool_choice"] for request in call.requests] == ["required", "required"]
        assert kinds(response) == ["function_call", "function_call_output", "function_call"]

    mode.run(body)


def test_max_tool_calls_counts_all_rounds(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(*[("add", {"a": 1, "b": 2})] * 3), "enough")
        response = await call(mode, streamed=streamed, tools=[add], max_tool_calls=2)

        assert outputs(call.requests[1]) == [
            "3",
            "3",
            "Error: the limit of 2 tool calls in one response is reached",
        ]
        assert call.requests[1]["tool_choice"] == "none"
        assert "max_tool_calls" not in call.requests[0]
        assert response.max_tool_calls == 2

    mode.run(body)


def test_a_conversation_at_the_host_gets_only_what_is_new(mode: Mode) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), "3")
        await call(mode, streamed=False, tools=[add], conversation="conv_1")

        assert call.requests[1]["input"] == [{"type": "function_call_output", "call_id": "call_1", "output": "3"}]
        assert call.requests[1]["conversation"] == "conv_1"

    mode.run(body)


def test_a_streamed_conversation_is_continued_at_its_last_response(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), "3", "and so on")
        first = await call(mode, streamed=streamed, tools=[add])
        await call(mode, "More", streamed=False, previous_response_id=first.id)

        # The first response at the host ends in a call without a result; the second one has everything.
        assert call.requests[2]["previous_response_id"] == "resp_scripted_2"

    mode.run(body)


def test_a_later_round_that_fails_is_repeated_without_running_tools_again(mode: Mode, streamed: bool) -> None:
    ran: list[int] = []

    def act() -> str:
        ran.append(1)
        return "done"

    async def body() -> None:
        ran.clear()
        busy = {"status": 503, "body": {"error": {"message": "busy"}}}
        call = talk(calling(("act", {})), busy, "ok")
        response = await call(mode, streamed=streamed, tools=[act])

        assert response.output_text == "ok"
        assert len(ran) == 1
        assert response.meta is not None
        assert [attempt.status for attempt in response.meta.attempts] == [200, 503, 200]

    mode.run(body)


def test_an_error_of_a_later_round_carries_what_was_done(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), {"status": 429, "body": {"error": {"message": "slow down"}}})

        with pytest.raises(RateLimitError) as caught:
            await call(mode, streamed=streamed, tools=[add], num_retries=0)

        assert caught.value.response is not None
        assert kinds(caught.value.response) == ["function_call", "function_call_output"]

    mode.run(body)


def test_another_attempt_of_the_same_call_goes_on_where_the_first_one_stopped(mode: Mode) -> None:
    ran: list[int] = []

    def act() -> str:
        ran.append(1)
        return "done"

    async def fall_back(request: Any, call_next: Any) -> Any:
        try:
            return await call_next(request)
        except RateLimitError:
            return await call_next(request.with_params(model="openai/other"))

    async def body() -> None:
        ran.clear()
        slow = {"status": 429, "body": {"error": {"message": "slow down"}}}
        call = talk(calling(("act", {})), slow, "ok", chain=CHAIN.before("resolve", fall_back))
        response = await call(mode, streamed=False, tools=[act], num_retries=0)

        assert response.output_text == "ok"
        assert len(ran) == 1
        assert kinds(response) == ["function_call", "function_call_output", "message"]
        assert [request["model"] for request in call.requests] == ["m", "m", "other"]
        assert outputs(call.requests[2]) == ["done"]

    mode.run(body)


def test_a_stream_that_is_left_stops_its_tools(mode: Mode) -> None:
    stopped: list[str] = []

    async def hang(ctx: ToolContext) -> str:
        try:
            await ctx.runtime.sleep(30)
        except BaseException:
            stopped.append("stopped")
            raise
        return "late"

    async def body() -> None:
        stopped.clear()
        client = scripted(calling(("hang", {})), "never", chain=CHAIN)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[hang])
        while not isinstance(await mode.next(stream), ev.FunctionCallArgumentsDone):
            pass
        await mode.next(stream)  # the call's item; the next step would run it
        began = time.monotonic()
        if mode.is_async:
            with anyio.move_on_after(0.1):
                await mode.next(stream)
        await mode.close(stream)

        assert time.monotonic() - began < 5
        assert stream.outcome.kind == ("cancelled" if mode.is_async else "abandoned")
        if mode.is_async:
            for _ in range(500):
                if not stopped:
                    await anyio.sleep(0.01)
            assert stopped
        await mode.close(client)

    mode.run(body)


def test_text_format_composes_with_tools(mode: Mode, streamed: bool) -> None:
    class Sum(msgspec.Struct):
        total: int

    async def body() -> None:
        for output_mode in ("native", "tool", "prompt"):
            final = calling(("Sum", {"total": 3})) if output_mode == "tool" else '{"total": 3}'
            call = talk(calling(("add", {"a": 1, "b": 2})), final)
            response = await call(mode, streamed=streamed, tools=[add], text_format=Sum, output_mode=output_mode)

            assert response.output_parsed == Sum(3)
            assert len(call.requests) == 2

    mode.run(body)


def test_it_works_over_chat_completions_too(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        call = talk(
            chat_body(chat_calling(("add", '{"a": 1, "b": 2}'), ("add", '{"a": 3, "b": 4}'), text="Let me see.")),
            chat_body(chat_completion({"role": "assistant", "content": "3 and 7"})),
        )
        response = await call(mode, streamed=streamed, tools=[add], model="cerebras/m", dialect="chat")

        assert response.output_text == "Let me see.3 and 7"
        assert kinds(response) == [
            *("message", "function_call", "function_call", "function_call_output", "function_call_output", "message")
        ]
        roles = [said["role"] for said in call.requests[1]["messages"]]
        assert roles == ["user", "assistant", "tool", "tool"]
        assert [said["content"] for said in call.requests[1]["messages"][2:]] == ["3", "7"]
        assert response.usage is not None
        assert response.usage.total_tokens == 24

    mode.run(body)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidParameter, match='two tools are called "ask_user"'):
        scripted("x").responses("Hi", "openai/m", tools=[tool(add, name="ask_user"), OWN])


def test_background_and_tools_of_ours_exclude_each_other() -> None:
    with pytest.raises(UnsupportedParameter, match="background"):
        scripted("x").responses("Hi", "openai/m", tools=[add], background=True)


def test_settings_are_checked() -> None:
    assert repr(Tools(3)) == "Tools(max_rounds=3)"
    with pytest.raises(StageError, match="max_rounds is 0"):
        Tools(0)
    with pytest.raises(InvalidParameter, match="max_tool_rounds is 0"):
        scripted("x").responses("Hi", "openai/m", tools=[add], max_tool_rounds=0)
    with pytest.raises(InvalidParameter, match='mcp_execute is "me"'):
        scripted("x").responses("Hi", "openai/m", tools=[{"type": "mcp", "server_label": "a"}], mcp_execute="me")  # type: ignore[call-overload]


def test_a_dry_run_shows_what_the_model_would_be_offered() -> None:
    explanation = presets.responses.explain("Hi", model="openai/m", api_key="k", tools=[add, OWN])

    assert explanation.request is not None
    assert [each["name"] for each in explanation.request.body["tools"]] == ["add", "ask_user"]


def test_tokens_of_functions_are_counted(mode: Mode) -> None:
    async def body() -> None:
        client = scripted({"body": {"object": "response.input_tokens", "input_tokens": 7}})
        counted = await mode.either(
            lambda: client.count_input_tokens("Hi", "openai/m", tools=[add]),
            lambda: client.acount_input_tokens("Hi", "openai/m", tools=[add]),
        )

        assert counted.input_tokens == 7
        assert client.requests[0]["tools"][0]["name"] == "add"

    mode.run(body)


def test_an_async_function_that_takes_too_long_is_cancelled_in_every_mode(mode: Mode) -> None:
    stopped = threading.Event()

    @tool(timeout_s=0.1)
    async def hang() -> str:
        try:
            await (anyio.sleep(30) if mode.name == "trio" else asyncio.sleep(30))
        except BaseException:
            stopped.set()
            raise
        return "late"

    async def body() -> None:
        call = talk(calling(("hang", {})), "sorry")
        response = await call(mode, streamed=False, tools=[hang])

        assert response.output_text == "sorry"
        await mode.either(lambda: stopped.wait(5), lambda: anyio.sleep(0.1))
        assert stopped.is_set()

    mode.run(body)


@pytest.mark.parametrize("how", ["closed", "dropped"])
@pytest.mark.parametrize("where", ["in a round", "while tools run"])
def test_what_goes_on_in_a_stream_that_is_left_ends_before_it(mode: Mode, how: str, where: str) -> None:
    async def hang(ctx: ToolContext) -> str:
        await ctx.runtime.sleep(30)
        return "late"

    def quick() -> str:
        return "quick"

    async def body() -> None:
        seen: list[str] = []
        answers: list[Any] = [calling(("quick", {}), ("hang", {}))] if "tools" in where else [Fault(pause_s=0.01)]
        hooks = [lambda signal: seen.append(signal.name)]
        client = faulty(*answers, chain=CHAIN, hooks=hooks)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[hang, quick])
        event: Any = None
        while not (
            isinstance(event, ev.OutputItemDone) and event.item and event.item.type == "function_call_output"
            if "tools" in where
            else isinstance(event, ev.OutputTextDelta)
        ):
            event = await mode.next(stream)
        if how == "closed":
            await mode.close(stream)
        del stream, event
        gc.collect()

        for what in ("attempt", "tool", "call"):
            assert seen.count(f"{what}.start") == seen.count(f"{what}.end")
        assert seen[-1] == "call.end"
        await mode.close(client)

    mode.run(body)


def test_a_stream_that_is_dropped_stops_its_tools(mode: Mode) -> None:
    stopped = threading.Event()

    def quick() -> str:
        return "quick"

    async def slow(ctx: ToolContext) -> str:
        try:
            await ctx.runtime.sleep(30)
        except BaseException:
            stopped.set()
            raise
        return "late"

    async def body() -> None:
        client = scripted(calling(("quick", {}), ("slow", {})), "never", chain=CHAIN)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[quick, slow])
        while True:
            event = await mode.next(stream)
            if isinstance(event, ev.OutputItemDone) and event.item and event.item.type == "function_call_output":
                break
        del stream, event
        gc.collect()

        await mode.either(lambda: stopped.wait(5), lambda: anyio.sleep(0.1))
        assert stopped.is_set()
        await mode.close(client)

    mode.run(body)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"store": False, "reasoning": {"effort": "low"}}, ["reasoning.encrypted_content"]),
        ({"store": False}, None),
        ({"reasoning": {"effort": "low"}}, None),
        (
            {
                "store": False,
                "reasoning": {"effort": "low"},
                "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
            },
            ["reasoning.encrypted_content", "message.output_text.logprobs"],
        ),
    ],
)
def test_reasoning_that_the_host_does_not_keep_travels_with_us(mode: Mode, given: dict[str, Any], sent: Any) -> None:
    async def body() -> None:
        call = talk(calling(("add", {"a": 1, "b": 2})), "3")
        await call(mode, streamed=False, tools=[add], **given)

        assert [request.get("include") for request in call.requests] == [sent, sent]

    mode.run(body)


def test_an_id_alone_is_no_reason_to_run_a_call_twice(mode: Mode, streamed: bool) -> None:
    ran: list[int] = []

    def act(n: int) -> str:
        ran.append(n)
        return "done"

    async def body() -> None:
        ran.clear()
        same = {**function_call("act", {"n": 1}, "call_0")}
        other = {**function_call("act", {"n": 2}, "call_0")}
        call = talk(calling(same), calling(other), "ok")
        response = await call(mode, streamed=streamed, tools=[act])

        assert ran == [1, 2]
        assert response.output_text == "ok"

    mode.run(body)


@pytest.mark.parametrize("way", ["closed", "dropped"])
def test_of_a_stream_that_is_left_the_round_learns_before_the_conversation(mode: Mode, way: str) -> None:
    told: list[str] = []

    def telling(name: str) -> Stage:
        async def tells(request: Request, call_next: Handler) -> Reply:
            reply = await call_next(request)
            finally_(reply, lambda outcome: told.append(f"{name}: {outcome.kind}"))
            return reply

        tells.__name__ = name
        return stage(tells)

    async def body() -> None:
        told.clear()
        chain = CHAIN.before("tools", telling("conversation")).after("tools", telling("round"))
        client = scripted(calling(("add", {"a": 1, "b": 2})), "It is 3.", chain=chain)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True, tools=[add])
        while not isinstance(await mode.next(stream), ev.OutputTextDelta):
            pass
        if way == "closed":
            await mode.close(stream)
        del stream
        gc.collect()

        assert told == ["round: completed", "round: abandoned", "conversation: abandoned"]
        await mode.close(client)

    mode.run(body)
