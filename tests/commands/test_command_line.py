"""The command itself: which one is meant, exit statuses, errors, and output that nobody reads."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import COMMAND, child_environment, interruptible, openai_host, run, set_all
from loopback import Connection, Server

from antiphon import __version__
from antiphon.commands.command_line import COMMANDS


def test_alone_it_says_what_it_can_do() -> None:
    ran = run()

    assert ran.status == 0
    assert [name for name in COMMANDS if f"\n  {name} " not in ran.out] == []
    assert ran.out == run("--help").out
    assert run("--version").out == f"antiphon {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_of_itself(name: str) -> None:
    ran = run(name, "--help")

    examples = ran.out.partition("\nexamples:\n")[2].splitlines()
    assert ran.status == 0
    assert examples
    assert any(f"antiphon {name} " in f"{line} " for line in examples)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["rnu"], 2, 'error: there is no command "rnu"; did you mean "run"?\n  hint: antiphon --help\n'),
        (["--frobnicate"], 2, 'error: there is no option "--frobnicate"'),
        (["run", "Hi", "--mdoel", "x"], 2, "error: unrecognized arguments: --mdoel x\n  hint: antiphon run --help\n"),
        (["run", "Hi"], 2, "error: no model is given"),
        (["run", "-m", "scripted/echo"], 2, "error: there is no prompt"),
        (["run", "Hi", "-m", "scripted/echo", "--set", "temprature=1"], 2, 'did you mean "temperature"?'),
        (["run", "Hi", "-m", "scripted/echo", "--set", "temperature"], 2, "error: --set needs a name and a value"),
        (["run", "Hi", "-m", "scripted/echo", "--set", "stream=true"], 2, "error: --set stream: answers are streamed"),
        (["run", "Hi", "-m", "scripted/echo", "--set", "user=a", "--set", "user.x=1"], 2, "user is no object"),
        (["run", "Hi", "-m", "openai/gpt-5"], 2, "OPENAI_API_KEY"),
        (
            ["run", "Hi", "-m", "scripted/echo", "-f", "none.png"],
            2,
            "error: the file none.png cannot be read: No such file",
        ),
        (["run", "Hi", "-m", "scripted/echo", "--schema", "none.json"], 2, "error: --schema none.json cannot be read"),
        (["run", "Hi", "-m", "scripted/echo", "--chain", "respones"], 2, 'did you mean "responses"?'),
        (
            ["run", "Hi", "-m", "scripted/echo", "--tool", "'open"],
            2,
            "error: the command of an MCP server cannot be read",
        ),
        (
            ["run", "Hi", "-m", "scripted/echo", "--replay", "none.jsonl"],
            1,
            "error: cassette none.jsonl cannot be read",
        ),
        (["chat", "-m", "scripted/echo", "--resume"], 2, "error: --resume needs to know"),
        (["chain", "show", "none.toml"], 1, "error: chain file none.toml"),
        (["tools", "no-such-program"], 1, "no-such-program"),
        (["probe", "scripted/echo", "steaming"], 2, 'did you mean "streaming"?'),
        (["replay", "none.jsonl"], 1, "error: cassette none.jsonl cannot be read"),
        (["replay", "none.jsonl", "--serve", "99999"], 2, "argument --serve: a port is from 0 to 65535, not 99999"),
        (["trace", "none.jsonl"], 1, "error: trace none.jsonl cannot be read: No such file"),
        (["trace", __file__, "-o", "/none/page.html"], 2, "error: page /none/page.html: there is no folder /none"),
        (
            ["run", "Hi", "-m", "scripted/echo", "--trace", "/none/t"],
            2,
            "error: trace /none/t: there is no folder /none",
        ),
        (["run", "Hi", "-m", "scripted/echo", "--record", "/none/r"], 2, "cassette /none/r: there is no folder /none"),
        (["probe"], 2, "error: the following arguments are required: model\n"),
        (["tools", f'"{sys.executable}" -c "while 1: pass"', "--timeout", "0.2"], 1, "within 0.2 s"),
    ],
    ids=lambda value: " ".join(value[:5]) if isinstance(value, list) else None,
)
def test_a_mistake_is_a_line_and_a_status(words: list[str], status: int, said: str) -> None:
    ran = run(*words)

    assert (ran.status, ran.out) == (status, "")
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_an_error_of_the_host_is_status_1_and_debug_shows_where() -> None:
    refusal = {"status": 401, "body": {"error": {"message": "Incorrect API key: sk-test-0123456789abcdef"}}}
    with openai_host(refusal) as (_, variables), pytest.MonkeyPatch.context() as patch:
        set_all(patch, variables)
        ran = run("run", "Hi", "-m", "openai/gpt-5")
        with_traceback = run("run", "Hi", "-m", "openai/gpt-5", "--debug")
    behind = run("chain", "show", "none.toml", "--debug")

    assert (ran.status, with_traceback.status) == (1, 1)
    assert ran.err.startswith("error: Incorrect API key: *** [provider=openai model=gpt-5 status=401")
    assert "Traceback (most recent call last)" in with_traceback.err
    assert "Traceback (most recent call last)" in behind.err
    assert "0123456789abcdef" not in ran.err + with_traceback.err


def test_keys_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-test-0123456789abcdef"
    with openai_host("Hello.") as (server, variables):
        set_all(monkeypatch, variables)
        said = [
            run("run", "Hi", "-m", "openai/gpt-5", "-vv"),
            run("run", "Hi", "-m", "openai/gpt-5", "--dry-run"),
            run("run", "Hi", "--api-key", key),
            run("run", "Hi", "-m", "openai/gpt-5", "--set", f"temperature={key}"),
            run("providers", "openai", "--json"),
            run("providers", "openai"),
            run(key),
        ]

    assert f"Bearer {key}" in server.requests[0].headers["authorization"]
    assert [ran for ran in said if key in ran.out + ran.err] == []
    (row,) = [row for row in json.loads(said[4].out) if row["name"] == "openai"]
    assert row["key_set"] is True


def test_a_terminal_gets_tables_colours_and_nothing_that_steers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    steered = run("run", "a\x1b[2J\x9bb\tc", "-m", "scripted/echo", is_terminal=True)
    wrong, drawn = run("rnu", is_terminal=True), run("providers", "groq", is_terminal=True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    plain = run("providers", "groq", is_terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")

    assert steered.out == "a\\x1b[2J\\x9bb\tc\n"
    assert wrong.err.startswith("\x1b[31merror:\x1b[0m there is no command")
    assert run("rnu", is_terminal=True).err.startswith("error: ")
    assert re.match(r"\x1b\[1mmodel +\x1b\[0m", drawn.out)
    assert plain.out.splitlines()[1].startswith("groq/…  responses chat  GROQ_API_KEY  no ")
    assert [len(line) for line in plain.out.splitlines()] == [60, 60]


# --- as a user starts it --------------------------------------------------------------------------------------------


def test_the_command_starts_without_what_it_does_not_need() -> None:
    script = (
        "import sys; from antiphon.__main__ import main; main([{words}]); "
        "print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    seen = []
    for words in ("'--version'", "'providers', 'openai'"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", script.format(words=words)], capture_output=True, text=True, check=True
        )
        seen.append(set(done.stdout.splitlines()[-1].split()))

    heavy = {"httpx", "httpcore", "anyio", "asyncio", "structlog", "tenacity", "rich", "http", "readline"}
    assert [modules & heavy for modules in seen] == [set(), set()]
    assert "msgspec" not in seen[0]


def test_output_that_nobody_reads_ends_the_command(tmp_path: Path) -> None:
    script = f"""
        '{COMMAND[0]}' providers | head -1 >&2
        echo ${{PIPESTATUS[0]}}
        '{COMMAND[0]}' run - -m scripted/echo < long.txt | head -c 5 >&2
        echo ${{PIPESTATUS[0]}}
        '{COMMAND[0]}' run 'grün ✓' -m scripted/echo > answer.txt
        echo $?
    """
    (tmp_path / "long.txt").write_text("word " * 100_000)

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        env=child_environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
    )

    # `providers` may have written all before its reader left.
    first, second, third = done.stdout.split()
    assert first in (b"0", b"141")
    assert (second, third) == (b"141", b"0")
    assert (tmp_path / "answer.txt").read_bytes() == rb"gr\xfcn \u2713" + b"\n"
    assert done.stderr.splitlines()[0].startswith(b"model")
    assert done.stderr.endswith(b"word ")  # and no complaint behind it


def test_ctrl_c_ends_the_running_call(tmp_path: Path) -> None:
    left: list[bool] = []

    def slow(connection: Connection) -> None:
        assert connection.request() is not None
        connection.begin_stream()
        for event in (tmp_path / "events").read_bytes().splitlines():
            connection.send_chunk(b"data: " + event + b"\n\n")
        connection.wait_for_close()
        left.append(True)

    events = run("run", "Hello there.", "-m", "scripted/echo", "--events").out.splitlines()
    until = max(at for at, event in enumerate(events) if "output_text.delta" in event)
    (tmp_path / "events").write_text("\n".join(events[:until]))
    with Server(slow) as server:
        process = subprocess.Popen(
            interruptible("run", "Hi", "-m", "openai/gpt-5"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(OPENAI_API_KEY="k", OPENAI_BASE_URL=f"http://127.0.0.1:{server.port}/v1"),
        )
        with process:
            assert process.stdout is not None
            first = os.read(process.stdout.fileno(), 100)
            process.send_signal(signal.SIGINT)
            rest, complaint = process.communicate(timeout=30)

    assert first == b"Hello"
    assert rest == b"\n"
    assert (process.returncode, complaint, left) == (130, b"", [True])
