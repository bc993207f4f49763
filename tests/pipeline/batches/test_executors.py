"""The workers of executors: threads, processes, Dask."""

from __future__ import annotations

import functools
import multiprocessing
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from batch_chains import SPELL, Odd, spell, told
from conftest import Mode
from hand_made import answer, given

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    ExecutorFailed,
    InvalidParameter,
    NotSerializable,
    OverloadedError,
    RowFailed,
    UnknownKeyword,
)
from antiphon.pipeline.function_stages import before, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.secret import FromEnv
from antiphon.pipeline.timeouts import Timeouts
from antiphon.stages.guard import Guard

INPUTS = [*(f"row {index}" for index in range(12)), "busy", {"input": "x", "modle": 1}, "odd", {"input": "own"}]


def processes(count: int = 2) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with processes() as executor:
        yield executor


async def batch(mode: Mode, chain: Any, inputs: Any, **settings: Any) -> list[Any]:
    return await mode.either(lambda: chain.batch(inputs, **settings), lambda: chain.abatch(inputs, **settings))


def here() -> list[Any]:
    return SPELL.batch(INPUTS, on_error="return")


def assert_the_same(results: list[Any]) -> None:
    """Compare with what the batch gives without an executor; an error that cannot be pickled may differ."""
    expected, odd = here(), INPUTS.index("odd")
    assert [told(one) for at, one in enumerate(results) if at != odd] == [
        told(one) for at, one in enumerate(expected) if at != odd
    ]
    assert isinstance(results[INPUTS.index("busy")], OverloadedError)
    assert isinstance(results[13], UnknownKeyword)


def test_threads_give_the_same_results(mode: Mode) -> None:
    async def body() -> None:
        with ThreadPoolExecutor(3) as executor:
            results = await batch(mode, SPELL, INPUTS, executor=executor, on_error="return")
            together = await batch(mode, SPELL, INPUTS, executor=executor, on_error="return", chunk_size=5)

        assert_the_same(results)
        assert_the_same(together)
        assert isinstance(results[INPUTS.index("odd")], Odd)

    mode.run(body)


def test_whoever_leaves_early_stops_the_threads_of_a_pool(mode: Mode) -> None:
    both_run = threading.Barrier(3)
    stopped: list[str] = []

    @stage(terminal=True)
    async def wait(request: Request, call_next: Handler) -> Reply:
        said = given(request).input
        if said == "a":
            return answer(said)
        both_run.wait()
        try:
            await request.context.runtime.event().wait()
        except BaseException:
            stopped.append(said)
            raise
        raise AssertionError

    async def body() -> None:
        chain = Chain([wait])
        with ThreadPoolExecutor(2) as executor:
            settings = {"executor": executor, "concurrency": 2}
            rows: Any = chain.amap(list("abcd"), **settings) if mode.is_async else chain.map(list("abcd"), **settings)  # type: ignore[arg-type]
            assert (await mode.either(lambda: next(rows), lambda: anext(rows))).request == "a"
            await mode.either(both_run.wait, lambda: anyio.to_thread.run_sync(both_run.wait))
            await mode.close(rows)

        assert sorted(stopped) == ["b", "c"]

    mode.run(body)


def test_processes_give_the_same_results(mode: Mode, pool: ProcessPoolExecutor) -> None:
    async def body() -> None:
        results = await batch(mode, SPELL, INPUTS, executor=pool, on_error="return", chunk_size=3)

        assert_the_same(results)
        odd, busy = results[INPUTS.index("odd")], results[INPUTS.index("busy")]
        assert isinstance(odd, RowFailed)
        assert (odd.kind, odd.message) == ("Odd", "the row raised Odd: one")
        assert (busy.body, busy.retry_after_s, busy.code) == ({"error": 1}, 2, "busy")
        here, there = SPELL.invoke("row 0").metadata["pid"], results[0].metadata["pid"]
        assert here != there

    mode.run(body)


def test_a_client_is_made_again_in_a_worker(pool: ProcessPoolExecutor) -> None:
    with Client(timeouts=Timeouts(total=60), tenant="acme") as client:
        results = client.batch(
            ["a", {"input": "b"}],
            model="scripted/echo",
            api_key=FromEnv("NO_SUCH_KEY"),
            headers={"x-a": "1"},
            session_id="s",
            executor=pool,
        )

    assert [told(one) for one in results] == [("Response", "a"), ("Response", "b")]
    assert results[0].meta.dropped[0].name == "session_id"


def test_rows_that_cannot_be_sent_are_errors_of_theirs(pool: ProcessPoolExecutor) -> None:
    rows = [{"input": "a", "api_key": "a secret"}, {"input": "b"}, {"input": "c", "hooks": [lambda signal: None]}]

    results = presets.responses.batch(rows, model="scripted/echo", executor=pool, on_error="return", concurrency=12)

    assert [type(one).__name__ for one in results] == ["InvalidParameter", "Response", "InvalidParameter"]
    assert isinstance(results[0], InvalidParameter)
    assert "row 0 cannot be sent to another process: a Secret is not pickled" in results[0].message
    assert "a secret" not in str(results[0])


@before
def polite(request: Request) -> Request:
    return request


class _Nothing(Executor):
    """Takes nothing."""

    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        raise AssertionError("something was begun")


def _locally() -> Chain:
    @stage(terminal=True)
    async def local(request: Request, call_next: Handler) -> Reply:
        raise AssertionError

    return Chain([polite, local], name="mine")


@pytest.mark.parametrize(
    ("make", "keywords", "says"),
    [
        (_locally, {}, r'^chain "mine", stages\[1\] local: function is <function _locally'),
        (
            lambda: Chain([Guard(on_input=lambda text: None), spell], name="mine"),
            {},
            r'^chain "mine", stages\[0\] guard: on_input is <function <lambda>',
        ),
        (lambda: presets.responses, {"api_key": "sk-1"}, r'keyword "api_key" is a secret, which cannot be sent'),
        (lambda: presets.responses.bind(api_key="sk-1"), {}, r'keyword "api_key" is a secret, which cannot be sent'),
        (lambda: presets.responses, {"hooks": [lambda signal: None]}, r'keyword "hooks" is \[<function'),
        (lambda: Client(transport=httpx.Client()).chain, {}, "is bound to a client, whose transport is <httpx.Client"),
        (lambda: Client(hooks=[lambda signal: None]).chain, {}, "is bound to a client, whose hooks is "),
        (
            lambda: Client(state_store="redis://me:pa55@host/0").chain,
            {},
            "is bound to a client, whose state_store is a secret",
        ),
    ],
)
def test_what_no_worker_could_have_is_told_before_anything_begins(make: Any, keywords: Any, says: str) -> None:
    with pytest.raises(NotSerializable, match=says) as caught:
        make().map(["a"], executor=_Nothing(), **keywords)

    assert "pa55" not in str(caught.value)


class OnlyHere:
    """Comes back from a pickle in this process alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _here_only, (multiprocessing.current_process().pid,)


def _here_only(pid: int) -> OnlyHere:
    if multiprocessing.current_process().pid != pid:
        raise ImportError("No module named 'mine'")
    return OnlyHere()


def test_a_chain_that_no_worker_can_make_is_told_before_the_first_row(mode: Mode, pool: ProcessPoolExecutor) -> None:
    async def body() -> None:
        with pytest.raises(NotSerializable, match="cannot be made in a worker of ProcessPoolExecutor: "):
            await batch(mode, SPELL.bind(metadata=OnlyHere()), ["a"], executor=pool)

    mode.run(body)


def test_a_worker_that_dies_ends_the_batch_and_the_rest_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "run.sqlite"
    SPELL.batch(["a", "b"], checkpoint=file)
    inputs = iter(["a", "b", "c", "die"])

    with processes(1) as executor, pytest.raises(ExecutorFailed, match=r"ProcessPoolExecutor did not .*BrokenProcess"):
        SPELL.batch(inputs, executor=executor, checkpoint=file, chunk_size=1, concurrency=1)

    rows = list(SPELL.map(["a", "b", "c", "d"], checkpoint=file))
    assert [row.is_kept for row in rows] == [True, True, True, False]


def test_a_pool_that_was_shut_down_is_told(mode: Mode) -> None:
    async def body() -> None:
        executor = ThreadPoolExecutor(1)
        executor.shutdown()

        with pytest.raises(ExecutorFailed, match="cannot schedule new futures after shutdown"):
            await batch(mode, SPELL, ["a"], executor=executor)

    mode.run(body)


def test_the_pickle_of_a_batch_names_things_and_holds_none() -> None:
    from antiphon.pipeline.batches.shipping import pack_chain

    packed = pack_chain(Client(presets.responses).chain, {"model": "openai/m"})

    assert b"antiphon.stages.resolve" in packed
    assert len(packed) < 3000
    assert pickle.loads(packed)[0] == presets.responses


@pytest.mark.slow
def test_dask_gives_the_same_results(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as dask,
    ):
        executor = dask.get_executor()

        async def body(mode: Mode) -> None:
            results = await batch(mode, SPELL, INPUTS, executor=executor, on_error="return", chunk_size=2)
            same = await batch(mode, SPELL, ["a"] * 8, executor=executor, on_error="return", chunk_size=2)

            assert_the_same(results)
            assert len({one.meta.call_id for one in same}) == 8  # and not one call's answer for all

        for name in ("sync", "asyncio", "trio"):  # one cluster, which takes its time, for all of them
            mode = Mode(name)
            mode.run(functools.partial(body, mode))
