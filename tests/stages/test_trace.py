"""The trace file, its page, and the command that makes it."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon import Observe, Record, presets
from antiphon.__main__ import main
from antiphon.pipeline.errors import BadRequestError, InvalidParameter, SetupError
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import ToolEnded, ToolStarted
from antiphon.stages.trace import CallRecord, Trace, read_trace
from antiphon.stages.trace_page import follow, render_trace, trace_line
from antiphon.testing import scripted

SLOW_DOWN = {"status": 429, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": "slow down"}}}
USAGE = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11, "cost": 0.25}


def records(path: Path) -> list[CallRecord]:
    with path.open("rb") as file:
        return read_trace(file)


def test_a_call_is_a_line_with_its_stages_attempts_and_numbers(mode: Mode, streamed: bool, tmp_path: Path) -> None:
    async def body() -> None:
        client = scripted(SLOW_DOWN, {"usage": USAGE}, hooks=[Trace(tmp_path / "run.jsonl")])
        response = await mode.response(client.chain, "secret plans", model="openai/m", streamed=streamed)

        (call,) = records(tmp_path / "run.jsonl")
        assert (call.outcome, call.provider, call.asked, call.streamed) == ("completed", "openai", "m", streamed)
        assert (call.input_tokens, call.output_tokens, call.cost, call.cost_source) == (10, 1, 0.25, "host")
        assert call.response_id == response.id
        assert [stage.name for stage in call.stages] == [stage.name for stage in client.chain.flat()]
        assert [(one.outcome, one.status) for one in call.attempts] == [("failed", 429), ("completed", 200)]
        assert [one.calls for one in call.stages if one.name in ("retry", "transform")] == [1, 2]
        for one in (*call.stages, *call.attempts):
            assert (
                0 <= one.start_s <= one.end_s <= call.duration_s + 0.05
            )  # two clocks, read with whatever the machine does in between
        dispatch = call.stages[-1]
        assert dispatch.start_s <= call.attempts[0].start_s + 0.05
        assert "secret plans" not in (tmp_path / "run.jsonl").read_text()

    mode.run(body)


def test_failures_tools_and_parents_are_in_their_lines(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        trace = Trace(str(tmp_path / "run.jsonl"))
        helper = scripted({"status": 400, "body": {"error": {"message": "no"}}}, hooks=[trace])

        @stage
        async def uses_tools(request: Request, call_next: Handler) -> Reply:
            context = request.context
            tool: dict[str, Any] = {"tool": "search", "tool_call_id": "call_1", "server": "docs"}
            facts: dict[str, Any] = {"call_id": context.id, "operation": "create", "at_s": context.runtime.now()}
            context.emit(ToolStarted(**tool, **facts))
            context.emit(ToolEnded(**tool, duration_s=0.0, outcome="failed", error="ValueError", **facts))
            with pytest.raises(BadRequestError):
                await mode.call(helper.chain, model="openai/small")
            return await call_next(request)

        chain = presets.responses.before("retry", uses_tools).before(0, Observe(trace))
        await mode.call(scripted("Hello.", chain=chain).chain, model="openai/m")

        inner, outer = records(tmp_path / "run.jsonl")
        assert (inner.parent_id, inner.error, inner.message) == (outer.call_id, "BadRequestError", "no")
        (tool,) = outer.tools
        assert (tool.name, tool.server, tool.outcome, tool.error) == ("search", "docs", "failed", "ValueError")
        assert outer.stages  # a stage that traces asks for the stages' times too

    mode.run(body)


def test_the_later_end_of_a_background_response_is_a_record_inside_of_its_call(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        client = scripted({"usage": USAGE}, hooks=[Trace(tmp_path / "run.jsonl")])
        begun = await mode.call(client.chain, model="mistral/m", api_key="k", dialect="responses", background=True)
        ended = await mode.either(
            lambda: client.poll_responses(begun.id, interval_s=0.01),
            lambda: client.apoll_responses(begun.id, interval_s=0.01),
        )
        await mode.close(client)

        began, settled = (call for call in records(tmp_path / "run.jsonl") if call.operation != "get")
        assert (began.operation, began.outcome, began.input_tokens) == ("create", "accepted", None)
        assert (settled.operation, settled.outcome, settled.parent_id) == (
            "response.settled",
            "completed",
            began.call_id,
        )
        assert (settled.input_tokens, settled.response_id) == (10, ended.id)
        assert "response.settled" in trace_line(settled)

    mode.run(body)


def test_calls_side_by_side_are_whole_lines(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        client = scripted("Hello.", hooks=[Trace(tmp_path / "run.jsonl")])
        inputs = [str(number) for number in range(40)]
        await mode.either(
            lambda: client.chain.batch(inputs, model="openai/m"), lambda: client.chain.abatch(inputs, model="openai/m")
        )

        calls = records(tmp_path / "run.jsonl")
        assert len({call.call_id for call in calls}) == 40
        assert all(len(call.attempts) == 1 for call in calls)

    mode.run(body)


def test_a_trace_that_could_not_be_made_goes_away_in_silence(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="mode"):
        Trace(tmp_path / "run.jsonl", mode="w")  # type: ignore[call-arg]


def test_a_file_that_cannot_be_written_does_not_reach_the_call(tmp_path: Path) -> None:
    client = scripted("Hello.", hooks=[Trace(tmp_path)])

    assert client.responses("Hi", "openai/m").output_text == "Hello."
    assert client.hook_errors == 1


def test_a_folder_that_is_not_there_is_said_before_any_call(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "run.jsonl"

    with pytest.raises(InvalidParameter, match="there is no folder"):
        Trace(path)
    with scripted("Hello.", chain=presets.responses.before("dispatch", Record(str(path)))) as client:
        with pytest.raises(InvalidParameter, match="there is no folder"):
            client.responses("Hi", "openai/m")
        assert client.requests == []


def test_a_half_written_last_line_is_left_out_and_another_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    scripted("Hello.", hooks=[Trace(path)]).responses("Hi", "openai/m")
    whole = path.read_bytes()

    assert len(read_trace(io.BytesIO(whole + whole[:40]))) == 1
    assert len(read_trace(io.BytesIO(whole + b"\n" + whole))) == 2
    with pytest.raises(SetupError, match="line 1 of the trace is no call"):
        read_trace(io.BytesIO(b"{}\n" + whole))


def page_of(path: Path) -> str:
    return render_trace(records(path), title="<run>").decode()


def test_the_page_is_one_file_without_network(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    said = "</script><script>alert(1)</script>\u2028"
    client = scripted({"status": 400, "body": {"error": {"message": said}}}, hooks=[Trace(path)])
    with pytest.raises(BadRequestError):
        client.responses("Hi", "openai/m")
    page = page_of(path)

    assert page.count("</script>") == 1  # what a host said cannot leave the data
    assert "<title>&lt;run&gt;" in page
    assert not re.search(r"(?:src|href)\s*=|https?://|@import|url\(", page.partition("const calls = ")[0])
    data = page.partition("const calls = ")[2].partition(";\n")[0]
    (call,) = json.loads(data)
    assert call["message"].startswith("</script>")
    assert "default-src 'none'" in page


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.jsonl"
    scripted("Hello.", hooks=[Trace(path)]).responses("Hi", "openai/m")

    assert main(["trace", str(path)]) == 0
    assert "run.html: 1 call\n" in capsys.readouterr().out
    assert "const calls = [{" in (tmp_path / "run.html").read_text()
    assert main(["trace", str(path), "-o", str(tmp_path / "other.html")]) == 0
    assert (tmp_path / "other.html").read_bytes() == (tmp_path / "run.html").read_bytes()
    capsys.readouterr()
    assert main(["trace", str(path), "-o", "-"]) == 0
    assert capsys.readouterr().out == (tmp_path / "run.html").read_text()


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n{}\n")

    assert main(["trace", str(tmp_path / "none.jsonl")]) == 1
    assert main(["trace", str(tmp_path / "bad.jsonl")]) == 1
    said = capsys.readouterr().err
    assert "No such file" in said
    assert "line 1 of the trace is no call" in said


def test_follow_waits_for_lines_that_are_not_whole() -> None:
    file, pieces = io.BytesIO(b"first\nsec"), [b"ond", b"\nthird\n"]

    def wait() -> None:
        at = file.tell()
        file.seek(0, io.SEEK_END)
        file.write(pieces.pop(0))
        file.seek(at)

    lines = follow(file, wait)

    assert [next(lines), next(lines), next(lines)] == [b"first\n", b"second\n", b"third\n"]


def test_the_command_follows_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    scripted({"usage": USAGE}, hooks=[Trace(path)]).responses("Hi", "openai/m")
    command = [sys.executable, "-P", "-m", "antiphon", "trace", str(path), "--follow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()

    assert re.match(r"\d\d:\d\d:\d\d  completed  openai/m  0\.\d\d s, 10→1 tokens, \$0\.250000\n$", line)


def test_a_line_for_people_tells_of_errors_tools_and_attempts(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    client = scripted(SLOW_DOWN, {"status": 400, "body": {"error": {"message": "no"}}}, hooks=[Trace(path)])
    with pytest.raises(BadRequestError):
        client.responses("Hi", "openai/m", num_retries=1)
    (call,) = records(path)

    assert trace_line(call).endswith("2 attempts, BadRequestError: no")
    assert "\x1b[31mfailed" in trace_line(call, colour=True)
