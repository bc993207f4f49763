"""One line a call."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.errors import BadRequestError
from antiphon.stages.log import configure_logging
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "body": {"error": {"message": "slow down"}}}
QUICK = presets.responses.with_(retry={"base_delay_s": 0})


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Leave the library's logger as it was."""
    logger = logging.getLogger("antiphon")
    before = logger.level, logger.propagate, logger.handlers[:]
    yield
    logger.level, logger.propagate, logger.handlers[:] = before
    logger.setLevel(before[0])  # also forgets what loggers remember of the level


async def lines(mode: Mode, *answers: Any, level: str = "INFO", streamed: bool = False) -> list[dict[str, Any]]:
    out = io.StringIO()
    configure_logging(level, json=True, stream=out)
    client = scripted(*answers, chain=QUICK)
    await mode.response(client.chain, "Tell me the secret.", model="openai/m", streamed=streamed)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_nothing_is_written_and_structlog_not_loaded_by_default() -> None:
    script = (
        "import sys\n"
        "from antiphon.testing import scripted\n"
        "client = scripted('Hello.')\n"
        "client.responses('Hi', 'openai/m')\n"
        "client.responses('Hi', 'openai/m', stream=True).until_done()\n"
        "assert 'structlog' not in sys.modules\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_call_is_one_line(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        (line,) = await lines(mode, "Hello there.", streamed=streamed)

        assert line["event"] == "call"
        assert line["level"] == "info"
        assert line["timestamp"].endswith("Z")
        facts = {name: line[name] for name in ("operation", "outcome", "provider", "model", "status", "attempts")}
        assert facts == {
            "operation": "create",
            "outcome": "completed",
            "provider": "openai",
            "model": "m",
            "status": 200,
            "attempts": 1,
        }
        assert line["call_id"].startswith("call_")
        assert line["duration_ms"] >= 0
        assert line["input_tokens"] > 0
        assert line["output_tokens"] > 0
        assert ("first_event_ms" in line, line.get("streamed")) == (streamed, True if streamed else None)

    mode.run(body)


def test_content_is_in_no_line(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        written = json.dumps(await lines(mode, SLOW_DOWN, "It is swordfish.", level="DEBUG", streamed=streamed))

        assert "swordfish" not in written
        assert "Tell me" not in written
        assert "scripted" not in written.replace("resp_scripted", "")

    mode.run(body)


def test_attempts_and_repeats_are_lines_at_debug_level(mode: Mode) -> None:
    async def body() -> None:
        found = await lines(mode, SLOW_DOWN, "Hello.", level="DEBUG")

        assert [(line["event"], line["level"]) for line in found] == [
            ("attempt", "debug"),
            ("retry", "debug"),
            ("attempt", "debug"),
            ("call", "info"),
        ]
        assert (found[0]["number"], found[0]["error"], found[0]["status"]) == (1, "RateLimitError", 429)
        assert (found[1]["attempt"], found[1]["error"]) == (1, "RateLimitError")
        assert len({line["call_id"] for line in found}) == 1

    mode.run(body)


def test_a_failed_call_is_an_error_line(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        with pytest.raises(BadRequestError):
            await mode.call(scripted({"status": 400, "body": {"error": {"message": "no"}}}).chain, model="openai/m")

        line = json.loads(out.getvalue())
        assert (line["level"], line["outcome"], line["error"]) == ("error", "failed", "BadRequestError")
        assert line["message"] == "no"

    mode.run(body)


def test_text_lines_are_for_people(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(stream=out)
        await mode.call(scripted("Hello.").chain, model="openai/m")

        (line,) = out.getvalue().splitlines()
        assert line.startswith("timestamp='")
        assert "level='info' event='call'" in line
        assert "outcome='completed'" in line

    mode.run(body)


def test_configuring_again_replaces_the_former_setting(mode: Mode) -> None:
    async def body() -> None:
        first, second = io.StringIO(), io.StringIO()
        configure_logging(stream=first)
        configure_logging(stream=second)
        await mode.call(scripted("Hello.").chain, model="openai/m")

        assert first.getvalue() == ""
        assert len(second.getvalue().splitlines()) == 1

    mode.run(body)


def test_the_standard_librarys_logging_enables_it_too(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        with caplog.at_level(logging.INFO, logger="antiphon"):
            await mode.call(scripted("Hello.").chain, model="openai/m")

        (record,) = caplog.records
        assert record.name == "antiphon"
        assert record.levelname == "INFO"
        assert "'outcome': 'completed'" in record.getMessage()

    mode.run(body)


def test_a_chain_without_log_writes_nothing(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging("DEBUG", stream=out)
        await mode.call(scripted("Hello.", chain=presets.responses.without("log")).chain, model="openai/m")

        assert out.getvalue() == ""

    mode.run(body)


def test_what_a_call_dropped_is_in_its_line() -> None:
    out = io.StringIO()
    configure_logging(json=True, stream=out)

    scripted("Hello.").responses("Hi", "openai/m", litellm_call_id="x")  # type: ignore[call-overload]

    assert json.loads(out.getvalue())["dropped"] == ["litellm_call_id"]
