"""What a user's type checker says of code that uses this library: right lines are clean, wrong ones are reported.

Both checkers run on a copy outside the repository, as a user's would: mypy with `--strict`, pyright with its defaults.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import antiphon
from antiphon import Stage, presets
from antiphon.call_keywords import ResponsesKeywords
from antiphon.keywords import RENAMED
from antiphon.pipeline.api.params import CreateParams

CODE = Path(__file__).with_name("user_code.py")
EXPECT = re.compile(r"# expect: (?P<mypy>[\w-]+), (?P<pyright>\w+)$")


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a checker prints; it leaves with 1 when it has found something."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(folder: Path) -> set[tuple[int, str]]:
    lines = run(sys.executable, "-P", "-m", "mypy", "--strict", "--output=json", CODE.name, cwd=folder).splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return {(one["line"], one["code"]) for one in found if one["severity"] == "error" and one["file"] == CODE.name}


def pyright(folder: Path) -> set[tuple[int, str]]:
    command = (sys.executable, "-P", "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, CODE.name)
    found = json.loads(run(*command, cwd=folder))["generalDiagnostics"]
    return {(one["range"]["start"]["line"] + 1, one["rule"]) for one in found if one["severity"] == "error"}


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_right_lines_are_clean_and_each_wrong_one_is_reported(
    checker: Callable[[Path], set[tuple[int, str]]], tmp_path: Path
) -> None:
    shutil.copy(CODE, tmp_path)
    lines = CODE.read_text("utf-8").splitlines()
    marks = {number: mark[checker.__name__] for number, line in enumerate(lines, 1) if (mark := EXPECT.search(line))}

    found = checker(tmp_path)

    unexpected = [f"{number}: {rule}: {lines[number - 1].strip()}" for number, rule in found if number not in marks]
    missed = [f"{number}: {rule}: {lines[number - 1].strip()}" for number, rule in marks.items() - found]
    assert len(marks) > 20
    assert (unexpected, missed) == ([], [])


def test_editors_know_every_keyword_of_a_call() -> None:
    stages = [found for name in antiphon.__all__ if isinstance(found := getattr(antiphon, name), type)]
    read = {option.name for stage in stages if issubclass(stage, Stage) for option in stage.options}
    wanted = {*CreateParams.__struct_fields__, *read, *presets.responses.options, *RENAMED}

    known = {*ResponsesKeywords.__annotations__, "input", "model", "stream", "text_format"}

    assert wanted - known == set()
