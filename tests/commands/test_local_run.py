"""The command with a real model, as a user runs it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from command_runs import COMMAND, WEATHER, child_environment

pytestmark = pytest.mark.local_model


def test_a_real_model_answers_converses_and_is_probed(tmp_path: Path) -> None:
    model = ["-m", "local/smollm2", "--max-output-tokens", "24", "--set", "temperature=0"]
    environment = child_environment(ANTIPHON_STORE=f"sqlite:///{tmp_path}/chats.db")

    def command(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], input=stdin, capture_output=True, text=True, timeout=300, env=environment, check=True
        )

    answered = command("run", "Why is the sea salty?", *model, "-v", "--tool", WEATHER)
    talked = command("chat", *model, stdin="My name is Ada.\nWhat is my name?\n")
    probed = command("probe", "local/smollm2", "text", "usage", "streaming", "--tokens", "48", "--json")

    assert answered.stdout.strip()
    assert re.search(r"^target     local · smollm2 · dialect \w+$", answered.stderr, re.MULTILINE)
    assert re.search(r"^numbers    \d+ → \d+ tokens", answered.stderr, re.MULTILINE)
    assert "Ada" in talked.stdout.splitlines()[-1]  # what was said before has reached it
    found = json.loads(probed.stdout)
    assert [row["verdict"] for row in found["findings"]] == ["yes", "yes", "yes"]
    assert (found["calls"], found["output_tokens"] > 0) == (2, True)
