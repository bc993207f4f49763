"""The state of a conversation, without I/O."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from antiphon.mcp import McpProtocolError, McpServerError
from antiphon.mcp.errors import McpConnectionError
from antiphon.mcp.session import Ask, Session

notes: list[Any] = []


@pytest.fixture
def session() -> Session:
    notes.clear()
    return Session("demo", frozenset({"roots/list"}), lambda method, params: notes.append((method, params)))


def given(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


def test_an_answer_settles_the_call_of_its_id(session: Session) -> None:
    first, second = session.begin("a"), session.begin("b")

    session.receive(given(id=second.id, result={"x": 1}))

    assert second.result() == {"x": 1}
    assert not first.is_done


@pytest.mark.parametrize("request_id", ["1", 1.0, True, 99, None])
def test_an_id_counts_with_its_type(session: Session, request_id: Any) -> None:
    call = session.begin("a")

    assert session.receive(given(id=request_id, result={})) == []

    assert not call.is_done


def test_the_first_answer_counts_and_late_ones_are_ignored(session: Session) -> None:
    call = session.begin("a")
    session.receive(given(id=call.id, result={"first": True}))
    session.receive(given(id=call.id, result={"first": False}))
    session.end(call)
    session.receive(given(id=call.id, result={"first": False}))

    assert call.result() == {"first": True}
    assert session.waiting == 0


def test_an_error_is_raised_with_its_code_and_data(session: Session) -> None:
    call = session.begin("tools/call")

    session.receive(given(id=call.id, error={"code": -32602, "message": "Unknown tool", "data": {"x": 1}}))

    with pytest.raises(McpServerError, match='server "demo" answered tools/call with an error: Unknown tool') as caught:
        call.result()
    assert (caught.value.rpc_code, caught.value.code, caught.value.data) == (-32602, "-32602", {"x": 1})


def test_an_error_without_an_id_is_of_the_call_that_was_asked_there(session: Session) -> None:
    asked, other = session.begin("a"), session.begin("b")

    session.receive(given(id=None, error={"code": -32700, "message": "?"}), asked)

    assert asked.is_done
    assert not other.is_done


def test_a_result_that_is_no_object_is_an_error(session: Session) -> None:
    call = session.begin("a")

    session.receive(given(id=call.id, result=[1]))

    with pytest.raises(McpProtocolError, match="list in place of an object"):
        call.result()


def test_several_messages_at_once_are_taken(session: Session) -> None:
    first, second = session.begin("a"), session.begin("b")

    session.receive(json.dumps([json.loads(given(id=c.id, result={})) for c in (first, second)]).encode())

    assert first.is_done
    assert second.is_done


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'\xef\xbb\xbf{"id": 1, "result": {"x": 1}}', 1),
        (b'{"id": 1, "result": {"x": "cut \\ud83d"}}', "cut \N{REPLACEMENT CHARACTER}"),
        (b'{"id": 1, "result": {"x": "caf\xe9"}}', "caf\N{REPLACEMENT CHARACTER}"),
        (b'{"id": 1, "result": {"x": Infinity}}', math.inf),
    ],
    ids=["a byte order mark", "half a character", "no UTF-8", "a number that JSON lacks"],
)
def test_odd_json_is_read(session: Session, data: bytes, found: object) -> None:
    call = session.begin("a")

    session.receive(data)

    assert call.result() == {"x": found}


def test_an_error_may_be_mere_text(session: Session) -> None:
    call = session.begin("a")

    session.receive(given(id=call.id, error="broken"))

    with pytest.raises(McpServerError, match="with an error: broken"):
        call.result()


@pytest.mark.parametrize("data", [b"", b"{", b"3", b"null", b"\xff", b"[" * 99_999])
def test_what_is_no_message_is_an_error(session: Session, data: bytes) -> None:
    with pytest.raises(McpProtocolError, match='server "demo" sent'):
        session.receive(data)


def test_a_ping_is_answered_and_the_unknown_refused(session: Session) -> None:
    (pong,) = session.receive(given(id="p", method="ping"))
    (refusal,) = session.receive(given(id=7, method="sampling/createMessage", params={}))

    assert isinstance(pong, bytes)
    assert isinstance(refusal, bytes)
    assert json.loads(pong) == {"jsonrpc": "2.0", "id": "p", "result": {}}
    assert json.loads(refusal)["error"]["code"] == -32601


def test_a_request_with_a_handler_is_handed_on(session: Session) -> None:
    assert session.receive(given(id=7, method="roots/list", params={"a": 1})) == [Ask(7, "roots/list", {"a": 1})]


def test_progress_goes_to_its_call_and_other_notes_to_the_owner(session: Session) -> None:
    told: list[Any] = []
    call = session.begin("a", lambda *progress: told.append(progress))
    progress = {"progressToken": call.id, "progress": 1, "total": 2.5, "message": "half"}

    session.receive(given(method="notifications/progress", params=progress))
    session.receive(given(method="notifications/progress", params={**progress, "progressToken": "strange"}))
    session.receive(given(method="notifications/progress", params={"progressToken": call.id, "progress": "much"}))
    session.receive(given(method="notifications/tools/list_changed"))

    assert told == [(1, 2.5, "half")]
    assert notes == [("notifications/tools/list_changed", {})]


def test_all_that_wait_can_be_failed(session: Session) -> None:
    call = session.begin("a")
    woken: list[int] = []
    call.wake_by(lambda: woken.append(1))

    session.fail_all(lambda method: McpConnectionError(f"{method} is lost"))

    assert woken == [1]
    with pytest.raises(McpConnectionError, match="a is lost"):
        call.result()
