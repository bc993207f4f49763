"""The examples of the help texts and of the page run, in a folder that has what they name."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from command_runs import WEATHER, Ran, openai_host, run, set_all

from antiphon import Trace
from antiphon.commands.command_line import COMMANDS, command_named, parser_of
from antiphon.testing import function_call, scripted

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"

WRONG = 'name = "wrong"\nstages = ["validate", { use = "retry", atempts = 5 }, "dispach"]\n'
SUPPORT = """
name = "support"
stages = ["validate", "resolve", "retry", "transform", "dispatch"]

[defaults]
model = "openai/gpt-5"
instructions = "Be kind."
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with the files of the examples, where `python` is this one."""
    (tmp_path / "notes.txt").write_text("Some notes.")
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "city.json").write_text('{"type": "object", "properties": {"name": {"type": "string"}}}')
    (tmp_path / "support.toml").write_text(SUPPORT)
    (tmp_path / "wrong.toml").write_text(WRONG)
    server = WEATHER.split('"')[3]
    shutil.copy(server, tmp_path / "weather.py")
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"w": {"command": sys.executable, "args": [server]}}}))
    with scripted("Hi.", hooks=[Trace(tmp_path / "run.jsonl")]) as client:
        client.responses("Hi", "openai/m")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(body: dict[str, Any]) -> Any:
    """Call a tool where there is one, and say what it said; else fit the schema, or say a sentence."""
    last = body["input"][-1] if isinstance(body["input"], list) else {}
    if last.get("type") == "function_call_output":
        return last["output"]
    if body.get("tools"):
        return {"output": [function_call(body["tools"][0]["name"], {"city": "Rome"})]}
    return '{"name": "Rome"}' if "format" in body.get("text", {}) else "It is."


def run_line(line: str) -> Ran | None:
    """Run a line of shell: a command, with a file piped into it perhaps. One that runs for ever is only read."""
    *before, words = [shlex.split(part, comments=True) for part in line.split(" | ")]
    assert words.pop(0) == "antiphon"
    if words[0] == "serve" or "--serve" in words or "--follow" in words:
        assert parser_of(words[0], command_named(words[0])).parse_args(words[1:])
        return None
    stdin = Path(before[0][1]).read_text() if before else "Hi.\n" if words[0] == "chat" else None
    return run(*words, stdin=stdin)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_commands_help_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = command_named(name).EXAMPLES.splitlines()
    with openai_host(answer) as (_, variables):
        set_all(monkeypatch, variables)
        ran = {line: run_line(line.strip()) for line in examples}

    assert {line: found for line, found in ran.items() if found is not None and found.status != 0} == {}


def test_the_examples_of_the_page_run_and_print_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    text = PAGE.read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, re.MULTILINE | re.DOTALL)
    with openai_host(answer) as (_, variables):
        set_all(monkeypatch, variables)
        ran = [([run_line(line) for line in lines.splitlines()], shown) for lines, shown in blocks]

    complaints = [found.err for runs, _ in ran for found in runs if found is not None and found.status != 0]
    assert len(complaints) == 1  # of the file that is wrong, whose errors the page shows
    for shown, printed in [
        *((shown, "".join(found.out for found in runs if found is not None)) for runs, shown in ran if shown),
        (re.findall(r"^```text\n(error: .*?)^```", text, re.MULTILINE | re.DOTALL)[0], complaints[0]),
    ]:
        lines = [
            r"(?:.*\n)*" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*") + "\n"
            for line in shown.splitlines()
        ]
        matches = re.fullmatch("".join(lines), printed) is not None
        assert matches, f"{shown}\nand it prints\n{printed}"
