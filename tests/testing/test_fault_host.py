"""A host that answers badly, over real connections."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from conftest import Mode
from hand_made import streamed_body, text_events

from antiphon import Client, Timeouts, presets
from antiphon.pipeline.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    NetworkForbidden,
    RateLimitError,
    SetupError,
    StreamInterrupted,
)
from antiphon.testing import Fault, faulty, http_error, no_network

ONCE = presets.responses.with_(retry={"attempts": 1})


async def ask(mode: Mode, *steps: Any, streamed: bool, **settings: Any) -> Any:
    """Return what a call of a faulty host gives, the error too."""
    client = faulty(*steps, chain=ONCE, **settings)
    try:
        return await mode.response(client.chain, model="openai/m", streamed=streamed)
    except Exception as error:
        return error
    finally:
        await mode.close(client)


def test_faults_come_in_turn_and_retry_gets_over_them(mode: Mode, streamed: bool) -> None:
    quick = presets.responses.with_(retry={"attempts": 5, "base_delay_s": 0})
    limits = {"x-ratelimit-remaining-requests": "0"}
    busy = http_error(429, "slow down", code="busy", retry_after_s=0.001, headers=limits)
    client = faulty(
        busy, Fault(reset=True), Fault(cut_after=0), APIConnectionError("no answer"), "At last.", chain=quick
    )

    async def body() -> None:
        response = await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed)
        await mode.close(client)

        assert response.output_text == "At last."
        assert response.meta is not None
        tried = [(one.error, one.status) for one in response.meta.attempts]
        assert tried[0] == ("RateLimitError", 429)
        assert [error for error, _ in tried[1:4]] == [
            "APIConnectionError",
            "StreamInterrupted" if streamed else "APIConnectionError",
            "APIConnectionError",
        ]
        assert tried[4] == (None, 200)
        assert [request["input"] for request in client.requests] == ["Hi"] * 5

    mode.run(body)


FAULTS: dict[str, tuple[Fault, type[Exception], type[Exception]]] = {
    "cut": (Fault(cut_after=5), APIConnectionError, StreamInterrupted),
    "cut by a reset": (Fault(cut_after=5, reset=True), APIConnectionError, StreamInterrupted),
    "garbage": (Fault(garbage_after=5), APIResponseError, APIResponseError),
    "garbage at once": (Fault(garbage_after=0), APIResponseError, APIResponseError),
    "status": (Fault(answer=http_error(429), headers={"retry-after": "7"}), RateLimitError, RateLimitError),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_error_that_a_real_one_is(mode: Mode, streamed: bool, name: str) -> None:
    fault, plain, in_stream = FAULTS[name]

    async def body() -> None:
        error = await ask(mode, fault, streamed=streamed)
        found: Any = error

        assert type(error) is (in_stream if streamed else plain)
        if name.startswith("cut") and streamed:
            assert found.response.output_text == "Hello"
        if name == "status":
            assert found.retry_after_s == 7

    mode.run(body)


@pytest.mark.parametrize(
    ("fault", "limit"),
    [
        (Fault(delay_s=60), "first_event"),
        (Fault(first_byte_s=60), "first_event"),
        (Fault(pause_s=60), "idle"),
    ],
)
def test_a_slow_host_meets_the_limits(mode: Mode, fault: Fault, limit: str) -> None:
    async def body() -> None:
        limits = Timeouts(total=30, first_event=0.05 if limit == "first_event" else 30, idle=0.05)
        error = await ask(mode, fault, streamed=True, timeouts=limits)

        assert isinstance(error, APITimeoutError) or isinstance(error.__cause__, APITimeoutError)
        assert limit in str(error)

    mode.run(body)


def test_an_answer_without_a_fault_is_whole(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        assert (await ask(mode, Fault(pause_s=0.001), streamed=streamed)).output_text == "Hello there."

    mode.run(body)


def test_nothing_is_left_of_a_host() -> None:
    before = set(threading.enumerate())
    client = faulty(Fault(delay_s=60), chain=ONCE, timeouts=Timeouts(first_event=0.05))
    with client, pytest.raises(APITimeoutError):
        client.responses("Hi", "openai/m", stream=True)
    client.close()

    for thread in threading.enumerate():
        if "fault" in thread.name or "process_request" in thread.name:
            thread.join(5)
    assert set(threading.enumerate()) <= before


def test_a_host_without_a_script_is_refused() -> None:
    with pytest.raises(SetupError, match="a faulty host needs at least one answer"):
        faulty()


def test_no_request_leaves_while_the_network_is_forbidden(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        chain = presets.responses.bind(model="openai/m", api_key="k", api_base="https://host.invalid/v1")
        with no_network():
            for also in ([], ["other.invalid"]):
                with no_network(*also), pytest.raises(NetworkForbidden, match=r"host\.invalid:443") as caught:
                    await mode.response(chain, streamed=streamed)
            assert caught.value.meta is not None
            assert (await ask(mode, "From here.", streamed=streamed)).output_text == "From here."
        with no_network("host.invalid"), pytest.raises(APIConnectionError):  # let through, and not there
            await mode.response(chain, streamed=streamed, num_retries=0)

    mode.run_calls(body)


def test_a_client_of_the_callers_own_is_kept_off_the_network_too() -> None:
    import httpx

    with httpx.Client() as own, no_network(), pytest.raises(NetworkForbidden):
        presets.responses.bind(Client(transport=own).engine).invoke("Hi", model="openai/m", api_key="k")


def test_an_error_of_the_scripts_own_is_not_taken_for_a_fault() -> None:
    client = faulty(lambda body: body["not there"], chain=ONCE)
    with pytest.raises(APIConnectionError):
        client.responses("Hi", "openai/m")

    with pytest.raises(KeyError, match="not there"):
        client.close()


def test_a_stream_of_the_scripts_own_bytes_is_cut_by_its_events(mode: Mode) -> None:
    async def body() -> None:
        whole = streamed_body(text_events("One ", "two."))
        error = await ask(mode, Fault(answer=whole, cut_after=5), streamed=True)

        assert isinstance(error, StreamInterrupted)
        assert error.response is not None
        assert error.response.output_text == "One "

    mode.run(body)
