"""The checkpoint: what is in it, what goes on from it, and what is no business of it."""

from __future__ import annotations

import functools
import os
import random
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from batch_chains import Odd
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.batches.row import Row
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    BadRequestError,
    CheckpointMismatch,
    InvalidParameter,
    OverloadedError,
    RowFailed,
    StoreLocked,
    StoreUnreadable,
)
from antiphon.pipeline.function_stages import before
from antiphon.pipeline.request import Request
from antiphon.pipeline.secret import Secret
from antiphon.testing import ScriptedClient, scripted

CHILD = Path(__file__).with_name("killed_run.py")
BAD = {"status": 400, "headers": {"set-cookie": "k=secret"}, "body": {"error": {"message": "no", "code": "bad"}}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.sqlite"


def echoing(**settings: Any) -> ScriptedClient:
    return scripted(lambda sent: BAD if sent["input"] == "bad" else f"to {sent['input']}", **settings)


def asked(client: ScriptedClient) -> list[str]:
    return [sent["input"] for sent in client.requests]


async def read(mode: Mode, client: Any, inputs: Any, count: int | None = None, **settings: Any) -> list[Row]:
    """Read so many rows of a batch, then close it."""
    settings = {"model": "openai/m", "concurrency": 2, **settings}
    rows = client.amap(inputs, **settings) if mode.is_async else client.map(inputs, **settings)
    found: list[Row] = []
    try:
        while len(found) != count:
            row = await mode.either(lambda: next(rows, None), lambda: anext(rows, None))
            if row is None:
                break
            found.append(row)
    finally:
        await mode.close(rows)
    return found


@pytest.mark.parametrize("order", ["input", "completed"])
def test_a_run_goes_on_with_the_missing_rows(mode: Mode, file: Path, order: str) -> None:
    inputs = ["a", "b", "a", {"input": "c", "temperature": 0}, "d", "a", "e"]  # the same row thrice

    async def body() -> None:
        first, second, third = echoing(), echoing(), echoing()

        begun = await read(mode, first, iter(inputs), 3, checkpoint=file, order=order)
        rest = await read(mode, second, iter(inputs), checkpoint=file, order=order, api_key="another", timeout=9)
        again = await read(mode, third, inputs, checkpoint=file, order=order)

        rest.sort(key=lambda row: row.index)
        again.sort(key=lambda row: row.index)
        assert [row.response and row.response.output_text for row in rest] == [f"to {one}" for one in "abacdae"]
        assert len(asked(second)) == 7 - sum(row.is_kept for row in rest)
        assert {row.index for row in begun} <= {row.index for row in rest if row.is_kept}
        assert len(asked(first)) <= 3 + 2  # those in flight were stopped, or are kept too
        assert asked(third) == []
        assert all(row.is_kept for row in again)
        assert [row.response for row in again] == [row.response for row in rest]
        assert [row.response and row.response.meta for row in again] == [
            row.response and row.response.meta for row in rest
        ]

    mode.run(body)
    assert file.stat().st_mode & 0o777 == 0o600


def test_failed_rows_are_asked_again_or_come_back_as_they_were(mode: Mode, file: Path) -> None:
    @before
    def break_some(request: Request) -> Request:
        match request.params.input:  # type: ignore[union-attr]
            case "odd":
                raise Odd("one", "two")
            case "busy":
                raise OverloadedError("no room", provider="p", code="busy", body={"a": [1]}, retry_after_s=2.0)
        return request

    async def body() -> None:
        chain = break_some | presets.responses
        client, later = echoing(chain=chain), echoing(chain=chain)
        inputs = ["a", "bad", "odd", "busy"]

        then = await read(mode, client, inputs, checkpoint=file)
        kept = await read(mode, later, inputs, checkpoint=file, retry_failed=False)
        assert asked(later) == []
        again = await read(mode, later, inputs, checkpoint=file)

        assert asked(later) == ["bad"]
        assert [row.is_kept for row in again] == [True, False, False, False]
        assert all(row.is_kept for row in kept)
        bad, was_bad = kept[1].error, then[1].error
        assert isinstance(bad, BadRequestError)
        assert isinstance(was_bad, BadRequestError)
        assert str(bad) == str(was_bad)
        assert (bad.body, bad.code, bad.status, bad.attempts) == (was_bad.body, "bad", 400, 1)
        assert bad.meta is not None
        assert bad.meta.headers["set-cookie"] == "***"
        odd = kept[2].error
        assert isinstance(odd, RowFailed)
        assert odd.kind == "Odd"
        assert "the row raised Odd: one" in str(odd)
        busy = kept[3].error
        assert isinstance(busy, OverloadedError)
        assert (busy.body, busy.retry_after_s, busy.retryable) == ({"a": [1]}, 2.0, True)
        with pytest.raises(BadRequestError):
            await read(mode, later, inputs, checkpoint=file, retry_failed=False, on_error="raise", concurrency=1)

    mode.run(body)


class Answer(msgspec.Struct):
    """A typed answer."""

    text: str


def test_typed_answers_come_back(mode: Mode, file: Path) -> None:
    async def body() -> None:
        settings: dict[str, Any] = {"checkpoint": file, "text_format": Answer}

        then = await read(mode, scripted('{"text": "yes"}'), ["a"], **settings)
        again = await read(mode, scripted("never"), ["a"], **settings)

        assert [row.response and row.response.output_parsed for row in [*then, *again]] == [Answer("yes")] * 2

    mode.run(body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chain": presets.responses.with_(retry={"attempts": 5})}, r"stages\[\d\] retry\.attempts was 3, and is 5"),
        ({"chain": presets.responses.without("remember")}, r"stages\[\d\] was remember \(.*, and is tools"),
        ({"model": "openai/other"}, 'model was "openai/m", and is "openai/other"'),
        ({"temperature": 0}, "temperature was not there, and is 0"),
        ({"extra_headers": {"x-mode": "b"}}, "extra_headers was not there, and is "),
        ({"inputs": ["a", "b", "x", "d"]}, "row 2, counted from 0, is another request"),
        ({"inputs": iter(["a", "b", "x", "d"])}, "row 2, counted from 0, is another request"),
        ({"inputs": ["b", "a", "c", "d"]}, "row 0, counted from 0, is another request"),
        ({"inputs": ["a", "b"]}, "it has a row 3, counted from 0, and there are 2 now"),
    ],
)
def test_a_checkpoint_of_another_batch_is_told(file: Path, change: dict[str, Any], says: str) -> None:
    mode = Mode("sync")
    mode.run(lambda: read(mode, echoing(), list("abcd"), checkpoint=file))
    client = echoing(chain=change.pop("chain", presets.responses))
    inputs = change.pop("inputs", list("abcd"))

    with pytest.raises(CheckpointMismatch, match=says):
        mode.run(lambda: read(mode, client, inputs, checkpoint=file, **change))

    assert asked(client) == []


def test_what_changes_no_answer_is_no_other_batch(file: Path) -> None:
    mode = Mode("sync")
    mode.run(lambda: read(mode, echoing(), list("ab"), checkpoint=file, api_key="key-one", timeout=5))
    client = echoing()

    rows = mode.run(
        lambda: read(
            mode,
            client,
            iter("abc"),  # and there may be more rows now
            checkpoint=str(file),
            api_key=Secret("two"),
            trace=True,
            extra_headers=None,
            concurrency=5,
        )
    )

    assert [row.is_kept for row in rows] == [True, True, False]
    assert b"key-one" not in file.read_bytes()


def test_rows_that_went_away_are_told_at_the_end_of_a_source(file: Path) -> None:
    mode = Mode("sync")
    mode.run(lambda: read(mode, echoing(), list("abc"), checkpoint=file))
    rows = echoing().map(iter("ab"), model="openai/m", checkpoint=file)

    assert [row.is_kept for row in (next(rows), next(rows))] == [True, True]
    with pytest.raises(CheckpointMismatch, match="it has a row 2, counted from 0, and there are 2 now"):
        next(rows)


def test_one_run_has_the_file_at_a_time(mode: Mode, file: Path) -> None:
    async def body() -> None:
        client = echoing()
        rows = client.map(list("ab"), model="openai/m", checkpoint=file)
        next(rows)

        with pytest.raises(StoreLocked, match=r"is used by another run\n.*give this one a file of its own"):
            await read(mode, client, list("ab"), checkpoint=file)

        assert len(list(rows)) == 1  # which is still well
        assert len(await read(mode, client, list("ab"), checkpoint=file)) == 2

    mode.run(body)


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    (tmp_path / "text").write_text("no database " * 100)
    mode = Mode("sync")

    for name in ("other.db", "text"):
        with pytest.raises(StoreUnreadable):
            mode.run(functools.partial(read, mode, echoing(), list("ab"), checkpoint=tmp_path / name))
    with pytest.raises(InvalidParameter, match="there is no folder"):
        mode.run(lambda: read(mode, echoing(), list("ab"), checkpoint=tmp_path / "no" / "run.sqlite"))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_leaves_the_checkpoint_to_the_parent(file: Path) -> None:
    rows = echoing().map(list("abc"), model="openai/m", checkpoint=file)
    next(rows)

    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    assert len(list(rows)) == 2
    assert len([row for row in echoing().map(list("abc"), model="openai/m", checkpoint=file) if row.is_kept]) == 3


def killed(arguments: list[str], after: int | None) -> list[str]:
    """Run the child and kill it with its row of this number; return the rows that it has said."""
    tests = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-P", str(CHILD), *arguments],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": tests},
    )
    assert child.stdout is not None
    said: list[str] = []
    with child:
        for line in child.stdout:
            said.append(line.decode().strip())
            if len(said) == after:
                child.kill()
    assert child.returncode == (0 if after is None else -9)
    return said


@pytest.mark.parametrize(
    ("count", "name"),
    [
        (100, "sync"),
        pytest.param(10_000, "asyncio", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_killed_twice_ends_with_each_row_once(file: Path, tmp_path: Path, count: int, name: str) -> None:
    chance, concurrency = random.Random(count), 20
    calls = tmp_path / "calls"
    arguments = [str(file), str(calls), str(count), str(concurrency), name]

    runs = [killed(arguments, chance.randint(count // 10, count // 3)) for _ in range(2)]
    reported = {line.split()[0] for run in runs for line in run if line.endswith("asked")}
    last = killed(arguments, None)

    assert [int(line.split()[0]) for line in last] == list(range(count))
    asked_in_the_last = {line.split()[0] for line in last if line.endswith("asked")}
    assert not reported & asked_in_the_last  # what was reported is never asked again
    times = Counter(calls.read_text().split("\n")[:-1])
    assert len(times) == count
    repeated = sum(times.values()) - count
    assert repeated <= 2 * concurrency  # those in flight when it was killed
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*), max(row) FROM results").fetchall() == [(count, count - 1)]
    connection.close()
    _told(count, repeated, [len(run) for run in runs])


def _told(count: int, repeated: int, killed_at: list[int]) -> None:
    print(f"{count} rows, killed after {killed_at} rows of a run: {repeated} calls made twice")


def test_a_checkpoint_costs_the_same_for_each_row(file: Path) -> None:
    def rows(count: int) -> Iterator[str]:
        return (str(index) for index in range(count))

    def steps(count: int, path: Path) -> int:
        """Return how many steps of SQLite's machine a whole run and its repetition take."""
        taken = 0

        def count_steps() -> int:
            nonlocal taken
            taken += 1
            return 0

        chain = Chain(presets.responses, name="counted")
        client = scripted("yes", chain=chain)
        for _ in range(2):
            with client.map(rows(count), model="openai/m", checkpoint=path, concurrency=1) as found:
                run = found._run
                next(found)
                assert run._checkpoint is not None
                link = run._checkpoint._link
                assert link._connection is not None
                link._connection.set_progress_handler(count_steps, 1)
                assert len(list(found)) == count - 1
        return taken

    few, many = steps(40, file), steps(160, file.with_name("many.sqlite"))

    assert many < few * 4 * 1.5
