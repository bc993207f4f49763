"""The one contract, and what goes wrong in a stage's first hour."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar, get_args

import pytest
from conftest import Mode
from hand_made import Source, answer, given, host, one_by_one, open_stream, text_events

from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import ChainError, InvalidParameter, StageError
from antiphon.pipeline.function_stages import after, before, on_stream_event, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.secret import Secret
from antiphon.pipeline.stage import Option, Scope, Stage, snake_case
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.pipeline.streams.replay import replay
from antiphon.testing import scripted


class Instruct(Stage):
    text: str = "Be brief."

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request.with_params(instructions=self.text))


@stage
async def passing(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


async def bare(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


def chain_of(*stages: Any) -> Chain:
    return Client(Chain([*stages, host()])).chain


# --- the contract ---------------------------------------------------------------------------------------------------


def test_one_body_runs_in_every_mode(mode: Mode, streamed: bool) -> None:
    from antiphon import presets

    async def body() -> None:
        client = scripted("Hello.", chain=presets.responses.before("retry", Instruct("One word.")))

        response = await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert response.output_text == "Hello."
        assert client.requests[0]["instructions"] == "One word."

    mode.run(body)


def test_a_stage_may_wait_by_the_runtime(mode: Mode, streamed: bool) -> None:
    @stage
    async def patient(request: Request, call_next: Handler) -> Reply:
        runtime = request.context.runtime
        await runtime.sleep(0)
        assert await runtime.call(lambda value: value * 2, 21) == 42
        return await call_next(request)

    async def body() -> None:
        response = await mode.response(chain_of(patient), streamed=streamed)

        assert response.output_text == "Hello there."

    mode.run(body)


def test_a_stage_may_answer_itself(mode: Mode, streamed: bool) -> None:
    @stage
    async def cached(request: Request, call_next: Handler) -> Reply:
        known = answer("From memory.")
        return EventStream.of(replay(known), request.context) if request.streamed else known

    async def body() -> None:
        response = await mode.response(chain_of(cached), streamed=streamed)

        assert response.output_text == "From memory."

    mode.run(body)


def test_a_stage_may_splice_a_stream_of_its_own(mode: Mode) -> None:
    @stage
    async def shouting(request: Request, call_next: Handler) -> Reply:
        inner = await call_next(request)
        assert isinstance(inner, EventStream)

        async def events() -> AsyncIterator[Any]:
            async for event in inner:
                yield event.replace(delta=event.delta.upper()) if isinstance(event, ev.OutputTextDelta) else event

        return EventStream.of(events(), request.context)

    async def body() -> None:
        stream = await mode.call(chain_of(shouting), stream=True)

        events = await mode.events(stream)

        assert "".join(event.delta for event in events if isinstance(event, ev.OutputTextDelta)) == "HELLO THERE."
        assert stream.outcome is not None
        assert stream.outcome.kind == "completed"

    mode.run(body)


def test_stages_run_from_left_to_right_and_back(mode: Mode) -> None:
    seen: list[str] = []

    def noting(name: str) -> Stage:
        @stage
        async def note(request: Request, call_next: Handler) -> Reply:
            seen.append(f"{name} in")
            reply = await call_next(request)
            seen.append(f"{name} out")
            return reply

        return note

    async def body() -> None:
        await mode.call(chain_of(noting("outer"), noting("inner")))

        assert seen == ["outer in", "inner in", "inner out", "outer out"]

    mode.run(body)


def test_scratch_is_shared_by_the_stages_of_one_call_only(mode: Mode) -> None:
    seen: list[int] = []

    @before
    def write(request: Request) -> None:
        request.context.scratch["count"] = request.context.scratch.get("count", 0) + 1

    @before
    def read(request: Request) -> None:
        seen.append(request.context.scratch["count"])

    async def body() -> None:
        chain = chain_of(write, read)
        await mode.call(chain)
        await mode.call(chain)

        assert seen == [1, 1]

    mode.run(body)


def test_calls_have_ids_of_their_own(mode: Mode) -> None:
    ids: list[str] = []

    @before
    def note(request: Request) -> None:
        ids.append(request.context.id)

    async def body() -> None:
        chain = chain_of(note)
        response = await mode.call(chain)
        await mode.call(chain)

        assert len(set(ids)) == 2
        assert response.meta.call_id == ids[0]

    mode.run(body)


# --- one-liners -----------------------------------------------------------------------------------------------------


def test_before_changes_the_request(mode: Mode, streamed: bool) -> None:
    @before
    def brief(request: Request) -> Request:
        return request.with_params(max_output_tokens=5)

    seen: list[Any] = []

    @before
    def look(request: Request) -> None:
        seen.append(given(request).max_output_tokens)

    async def body() -> None:
        await mode.response(chain_of(brief, look), streamed=streamed)

        assert seen == [5]

    mode.run(body)


def test_before_may_be_async(mode: Mode) -> None:
    seen: list[Any] = []

    @before
    async def brief(request: Request) -> Request:
        await request.context.runtime.sleep(0)
        return request.with_params(max_output_tokens=5)

    @before
    def look(request: Request) -> None:
        seen.append(given(request).max_output_tokens)

    async def body() -> None:
        await mode.call(chain_of(brief, look))

        assert seen == [5]

    mode.run(body)


def test_after_sees_the_final_response_once(mode: Mode, streamed: bool) -> None:
    seen: list[str] = []

    @after
    def note(request: Request, response: Response) -> None:
        seen.append(response.output_text)

    async def body() -> None:
        response = await mode.response(chain_of(note), streamed=streamed)

        assert seen == ["Hello there."]
        assert response.output_text == "Hello there."

    mode.run(body)


def test_after_sees_the_final_response_once_outside_retry_that_held_the_stream_back(mode: Mode) -> None:
    from antiphon import presets

    seen: list[str] = []

    @after
    def note(request: Request, response: Response) -> None:
        seen.append(response.output_text)

    async def body() -> None:
        client = scripted("", chain=presets.responses.before("retry", note))  # no content: all is held back

        await mode.response(client.chain, model="openai/m", streamed=True)

        assert seen == [""]

    mode.run(body)


def test_after_sees_the_end_alone_of_a_host_that_says_completed_from_the_start(mode: Mode) -> None:
    seen: list[str] = []

    @after
    def note(request: Request, response: Response) -> None:
        seen.append(response.output_text)

    async def body() -> None:
        first, *rest = text_events("Hi")
        assert isinstance(first, ev.ResponseCreated)
        first = first.replace(response=first.response.replace(status="completed"))

        await mode.events(await open_stream(mode, Source(*one_by_one([first, *rest])), note))

        assert seen == ["Hi"]

    mode.run(body)


def test_after_changes_the_response(mode: Mode, streamed: bool) -> None:
    @after
    def sign(request: Request, response: Response) -> Response:
        return response.replace(metadata={"signed": "yes"})

    async def body() -> None:
        response = await mode.response(chain_of(sign), streamed=streamed)

        assert response.metadata == {"signed": "yes"}
        assert response.output_text == "Hello there."

    mode.run(body)


def test_after_changes_the_response_of_the_terminal_event(mode: Mode) -> None:
    @after
    def sign(request: Request, response: Response) -> Response:
        return response.replace(metadata={"signed": "yes"})

    async def body() -> None:
        events = await mode.events(await mode.call(chain_of(sign), stream=True))

        assert isinstance(events[-1], ev.ResponseCompleted)
        assert events[-1].response.metadata == {"signed": "yes"}

    mode.run(body)


def test_after_is_not_called_when_the_stream_is_left_early(mode: Mode) -> None:
    seen: list[str] = []

    @after
    def note(request: Request, response: Response) -> None:
        seen.append(response.output_text)

    async def body() -> None:
        stream = await open_stream(mode, Source(*one_by_one(text_events("Hi"))), note)
        await mode.next(stream)
        await mode.close(stream)

        assert seen == []

    mode.run(body)


def test_on_stream_event_sees_and_changes_events(mode: Mode) -> None:
    seen: list[str] = []

    @on_stream_event
    def upper(event: Any) -> Any:
        seen.append(event.type)
        return event.replace(delta=event.delta.upper()) if isinstance(event, ev.OutputTextDelta) else None

    async def body() -> None:
        stream = await mode.call(chain_of(upper), stream=True)

        events = await mode.events(stream)

        assert "".join(event.delta for event in events if isinstance(event, ev.OutputTextDelta)) == "HELLO THERE."
        assert seen == [event.type for event in events]

    mode.run(body)


def test_on_stream_event_leaves_plain_replies_alone(mode: Mode) -> None:
    seen: list[Any] = []

    async def body() -> None:
        await mode.call(chain_of(on_stream_event(seen.append)))

        assert seen == []

    mode.run(body)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (before(lambda request: "text"), "@before <lambda> returned str; a Request or None is expected"),
        (after(lambda request, response: "text"), "@after <lambda> returned str; a Response or None is expected"),  # type: ignore[arg-type,return-value]
    ],
)
def test_one_liners_that_return_something_else_are_named(mode: Mode, wrong: Stage, said: str) -> None:
    async def body() -> None:
        with pytest.raises(StageError) as caught:
            await mode.call(chain_of(wrong))

        assert said in str(caught.value)

    mode.run(body)


# --- state ----------------------------------------------------------------------------------------------------------


class Counter:
    def __init__(self, position: str) -> None:
        self.position = position
        self.count = 0


made: list[Counter] = []


class Count(Stage):
    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        request.context.state_of(self, Counter).count += 1
        return await call_next(request)

    def setup(self, scope: Scope) -> Counter:
        made.append(Counter(scope.position))
        return made[-1]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    made.clear()


def test_state_is_made_once_and_lives_across_calls(mode: Mode) -> None:
    async def body() -> None:
        chain = chain_of(Count())
        for _ in range(3):
            await mode.call(chain)

        assert [counter.count for counter in made] == [3]

    mode.run(body)


def test_two_positions_never_share_state(mode: Mode) -> None:
    async def body() -> None:
        same = Count()
        await mode.call(chain_of(same, same, Count()))

        assert [counter.count for counter in made] == [1, 1, 1]
        assert [counter.position for counter in made] == ["chain[0] count", "chain[1] count", "chain[2] count"]

    mode.run(body)


def test_two_clients_never_share_state(mode: Mode) -> None:
    async def body() -> None:
        chain = Chain([Count(), host()])
        first, second = Client(chain), Client(chain)
        await mode.call(first.chain)
        await mode.call(second.chain)
        await mode.call(second.chain)

        assert [counter.count for counter in made] == [1, 2]

    mode.run(body)


def test_what_a_scope_shares_is_one_per_client_and_closed_with_it(mode: Mode) -> None:
    events: list[str] = []

    class Pool:
        def __init__(self) -> None:
            events.append("open")

        def close(self) -> None:
            events.append("close")

    class Pooled(Stage):
        def setup(self, scope: Scope) -> object:
            scope.on_close(lambda: events.append("bye"))
            return scope.shared("pool", Pool)

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            request.context.state_of(self, Pool)
            return await call_next(request)

    async def body() -> None:
        client = Client(Chain([Pooled(), Pooled(), host()]))
        await mode.call(client.chain)
        await mode.close(client)
        await mode.close(client)

        assert events.count("open") == events.count("close") == 1
        assert events.count("bye") == 2

    mode.run(body)


def test_a_state_that_setup_did_not_make_is_a_typed_error(mode: Mode) -> None:
    class Forgetful(Stage):
        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            request.context.state_of(self, Counter)
            return await call_next(request)

    async def body() -> None:
        with pytest.raises(StageError, match="Forgetful asks for a state of type Counter; its setup returned None"):
            await mode.call(chain_of(Forgetful()))

    mode.run(body)


# --- the first hour -------------------------------------------------------------------------------------------------


class Limit(Stage):
    per_minute: int = 60
    label: str = ""

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request)


def said_by(caught: pytest.ExceptionInfo[Exception]) -> str:
    return str(caught.value)


def test_a_value_of_the_wrong_type_is_refused_at_once() -> None:
    with pytest.raises(StageError) as caught:
        Limit(per_minute="many")  # type: ignore[arg-type]

    assert caught.value.message == 'stage Limit: per_minute is "many"; int is expected'


def test_a_second_positional_value_is_refused_with_the_fix() -> None:
    with pytest.raises(StageError) as caught:
        Limit(5, "x")

    assert "at most one positional value, 2 were given" in said_by(caught)
    assert "Limit(per_minute=5, label='x')" in said_by(caught)


def test_one_leading_value_may_be_positional() -> None:
    assert Limit(5) == Limit(per_minute=5)


def test_a_missing_setting_is_refused() -> None:
    class Named(Stage):
        label: str

    with pytest.raises(StageError, match='stage Named needs the setting "label"'):
        Named()  # type: ignore[call-arg]


def test_an_unknown_setting_gets_a_suggestion() -> None:
    with pytest.raises(StageError) as caught:
        Limit(per_minut=5)  # type: ignore[call-arg]

    assert 'no setting "per_minut"; did you mean "per_minute"?' in said_by(caught)
    assert "its settings: per_minute, label" in said_by(caught)


def test_assigning_to_self_is_refused_with_the_places_for_state() -> None:
    limit = Limit()

    with pytest.raises(StageError) as caught:
        limit.per_minute = 5  # pyright: ignore[reportAttributeAccessIssue]

    assert "stage Limit is frozen; it cannot set self.per_minute" in said_by(caught)
    assert "request.context.scratch" in said_by(caught)
    assert "setup(scope)" in said_by(caught)


def test_assigning_to_self_in_a_call_is_refused(mode: Mode) -> None:
    class Forgetful(Stage):
        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            self.seen = 1  # pyright: ignore[reportAttributeAccessIssue]
            return await call_next(request)

    async def body() -> None:
        with pytest.raises(StageError, match=r"cannot set self\.seen"):
            await mode.call(chain_of(Forgetful()))

    mode.run(body)


def test_a_field_without_annotation_is_refused_where_it_is_written() -> None:
    with pytest.raises(StageError) as caught:

        class Loose(Stage):  # pyright: ignore[reportUnusedClass]
            limit = 5

    assert '"limit = 5" has no annotation' in said_by(caught)
    assert "write `limit: int = 5`, or ClassVar[...] for a constant" in said_by(caught)


def test_constants_helpers_and_inherited_declarations_are_no_fields() -> None:
    class Base(Stage):
        unit: ClassVar[str] = "s"
        delay: int = 1

        @property
        def shown(self) -> str:
            return f"{self.delay}{self.unit}"

    class Derived(Base):
        options = (Option("speed", (int,)),)
        sets = ()
        unit = "ms"

    class Further(Derived):
        needs = ()
        delay = 2

    assert Derived().shown == "1ms"
    assert Further().shown == "2ms"
    assert Further.__struct_fields__ == ("delay",)


def test_a_call_that_is_not_async_is_refused_where_it_is_written() -> None:
    with pytest.raises(StageError) as caught:

        class Blocking(Stage):  # pyright: ignore[reportUnusedClass]
            def __call__(self, request: Request, call_next: Handler) -> Any:
                return call_next(request)

    assert "stage Blocking: __call__ is not async" in said_by(caught)


def test_a_call_of_another_shape_is_refused_where_it_is_written() -> None:
    with pytest.raises(StageError, match=r"stage One: __call__ does not take \(self, request, call_next\)"):

        class One(Stage):  # pyright: ignore[reportUnusedClass]
            async def __call__(self, request: Request) -> Any:  # type: ignore[override]
                return None


def test_a_call_may_take_more_than_it_needs() -> None:
    class Wide(Stage):
        async def __call__(self, request: Request, call_next: Handler, *more: Any, flag: bool = False) -> Any:
            return await call_next(request)

    assert Wide().name == "wide"


def test_a_function_that_is_not_async_is_no_stage() -> None:
    def plain(request: Request, call_next: Handler) -> Any:
        return call_next(request)

    with pytest.raises(StageError) as caught:
        stage(plain)

    assert "stage plain is not async" in said_by(caught)
    assert "@before / @after" in said_by(caught)


def test_a_function_of_another_shape_is_no_stage() -> None:
    async def one(request: Request) -> Any:
        return None

    with pytest.raises(StageError, match=r"stage one does not take \(request, call_next\)"):
        stage(one)  # type: ignore[arg-type]
    with pytest.raises(StageError, match=r"<lambda> does not take \(request\)"):
        before(lambda: None)  # type: ignore[misc,arg-type]
    with pytest.raises(StageError, match=r"<lambda> does not take \(request, response\)"):
        after(lambda response: None)  # type: ignore[misc,arg-type]
    with pytest.raises(StageError, match="bare is async; a plain function is expected"):
        after(bare)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "compose",
    [
        lambda: Limit | passing,
        lambda: passing | Limit,
        lambda: Limit | Chain([passing]),
        lambda: Chain([passing]) | Limit,
        lambda: Limit | bare,
        lambda: bare | Limit,
        lambda: Limit | Limit,
        lambda: Chain([Limit]),  # type: ignore[list-item]
    ],
)
def test_a_class_in_place_of_a_stage_is_refused(compose: Any) -> None:
    with pytest.raises((StageError, ChainError)) as caught:
        compose()

    assert "Limit is a class; a stage is expected" in said_by(caught)
    assert "Limit()" in said_by(caught)


def test_a_stage_class_still_makes_union_types() -> None:
    assert get_args(Limit | None) == (Limit, type(None))


def test_two_bare_functions_cannot_be_piped() -> None:
    """Python itself refuses; nothing of ours is asked."""
    with pytest.raises(TypeError, match="unsupported operand"):
        bare | bare  # type: ignore[operator]


@pytest.mark.parametrize("compose", [lambda: passing | bare, lambda: bare | passing, lambda: passing | passing])
def test_a_decorated_function_can_be_piped_with_a_bare_one(mode: Mode, compose: Any) -> None:
    async def body() -> None:
        response = await mode.call(chain_of(compose()))

        assert response.output_text == "Hello there."

    mode.run(body)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "stage odd returned None; a stage must return the reply of call_next or its own"),
        ("text", "stage odd returned str; a stage must return"),
        ({"output": []}, "stage odd returned dict; a stage must return"),
    ],
)
def test_a_stage_that_returns_no_reply_is_named(mode: Mode, streamed: bool, returned: Any, said: str) -> None:
    @stage
    async def odd(request: Request, call_next: Handler) -> Any:
        await call_next(request)
        return returned

    async def body() -> None:
        with pytest.raises(StageError) as caught:
            await mode.call(chain_of(odd), stream=streamed)

        assert said in said_by(caught)

    mode.run(body)


def test_a_stage_that_forgets_to_await_is_told_so(mode: Mode) -> None:
    @stage
    async def hasty(request: Request, call_next: Handler) -> Any:
        return call_next(request)

    async def body() -> None:
        with pytest.raises(StageError) as caught:
            await mode.call(chain_of(hasty, passing))

        assert "stage hasty returned a coroutine" in said_by(caught)
        assert "return await call_next(request)" in said_by(caught)

    mode.run(body)


def test_a_terminal_stage_that_calls_on_is_told_so(mode: Mode) -> None:
    @stage(terminal=True)
    async def lost(request: Request, call_next: Handler) -> Reply:
        return await call_next(request)

    async def body() -> None:
        with pytest.raises(StageError, match="the last stage of the chain called call_next"):
            await mode.call(Client(Chain([lost])).chain)

    mode.run(body)


def test_a_stage_without_call_is_told_so(mode: Mode) -> None:
    class Empty(Stage):
        pass

    async def body() -> None:
        with pytest.raises(NotImplementedError, match="stage Empty has no __call__"):
            await mode.call(chain_of(Empty()))

    mode.run(body)


# --- stages as values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "snake"),
    [("ResponseIds", "response_ids"), ("MCPTools", "mcp_tools"), ("Log", "log"), ("HTTP2Only", "http2_only")],
)
def test_names_are_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_a_stage_is_its_settings() -> None:
    assert Limit(per_minute=5) == Limit(per_minute=5)
    assert Limit(per_minute=5) != Limit(per_minute=6)
    assert len({Limit(), Limit(), Limit(5)}) == 2
    assert repr(Limit(label="x")) == "Limit(label='x')"
    assert Limit().name == "limit"


class Several(Stage):
    names: Sequence[str] = ()
    weights: Mapping[str, float] = {}

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request)


def test_a_list_given_for_a_setting_is_kept_as_a_tuple() -> None:
    """So a stage stays as it was made, and equals what a file makes of it."""
    given = ["a", "b"]
    several = Several(given)
    given.append("c")
    read = Chain.from_toml('stages = [{ use = "several", names = ["a", "b"] }]', stages=[Several])

    assert several == Several(("a", "b")) == read.stages[0]
    with pytest.raises(StageError, match=r"names\[1\] is int; str is expected"):
        Several(["a", 1])  # type: ignore[list-item]


def test_a_setting_that_has_its_default_is_not_shown() -> None:
    assert repr(Several()) == "Several()"
    assert repr(Several(weights={"a": 1.0})) == "Several(weights={'a': 1.0})"


@pytest.mark.parametrize("value", [Limit(5, label="x"), passing, Instruct()])
def test_a_stage_survives_a_pickle(value: Stage) -> None:
    assert pickle.loads(pickle.dumps(value)) == value


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("types", "value"), [((float,), 1), ((bool,), True), ((object,), True), ((int,), 3)])
def test_an_option_takes_values_of_its_type(types: tuple[type, ...], value: object) -> None:
    Option("speed", types).check(value)


@pytest.mark.parametrize(
    ("types", "value", "said"),
    [
        ((int,), "3", 'option "speed" is str; int is expected'),
        ((int,), True, 'option "speed" is bool; int is expected'),
        ((str, dict), 3, 'option "speed" is int; str or dict is expected'),
    ],
)
def test_an_option_refuses_other_values(types: tuple[type, ...], value: object, said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Option("speed", types).check(value)

    assert said in said_by(caught)
    assert caught.value.param == "speed"


def test_a_stage_reads_its_own_call_option(mode: Mode) -> None:
    seen: list[Any] = []

    @stage(options=(Option("mood", (str,)),))
    async def moody(request: Request, call_next: Handler) -> Reply:
        seen.append(request.options.get("mood"))
        return await call_next(request)

    async def body() -> None:
        await mode.call(chain_of(moody), mood="merry")
        await mode.call(chain_of(moody))

        assert seen == ["merry", None]

    mode.run(body)


def test_text_of_a_secret_option_is_kept_as_a_secret(mode: Mode) -> None:
    seen: list[Any] = []

    @stage(options=(Option("token", (str, Secret), secret=True),))
    async def look(request: Request, call_next: Handler) -> Reply:
        seen.append(request.options["token"])
        return await call_next(request)

    async def body() -> None:
        await mode.call(chain_of(look), token="canary")
        await mode.call(chain_of(look).bind(token="canary"))

        assert seen == [Secret("canary")] * 2

    mode.run(body)
