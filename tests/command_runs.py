"""Runs of the command line: in this process for most checks, and as a user starts it where that matters."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from loopback import Connection, Server

from antiphon.__main__ import main
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.timeouts import Pace, Timeouts
from antiphon.providers.scripted import Answer, ScriptedHost

COMMAND = [str(Path(sys.executable).with_name("antiphon"))]
"""The command as it is installed."""

WEATHER = f'"{sys.executable}" "{Path(__file__).parents[1] / "examples" / "servers" / "bare.py"}"'
"""The command line of an MCP server with one tool, `get_weather`."""

_PACE = Pace(Timeouts(), ends_at=math.inf, now=0.0, streamed=False)  # a scripted host does not look at it


def interruptible(*words: str) -> list[str]:
    """Return what starts the command so that SIGINT stops it: one that is ignored is inherited, and stays so."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from antiphon.__main__ import main; sys.exit(main())"
    )
    return [sys.executable, "-P", "-c", program, *words]


class Ran(NamedTuple):
    status: int
    out: str
    err: str


class Screen(io.TextIOWrapper):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def run(*words: str, stdin: str | bytes | None = None, is_terminal: bool = False) -> Ran:
    """Run a command in this process, with output streams that are a terminal or none."""
    kind = Screen if is_terminal else io.TextIOWrapper
    written = io.BytesIO(), io.BytesIO()
    out, err = (kind(file, "utf-8", write_through=True) for file in written)
    given = stdin.encode() if isinstance(stdin, str) else stdin
    read = io.TextIOWrapper(io.BytesIO(given or b""), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", read)
        try:
            status = main(words)
        except SystemExit as leaving:
            status = int(leaving.code or 0)
    return Ran(status, *(file.getvalue().decode() for file in written))


@contextlib.contextmanager
def openai_host(*answers: Answer) -> Generator[tuple[Server, dict[str, str]]]:
    """Serve scripted answers at a real address; yield the server, and the variables that make it OpenAI's.

    What was answered whole can be read again, with the text that was asked.
    """
    host = ScriptedHost(answers)
    kept: dict[str, tuple[dict[str, Any], Any]] = {}

    def serve(connection: Connection) -> None:
        while (request := connection.request()) is not None:
            method, path, _ = request.line.split()
            if method == "GET":
                response, asked = kept[path.split("/")[3].partition("?")[0]]
                page = {"object": "list", "data": [{"type": "message", "role": "user", "content": asked}]}
                connection.answer(json.dumps(page if "input_items" in path else response).encode())
                continue
            body = json.loads(request.body)
            streamed = bool(body.get("stream"))
            exchange = drive(host.open(HttpRequest(method, path, (), request.body, streamed), _PACE))
            said = drive(exchange.read())
            if exchange.status == 200:
                last = json.loads(said.rpartition(b"data: ")[2])
                response = last["response"] if streamed else last
                kept[response["id"]] = (response, body["input"])
            kind = "text/event-stream" if streamed else "application/json"
            connection.answer(said, f"{exchange.status} Said", content_type=kind)

    with Server(serve) as server:
        address = f"http://127.0.0.1:{server.port}/v1"
        yield server, {"OPENAI_BASE_URL": address, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def child_environment(**changes: str) -> dict[str, str]:
    """Return the environment of a child process."""
    return {**os.environ, **changes}


def bodies(server: Server) -> list[dict[str, Any]]:
    """Return the bodies of the requests that came."""
    return [json.loads(request.body) for request in server.requests]
