"""Every call of the API beside `responses`: what goes over the wire, and what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from conftest import Mode
from hand_made import sse, text_events
from loopback import Received
from recordings import Recording, load
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon.client import Client
from antiphon.pipeline.api.params import NULL, PARAMS, CreateParams
from antiphon.pipeline.api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, Response
from antiphon.pipeline.api.returned import Returned
from antiphon.pipeline.errors import (
    APIResponseError,
    InternalServerError,
    InvalidParameter,
    NotFoundError,
    RateLimitError,
    SetupError,
    UnknownKeyword,
    UnsupportedOperation,
)
from antiphon.providers.response_ids import decode_id, encode_id

HOST = "openai_compatible"
KEY = "sk-canary-0123456789abcdef"
JSON = {"content-type": "application/json"}
ID = encode_id("resp_7", HOST)


def body_of(status: str = "completed", **fields: Any) -> dict[str, Any]:
    return {"id": "resp_7", "object": "response", "created_at": 1, "status": status, "output": [], **fields}


def answer(body: Any, status: int = 200) -> Answer:
    return Answer.json(json.dumps(body).encode(), status)


def page(*ids: str, **fields: Any) -> Answer:
    items = [{"type": "message", "id": each, "role": "user", "content": each} for each in ids]
    return answer({"object": "list", "data": items, "first_id": ids[0] if ids else None, **fields})


class Caller:
    """Calls the operations in one mode, by the one-call functions or by a client's methods."""

    def __init__(self, mode: Mode, calls: Any, **keywords: Any) -> None:
        self.mode = mode
        self.calls = calls
        self.keywords = {"api_key": KEY, "num_retries": 0, **keywords}

    async def __call__(self, name: str, *args: Any, **keywords: Any) -> Any:
        given = {**self.keywords, **keywords}
        plain: Callable[..., Any] = getattr(self.calls, name)
        twin: Callable[..., Awaitable[Any]] = getattr(self.calls, f"a{name}")
        return await self.mode.either(lambda: plain(*args, **given), lambda: twin(*args, **given))

    async def items(self, page: ItemPage) -> list[str]:
        found = [item async for item in page] if self.mode.is_async else list(page)
        return [item.to_dict()["id"] for item in found]


@pytest.fixture(params=["functions", "client"])
def caller(request: pytest.FixtureRequest, mode: Mode) -> Caller:
    return Caller(mode, antiphon if request.param == "functions" else Client())


def run(caller: Caller, body: Callable[[], Any]) -> Any:
    """Run a test's body, then close what its calls have opened."""

    async def closing() -> Any:
        calls = caller.calls
        try:
            return await body()
        finally:
            await caller.mode.either(calls.close, calls.aclose)

    return caller.mode.run(closing)


def one(requests: list[Received]) -> tuple[str, str, list[tuple[str, str]], bytes]:
    """Return method, path, query and body of the only request."""
    (received,) = requests
    target = urlsplit(path_of(received))
    return received.line.split(" ")[0], target.path, parse_qsl(target.query), received.body


# --- on the wire: method, path, query and body --------------------------------------------------------------------

STORED = [
    ("get_responses", "GET", "", body_of(), Response),
    ("delete_responses", "DELETE", "", {"id": "resp_7", "object": "response", "deleted": True}, DeletedResponse),
    ("cancel_responses", "POST", "/cancel", body_of("cancelled", background=True), Response),
    ("list_input_items", "GET", "/input_items", {"object": "list", "data": [], "has_more": False}, ItemPage),
]
NAMES = [row[0] for row in STORED]


@pytest.mark.parametrize(("name", "method", "path", "body", "returns"), STORED, ids=NAMES)
def test_a_call_on_a_stored_response(
    caller: Caller, name: str, method: str, path: str, body: dict[str, Any], returns: type[Returned]
) -> None:
    with replaying(answer(body)) as server:
        reply = run(caller, lambda: caller(name, ID, api_base=f"{server.url}/v1"))

    assert one(server.requests) == (method, f"/v1/responses/resp_7{path}", [], b"")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "content-type" not in server.requests[0].headers
    assert type(reply) is returns
    assert {**reply.to_dict(), **({"id": "resp_7"} if "id" in body else {})} == body
    assert reply.meta is not None
    assert (reply.meta.provider, reply.meta.status, len(reply.meta.attempts)) == (HOST, 200, 1)
    if "id" in body:
        assert reply.to_dict()["id"] == ID


@pytest.mark.parametrize("odd", ["r/../a?b", "..", "a b#c", "ü%2F", "resp_1;x", "a\nb"])
@pytest.mark.parametrize(("name", "method", "path", "body", "returns"), STORED, ids=NAMES)
def test_an_id_is_one_segment_of_the_path(
    name: str, method: str, path: str, body: dict[str, Any], returns: type[Returned], odd: str
) -> None:
    caller = Caller(Mode("sync"), antiphon)
    with replaying(answer(body)) as server:
        run(caller, lambda: caller(name, odd, api_base=f"{server.url}/v1"))

    # Dots are no reserved characters, so "%2E" would be the same path to a host that normalises.
    sent = path_of(server.requests[0])
    assert sent == f"/v1/responses/{quote(odd, safe='')}{path}"
    assert server.requests[0].line.startswith(f"{method} ")


def test_an_id_with_every_separator_is_percent_encoded(caller: Caller) -> None:
    with replaying(answer(body_of())) as server:
        run(caller, lambda: caller("get_responses", "r/../a?b", api_base=f"{server.url}/v1"))

    assert path_of(server.requests[0]) == "/v1/responses/r%2F..%2Fa%3Fb"


def test_the_query_of_get(caller: Caller) -> None:
    include = ["reasoning.encrypted_content", "message.output_text.logprobs"]
    with replaying(answer(body_of())) as server:
        run(
            caller,
            lambda: caller(
                "get_responses",
                ID,
                include=include,
                include_obfuscation=False,
                stream=False,
                extra_query={"new": "1"},
                api_base=server.url,
            ),
        )

    _, _, query, _ = one(server.requests)
    assert query == [
        ("include[]", include[0]),
        ("include[]", include[1]),
        ("stream", "false"),
        ("include_obfuscation", "false"),
        ("new", "1"),
    ]
    assert "include%5B%5D=" in path_of(server.requests[0])


def test_the_query_of_a_page(caller: Caller) -> None:
    with replaying(page("msg_1", has_more=False)) as server:
        run(
            caller,
            lambda: caller(
                "list_input_items",
                ID,
                limit=2,
                order="asc",
                after="msg_0",
                before="msg_9",
                include=["message.input_image.image_url"],
                api_base=server.url,
            ),
        )

    _, _, query, _ = one(server.requests)
    assert sorted(query) == [
        ("after", "msg_0"),
        ("before", "msg_9"),
        ("include[]", "message.input_image.image_url"),
        ("limit", "2"),
        ("order", "asc"),
    ]


COMPACT = {
    "input": [{"role": "user", "content": "Hi"}],
    "instructions": "Be brief.",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    "prompt_cache_retention": "24h",
    "service_tier": "flex",
    "image": {"context_compression": "auto"},
}
COMPACTED = {
    "id": "resp_c",
    "object": "response.compaction",
    "created_at": 1,
    "output": [
        {"type": "message", "id": "msg_1", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"},
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
COUNT = {
    "input": "Hi",
    "instructions": "Be brief.",
    "conversation": "conv_1",
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
    "tool_choice": "auto",
    "text": {"format": {"type": "text"}},
    "reasoning": {"effort": "low"},
    "truncation": "auto",
    "parallel_tool_calls": False,
    "personality": "friendly",
}


def test_compact(caller: Caller) -> None:
    with replaying(answer(COMPACTED)) as server:
        reply = run(
            caller, lambda: caller("compact_responses", model=f"{HOST}/m", api_base=f"{server.url}/v1", **COMPACT)
        )

    method, path, query, body = one(server.requests)
    assert (method, path, query) == ("POST", "/v1/responses/compact", [])
    assert json.loads(body) == {"model": "m", **COMPACT}
    assert isinstance(reply, CompactedResponse)
    assert reply.to_dict() == COMPACTED  # its id too: nothing is stored under it
    assert reply.usage is not None
    assert reply.usage.total_tokens == 5


def test_what_is_compacted_is_the_next_input(caller: Caller) -> None:
    async def body() -> None:
        keywords = {"model": f"{HOST}/m", "api_base": server.url}
        compacted = await caller("compact_responses", "Hi", **keywords)
        await caller("responses", [*compacted.output, {"role": "user", "content": "More."}], **keywords)

    with replaying(answer(COMPACTED), answer(body_of())) as server:
        run(caller, body)

    assert json.loads(server.requests[1].body)["input"] == [
        *cast(list[Any], COMPACTED["output"]),
        {"role": "user", "content": "More."},
    ]


def test_compact_needs_no_input_with_a_previous_response(caller: Caller) -> None:
    with replaying(answer(COMPACTED)) as server:
        run(
            caller,
            lambda: caller("compact_responses", model=f"{HOST}/m", previous_response_id=ID, api_base=server.url),
        )

    assert json.loads(server.requests[0].body) == {"model": "m", "previous_response_id": "resp_7"}


def test_count_input_tokens(caller: Caller) -> None:
    with replaying(answer({"object": "response.input_tokens", "input_tokens": 16})) as server:
        reply = run(
            caller, lambda: caller("count_input_tokens", model=f"{HOST}/m", api_base=f"{server.url}/v1", **COUNT)
        )

    method, path, query, body = one(server.requests)
    assert (method, path, query) == ("POST", "/v1/responses/input_tokens", [])
    assert json.loads(body) == {"model": "m", **COUNT}
    assert isinstance(reply, InputTokens)
    assert reply.input_tokens == 16


@pytest.mark.parametrize("name", ["compact_responses", "count_input_tokens"])
def test_an_input_is_needed_where_nothing_stands_for_it(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="input is missing"):
            await caller(name, model=f"{HOST}/m", api_base="http://127.0.0.1:9")

    run(caller, body)


@pytest.mark.parametrize("given", ["conv_1", {"id": "conv_1"}, NULL])
def test_a_conversation_is_sent_as_it_was_given(caller: Caller, given: Any) -> None:
    with replaying(answer(body_of(conversation={"id": "conv_1"}))) as server:
        reply = run(caller, lambda: caller("responses", "Hi", f"{HOST}/m", conversation=given, api_base=server.url))

    assert json.loads(server.requests[0].body)["conversation"] == (None if given is NULL else given)
    assert reply.conversation.id == "conv_1"


def test_a_conversation_and_a_previous_response_exclude_each_other(caller: Caller) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="exclude each other"):
            await caller("responses", "Hi", f"{HOST}/m", conversation="conv_1", previous_response_id=ID, api_base="x")

    run(caller, body)


def test_extra_body_is_sent_with_a_call_that_has_none(caller: Caller) -> None:
    with replaying(answer(body_of("cancelled"))) as server:
        run(caller, lambda: caller("cancel_responses", ID, extra_body={"why": "late"}, api_base=server.url))

    _, _, _, body = one(server.requests)
    assert json.loads(body) == {"why": "late"}
    assert server.requests[0].headers["content-type"] == "application/json"


# --- answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b" \r\n"])
@pytest.mark.parametrize("status", [200, 204])
def test_an_empty_answer_to_a_deletion_is_a_deletion(caller: Caller, body: bytes, status: int) -> None:
    with replaying(Answer.json(body if status == 200 else b"", status)) as server:
        reply = run(caller, lambda: caller("delete_responses", ID, api_base=server.url))

    assert isinstance(reply, DeletedResponse)
    assert (reply.id, reply.deleted, reply.object) == (ID, True, "response.deleted")


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_id_is_not_found(caller: Caller, name: str) -> None:
    said = {"message": "Response with id 'resp_7' not found.", "type": "invalid_request_error", "param": "id"}

    async def body() -> None:
        with pytest.raises(NotFoundError) as caught:
            await caller(name, ID, api_base=server.url)

        assert (caught.value.status, caught.value.param, caught.value.attempts) == (404, "id", 1)
        assert (caught.value.provider, caught.value.message) == (HOST, said["message"])
        assert KEY not in str(caught.value)

    with replaying(answer({"error": said}, 404)) as server:
        run(caller, body)


@pytest.mark.parametrize("empty", ["", None])
@pytest.mark.parametrize("name", [*NAMES, "poll_responses"])
def test_an_empty_id_is_refused_before_anything_is_sent(caller: Caller, name: str, empty: Any) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="response_id is empty"):
            await caller(name, empty, api_base=server.url)

    with replaying(answer(body_of())) as server:
        run(caller, body)

    assert server.requests == []


@pytest.mark.parametrize("name", [*NAMES, "poll_responses"])
def test_a_missing_id_is_a_type_error(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(TypeError, match="response_id"):
            await caller(name)

    run(caller, body)


@pytest.mark.parametrize("odd", [7, ["resp_7"], {"id": "resp_7"}])
def test_an_id_is_text(caller: Caller, odd: Any) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match=r"response_id is .*str is expected"):
            await caller("get_responses", odd, api_base="http://127.0.0.1:9")

    run(caller, body)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": "2"}, "limit is str; int is expected"),
        ({"order": "down"}, "order"),
        ({"include": "all"}, "include is str"),
        ({"after": 7}, "after is int"),
    ],
)
def test_a_parameter_of_a_wrong_type_is_refused(caller: Caller, given: dict[str, Any], said: str) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match=said):
            await caller("list_input_items", ID, api_base="http://127.0.0.1:9", **given)

    run(caller, body)


@pytest.mark.parametrize("name", ["delete_responses", "cancel_responses"])
def test_a_parameter_that_the_operation_does_not_have_is_refused(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(UnknownKeyword):
            await caller(name, ID, temperature=1, api_base="http://127.0.0.1:9")

    run(caller, body)


@pytest.mark.parametrize("name", NAMES)
def test_a_hosts_own_id_needs_a_provider(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="nothing says which provider") as caught:
            await caller(name, "resp_7")

        assert "custom_llm_provider" in str(caught.value)

    run(caller, body)


@pytest.mark.parametrize(("name", "method", "path", "body", "returns"), STORED, ids=NAMES)
def test_a_hosts_own_id_and_a_provider_do(
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    method: str,
    path: str,
    body: dict[str, Any],
    returns: type[Returned],
) -> None:
    with replaying(answer(body)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        run(caller, lambda: caller(name, "resp_7", custom_llm_provider="openai"))

    assert one(server.requests)[:2] == (method, f"/v1/responses/resp_7{path}")


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_that_a_provider_does_not_serve(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(UnsupportedOperation, match="local does not serve") as caught:
            await caller(name, encode_id("resp_7", "local"))

        assert caught.value.provider == "local"
        assert "it serves: count_input_tokens, create" in str(caught.value)

    run(caller, body)


def test_counting_is_not_served_by_every_provider(caller: Caller) -> None:
    async def body() -> None:
        with pytest.raises(UnsupportedOperation, match="scripted does not serve count_input_tokens"):
            await caller("count_input_tokens", "Hi", "scripted/echo")

    run(caller, body)


@pytest.mark.parametrize("name", ["get_responses", "cancel_responses", "poll_responses"])
def test_a_response_that_failed_is_returned_when_it_is_fetched(caller: Caller, name: str) -> None:
    failed = body_of("failed", error={"code": "server_error", "message": "it broke"})

    with replaying(answer(failed)) as server:
        response = run(caller, lambda: caller(name, ID, api_base=server.url))

    assert response.status == "failed"
    assert response.error.message == "it broke"
    assert response.is_terminal


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("get_responses", (ID,)),
        ("cancel_responses", (ID,)),
        ("poll_responses", (ID,)),
        ("list_input_items", (ID,)),
        ("compact_responses", ("Hi", f"{HOST}/m")),
        ("count_input_tokens", ("Hi", f"{HOST}/m")),
    ],
)
@pytest.mark.parametrize("odd", [{"detail": "No such route"}, {}, {"ok": True}])
def test_an_answer_that_is_another_object_is_an_error(caller: Caller, name: str, args: Any, odd: Any) -> None:
    async def body() -> None:
        with pytest.raises(APIResponseError):
            await caller(name, *args, api_base=server.url)

    with replaying(answer(odd)) as server:
        run(caller, body)


@pytest.mark.parametrize("name", ["get_responses", "cancel_responses", "list_input_items"])
def test_an_error_inside_an_answer_is_raised(caller: Caller, name: str) -> None:
    async def body() -> None:
        with pytest.raises(NotFoundError, match="gone") as caught:
            await caller(name, ID, api_base=server.url)

        assert caught.value.status == 200

    with replaying(answer({"error": {"message": "gone", "code": "not_found", "type": "not_found_error"}})) as server:
        run(caller, body)


@pytest.mark.parametrize(
    ("name", "args"),
    [("get_responses", (ID,)), ("delete_responses", (ID,)), ("count_input_tokens", ("Hi", f"{HOST}/m"))],
)
@pytest.mark.parametrize("body", [b"<html>no</html>", b"[]", b"null", b'"x"', b"{"])
def test_an_answer_that_is_no_object_is_an_error(name: str, args: Any, body: bytes) -> None:
    caller = Caller(Mode("sync"), antiphon)

    async def act() -> None:
        with pytest.raises(APIResponseError, match="no JSON object"):
            await caller(name, *args, api_base=server.url)

    with replaying(Answer.json(body)) as server:
        run(caller, act)


@pytest.mark.parametrize("name", NAMES)
def test_a_passing_failure_is_repeated(mode: Mode, name: str) -> None:
    caller = Caller(mode, antiphon, num_retries=1)
    (body,) = [row[3] for row in STORED if row[0] == name]
    busy = Answer(503, {**JSON, "retry-after": "0.01"}, b'{"error": {"message": "busy"}}')

    with replaying(busy, answer(body)) as server:
        reply = run(caller, lambda: caller(name, ID, api_base=server.url))

    assert [attempt.status for attempt in reply.meta.attempts] == [503, 200]
    assert len({received.line for received in server.requests}) == 1


def test_what_a_client_binds_does_not_disturb_its_other_calls(mode: Mode) -> None:
    with replaying(answer(body_of())) as server:
        chain = antiphon.presets.responses.bind(model=f"{HOST}/m", temperature=0.5, api_base=server.url)
        caller = Caller(mode, Client(chain))
        response = run(caller, lambda: caller("get_responses", ID))

    assert response.id == ID


# --- pages --------------------------------------------------------------------------------------------------------


def test_iterating_a_page_goes_through_all_pages(caller: Caller) -> None:
    async def body() -> list[str]:
        first = await caller(
            "list_input_items", ID, limit=2, order="asc", include=["x"], api_base=server.url, extra_query={"q": "1"}
        )
        assert len(first.data) == 2
        assert len(server.requests) == 1
        return await caller.items(first)

    answers = [
        page("a", "b", last_id="b", has_more=True),
        page("c", "d", last_id="d", has_more=True),
        page("e", last_id="e", has_more=False),
    ]
    with replaying(*answers) as server:
        assert run(caller, body) == ["a", "b", "c", "d", "e"]

    queries = [dict(parse_qsl(urlsplit(path_of(received)).query)) for received in server.requests]
    assert [query.pop("after", None) for query in queries] == [None, "b", "d"]
    assert queries == [{"limit": "2", "order": "asc", "include[]": "x", "q": "1"}] * 3


def test_a_page_may_be_iterated_again(caller: Caller) -> None:
    async def body() -> None:
        first = await caller("list_input_items", ID, api_base=server.url)
        assert await caller.items(first) == ["a", "b"]
        assert await caller.items(first) == ["a", "b"]

    with replaying(page("a", has_more=True), page("b", has_more=False), page("b", has_more=False)) as server:
        run(caller, body)

    assert len(server.requests) == 3


def test_the_next_page_begins_after_the_last_item(caller: Caller) -> None:
    async def body() -> list[str]:
        return await caller.items(await caller("list_input_items", ID, api_base=server.url))

    # Hosts that give no last_id, or a stale one: what counts for input items is the item itself.
    with replaying(
        page("a", "b", has_more=True), page("c", "d", last_id="c", has_more=True), page("e", has_more=False)
    ) as server:
        assert run(caller, body) == ["a", "b", "c", "d", "e"]

    assert ["after=b" in path_of(server.requests[1]), "after=d" in path_of(server.requests[2])] == [True, True]


def test_without_has_more_the_pages_end_with_an_empty_one(caller: Caller) -> None:
    async def body() -> list[str]:
        return await caller.items(await caller("list_input_items", ID, api_base=server.url))

    answers = [page("a", "b"), page("c"), page()]
    with replaying(*answers) as server:
        assert run(caller, body) == ["a", "b", "c"]

    assert len(server.requests) == 3


def test_a_host_that_ignores_the_cursor_does_not_keep_us_forever(caller: Caller) -> None:
    async def body() -> list[str]:
        return await caller.items(await caller("list_input_items", ID, api_base=server.url))

    with replaying(page("a", "b", has_more=True)) as server:
        assert run(caller, body) == ["a", "b"]

    assert len(server.requests) == 2


def test_an_empty_page_ends_the_list_whatever_it_says(caller: Caller) -> None:
    async def body() -> list[str]:
        return await caller.items(await caller("list_input_items", ID, api_base=server.url))

    with replaying(page(has_more=True)) as server:
        assert run(caller, body) == []

    assert len(server.requests) == 1


def test_a_failure_in_the_middle_of_the_pages_reaches_the_loop(caller: Caller) -> None:
    async def body() -> None:
        with pytest.raises(InternalServerError):
            await caller.items(await caller("list_input_items", ID, api_base=server.url))

    with replaying(page("a", has_more=True), answer({"error": {"message": "no"}}, 500)) as server:
        run(caller, body)


def test_a_page_made_by_hand_cannot_fetch_more() -> None:
    alone = ItemPage.new(data=[{"type": "message", "id": "a", "role": "user", "content": ""}], has_more=True)

    with pytest.raises(SetupError, match="does not know how to fetch"):
        list(alone)


def test_a_page_of_an_async_call_is_not_read_in_sync_code() -> None:
    mode = Mode("asyncio")
    caller = Caller(mode, antiphon)

    async def body() -> None:
        first = await caller("list_input_items", ID, api_base=server.url)
        with pytest.raises(SetupError, match="async for"):
            list(first)

    with replaying(page("a", has_more=True), page("b")) as server:
        run(caller, body)


def test_a_page_of_a_sync_call_is_not_read_in_async_code() -> None:
    with replaying(page("a", has_more=True), page("b", has_more=False)) as server:
        first = antiphon.list_input_items(ID, api_base=server.url)

        async def body() -> None:
            with pytest.raises(SetupError, match="use `for`"):
                [item async for item in first]

        Mode("asyncio").run(body)
        antiphon.close()


# --- background ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "incomplete", "failed", "cancelled"])
def test_polling_looks_until_the_response_has_ended(caller: Caller, end: str) -> None:
    answers = [answer(body_of(status)) for status in ("queued", "in_progress", "in_progress", end)]

    with replaying(*answers) as server:
        response = run(
            caller, lambda: caller("poll_responses", ID, interval_s=0.001, include=["x"], api_base=server.url)
        )

    assert response.status == end
    assert response.id == ID
    assert len(server.requests) == 4
    assert {path_of(received) for received in server.requests} == {"/responses/resp_7?include%5B%5D=x"}


def test_polling_takes_its_time(mode: Mode) -> None:
    caller = Caller(mode, antiphon)

    async def body() -> float:
        before = time.monotonic()
        await caller("poll_responses", ID, interval_s=0.05, api_base=server.url)
        return time.monotonic() - before

    with replaying(answer(body_of("queued")), answer(body_of("queued")), answer(body_of())) as server:
        assert 0.1 <= run(caller, body) < 5


@pytest.mark.parametrize("odd", [-1, float("nan")])
def test_polling_in_negative_time_is_refused(caller: Caller, odd: float) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="interval_s is"):
            await caller("poll_responses", ID, interval_s=odd)

    run(caller, body)


def test_polling_is_not_streamed(caller: Caller) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match="polling is not streamed"):
            await caller("poll_responses", ID, stream=True)

    run(caller, body)


def test_polling_a_host_that_gives_no_status_returns_what_there_is(caller: Caller) -> None:
    bare = {"id": "resp_7", "object": "response", "output": []}
    with replaying(answer(bare)) as server:
        response = run(caller, lambda: caller("poll_responses", ID, interval_s=0.001, api_base=server.url))

    assert response.status is None
    assert len(server.requests) == 1


def test_a_failed_look_ends_the_polling(caller: Caller) -> None:
    async def body() -> None:
        with pytest.raises(RateLimitError):
            await caller("poll_responses", ID, interval_s=0.001, api_base=server.url)

    with replaying(answer(body_of("queued")), answer({"error": {"message": "slow down"}}, 429)) as server:
        run(caller, body)

    assert len(server.requests) == 2


def test_a_background_stream_is_resumed_after_an_event(caller: Caller) -> None:
    events = text_events("One", " two", " three.")
    cut = 6

    async def body() -> None:
        stream = await caller("get_responses", ID, stream=True, starting_after=cut - 1, api_base=server.url)
        assert isinstance(stream, antiphon.EventStream)
        got = await caller.mode.events(stream)

        assert [event.sequence_number for event in got] == list(range(cut, len(events)))
        assert [event.type for event in got] == [event.type for event in events[cut:]]
        assert antiphon.check_grammar(got, resumed=True) == []
        assert stream.response is not None
        assert stream.response.output_text == "One two three."
        assert stream.response.id == encode_id("resp_1", HOST)
        assert stream.outcome is not None
        assert stream.outcome.kind == "completed"

    with replaying(Answer.stream(sse(events[cut:]))) as server:
        run(caller, body)

    method, path, query, sent = one(server.requests)
    assert (method, path, sent) == ("GET", "/responses/resp_7", b"")
    assert query == [("stream", "true"), ("starting_after", str(cut - 1))]
    assert server.requests[0].headers["accept"] == "text/event-stream"


def test_a_resumed_stream_that_is_over_says_so_at_once(caller: Caller) -> None:
    events = text_events("One.")

    async def body() -> None:
        stream = await caller("get_responses", ID, stream=True, starting_after=7, api_base=server.url)
        assert (await caller.mode.until_done(stream)).output_text == "One."

    with replaying(Answer.stream(sse(events[-1:]))) as server:
        run(caller, body)


# --- recorded -----------------------------------------------------------------------------------------------------


def recorded() -> list[Recording]:
    try:
        return [
            each
            for each in load("openai-responses")
            if each.name.split("/")[1].startswith(("lifecycle-", "stream-background-"))
        ]
    except pytest.skip.Exception:
        return []


# The conversations endpoint is not part of the library.
OTHERS = {"openai-responses/lifecycle-openai-conversation-id-explicit-and-auto.1"}
RECORDED = [
    pytest.param(each, id=each.name.split("/")[1])
    for each in recorded()
    if each.kind == "json" and each.name not in OTHERS
]


def test_there_is_something_recorded() -> None:
    if not recorded():
        load("openai-responses")
    names = {each.name for each in recorded()}
    assert len(names) >= 18
    assert names >= OTHERS


def call_of(recording: Recording) -> tuple[str, dict[str, Any]]:
    """Return the call that should send the recorded request."""
    target = urlsplit(recording.url)
    parts = target.path.removeprefix("/v1/").split("/")
    assert parts[0] == "responses"
    if recording.method == "GET":
        return "get_responses", {
            "response_id": parts[1],
            "custom_llm_provider": "openai",
            **{name: json.loads(value) for name, value in parse_qsl(target.query)},
        }
    name = {"compact": "compact_responses", "input_tokens": "count_input_tokens"}.get(parts[-1], "responses")
    body = dict(recording.request_body)
    model = f"openai/{body.pop('model')}"
    return name, {"model": model, **{name: NULL if value is None else value for name, value in body.items()}}


@pytest.mark.parametrize("recording", RECORDED)
def test_a_recorded_exchange_is_repeated_to_the_letter(caller: Caller, recording: Recording) -> None:
    name, keywords = call_of(recording)
    assert set(keywords) - {"response_id", "custom_llm_provider"} <= set(
        PARAMS["count_input_tokens"].__struct_fields__
    ) | set(CreateParams.__struct_fields__)

    with replaying(Answer.of(recording)) as server:
        reply = run(caller, lambda: caller(name, api_base=f"{server.url}/v1", **keywords))

    target = urlsplit(recording.url)
    method, path, query, body = one(server.requests)
    assert (method, path, query) == (recording.method, target.path, parse_qsl(target.query))
    assert (json.loads(body) if body else None) == recording.request_body
    found = reply.to_dict()
    if isinstance(reply, Response):
        assert decode_id(found["id"]).provider == "openai"
        found = {
            **found,
            **{field: decode_id(found[field]).upstream for field in ("id", "previous_response_id") if found[field]},
        }
    assert found == json.loads(recording.body)


def test_a_background_response_is_followed_through_its_recordings(caller: Caller) -> None:
    name = "openai-responses/lifecycle-background-mode-with-tool-vcr"
    found = {each.name: each for each in recorded()}
    if not found:
        pytest.skip("no recordings here")
    first, last = found[f"{name}.1"], found[f"{name}.2"]
    _, keywords = call_of(first)

    async def body() -> None:
        where = {"api_base": f"{server.url}/v1"}
        queued = await caller("responses", **where, **keywords)
        assert queued.status == "queued"
        ended = await caller("poll_responses", queued.id, interval_s=0.001, stream=False, **where)
        assert ended.status == "completed"
        assert ended.id == queued.id
        assert ended.function_calls

    with replaying(Answer.of(first), Answer.of(last)) as server:
        run(caller, body)

    assert path_of(server.requests[1]) == urlsplit(last.url).path + "?" + urlsplit(last.url).query
