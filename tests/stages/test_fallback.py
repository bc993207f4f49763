"""Another target when one fails."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import streamed_body, text_events

from antiphon import (
    Chain,
    Client,
    Dispatch,
    Fallback,
    FromEnv,
    Handler,
    Reply,
    Request,
    Resolve,
    Retry,
    Secret,
    Transform,
    presets,
    stage,
)
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.wire import loads
from antiphon.pipeline.errors import (
    BadRequestError,
    ChainError,
    InternalServerError,
    InvalidParameter,
    MissingKey,
    RateLimitError,
    StageError,
    StreamInterrupted,
)
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.scripted import ScriptedHost, function_call
from antiphon.testing import check_stage

BUSY = {"status": 429, "body": {"error": {"message": "slow down"}}}
BROKEN = {"status": 500, "body": {"error": {"message": "broken"}}}
WRONG = {"status": 400, "body": {"error": {"message": "wrong"}}}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")
    monkeypatch.setenv("XAI_API_KEY", "key-of-xai")
    monkeypatch.setenv("GROQ_API_KEY", "key-of-groq")


def chain_with(*targets: Any, **settings: Any) -> Chain:
    stages = presets.responses.with_(retry={"attempts": 1})
    return stages.before("resolve", Fallback(targets, **settings))


def client_of(host: ScriptedHost, chain: Chain) -> Client:
    return Client(chain, transport=host)


def sent_to(request: HttpRequest) -> tuple[str, str]:
    headers = dict(request.headers)
    key = headers["authorization"]
    return request.url.split("/")[2], key.reveal() if isinstance(key, Secret) else key


def test_the_next_target_answers_when_one_fails(mode: Mode, streamed: bool) -> None:
    host = ScriptedHost([BUSY, BROKEN, "Here you are."])
    chain = client_of(host, chain_with("xai/grok", {"model": "openai/gpt-5-mini", "max_output_tokens": 9})).chain

    async def body() -> Any:
        return await mode.response(chain, "Hi", streamed=streamed, model="openai/gpt-5", instructions="Brief.")

    response = mode.run(body)

    assert response.output_text == "Here you are."
    assert response.meta.provider == "openai"
    assert [(one.provider, one.model, one.outcome) for one in response.meta.attempts] == [
        ("openai", "gpt-5", "failed"),
        ("xai", "grok", "failed"),
        ("openai", "gpt-5-mini", "completed"),
    ]
    assert [sent_to(request) for request in host.requests] == [
        ("api.openai.com", "Bearer key-of-openai"),
        ("api.x.ai", "Bearer key-of-xai"),
        ("api.openai.com", "Bearer key-of-openai"),
    ]
    assert b'"max_output_tokens":9' in (host.requests[2].body or b"")
    assert all(b'"instructions":"Brief."' in (request.body or b"") for request in host.requests)


def test_the_call_may_name_its_own_targets(mode: Mode) -> None:
    host = ScriptedHost([BUSY, "Here."])
    chain = client_of(host, chain_with("openai/never")).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model="openai/gpt-5", fallbacks=["xai/grok"])

    assert mode.run(body).meta.model == "grok"


def test_what_belongs_to_the_first_target_stays_there(mode: Mode) -> None:
    host = ScriptedHost([BUSY, "Here."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> Any:
        return await mode.call(
            chain,
            "Hi",
            model="openai/gpt-5",
            api_key="canary",
            api_base="https://elsewhere.example/v1",
            extra_headers={"x-canary": "canary"},
            extra_body={"canary": 1},
        )

    response = mode.run(body)

    first, second = host.requests
    assert sent_to(first) == ("elsewhere.example", "Bearer canary")
    assert sent_to(second) == ("api.x.ai", "Bearer key-of-xai")
    assert "canary" not in repr(second.headers) + repr(second.body)
    assert [item.name for item in response.meta.dropped] == ["api_key", "api_base", "extra_headers", "extra_body"]


def test_a_target_has_its_own_key_and_address(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "key-of-shop")
    target = {"model": "openai/m", "api_base": "https://shop.example/v1", "api_key": FromEnv("SHOP_KEY")}
    host = ScriptedHost([BUSY, "Here."])
    chain = client_of(host, chain_with(target)).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model="xai/grok")

    mode.run(body)

    assert sent_to(host.requests[1]) == ("shop.example", "Bearer key-of-shop")


def test_what_is_dropped_is_told_of_the_target_that_answers(mode: Mode) -> None:
    host = ScriptedHost([BUSY, "Here."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model="openai/gpt-5", temperature=0)

    response = mode.run(body)

    assert b"temperature" not in (host.requests[0].body or b"")
    assert b"temperature" in (host.requests[1].body or b"")
    assert response.meta.dropped == ()


def test_a_call_that_is_wrong_in_itself_is_not_asked_elsewhere(mode: Mode, streamed: bool) -> None:
    host = ScriptedHost([WRONG, "Here."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> None:
        with pytest.raises(BadRequestError):
            await mode.response(chain, "Hi", streamed=streamed, model="openai/gpt-5")

    mode.run(body)

    assert len(host.requests) == 1


def test_a_missing_key_leads_to_the_next_target(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    host = ScriptedHost(["Here."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model="openai/gpt-5")

    assert mode.run(body).meta.provider == "xai"


def test_the_last_error_comes_with_those_before_it(mode: Mode, streamed: bool) -> None:
    host = ScriptedHost([BUSY, BROKEN])
    chain = client_of(host, chain_with("xai/grok", on=("RateLimitError",))).chain

    async def body() -> InternalServerError:
        with pytest.raises(InternalServerError) as caught:
            await mode.response(chain, "Hi", streamed=streamed, model="openai/gpt-5")
        return caught.value

    error = mode.run(body)

    assert error.__notes__ == ["asked before: openai/gpt-5: RateLimitError: slow down"]
    assert error.provider == "xai"
    assert error.attempts == 2


def test_each_target_is_retried_by_itself(mode: Mode) -> None:
    again = {"status": 503, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": "busy"}}}
    host = ScriptedHost([again, again, "Here."])
    chain = presets.responses.with_(retry={"attempts": 2}).before("resolve", Fallback(("xai/grok",)))

    async def body() -> Any:
        return await mode.call(client_of(host, chain).chain, "Hi", model="openai/gpt-5")

    assert [attempt.provider for attempt in mode.run(body).meta.attempts] == ["openai", "openai", "xai"]


@pytest.mark.parametrize("with_retry", [True, False])
def test_a_stream_goes_to_another_target_until_its_first_content(mode: Mode, with_retry: bool) -> None:
    events = text_events("Shown, ", "and cut", end=False)
    is_content = [isinstance(event, ev.ResponseCreated | ev.ResponseInProgress) for event in events].index(False)
    chain = Chain(
        [Fallback(("xai/grok",)), Resolve(), *[Retry(attempts=1)][: int(with_retry)], Transform(), Dispatch()]
    )

    async def body() -> None:
        host = ScriptedHost([streamed_body(events[:is_content]), "Whole."])
        stream = await mode.call(client_of(host, chain).chain, "Hi", model="openai/gpt-5", stream=True)
        got = await mode.events(stream)
        assert check_grammar(got) == []
        assert stream.response.output_text == "Whole."

        host = ScriptedHost([streamed_body(events), "Never."])
        stream = await mode.call(client_of(host, chain).chain, "Hi", model="openai/gpt-5", stream=True)
        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)
        assert caught.value.response is not None
        assert caught.value.response.output_text == "Shown, and cut"
        assert len(host.requests) == 1

    mode.run(body)


@pytest.mark.parametrize("first", ["openai/gpt-5", "groq/m"])
def test_a_conversation_that_is_remembered_goes_on_at_the_next_target(mode: Mode, first: str) -> None:
    host = ScriptedHost(["Hello.", BUSY, "And on."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> None:
        begun = await mode.call(chain, "Hi", model=first)
        response = await mode.call(chain, "And?", model=first, previous_response_id=begun.id)

        assert response.output_text == "And on."
        assert response.previous_response_id == begun.id
        sent = loads(host.requests[-1].body or b"")
        assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]

    mode.run(body)


@pytest.mark.parametrize("given", [{"conversation": "conv_1"}, {"previous_response_id": "resp_1"}])
def test_what_only_its_host_knows_goes_nowhere_else(mode: Mode, given: dict[str, Any]) -> None:
    host = ScriptedHost([BUSY, "Never."])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> None:
        with pytest.raises(RateLimitError) as caught:
            await mode.call(chain, "Hi", model="openai/gpt-5", **given)
        assert caught.value.__notes__ == [f"no other target was asked: {next(iter(given))} is known to this one only"]

    mode.run(body)


def test_no_target_is_asked_when_the_time_is_over(mode: Mode) -> None:
    @stage
    async def takes_all_the_time(request: Request, call_next: Handler) -> Reply:
        try:
            return await call_next(request)
        finally:
            request.context.ends_at = request.context.runtime.now()

    host = ScriptedHost([BUSY, "Never."])
    chain = client_of(host, chain_with("xai/grok").before("resolve", takes_all_the_time)).chain

    async def body() -> None:
        with pytest.raises(RateLimitError):
            await mode.call(chain, "Hi", model="openai/gpt-5")
        assert len(host.requests) == 1

    mode.run(body)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (3, "a target is int"),
        ({"api_base": "https://a.example"}, "a target is dict"),
        ({"model": "xai/grok", "temprature": 1}, 'did you mean "temperature"'),
        ({"model": "xai/grok", "api_key": "canary"}, "stands there in plain text"),
        ({"model": "xai/grok", "api_base": 3}, "str is expected"),
    ],
)
def test_a_wrong_target_is_refused_before_anything_is_sent(mode: Mode, target: Any, said: str) -> None:
    host = ScriptedHost(["Never."])
    chain = client_of(host, chain_with()).chain

    async def body() -> InvalidParameter:
        with pytest.raises(InvalidParameter) as caught:
            await mode.call(chain, "Hi", model="openai/gpt-5", fallbacks=[target])
        return caught.value

    error = mode.run(body)

    assert said in str(error)
    assert "canary" not in str(error)
    assert host.requests == []


def test_an_unknown_error_class_is_refused() -> None:
    with pytest.raises(StageError, match='no error class "RateLimit"; did you mean "RateLimitError"'):
        Client(chain_with("xai/grok", on=("RateLimit",))).responses("Hi", "openai/gpt-5")


def test_inside_resolve_it_is_refused() -> None:
    with pytest.raises(ChainError, match="fallback stands inside resolve, which has decided the target already"):
        presets.responses.after("resolve", Fallback(("xai/grok",))).check()


def test_a_target_without_key_is_an_error_of_its_own(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAI_API_KEY")
    host = ScriptedHost([BUSY])
    chain = client_of(host, chain_with("xai/grok")).chain

    async def body() -> MissingKey:
        with pytest.raises(MissingKey) as caught:
            await mode.call(chain, "Hi", model="openai/gpt-5")
        return caught.value

    assert mode.run(body).__notes__ == ["asked before: openai/gpt-5: RateLimitError: slow down"]


def test_hooks_are_told_of_each_further_target(mode: Mode, streamed: bool) -> None:
    seen: list[Any] = []
    host = ScriptedHost([BUSY, BROKEN, "Here you are."])
    client = Client(chain_with("xai/grok", "openai/gpt-5-mini"), transport=host, hooks=[seen.append])

    async def body() -> None:
        await mode.response(client.chain, "Hi", streamed=streamed, model="openai/gpt-5")

    mode.run(body)

    told = [(signal.failed, signal.next, signal.error) for signal in seen if signal.name == "fallback.scheduled"]
    assert told == [
        ("openai/gpt-5", "xai/grok", "RateLimitError"),
        ("xai/grok", "openai/gpt-5-mini", "InternalServerError"),
    ]


def test_a_tool_that_has_run_does_not_run_again_for_the_next_target(mode: Mode, streamed: bool) -> None:
    ran: list[str] = []

    def look_up(word: str) -> str:
        """Look up a word."""
        ran.append(word)
        return "found"

    calls = {"output": [function_call("look_up", {"word": "sea"}, "call_1")]}
    host = ScriptedHost([calls, BROKEN, "It was found."])
    client = client_of(host, chain_with("xai/grok"))

    async def body() -> Any:
        call: dict[str, Any] = {"model": "openai/gpt-5", "tools": [look_up]}
        if not streamed:
            return await mode.call(client.chain, "Look", **call)
        stream = await mode.call(client.chain, "Look", stream=True, **call)
        with pytest.raises(InternalServerError) as caught:  # what the tool found has been shown
            await mode.events(stream)
        return caught.value.response

    response = mode.run(body)

    types = [item.type for item in response.output]
    assert ran == ["sea"]
    assert types[:2] == ["function_call", "function_call_output"]
    if not streamed:
        assert (types[2:], response.output_text) == (["message"], "It was found.")
        assert b"found" in (host.requests[2].body or b"")
        assert host.requests[2].url.startswith("https://api.x.ai/")


# --- after the first content ------------------------------------------------------------------------------------------


CUT = streamed_body(text_events("Shown, ", "and cut", end=False))


def test_a_stream_goes_on_elsewhere_after_its_content_where_asked(mode: Mode) -> None:
    seen: list[Any] = []
    host = ScriptedHost([CUT, BUSY, "Whole."])
    chain = chain_with("openai/gpt-5-mini", "xai/grok", after_content=True)
    client = Client(chain, transport=host, hooks=[seen.append])

    async def body() -> Any:
        stream = await mode.call(client.chain, "Hi", model="openai/gpt-5", stream=True)
        return await mode.events(stream), stream.response

    events, response = mode.run(body)

    assert check_grammar(events) == []
    assert [(item.text, item.status) for item in response.output] == [
        ("Shown, and cut", "incomplete"),
        ("Whole.", "completed"),
    ]
    (mark,) = [event.to_dict() for event in events if event.type == "antiphon.fallback"]
    assert (mark["failed"], mark["next"], mark["error"], mark["output_index"]) == (
        "openai/gpt-5",
        "xai/grok",
        "StreamInterrupted",
        1,
    )
    assert len({event.response.id for event in events if isinstance(event, ev.LifecycleEvent)}) == 1
    assert [(attempt.provider, attempt.outcome) for attempt in response.meta.attempts] == [
        ("openai", "failed"),
        ("openai", "failed"),
        ("xai", "completed"),
    ]
    assert response.meta.notes == ("openai/gpt-5 broke after its first content; xai/grok was asked anew",)
    ends = [signal.name for signal in seen if signal.name.endswith(".end")]
    assert ends == ["attempt.end"] * 3 + ["call.end"]


def test_the_last_error_of_a_stream_that_went_on_has_all_that_came(mode: Mode) -> None:
    host = ScriptedHost([CUT, streamed_body(text_events("Again ", "cut", end=False))])
    chain = client_of(host, chain_with("xai/grok", after_content=True)).chain

    async def body() -> StreamInterrupted:
        stream = await mode.call(chain, "Hi", model="openai/gpt-5", stream=True)
        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)
        return caught.value

    error = mode.run(body)

    assert error.provider == "xai"
    assert error.response is not None
    assert error.response.output_text == "Shown, and cutAgain cut"
    assert error.__notes__[0].startswith("asked before: openai/gpt-5: StreamInterrupted")


def test_a_stream_in_which_tools_have_run_does_not_go_on(mode: Mode) -> None:
    def look_up(word: str) -> str:
        """Look up a word."""
        return "found"

    calls = {"output": [function_call("look_up", {"word": "sea"}, "call_1")]}
    host = ScriptedHost([calls, CUT, "Never."])
    chain = client_of(host, chain_with("xai/grok", after_content=True)).chain

    async def body() -> StreamInterrupted:
        stream = await mode.call(chain, "Look", model="openai/gpt-5", stream=True, tools=[look_up])
        with pytest.raises(StreamInterrupted) as caught:
            await mode.events(stream)
        return caught.value

    assert mode.run(body).__notes__ == ["no other target was asked: tools have run in this answer, and would run again"]
    assert len(host.requests) == 2


def test_leaving_a_stream_that_may_go_on_is_told_from_the_inside_out(mode: Mode) -> None:
    seen: list[Any] = []
    host = ScriptedHost(["One two three."])
    client = Client(chain_with("xai/grok", after_content=True), transport=host, hooks=[seen.append])

    async def body() -> None:
        stream = await mode.call(client.chain, "Hi", model="openai/gpt-5", stream=True)
        await mode.next(stream)
        await mode.close(stream)

    mode.run(body)

    ends = [(signal.name, signal.outcome.kind) for signal in seen if signal.name.endswith(".end")]
    assert ends == [("attempt.end", "abandoned"), ("call.end", "abandoned")]


def test_going_on_keeps_the_contract_of_stages() -> None:
    assert check_stage(Fallback(("xai/grok",), after_content=True)) == []
