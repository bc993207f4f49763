"""`antiphon chat`: turns, commands, and a real terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Self

import pytest
from command_runs import COMMAND, WEATHER, bodies, child_environment, openai_host, run, set_all
from loopback import Connection, Server

from antiphon.testing import function_call

ECHO = ("-m", "scripted/echo")


def test_turns_go_on_from_each_other_and_can_be_resumed(tmp_path: Path) -> None:
    store = ("--store", f"sqlite:///{tmp_path}/chats.db")
    lines = ["Say one.", "", "Say \\", "two.", "//slash", f"/save {tmp_path}/talk.md", "/nwe", "/quit", "Never."]

    ran = run("chat", *ECHO, *store, stdin="\n".join(lines))
    resumed = run("chat", *ECHO, *store, "--resume", stdin="Say three.\n/new\nAlone.\n")
    last = run("chat", *ECHO, *store, "--resume", stdin=f"/save {tmp_path}/talk.json")

    assert (ran.status, ran.out) == (0, "Say one.\nSay \ntwo.\n/slash\n")
    assert re.search(r"^\[2 → 2 tokens, \d+\.\d\d s, first event \d+\.\d\d s, cost not known\]$", ran.err, re.MULTILINE)
    assert 'error: there is no /nwe; did you mean "new"?' in ran.err
    assert (tmp_path / "talk.md").read_text().startswith("user: Say one.\n\nassistant: Say one.\n\nuser: Say \ntwo.\n")
    assert resumed.err.startswith("user: Say one.\nassistant: Say one.\nuser: Say \ntwo.\n")
    assert resumed.out == "Say three.\nAlone.\n"
    assert last.err.startswith("user: Alone.\nassistant: Alone.\n")
    assert json.loads((tmp_path / "talk.json").read_text())[0] == {"role": "user", "content": "Alone."}


def test_a_chat_uses_tools_and_takes_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"output": [function_call("get_weather", {"city": "Rome"})]}
    with openai_host(calls, "Sunny.", "Bye.") as (server, variables):
        set_all(monkeypatch, variables)
        typed = "/tools\nWhat is it like in Rome?\n/model openai/gpt-5-mini\nBye.\n"
        ran = run("chat", "-m", "openai/gpt-5", "--tool", WEATHER, stdin=typed)

    assert (ran.status, ran.out) == (0, "Sunny.\nBye.\n")
    assert re.search(r"^bare: get_weather  \w", ran.err, re.MULTILINE)
    assert '· get_weather({"city":"Rome"})\n  It is sunny in Rome' in ran.err
    assert [body["model"] for body in bodies(server)] == ["gpt-5", "gpt-5", "gpt-5-mini"]
    assert bodies(server)[2]["previous_response_id"]


def test_a_turn_that_fails_ends_a_chat_that_nobody_watches() -> None:
    ran = run("chat", "-m", "openai/gpt-5", stdin="Hi.\nMore.\n")

    assert ran.status == 2
    assert "OPENAI_API_KEY" in ran.err


class Terminal:
    """A child process on a terminal of its own."""

    def __init__(self, *words: str, **environment: str) -> None:
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _IN_FRONT, *COMMAND, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=child_environment(TERM="xterm", INPUTRC="/dev/null", **environment),
        )
        os.close(slave)

    def until(self, pattern: str, limit_s: float = 30.0) -> str:
        """Read until what came matches; return what was read, and forget it."""
        while not (found := re.search(pattern, self.seen)):
            assert select.select([self.master], [], [], limit_s)[0], f"{pattern} does not come after {self.seen!r}"
            try:
                self.seen += os.read(self.master, 4096).decode().replace("\r\n", "\n")
            except OSError:  # Linux: the other side is closed
                pytest.fail(f"the terminal was closed after {self.seen!r}")
        seen, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return seen

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until something comes of it: pressed between two system calls it wakes nobody up."""
        assert not self.seen
        os.write(self.master, b"\x03")
        while len(self.seen) <= len("^C"):
            if select.select([self.master], [], [], 2.0)[0]:
                self.seen += os.read(self.master, 4096).decode().replace("\r\n", "\n")
            else:
                os.write(self.master, b"\x03")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


# A terminal sends Ctrl-C to the session that it controls.
_IN_FRONT = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); os.execv(sys.argv[1], sys.argv[1:])"
)


def test_a_chat_on_a_terminal_is_stopped_asked_and_ended(tmp_path: Path) -> None:
    events = run("run", "Hello there.", *ECHO, "--events").out.splitlines()
    parts = [f"data: {event}\n\n".encode() for event in events]
    until = max(at for at, event in enumerate(events) if "output_text.delta" in event)
    left: list[bool] = []

    def slow_then_fast(connection: Connection) -> None:
        while connection.request() is not None:
            is_first = len(connection.server.requests) == 1
            connection.begin_stream()
            for part in parts[:until] if is_first else parts:
                connection.send_chunk(part)
            if is_first:
                connection.wait_for_close()
                left.append(True)
                return
            connection.send_chunk(b"")

    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Server(slow_then_fast))
        variables = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1"}
        terminal = stack.enter_context(Terminal("chat", "-m", "openai/gpt-5", **variables))
        begin = terminal.until("> ")
        terminal.type("Hi.\n")
        terminal.until("\nHello")
        terminal.interrupt()
        stopped = terminal.until("> ")
        terminal.type("half a line")
        terminal.until("half a line")
        terminal.interrupt()
        idle = terminal.until("> $")
        terminal.type("Again.\n")
        answer = terminal.until("> $")
        terminal.type("\x04")
        status = terminal.process.wait(30)

    assert "openai/gpt-5; /help says what else may be typed" in begin
    assert "stopped; what is stopped is not part of the conversation" in stopped
    assert left == [True]
    assert "Ctrl-D or /quit ends the chat" in idle
    assert "\nHello there.\n" in answer
    assert "2 → 2 tokens" in answer
    assert [body.get("previous_response_id") for body in bodies(server)] == [None, None]
    assert status == 0


def test_calls_of_tools_are_asked_for_on_a_terminal() -> None:
    calls = {"output": [function_call("get_weather", {"city": "\x1b[2JRome"})]}
    words = ("run", "Hi", "-m", "openai/gpt-5", "--ask", "--tool", WEATHER)
    with openai_host(calls, "Sunny.") as (server, variables), Terminal(*words, **variables) as terminal:
        asked = terminal.until(r"\[y/N\] ")
        terminal.type("y\n")
        terminal.until(r"\nSunny\.\n")
        status = terminal.process.wait(30)

    assert "bare wants to run get_weather(" in asked
    assert "\x1b[2J" not in asked  # what a model says does not steer the terminal
    assert (status, len(server.requests)) == (0, 2)
    assert "sunny in" in bodies(server)[1]["input"][-1]["output"]
