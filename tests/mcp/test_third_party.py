"""Servers that others have written, started as their users start them; those of npm where that is there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode
from mcp_calls import connected, free_port, wait_for_port

pytestmark = pytest.mark.slow

PACKAGES = [
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
]


# Each worker of a test run installs its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


@cache
def installed() -> Path:
    """Return the folder of the servers' programs; installed when needed, skipped where that is not possible."""
    folder = Path(
        os.environ.get("ANTIPHON_MCP_SERVERS") or Path(tempfile.gettempdir()) / f"antiphon-mcp-servers-{WORKER}"
    )
    programs = folder / "node_modules" / ".bin"
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("npm and node are not installed")
    if not (programs / "mcp-server-memory").exists():
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *PACKAGES],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            if os.environ.get("CI"):
                pytest.fail(done.stderr)
            pytest.skip(f"npm cannot install the servers: {done.stderr[-300:]}")
    return programs


def of_python(name: str) -> str:
    """Return a server of the development environment as a program."""
    return str(Path(sys.executable).parent / name)


# Program, arguments, a tool of it, what that is called with, whether it says that it could not, and a part of its text.
PYTHON_SERVERS = {
    "time": ("mcp-server-time", ["--local-timezone", "UTC"], "get_current_time", {"timezone": "UTC"}, False, "UTC"),
    "git": ("mcp-server-git", ["--repository", "{repo}"], "git_status", {"repo_path": "{repo}"}, False, "main"),
    "fetch": ("mcp-server-fetch", ["--ignore-robots-txt"], "fetch", {"url": "http://127.0.0.1:9/"}, True, ""),
}


@pytest.mark.parametrize("name", PYTHON_SERVERS)
def test_a_server_for_python_serves(mode: Mode, run: Any, name: str, tmp_path: Path) -> None:
    program, arguments, tool, given, fails, part = PYTHON_SERVERS[name]
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path)], check=True)
    filled = {key: value.replace("{repo}", str(tmp_path)) for key, value in given.items()}
    server = {"command": of_python(program), "args": [each.replace("{repo}", str(tmp_path)) for each in arguments]}

    async def body() -> None:
        async with connected(mode, server) as client:
            assert tool in await client.names()
            result = await client.call(tool, filled, timeout_s=30)
            assert (result.is_error, part in result.text) == (fails, True)
            assert client.client.protocol_version == "2026-07-28"

    run(body)


def test_everything_over_pipes(mode: Mode, run: Any) -> None:
    server = {"command": str(installed() / "mcp-server-everything"), "args": ["stdio"]}
    asked: list[Any] = []

    def elicit(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return {"action": "decline"}

    async def body() -> None:
        async with connected(mode, server, elicit=elicit, roots=["file:///tmp"]) as client:
            assert client.client.protocol_version == "2025-11-25"
            assert "echo" in await client.names()
            assert (await client.call("echo", {"message": "hi"})).text == "Echo: hi"
            told: list[Any] = []
            await client.call(
                "trigger-long-running-operation",
                {"duration": 0.2, "steps": 2},
                on_progress=lambda *progress: told.append(progress),
            )
            assert len(told) == 2
            await client.call("trigger-elicitation-request")
            assert asked
            await client.ping()

    run(body)


@pytest.fixture(params=["streamableHttp", "sse"])
def everything(request: pytest.FixtureRequest) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [str(installed() / "mcp-server-everything"), request.param],
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/{'mcp' if request.param == 'streamableHttp' else 'sse'}"
    finally:
        process.kill()
        process.wait()


def test_everything_over_http(mode: Mode, run: Any, everything: str) -> None:
    def elicit(params: dict[str, Any]) -> dict[str, Any]:
        asked.append(params)
        return {"action": "accept", "content": {"name": "Ann", "check": True}}

    asked: list[Any] = []

    async def body() -> None:
        async with connected(mode, everything, elicit=elicit) as client:
            assert client.client.protocol_version == "2025-11-25"
            assert (await client.call("echo", {"message": "hi"})).text == "Echo: hi"
            # It asks on its own stream, and answers when that is answered.
            await client.call("trigger-elicitation-request", timeout_s=20)
            assert asked

    run(body)


def test_files(mode: Mode, run: Any, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("Hello, file.")
    server = {"command": str(installed() / "mcp-server-filesystem"), "args": [str(tmp_path)]}

    async def body() -> None:
        async with connected(mode, server) as client:
            result = await client.call("read_text_file", {"path": str(tmp_path / "hello.txt")})
            assert result.text == "Hello, file."
            assert (await client.call("read_text_file", {"path": "/etc/passwd"})).is_error

    run(body)


def test_memory(mode: Mode, run: Any, tmp_path: Path) -> None:
    program = str(installed() / "mcp-server-memory")
    server = {"command": program, "env": {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}}

    async def body() -> None:
        async with connected(mode, server) as client:
            entity = {"name": "Ann", "entityType": "person", "observations": ["likes tea"]}
            await client.call("create_entities", {"entities": [entity]})
            found = json.loads((await client.call("read_graph")).text)
            assert found["entities"][0]["name"] == "Ann"

    run(body)
