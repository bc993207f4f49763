"""Native streams: repair of sparse ones, errors in every shape, and ends that are none."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode
from hand_made import text_events
from loopback import Connection, serving
from replay_server import Answer, replaying

import antiphon
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.events import Event
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import APIError, APIResponseError, APIStatusError, StreamInterrupted
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.responses import NativeStream
from antiphon.providers.response_ids import decode_id

FIXTURES = Path(__file__).parents[1] / "fixtures" / "responses"
KEY = "sk-canary-0123456789abcdef"


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def frames(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(data) for data in re.findall(rb"^data: ([{].*)$", body, re.MULTILINE)]


def sse(*payloads: object, name: str = "") -> bytes:
    """Return events; text and bytes stand for themselves."""
    blocks = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    return b"".join((f"event: {name}\n".encode() if name else b"") + b"data: " + block + b"\n\n" for block in blocks)


def partial(error: APIError) -> Response:
    """Return the response that an error carries."""
    assert error.response is not None
    return error.response


def decode(*pieces: bytes) -> list[Event]:
    decoder = NativeStream()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.finish()


CREATED = {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "status": "in_progress"}}
ITEM = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}
ADDED = {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": ITEM}
DELTA = {
    "type": "response.output_text.delta",
    "sequence_number": 2,
    "item_id": "msg_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "Half a th",
}
BEGUN = sse(CREATED, ADDED, DELTA)


def ended(status: str = "completed", **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "object": "response", "status": status, "model": "m", "output": [], **fields}
    return {"type": f"response.{status}", "sequence_number": 3, "response": response}


# --- repair ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sparse_text.sse", "sparse_tool_calls.sse"])
def test_a_sparse_stream_comes_out_grammatical(name: str) -> None:
    events = decode(fixture(name))

    assert check_grammar(events) == []


def test_repair_adds_numbers_and_indexes_and_nothing_else() -> None:
    sent = frames(fixture("sparse_text.sse"))

    events = decode(fixture("sparse_text.sse"))

    for number, (event, wire) in enumerate(zip(events, sent, strict=True)):
        expected = {**wire, "sequence_number": number}
        if isinstance(event, ev.OutputItemAdded | ev.OutputItemDone | ev.ItemEvent):
            expected["output_index"] = 0
        if isinstance(event, ev.ContentEvent):
            expected["content_index"] = 0
        assert event.to_dict() == expected


def test_repair_says_that_a_calls_arguments_are_done() -> None:
    events = decode(fixture("sparse_tool_calls.sse"))

    done = [event for event in events if isinstance(event, ev.FunctionCallArgumentsDone)]
    assert [(event.output_index, event.item_id, event.arguments) for event in done] == [
        (1, "fc_a", '{"city":"Paris"}'),
        (2, "fc_b", "{}"),
    ]
    for event in done:
        assert isinstance(events[event.sequence_number + 1], ev.OutputItemDone)
        assert isinstance(events[event.sequence_number - 1], ev.FunctionCallArgumentsDelta)
    assert [event.output_index for event in events if isinstance(event, ev.OutputItemAdded)] == [0, 1, 2]


def test_repair_does_not_repeat_what_the_host_said_itself() -> None:
    item = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": ""}
    done = {**item, "arguments": "{}"}
    sent = [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.added", "item": item},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "delta": "{}"},
        {"type": "response.function_call_arguments.done", "item_id": "fc_1", "arguments": "{}"},
        {"type": "response.output_item.done", "item": done},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [done]}},
    ]

    events = decode(sse(*sent))

    assert check_grammar(events) == []
    assert len(events) == len(sent)


TEXT = {"type": "output_text", "text": "Hi there", "annotations": []}
SAID = {**ITEM, "status": "completed", "content": [TEXT]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}


def numbered(*events: dict[str, Any]) -> bytes:
    return sse(*({**event, "sequence_number": number} for number, event in enumerate(events)))


def told_by(events: list[Event]) -> str:
    return "".join(event.delta for event in events if isinstance(event, ev.OutputTextDelta))


def test_items_that_only_the_last_event_has_are_told_before_it() -> None:
    """As gateways do; else who follows the events, and runs the calls in them, would see nothing."""
    events = decode(numbered(CREATED, ended(output=[THOUGHT, SAID, CALL])))

    assert check_grammar(events) == []
    assert told_by(events) == "Hi there"
    done = [event.item.to_dict() for event in events if isinstance(event, ev.OutputItemDone) and event.item]
    assert done == [THOUGHT, SAID, CALL]


def test_an_item_that_was_not_announced_is_told_beside_those_that_were() -> None:
    sent = [
        {**ADDED, "item": {**SAID, "content": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": SAID},
    ]

    events = decode(numbered(CREATED, *sent, ended(output=[SAID, CALL])))

    assert check_grammar(events) == []
    assert [event.output_index for event in events if isinstance(event, ev.OutputItemDone)] == [0, 1]


@pytest.mark.parametrize("closing", [False, True], ids=["nothing else", "closed by the host"])
def test_text_whose_message_was_not_opened_is_one_all_the_same(closing: bool) -> None:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", **where, "delta": each} for each in ("Hi ", "there")]
    ends = [
        {"type": "response.output_text.done", **where, "text": "Hi there"},
        {"type": "response.content_part.done", **where, "part": TEXT},
        {"type": "response.output_item.done", "output_index": 0, "item": SAID},
    ]

    events = decode(numbered(CREATED, *deltas, *(ends if closing else ()), ended(output=[SAID])))

    assert check_grammar(events) == []
    assert told_by(events) == "Hi there"
    assert [event.type for event in events].count("response.content_part.done") == 1
    assert [event.type for event in events].count("response.output_item.done") == 1


def test_pieces_of_an_item_that_was_not_opened_are_not_told_twice() -> None:
    delta = {"type": "response.reasoning_text.delta", "item_id": "rs_1", "output_index": 0, "content_index": 0}

    events = decode(numbered(CREATED, {**delta, "delta": "Hm."}, ended(output=[THOUGHT, SAID])))

    assert [event.type for event in events].count("response.reasoning_text.delta") == 1
    assert [event.output_index for event in events if isinstance(event, ev.OutputItemDone)] == [0, 1]


@pytest.mark.parametrize("lacking", [("output_index",), ("content_index",), ("output_index", "content_index")])
def test_numbered_events_without_indexes_get_them(lacking: tuple[str, ...]) -> None:
    """As Lemonade sends them."""
    sent = [event.to_dict() for event in text_events("Hi ", "there")]
    stripped = [{name: value for name, value in event.items() if name not in lacking} for event in sent]

    assert [event.to_dict() for event in decode(sse(*stripped))] == sent


@pytest.mark.parametrize("output", [{"output": []}, {"output": None}, {}], ids=["empty", "null", "missing"])
@pytest.mark.parametrize("status", ["completed", "incomplete", "failed"])
def test_a_last_event_without_output_gets_the_items_that_were_closed(status: str, output: dict[str, Any]) -> None:
    """As ChatGPT's backend for Codex sends it: else a plain call, and tools, would see nothing."""
    items = [{**ITEM, "id": f"msg_{at}", "content": [{"type": "output_text", "text": str(at)}]} for at in range(2)]
    end = {"type": f"response.{status}", "sequence_number": 5, "response": {"id": "resp_1", "status": status, **output}}
    sent: list[Any] = [CREATED]
    for at, item in enumerate(items):
        sent.append({**ADDED, "sequence_number": 2 * at + 1, "output_index": at, "item": {**item, "content": []}})
        done = {"type": "response.output_item.done", "sequence_number": 2 * at + 2, "output_index": at, "item": item}
        sent.append(done)

    last = decode(sse(*sent, end))[-1]

    assert isinstance(last, ev.LifecycleEvent)
    assert last.response.to_dict()["output"] == items
    assert (last.sequence_number, last.response.status) == (5, status)


def test_an_event_behind_a_repair_knows_the_number_that_the_host_gave_it() -> None:
    """A summary without the events of its part, as Ollama sends it, but numbered."""
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    told = {**item, "summary": [{"type": "summary_text", "text": "ab"}]}
    where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    sent: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_summary_text.delta", **where, "delta": "a"},
        {"type": "response.reasoning_summary_text.delta", **where, "delta": "b"},
        {"type": "response.output_item.done", "output_index": 0, "item": told},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [told]}},
    ]

    events = decode(sse(*[{**each, "sequence_number": at} for at, each in enumerate(sent)]))

    assert check_grammar(events) == []
    assert [event.sequence_number for event in events] == list(range(9))
    assert [event.resume_after for event in events] == [0, 1, 1, 2, 3, 3, 3, 4, 5]
    assert [index for index, event in enumerate(events) if event.original is None] == [2, 5, 6]
    assert isinstance(events[-1], ev.LifecycleEvent)
    assert events[-1].replace(response=events[-1].response.replace(id="other")).resume_after == 5


@pytest.mark.parametrize("name", ["sparse_text.sse", "sparse_tool_calls.sse"])
def test_what_the_host_sent_stays_reachable_behind_a_repair(name: str) -> None:
    body = fixture(name)

    events = decode(body)

    sent = [event.original.raw for event in events if event.original is not None]
    assert sent == re.findall(rb"^data: ([{].*)$", body, re.MULTILINE)
    assert any(event.raw != event.original.raw for event in events if event.original is not None)


def test_a_sparse_stream_that_was_taken_up_again_is_numbered_on() -> None:
    decoder = NativeStream(starting_after=6)
    text = {"type": "output_text", "text": "a", "annotations": []}
    item = {**ITEM, "status": "completed", "content": [text]}
    sent = [
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]

    events = decoder.feed(sse(*sent))

    assert [event.sequence_number for event in events] == [7, 8]


def test_repair_numbers_the_parts_of_a_message() -> None:
    text = {"type": "output_text", "text": "a", "annotations": []}
    item = {**ITEM, "content": [text, text]}
    part = [
        {"type": "response.content_part.added", "item_id": "msg_1", "part": {**text, "text": ""}},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "a"},
        {"type": "response.output_text.done", "item_id": "msg_1", "text": "a"},
        {"type": "response.content_part.done", "item_id": "msg_1", "part": text},
    ]
    sent = [
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_item.added", "item": ITEM},
        *part,
        *part,
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [item]}},
    ]

    events = decode(sse(*sent))

    assert check_grammar(events) == []
    assert [event.content_index for event in events if isinstance(event, ev.ContentEvent)] == [0] * 4 + [1] * 4


def test_repair_keeps_the_indexes_that_are_there() -> None:
    sent = [
        {"type": "response.output_item.added", "output_index": 4, "item": ITEM},
        {"type": "response.output_text.delta", "item_id": "msg_1", "output_index": 4, "content_index": 2, "delta": "a"},
        {"type": "response.output_text.delta", "item_id": "msg_1", "delta": "a"},
    ]

    events: list[Any] = decode(sse(*sent))

    assert [event.output_index for event in events] == [4, 4, 4, 4]
    assert [event.content_index for event in events[1:]] == [2, 2, 2]  # the part that was never opened, and its text


def test_a_foreign_event_without_a_number_does_not_start_the_numbers_again() -> None:
    complete = frames(fixture("complete.sse"))
    events = decode(sse(*complete[:3], {"type": "keepalive"}, *complete[3:]))

    assert [event.sequence_number for event in events] == list(range(len(complete) + 1))
    assert [event.to_dict() | {"sequence_number": 0} for event in events if event.type != "keepalive"] == [
        event | {"sequence_number": 0} for event in complete
    ]


@pytest.mark.parametrize("name", ["complete.sse", "complete_unnamed.sse"])
def test_a_complete_stream_passes_untouched(name: str) -> None:
    events = decode(fixture(name))

    sent = re.findall(rb"^data: ([{].*)$", fixture(name), re.MULTILINE)
    assert [event.raw for event in events] == sent


@pytest.mark.parametrize("name", ["complete.sse", "complete_unnamed.sse", "sparse_text.sse", "sparse_tool_calls.sse"])
def test_every_cut_of_a_stream_gives_the_same_events(name: str) -> None:
    body = fixture(name)
    whole = [event.raw for event in decode(body)]

    for at in range(0, len(body), 7):
        assert [event.raw for event in decode(body[:at], body[at:])] == whole


# --- over the wire: errors and odd ends ------------------------------------------------------------------------------


def call(mode: Mode, url: str, **more: Any) -> Any:
    keywords: dict[str, Any] = {
        "input": "Hi",
        "model": "openai_compatible/m",
        "api_base": url,
        "api_key": KEY,
        "num_retries": 0,
        "timeout": 10,
        **more,
    }
    return mode.either(lambda: antiphon.responses(**keywords), lambda: antiphon.aresponses(**keywords))


class Told:
    """What a streamed call told its user: events, then an error or not."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.error: Any = None
        self.stream: Any = None
        self.response: Response | None = None


@pytest.fixture
def tell(mode: Mode) -> Callable[..., Told]:
    """Returns what a streamed call tells when the server answers so."""

    def tell(*answers: Answer, **more: Any) -> Told:
        told = Told()

        async def body() -> None:
            try:
                told.stream = await call(mode, server.url, stream=True, **more)
                if mode.is_async:
                    async for event in told.stream:
                        told.events.append(event)
                else:
                    told.events.extend(told.stream)  # what came before an error is kept
            except APIError as error:
                told.error = error
            finally:
                if told.stream is not None:
                    told.response = told.stream.response
                await mode.either(antiphon.close, antiphon.aclose)

        with replaying(*answers) as server:
            mode.run(body)
        return told

    return tell


SHAPES: dict[str, tuple[bytes, str | None]] = {
    "flat": (
        sse(
            {"type": "error", "code": "server_error", "message": "boom", "param": None, "sequence_number": 3},
            name="error",
        ),
        "server_error",
    ),
    "nested": (
        sse(
            {"type": "error", "sequence_number": 3, "error": {"type": "server_error", "code": None, "message": "boom"}}
        ),
        "server_error",
    ),
    "an error object without type": (sse({"error": {"message": "boom", "type": None, "code": "500"}}), "500"),
    "an error text without type": (sse({"error": "boom"}), None),
    "flat without code": (sse({"type": "error", "message": "boom"}), None),
    "flat with a null error": (sse({"type": "error", "error": None, "message": "boom", "code": "x"}), "x"),
    "no event at all": (b'{"error": {"message": "boom", "code": "500"}}\n', "500"),
    "in a field of its own": (b'error: {"message": "boom", "code": 500}\n\n', "500"),
    "named by the SSE line only": (sse({"message": "boom", "code": 500}, name="error"), "500"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_in_the_stream_is_told_and_raised(shape: str, tell: Callable[..., Told]) -> None:
    sent, code = SHAPES[shape]

    told = tell(Answer.stream(BEGUN + sent, {"x-request-id": "req_1"}))

    assert [event.type for event in told.events[:3]] == [
        "response.created",
        "response.output_item.added",
        "response.output_text.delta",
    ]
    assert isinstance(told.events[3], ev.ErrorEvent)
    assert told.events[3].message == "boom"
    assert type(told.error) is antiphon.InternalServerError
    assert told.error.message == "boom"
    assert told.error.code == code
    assert told.error.status == 200
    assert told.error.request_id == "req_1"
    assert told.error.provider == "openai_compatible"
    assert told.error.model == "m"
    assert partial(told.error).output_text == "Half a th"
    assert told.stream.outcome.kind == "failed"
    assert told.stream.outcome.error is told.error
    assert told.error.meta is not None
    assert told.error.meta.attempts[0].outcome == "failed"


@pytest.mark.parametrize(
    ("error", "expected", "retryable"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow"}, antiphon.RateLimitError, True),
        ({"code": 429, "message": "slow"}, antiphon.RateLimitError, True),
        ({"code": "429", "message": "slow"}, antiphon.RateLimitError, True),
        ({"code": 400, "message": "no"}, antiphon.BadRequestError, False),
        ({"code": 401, "message": "no"}, antiphon.AuthenticationError, False),
        ({"code": 408, "message": "late"}, APIStatusError, True),
        ({"code": 418, "message": "tea"}, APIStatusError, False),
        ({"code": 503, "message": "full"}, antiphon.OverloadedError, True),
        ({"code": 12345, "message": "what"}, antiphon.InternalServerError, True),
        ({"type": "overloaded_error", "message": "full"}, antiphon.OverloadedError, True),
        ({"code": "context_length_exceeded", "message": "long"}, antiphon.ContextWindowExceededError, False),
        ({"code": "content_filter", "message": "no"}, antiphon.ContentPolicyViolationError, False),
        ({"code": "insufficient_quota", "message": "pay"}, antiphon.BillingError, False),
        ({"code": "invalid_prompt", "message": "no"}, antiphon.BadRequestError, False),
        ({"code": "image_parse_error", "message": "no"}, antiphon.BadRequestError, False),
        ({"message": "what"}, antiphon.InternalServerError, True),
    ],
)
@pytest.mark.parametrize("mode", ["sync"], indirect=True)
def test_an_error_in_the_stream_is_of_the_class_of_its_http_twin(
    error: dict[str, Any], expected: type[APIStatusError], retryable: bool, tell: Callable[..., Told]
) -> None:
    nested = tell(Answer.stream(BEGUN + sse({"error": error})))
    failed = tell(Answer.stream(BEGUN + sse(ended("failed", error=error))))

    for told in (nested, failed):
        assert type(told.error) is expected
        assert told.error.retryable is retryable
        assert told.error.status == 200


def test_an_error_before_any_content_is_raised_by_the_call(tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(sse(CREATED, {"error": {"message": "boom", "code": "server_error"}})))

    assert told.stream is None
    assert type(told.error) is antiphon.InternalServerError
    assert told.error.meta is not None


def test_an_error_before_any_content_is_repeated(tell: Callable[..., Told]) -> None:
    broken = Answer.stream(sse(CREATED, {"error": {"message": "boom", "code": "server_error"}}), {"retry-after": "0"})

    told = tell(broken, Answer.stream(BEGUN + sse(ended())), num_retries=1, timeout=5)

    assert told.error is None
    assert [event.sequence_number for event in told.events] == [0, 1, 2, 3]
    assert [attempt.outcome for attempt in told.stream.meta.attempts] == ["failed", "completed"]


def test_a_failed_response_is_told_and_raised(tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(BEGUN + sse(ended("failed", error={"code": "server_error", "message": "boom"}))))

    assert isinstance(told.events[-1], ev.ResponseFailed)
    assert type(told.error) is antiphon.InternalServerError
    assert told.error.message == "boom"
    assert partial(told.error).status == "failed"
    assert told.stream.outcome.kind == "failed"


def test_an_incomplete_response_is_a_regular_end(tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(BEGUN + sse(ended("incomplete", incomplete_details={"reason": "max_output_tokens"}))))

    assert told.error is None
    assert told.response is not None
    assert told.response.incomplete_details is not None
    assert told.response.incomplete_details.reason == "max_output_tokens"
    assert told.stream.outcome.kind == "incomplete"


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n", b": bye\n\n", b"event: response.completed\n\n"])
def test_a_stream_without_its_terminal_event_is_interrupted(tail: bytes, tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(BEGUN + tail, {"x-request-id": "req_1"}))

    assert len(told.events) == 3
    assert type(told.error) is StreamInterrupted
    assert "terminal" in told.error.message
    assert partial(told.error).output_text == "Half a th"
    assert told.error.request_id == "req_1"
    assert told.error.provider == "openai_compatible"
    assert told.error.response_started


@pytest.mark.parametrize("cut", [True, False], ids=["apart", "in one packet"])
@pytest.mark.parametrize("garbage", [b'{"type": "response.output_te', b"oops", b"[1]", b"null", b'"text"', b"\xff"])
def test_garbage_in_mid_stream_loses_nothing_that_came_before(
    garbage: bytes, cut: bool, tell: Callable[..., Told]
) -> None:
    body = BEGUN + sse(garbage) + sse(ended())

    told = tell(Answer.stream(body, {"x-request-id": "req_1"}, cuts=(len(BEGUN),) if cut else (), delay_s=0.02))

    assert len(told.events) == 3
    assert type(told.error) is APIResponseError
    assert partial(told.error).output_text == "Half a th"
    assert told.error.request_id == "req_1"
    assert told.error.provider == "openai_compatible"
    assert not told.error.retryable
    assert told.stream.outcome.kind == "failed"


def test_garbage_is_told_at_once_even_if_the_host_says_nothing_more(mode: Mode) -> None:
    def serve(connection: Connection) -> None:
        connection.request()
        connection.begin_stream()
        connection.send_chunk(BEGUN + sse(b"oops"))
        connection.wait_for_close()

    async def body() -> None:
        stream = await call(mode, server.url, stream=True, timeout=antiphon.Timeouts(idle=5))
        for _ in range(3):
            await mode.next(stream)
        with pytest.raises(APIResponseError):
            await mode.next(stream)
        await mode.either(antiphon.close, antiphon.aclose)

    with serving(serve) as server:
        mode.run(body)


def test_secrets_in_garbage_are_masked(tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(BEGUN + sse(b"x" * 100 + f"Bearer {KEY}".encode())))

    assert type(told.error) is APIResponseError
    assert KEY[:12] not in str(told.error)


@pytest.mark.parametrize(
    "tail",
    [
        b"data: [DONE]\n\n",
        b": bye\n\n",
        b"oops",
        sse(b"oops"),
        sse(DELTA),
        sse(ended("failed", error={"message": "late"})),
        sse({"error": "late"}),
        b"data: " + b"x" * 100_000,
    ],
    ids=["done mark", "comment", "no event", "garbage", "event", "second terminal event", "error", "large"],
)
@pytest.mark.parametrize("cut", [True, False], ids=["apart", "in one packet"])
def test_what_follows_the_terminal_event_is_no_part_of_the_response(
    tail: bytes, cut: bool, tell: Callable[..., Told]
) -> None:
    body = BEGUN + sse(ended())

    told = tell(Answer.stream(body + tail, cuts=(len(body),) if cut else (), delay_s=0.01))

    assert told.error is None
    assert [event.sequence_number for event in told.events] == [0, 1, 2, 3]
    assert told.stream.outcome.kind == "completed"
    assert told.response is not None
    assert told.response.status == "completed"


def test_the_first_of_two_terminal_events_counts(tell: Callable[..., Told]) -> None:
    told = tell(Answer.stream(BEGUN + sse(ended(), ended("completed", id="resp_2"))))

    assert told.error is None
    assert told.response is not None
    assert decode_id(told.response.id).upstream == "resp_1"


def test_the_connection_of_a_finished_stream_is_used_again(mode: Mode) -> None:
    async def body() -> None:
        for _ in range(3):
            await mode.until_done(await call(mode, server.url, stream=True))
        await mode.either(antiphon.close, antiphon.aclose)

    with replaying(Answer.stream(BEGUN + sse(ended()) + b"data: [DONE]\n\n")) as server:
        mode.run(body)

    assert len(server.requests) == 3
    assert server.accepted == 1


# --- the other kind of answer than asked for -------------------------------------------------------------------------

WHOLE = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Well."}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "Hello, you.\n", "annotations": []},
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c",
            "name": "f",
            "arguments": '{"a":1}',
            "status": "completed",
        },
        {"type": "function_call", "id": "fc_2", "call_id": "d", "name": "g", "arguments": "", "status": "completed"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "acme_item", "id": "x_1", "n": None},
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
}


def test_a_json_answer_to_a_streamed_call_becomes_a_stream(tell: Callable[..., Told]) -> None:
    whole = {**WHOLE, "created_at": 1790000000, "error": None, "incomplete_details": None}

    told = tell(Answer.json(json.dumps(whole).encode(), headers={"x-request-id": "req_1"}))

    assert check_grammar(told.events) == []
    assert told.response is not None
    assert decode_id(told.response.id).upstream == "resp_1"
    assert told.response.to_dict() == {**whole, "id": told.response.id}
    assert told.stream.outcome.kind == "completed"
    assert told.stream.meta.request_id == "req_1"


def test_a_json_answer_to_a_streamed_call_ends_as_it_was_sent(tell: Callable[..., Told]) -> None:
    told = tell(Answer.json(json.dumps(WHOLE).encode()))

    assert told.response is not None
    assert told.response.to_dict() == {**WHOLE, "id": told.response.id}


def test_an_incomplete_json_answer_to_a_streamed_call_ends_incomplete(tell: Callable[..., Told]) -> None:
    told = tell(Answer.json(json.dumps({**WHOLE, "status": "incomplete"}).encode()))

    assert isinstance(told.events[-1], ev.ResponseIncomplete)
    assert told.stream.outcome.kind == "incomplete"


def test_a_failed_json_answer_to_a_streamed_call_raises(tell: Callable[..., Told]) -> None:
    said = {**WHOLE, "status": "failed", "error": {"code": "server_error", "message": "boom"}}

    told = tell(Answer.json(json.dumps(said).encode()))

    assert type(told.error) is antiphon.InternalServerError
    assert partial(told.error).status == "failed"


@pytest.mark.parametrize("name", ["complete.sse", "complete_unnamed.sse", "sparse_text.sse", "sparse_tool_calls.sse"])
def test_a_stream_to_a_plain_call_becomes_the_response(name: str, mode: Mode) -> None:
    async def body() -> Response:
        response: Response = await call(mode, server.url)
        await mode.either(antiphon.close, antiphon.aclose)
        return response

    with replaying(Answer.stream(fixture(name), {"x-request-id": "req_1"})) as server:
        response = mode.run(body)

    assert isinstance(response, Response)
    assert response.replace(id="").to_dict() == {**frames(fixture(name))[-1]["response"], "id": ""}
    assert response.meta is not None
    assert response.meta.request_id == "req_1"
    assert [attempt.outcome for attempt in response.meta.attempts] == ["completed"]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (sse(ended("failed", error={"code": "server_error", "message": "boom"})), antiphon.InternalServerError),
        (sse({"error": "boom"}), antiphon.InternalServerError),
        (sse(b"oops"), APIResponseError),
        (b"", StreamInterrupted),
    ],
)
def test_a_broken_stream_to_a_plain_call_raises(tail: bytes, expected: type[APIError], mode: Mode) -> None:
    async def body() -> APIError:
        with pytest.raises(APIError) as caught:
            await call(mode, server.url)
        await mode.either(antiphon.close, antiphon.aclose)
        return caught.value

    with replaying(Answer.stream(BEGUN + tail)) as server:
        error = mode.run(body)

    assert type(error) is expected
    assert error.response is not None
    assert error.meta is not None
    assert [attempt.outcome for attempt in error.meta.attempts] == ["failed"]
