"""What is said of a batch's progress."""

from __future__ import annotations

import functools
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon.pipeline.batches.progress import Progress
from antiphon.pipeline.errors import MissingExtra
from antiphon.testing import scripted

BAD = {"status": 400, "body": {"error": {"message": "no"}}}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_function_is_told_after_each_row(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        client = scripted(lambda sent: BAD if sent["input"] == "bad" else "yes")
        told: list[Progress] = []
        settings: dict[str, Any] = {
            "model": "openai/m",
            "on_error": "return",
            "checkpoint": tmp_path / "run",
            "progress": told.append,
        }

        for inputs in (["a", "bad"], (one for one in ["a", "bad", "c"])):
            batch: Any = functools.partial(client.abatch if mode.is_async else client.batch, inputs, **settings)
            await mode.either(batch, batch)

        assert [one.total for one in told] == [2, 2, None, None, None]
        assert told[1] == Progress(done=2, failed=1, total=2)
        assert told[4] == Progress(done=3, failed=1, kept=1)

    mode.run(body)


def test_what_the_function_raises_ends_the_batch() -> None:
    def enough(progress: Progress) -> None:
        if progress.done == 2:
            raise OSError("enough")

    rows = scripted("yes").map(iter("abcdefgh"), model="openai/m", concurrency=1, progress=enough)

    assert next(rows).request == "a"
    with pytest.raises(OSError, match="enough"):
        next(rows)
    assert next(rows).request == "b"  # which was done


def test_a_bar_is_drawn_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    client = scripted(lambda sent: BAD if sent["input"] == "bad" else "yes")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    client.batch(["a", "bad", "c"], model="openai/m", on_error="return", progress=True)

    assert "3/3" in terminal.getvalue()
    assert "1 failed" in terminal.getvalue()


def test_nothing_is_drawn_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)  # and nothing is needed
    monkeypatch.setattr(sys, "stderr", plain := io.StringIO())

    scripted("yes").batch(["a"], model="openai/m", progress=True)

    assert plain.getvalue() == ""


def test_a_bar_without_its_package_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    client = scripted("yes")
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys, "stderr", Terminal())

    with pytest.raises(MissingExtra, match=r"antiphon\[cli\]"):
        client.map(["a"], model="openai/m", progress=True)

    assert client.requests == []
