"""Jobs beside a reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from conftest import Mode

from antiphon.pipeline.runtimes.async_runtime import AsyncRuntime
from antiphon.pipeline.runtimes.jobs import Job, Jobs
from antiphon.pipeline.runtimes.runtime import Runtime
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime


def runtime_of(mode: Mode) -> Runtime:
    def none() -> Any:
        raise AssertionError

    return AsyncRuntime(none) if mode.is_async else SyncRuntime(none)


def sleeper(runtime: Runtime, seconds: float, value: Any) -> Callable[[], Coroutine[Any, Any, Any]]:
    async def work() -> Any:
        await runtime.sleep(seconds)
        if isinstance(value, Exception):
            raise value
        return value

    return work


def test_jobs_are_taken_as_they_end(mode: Mode) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        jobs: Jobs[str] = Jobs(runtime, 8)
        for seconds, value in ((0.1, "slow"), (0.0, "quick"), (0.05, "middle")):
            jobs.add(Job(value, sleeper(runtime, seconds, value)))

        taken = [(await jobs.next()) for _ in range(3)]
        assert [job.result for job in taken] == ["quick", "middle", "slow"]
        assert taken[2].duration_s >= 0.09
        assert jobs.is_idle

    mode.run(body)


def test_no_more_than_the_limit_run_and_all_are_begun_in_order(mode: Mode) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        begun: list[str] = []
        jobs: Jobs[str] = Jobs(runtime, 2, lambda job: begun.append(job.name))
        for name in "abcd":
            jobs.add(Job(name, sleeper(runtime, 0.01, name)))
        assert begun == ["a", "b"]

        while not jobs.is_idle:
            await jobs.next()
            assert len(jobs.running) <= 2
        assert begun == ["a", "b", "c", "d"]

    mode.run(body)


def test_an_error_is_handed_over_and_keeps_no_other_job_from_its_end(mode: Mode) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        jobs: Jobs[str] = Jobs(runtime, 2)
        jobs.add(Job("bad", sleeper(runtime, 0.0, ValueError("no"))))
        jobs.add(Job("good", sleeper(runtime, 0.03, "done")))

        bad, good = await jobs.next(), await jobs.next()
        assert isinstance(bad.error, ValueError)
        assert (good.result, good.error) == ("done", None)

    mode.run(body)


def test_a_job_that_takes_too_long_is_given_up_and_its_late_end_is_nobodys(mode: Mode) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        jobs: Jobs[str] = Jobs(runtime, 2)
        jobs.add(Job("hangs", sleeper(runtime, 5.0, "late"), 0.05))
        began = time.monotonic()

        job = await jobs.next()
        assert isinstance(job.error, TimeoutError)
        assert time.monotonic() - began < 2
        assert jobs.is_idle
        jobs.add(Job("next", sleeper(runtime, 0.05, "next")))
        assert (await jobs.next()).result == "next"

    mode.run(body)


def test_cancelled_jobs_stop_and_waiting_ones_never_begin(mode: Mode) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        begun: list[str] = []
        jobs: Jobs[str] = Jobs(runtime, 1, lambda job: begun.append(job.name))
        jobs.add(Job("one", sleeper(runtime, 5.0, "late")))
        jobs.add(Job("two", sleeper(runtime, 5.0, "late")))
        began = time.monotonic()

        for job in jobs.cancel():
            await job.wait()
        assert time.monotonic() - began < 2
        assert begun == ["one"]
        assert jobs.is_idle

    mode.run(body)


def test_blocking_work_that_hears_nothing_is_not_waited_for() -> None:
    go = threading.Event()

    async def body() -> None:
        runtime = runtime_of(Mode("sync"))
        jobs: Jobs[Any] = Jobs(runtime, 1)

        async def work() -> Any:
            return await runtime.call(go.wait, 5)

        jobs.add(Job("deaf", work, is_deaf=True))
        began = time.monotonic()
        for job in jobs.cancel():
            await job.wait()
        assert time.monotonic() - began < 2

    try:
        Mode("sync").run(body)
    finally:
        go.set()


@pytest.mark.parametrize("limit_s", [float("inf"), 10.0])
def test_a_job_may_have_no_limit(mode: Mode, limit_s: float) -> None:
    async def body() -> None:
        runtime = runtime_of(mode)
        jobs: Jobs[str] = Jobs(runtime, 1)
        jobs.add(Job("a", sleeper(runtime, 0.01, "a"), limit_s))

        assert (await jobs.next()).result == "a"

    mode.run(body)
