"""What is checked when a chain is built to run."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import host

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import ChainError, SetupError
from antiphon.pipeline.function_stages import before, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.stages.dispatch import Dispatch
from antiphon.stages.log import Log
from antiphon.stages.resolve import Resolve
from antiphon.stages.retry import Retry
from antiphon.stages.transform import Transform
from antiphon.testing import scripted


@stage
async def passing(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


def refused(*stages: Any) -> str:
    with pytest.raises(ChainError) as caught:
        Chain(stages, name="mine").check()
    return str(caught.value)


def test_an_empty_chain_does_not_run() -> None:
    assert refused().startswith('chain "mine" is empty\n  hint: ')


def test_a_chain_without_terminal_does_not_run() -> None:
    said = refused(Resolve(), Transform())

    assert 'chain "mine" has no terminal stage, so nothing would answer' in said
    assert "end it with Dispatch()" in said


def test_a_stage_right_of_the_terminal_is_an_error() -> None:
    said = refused(Resolve(), Transform(), Dispatch(), passing)

    assert "passing stands after dispatch, which answers by itself, so it would never run" in said
    assert "place passing before dispatch; in a | b the stage on the left is the outer one" in said


def test_a_stage_right_of_a_nested_terminal_is_an_error() -> None:
    assert "passing stands after dispatch" in refused(presets.responses, passing)


def test_two_terminals_are_an_error() -> None:
    assert "host stands after host" in refused(host(), host())


def test_two_retries_are_an_error() -> None:
    said = refused(Retry(), Resolve(), Retry(), Transform(), Dispatch())

    assert "two Retry stages on one path; their repeats would multiply" in said
    assert '.without("retry")' in said


def test_two_retries_through_nesting_are_an_error() -> None:
    assert "two Retry stages on one path" in refused(Retry(attempts=5), presets.responses)


def test_transform_before_resolve_is_an_error() -> None:
    said = refused(Transform(), Resolve(), Dispatch())

    assert "transform needs request.target, which no stage before it sets" in said
    assert "place resolve before transform" in said


def test_a_missing_maker_is_named() -> None:
    assert "add Transform() before it" in refused(Resolve(), Dispatch())


def test_a_stage_of_the_users_may_set_what_the_later_ones_need() -> None:
    Chain([passing, Transform(), Dispatch()]).check()
    Chain([before(lambda request: None), Resolve(), Transform(), Dispatch()]).check()


def test_what_a_users_stage_did_not_set_is_found_in_the_call(mode: Mode) -> None:
    async def body() -> None:
        client = Client(Chain([passing, Transform(), Dispatch()]))

        with pytest.raises(SetupError, match="Transform got a request without a target"):
            await mode.call(client.chain, model="openai/m")
        with pytest.raises(SetupError, match="Dispatch got a request without a target"):
            await mode.call(Client(Chain([passing, Dispatch()])).chain, model="openai/m")

    mode.run(body)


def test_a_client_checks_its_chain_at_once() -> None:
    with pytest.raises(ChainError, match="has no terminal stage"):
        Client(Chain([Log()]))


def test_check_returns_the_chain() -> None:
    chain = Chain([host()])

    assert chain.check() is chain


def test_a_trace_notes_each_stage_with_its_calls(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        limited = {"status": 429, "body": {"error": {"message": "slow down"}}}
        chain = presets.responses.with_(retry={"base_delay_s": 0}).before("transform", passing)
        client = scripted(limited, "Hello.", chain=chain)

        response = await mode.response(client.chain, model="openai/m", streamed=streamed, trace=True)

        assert response.meta is not None
        calls = {stage.name: stage.calls for stage in response.meta.stages}
        assert list(calls) == [stage.name for stage in chain]
        assert [calls[name] for name in ("resolve", "retry", "passing", "dispatch")] == [1, 1, 2, 2]
        assert all(stage.own_s >= 0 for stage in response.meta.stages)

    mode.run(body)


def test_a_call_without_trace_notes_no_stages(mode: Mode) -> None:
    async def body() -> None:
        response = await mode.call(scripted("Hello.").chain, model="openai/m")

        assert response.meta.stages == ()

    mode.run(body)
