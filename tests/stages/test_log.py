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
import structlog
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.errors import AuthenticationError, BadRequestError, InvalidParameter
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import (
    CacheHit,
    FallbackScheduled,
    ResponseSettled,
    ToolEnded,
    ToolStarted,
)
from antiphon.stages.log import configure_logging
from antiphon.testing import function_call, scripted

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"
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
        "from antiphon.testing import function_call, scripted\n"
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


@pytest.mark.parametrize("json_lines", [True, False])
def test_what_the_caller_bound_by_structlog_is_on_the_line(mode: Mode, json_lines: bool) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=json_lines, stream=out)
        client = scripted("Hello.")
        with structlog.contextvars.bound_contextvars(user="ann", token=KEY, outcome="mine"):
            stream = await mode.call(client.chain, model="openai/m", stream=True)
        await mode.until_done(stream)  # the end is told in the caller's context

        line = out.getvalue()
        assert "ann" in line
        assert KEY not in line
        assert "mine" not in line  # the line's own fields win
        assert "completed" in line

    mode.run(body)


@pytest.mark.parametrize("listener", ["a handler", "a filter", "the root"])
def test_others_who_listen_to_the_logger_get_the_line_too(mode: Mode, listener: str) -> None:
    async def body() -> None:
        out, theirs = io.StringIO(), list[str]()

        class Theirs(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                theirs.append(record.getMessage())

            def filter(self, record: logging.LogRecord) -> bool:
                theirs.append(record.getMessage())
                return True

        configure_logging(json=True, stream=out)
        logger, handler = logging.getLogger("antiphon"), Theirs()
        root = logging.getLogger()
        if listener == "a handler":
            logger.addHandler(handler)
        elif listener == "a filter":
            logger.addFilter(handler)
        else:
            logger.propagate = True
            root.addHandler(handler)
        try:
            await mode.call(scripted("Hello.").chain, model="openai/m")
        finally:
            logger.removeFilter(handler)
            root.removeHandler(handler)

        assert "completed" in theirs[0]
        line = json.loads(out.getvalue())
        assert (line["event"], line["outcome"], line["level"]) == ("call", "completed", "info")

    mode.run(body)


def test_content_is_written_when_asked_for_without_keys(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        client = scripted(f"Yours: {KEY}, so.", chain=presets.responses.with_(log={"content": "full"}))
        await mode.response(client.chain, "Who am I?", model="openai/m", instructions="Be brief.", streamed=streamed)

        line = json.loads(out.getvalue())
        assert (line["input"], line["instructions"], line["output"]) == ("Who am I?", "Be brief.", "Yours: ***, so.")

    mode.run(body)


def test_an_answer_that_is_more_than_text_is_written_as_its_items(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        answer = {"output": [function_call("add", {"a": 1})]}
        await mode.call(
            scripted(answer, chain=presets.responses.with_(log={"content": "full"})).chain, model="openai/m"
        )

        (item,) = json.loads(json.loads(out.getvalue())["output"])
        assert (item["type"], item["name"]) == ("function_call", "add")

    mode.run(body)


@pytest.mark.parametrize("content", ["full", "hash"])
def test_a_call_with_something_that_has_no_json_form_has_its_line(mode: Mode, content: str) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        client = scripted("No.", chain=presets.responses.with_(log={"content": content}))
        with pytest.raises(InvalidParameter):
            await mode.call(client.chain, [{"role": "user", "content": object()}], model="openai/m")

        line = json.loads(out.getvalue())
        assert (line["outcome"], line["error"]) == ("failed", "InvalidParameter")
        if content == "full":
            assert json.loads(line["input"]) == [{"role": "user", "content": "object"}]

    mode.run(body)


def test_digests_tell_equal_content_apart_and_show_none(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        client = scripted("One.", "One.", "Two.", chain=presets.responses.with_(log={"content": "hash"}))
        for _ in range(3):
            await mode.call(client.chain, [{"role": "user", "content": "swordfish"}], model="openai/m")

        assert "swordfish" not in out.getvalue()
        found = [json.loads(line) for line in out.getvalue().splitlines()]
        assert len({line["input_sha256"] for line in found}) == 1
        assert [line["output_sha256"] == found[0]["output_sha256"] for line in found] == [True, True, False]

    mode.run(body)


def test_a_key_of_any_shape_is_masked_in_what_is_said_of_a_failure(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        said = {"status": 401, "body": {"error": {"message": "wrong keys: hunter2hunter2, swordfish and " + KEY}}}
        with pytest.raises(AuthenticationError):
            await mode.response(
                scripted(said).chain,
                model="openai/m",
                api_key="hunter2hunter2",
                extra_headers={"X-Api-Key": "swordfish"},
                streamed=streamed,
            )

        assert json.loads(out.getvalue())["message"] == "wrong keys: ***, *** and ***"

    mode.run(body)


def test_usage_of_nothing_is_written_and_unknown_usage_is_not(mode: Mode) -> None:
    async def body() -> None:
        usage = {"input_tokens": 3, "output_tokens": 0, "total_tokens": 3}
        (some,) = await lines(mode, {"output": [], "usage": usage})
        (none,) = await lines(mode, {"output": [], "usage": None})

        assert (some["input_tokens"], some["output_tokens"]) == (3, 0)
        assert not {"input_tokens", "output_tokens"} & set(none)

    mode.run(body)


def test_a_stream_that_cannot_be_written_to_does_not_reach_the_call(
    mode: Mode, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(stream=out)
        out.close()
        response = await mode.call(scripted("Hello.").chain, model="openai/m")

        assert response.output_text == "Hello."
        assert "Logging error" in capsys.readouterr().err

    mode.run(body)


def test_signals_of_stages_that_are_not_stock_have_lines_too(mode: Mode) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging("DEBUG", json=True, stream=out)

        @stage
        async def sends(request: Request, call_next: Handler) -> Reply:
            context = request.context
            facts: dict[str, Any] = {"call_id": context.id, "operation": "create", "at_s": context.runtime.now()}
            tool: dict[str, Any] = {"tool": "add", "tool_call_id": "call_1"}
            context.emit(ToolStarted(**tool, **facts))
            context.emit(ToolEnded(**tool, duration_s=0.1, outcome="failed", error="ValueError", **facts))
            context.emit(FallbackScheduled(failed="a/m", next="b/m", error="RateLimitError", **facts))
            context.emit(CacheHit(key="k", **facts))
            context.emit(ResponseSettled(response_id="resp_1", outcome="completed", **facts))
            return await call_next(request)

        await mode.call(scripted("Hello.", chain=presets.responses.before("retry", sends)).chain, model="openai/m")

        found = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [line["event"] for line in found] == ["tool", "fallback", "cache_hit", "settled", "attempt", "call"]
        assert (found[0]["tool"], found[0]["outcome"], found[0]["duration_ms"]) == ("add", "failed", 100.0)
        assert (found[1]["failed"], found[1]["next"]) == ("a/m", "b/m")
        assert (found[3]["response_id"], found[3]["level"]) == ("resp_1", "info")

    mode.run(body)


def test_what_a_call_dropped_is_in_its_line() -> None:
    out = io.StringIO()
    configure_logging(json=True, stream=out)

    scripted("Hello.").responses("Hi", "openai/m", litellm_call_id="x")  # type: ignore[call-overload]

    assert json.loads(out.getvalue())["dropped"] == ["litellm_call_id"]
