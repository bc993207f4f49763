"""Chains as values, and their verbs."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import answer, given, host

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    APIStatusError,
    BadRequestError,
    ChainError,
    InvalidParameter,
    SetupError,
    StageError,
)
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.stage import Stage
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.pipeline.wording import quoted
from antiphon.stages.dispatch import Dispatch
from antiphon.stages.log import Log
from antiphon.stages.resolve import Resolve
from antiphon.stages.retry import Retry
from antiphon.stages.transform import Transform
from antiphon.stages.validate import Validate
from antiphon.testing import scripted


@stage
async def audit(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


async def bare(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


STOCK = Chain([Log(), Validate(), Resolve(), Retry(), Transform(), Dispatch()], name="responses")


def names(chain: Chain) -> list[str]:
    return [item.name for item in chain]


# --- surgery --------------------------------------------------------------------------------------------------------


def test_before_places_stages_just_outside() -> None:
    assert names(STOCK.before("retry", audit, bare))[2:6] == ["resolve", "audit", "bare", "retry"]


def test_after_places_stages_just_inside() -> None:
    assert names(STOCK.after("retry", audit, bare))[3:7] == ["retry", "audit", "bare", "transform"]


def test_replace_puts_stages_in_the_place_of_one() -> None:
    assert names(STOCK.replace("retry", audit, bare))[2:6] == ["resolve", "audit", "bare", "transform"]


def test_without_takes_stages_away() -> None:
    assert names(STOCK.without("log", "retry")) == ["validate", "resolve", "transform", "dispatch"]


def test_with_changes_settings_and_keeps_the_others() -> None:
    changed = STOCK.with_(retry={"attempts": 5}).with_(retry={"max_delay_s": 1.0})

    assert list(changed)[3] == Retry(attempts=5, max_delay_s=1.0)


def test_with_refuses_unknown_settings() -> None:
    with pytest.raises(StageError, match='no setting "atempts"; did you mean "attempts"'):
        STOCK.with_(retry={"atempts": 5})


def test_places_may_be_indexes() -> None:
    assert names(STOCK.before(0, audit))[0] == "audit"
    assert names(STOCK.after(-2, audit))[-2:] == ["audit", "dispatch"]
    assert names(STOCK.without(0, -1)) == ["validate", "resolve", "retry", "transform"]


def test_an_index_that_is_not_there_is_refused() -> None:
    with pytest.raises(ChainError, match='chain "responses" has 6 stages; there is no index 6'):
        STOCK.before(6, audit)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ChainError) as caught:
        STOCK.without("retyr")

    assert 'chain "responses" has no stage "retyr"; did you mean "retry"?' in str(caught.value)
    assert "its stages: log, validate, resolve, retry, transform, dispatch" in str(caught.value)


def test_an_ambiguous_name_is_refused_with_the_indexes() -> None:
    with pytest.raises(ChainError) as caught:
        Chain([audit, bare, audit]).without("audit")

    assert '2 stages named "audit"' in str(caught.value)
    assert "use one of the indexes [0, 2]" in str(caught.value)


def test_surgery_leaves_the_chain_as_it_was() -> None:
    before = list(STOCK)

    STOCK.before("retry", audit).after("log", audit).without("validate").with_(retry={"attempts": 9}).named("mine")

    assert list(STOCK) == before
    assert STOCK.name == "responses"


def test_the_stages_of_a_nested_chain_are_changed_in_the_nested_chain() -> None:
    outer = Chain([Chain([Retry()], name="inner"), host()])

    with pytest.raises(ChainError, match='"inner" is a chain, which has no settings'):
        outer.with_(inner={"attempts": 5})


# --- values ---------------------------------------------------------------------------------------------------------


def test_chains_nest_as_stages(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[str] = []

        def noting(name: str) -> Stage:
            @stage
            async def note(request: Request, call_next: Handler) -> Reply:
                seen.append(name)
                return await call_next(request)

            return note

        inner = Chain([noting("b"), noting("c")], name="inner")
        chain = Client(Chain([noting("a"), inner, noting("d"), host()])).chain

        response = await mode.response(chain, streamed=streamed)

        assert response.output_text == "Hello there."
        assert seen == ["a", "b", "c", "d"]
        assert len(chain.flat()) == 5

    mode.run(body)


def test_pipes_place_the_left_stage_outside() -> None:
    assert names(audit | Retry()) == ["audit", "retry"]
    assert names(audit | Retry() | bare) == ["audit", "retry", "bare"]
    assert names(bare | Chain([Retry()])) == ["bare", "retry"]


def test_equal_stages_make_equal_chains() -> None:
    assert Chain([audit, Retry()]) == Chain([audit, Retry()], name="another")
    assert Chain([audit]) != Chain([bare])
    assert Chain([audit]).bind(model="a/b") != Chain([audit])
    assert Chain([audit]) != [audit]


def test_a_chain_is_not_hashable() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Chain([audit]))


def test_repr_is_one_line_and_str_a_tree() -> None:
    chain = Chain([audit, Chain([Retry(attempts=5)], name="inner")], name="outer")

    assert repr(chain) == "Chain([audit, Chain([Retry(attempts=5)], name='inner')], name='outer')"
    assert str(chain) == "outer\n  audit\n  inner\n    Retry(attempts=5)"


@pytest.mark.parametrize("chain", [STOCK, Chain([audit, bare, STOCK], name="mine").bind(model="a/b")])
def test_a_chain_survives_a_pickle(chain: Chain) -> None:
    again = pickle.loads(pickle.dumps(chain))

    assert again == chain
    assert again.name == chain.name


def test_a_pickle_carries_no_client() -> None:
    client = Client(STOCK)

    again = pickle.loads(pickle.dumps(client.chain))

    assert again == client.chain
    assert again._engine is None


def test_a_chain_of_local_functions_has_no_pickle() -> None:
    @stage
    async def local(request: Request, call_next: Handler) -> Reply:
        return await call_next(request)

    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(Chain([local]))


def test_a_chain_can_be_copied() -> None:
    assert copy.copy(STOCK) == STOCK
    assert copy.deepcopy(STOCK) == STOCK


@pytest.mark.parametrize("item", [3, "retry", None, {"use": "retry"}])
def test_what_is_no_stage_is_refused_with_its_place(item: Any) -> None:
    with pytest.raises(ChainError) as caught:
        Chain([audit, item], name="mine")

    assert f'chain "mine", stages[1]: {quoted(item)} is no stage' in str(caught.value)


@pytest.mark.parametrize("stages", [Retry(), bare, audit])
def test_one_stage_in_place_of_a_list_is_refused(stages: Any) -> None:
    with pytest.raises(ChainError, match="is no list of stages"):
        Chain(stages)


def test_a_fragment_is_a_value_but_does_not_run() -> None:
    fragment = Validate() | audit

    assert names(fragment | STOCK) == ["validate", "audit", *names(STOCK)]
    with pytest.raises(ChainError, match="has no terminal stage"):
        fragment.invoke("Hi")


# --- binding --------------------------------------------------------------------------------------------------------


def test_bound_parameters_are_defaults(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        chain = client.chain.bind(model="openai/bound", temperature=0.5)

        await mode.call(chain)
        await mode.call(chain, model="openai/given")

        assert [sent["model"] for sent in client.requests] == ["bound", "given"]
        assert [sent["temperature"] for sent in client.requests] == [0.5, 0.5]

    mode.run(body)


def test_what_is_bound_to_a_nested_chain_goes_along(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        inner = client.chain.bind(model="openai/inner", temperature=0.5, api_key="sk-canary-0123456789abcdef")
        for outer in (Chain([audit, inner]), audit | inner, Chain([Chain([audit, inner])])):
            await mode.call(outer)
            await mode.call(outer.bind(model="openai/outer"))
            await mode.call(outer.bind(model="openai/outer"), model="openai/given")
        assert [sent["model"] for sent in client.requests] == ["inner", "outer", "given"] * 3
        assert {sent["temperature"] for sent in client.requests} == {0.5}
        assert "canary" not in f"{Chain([inner]).defaults}"

        last = Chain([Chain([Log()]).bind(model="openai/first"), Chain(presets.responses).bind(model="openai/last")])
        assert last.defaults["model"] == "openai/last"
        assert last.replace(1, presets.responses).defaults["model"] == "openai/first"
        assert Chain.from_toml(last.bind(user="me").to_toml()) == last.bind(user="me")

    mode.run(body)


def test_a_chain_is_bound_to_a_client_or_to_what_runs_its_calls(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        for thing in (client, client.engine):
            assert (
                await mode.call(presets.responses.bind(thing), model="openai/m", api_key="k")
            ).output_text == "Hello."
        with pytest.raises(SetupError, match="a chain is bound to a str"):
            presets.responses.bind("openai/m")  # type: ignore[arg-type]

    mode.run(body)


def test_a_pipe_keeps_what_is_bound_on_either_side(mode: Mode) -> None:
    async def body() -> None:
        client = scripted("Hello.", chain=STOCK.bind(temperature=0.5))
        fragment = Chain([audit]).bind(model="openai/bound", temperature=0.1)

        await mode.call(fragment | client.chain)

        assert client.requests == [{"model": "bound", "input": "Hi", "temperature": 0.5}]

    mode.run(body)


def test_a_chain_without_client_runs_on_the_default_one(mode: Mode, streamed: bool) -> None:
    from antiphon.pipeline import default_engine

    async def body() -> None:
        response = await mode.response(Chain([host()]), streamed=streamed)
        await mode.either(default_engine.close, default_engine.aclose)
        again = await mode.response(Chain([host()]), streamed=streamed)  # a new one is made

        assert response.output_text == again.output_text == "Hello there."

    mode.run(body)


# --- verbs ----------------------------------------------------------------------------------------------------------


def test_stream_gives_a_stream(mode: Mode) -> None:
    async def body() -> None:
        chain = Client(Chain([host()])).chain

        stream = await mode.either(lambda: chain.stream("Hi"), lambda: chain.astream("Hi"))

        assert isinstance(stream, EventStream)
        assert (await mode.until_done(stream)).output_text == "Hello there."

    mode.run(body)


async def batch(mode: Mode, chain: Chain, inputs: list[Any], **settings: Any) -> list[Any]:
    return await mode.either(lambda: chain.batch(inputs, **settings), lambda: chain.abatch(inputs, **settings))


def test_batch_keeps_the_order_of_its_inputs(mode: Mode) -> None:
    @stage(terminal=True)
    async def later_first(request: Request, call_next: Handler) -> Reply:
        await request.context.runtime.sleep(0.02 - 0.002 * int(given(request).input))
        return answer(given(request).input)

    async def body() -> None:
        replies = await batch(mode, Client(Chain([later_first])).chain, [str(at) for at in range(10)])

        assert [reply.output_text for reply in replies] == [str(at) for at in range(10)]

    mode.run(body)


class Gauge:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def add(self, change: int) -> None:
        with self.lock:
            self.now += change
            self.most = max(self.most, self.now)


@pytest.mark.parametrize("limit", [1, 3])
def test_batch_holds_its_bound(mode: Mode, limit: int) -> None:
    gauge = Gauge()

    @stage(terminal=True)
    async def measured(request: Request, call_next: Handler) -> Reply:
        gauge.add(1)
        await request.context.runtime.sleep(0.005)
        gauge.add(-1)
        return answer()

    async def body() -> None:
        await batch(mode, Client(Chain([measured])).chain, ["Hi"] * 9, concurrency=limit)

        assert gauge.most == limit

    mode.run(body)


BAD = {"status": 400, "body": {"error": {"message": "no"}}}


def test_batch_returns_errors_in_their_places(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(lambda sent: BAD if sent["input"] == "bad" else sent["input"])

        replies = await batch(mode, client.chain, ["a", "bad", "b"], on_error="return", model="openai/m")

        assert [replies[0].output_text, replies[2].output_text] == ["a", "b"]
        assert isinstance(replies[1], BadRequestError)
        assert replies[1].attempts == 1

    mode.run(body)


def test_batch_raises_the_first_error_and_begins_no_further_call(mode: Mode) -> None:
    async def body() -> None:
        client = scripted(lambda sent: BAD if sent["input"] == "bad" else sent["input"])

        with pytest.raises(BadRequestError):
            await batch(mode, client.chain, ["a", "bad", *"bcdefgh"], concurrency=1, model="openai/m")

        assert [sent["input"] for sent in client.requests] == ["a", "bad"]

    mode.run(body)


def test_the_first_error_of_a_batch_wakes_those_that_sleep(mode: Mode) -> None:
    began: list[str] = []

    @stage(terminal=True)
    async def slow(request: Request, call_next: Handler) -> Reply:
        if given(request).input == "bad":
            while "good" not in began:
                await request.context.runtime.sleep(0.001)
            raise APIStatusError("no")
        began.append("good")
        await request.context.runtime.sleep(30)
        return answer()

    async def body() -> None:
        started = time.monotonic()
        with pytest.raises(APIStatusError):
            await batch(mode, Client(Chain([slow])).chain, ["good", "bad"])

        assert time.monotonic() - started < 5

    mode.run(body)


def test_an_empty_batch_is_empty(mode: Mode) -> None:
    async def body() -> None:
        assert await batch(mode, Client(Chain([host()])).chain, []) == []

    mode.run(body)


@pytest.mark.parametrize("settings", [{"concurrency": 0}, {"on_error": "ignore"}])
def test_batch_refuses_senseless_settings(mode: Mode, settings: dict[str, Any]) -> None:
    async def body() -> None:
        with pytest.raises(InvalidParameter, match=next(iter(settings))):
            await batch(mode, Client(Chain([host()])).chain, ["Hi"], **settings)

    mode.run(body)


def test_many_calls_share_a_chain_across_tasks() -> None:
    async def body() -> None:
        client = scripted(lambda sent: sent["input"])
        found: dict[int, str] = {}

        async def one(at: int) -> None:
            found[at] = (await client.aresponses(str(at), "openai/m")).output_text

        async with anyio.create_task_group() as group:
            for at in range(20):
                group.start_soon(one, at)

        assert found == {at: str(at) for at in range(20)}

    anyio.run(body)
