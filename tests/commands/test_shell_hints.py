"""Hints name the keywords of Python; in a shell the options beside them are said too."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_runs import run

from antiphon.commands.shell_hints import in_shell


@pytest.mark.parametrize(
    ("hint", "options"),
    [
        ('leave it out, or pass drop="report" to go on without it', "--set drop=report"),
        ('a newer one goes into extra_body={"top_k": ...}', "--set extra_body.top_k=VALUE"),
        ('give api_base=; for chat completions dialect="chat" too', "--set api_base=VALUE, --set dialect=chat"),
        ('set KEY, or pass api_key=; model="scripted/echo" answers offline', "-m scripted/echo"),
        ('pass allow_imports=["shop.stages"], if you trust the file', "--allow-import shop.stages"),
        ('e.g. state_store="sqlite:///responses.db"', "--store sqlite:///responses.db"),
    ],
)
def test_the_keywords_of_a_hint_are_said_as_options(hint: str, options: str) -> None:
    assert in_shell(hint) == f"{hint}\n  shell: {options}"


@pytest.mark.parametrize("hint", [None, "wait", "Client(verify=...)", "give --store sqlite:///chats.db"])
def test_other_hints_stay_as_they_are(hint: str | None) -> None:
    assert in_shell(hint) == hint


def test_a_command_without_calls_has_fewer_options() -> None:
    assert in_shell("pass api_base=", for_call=False) == "pass api_base="


def test_an_error_has_its_move_in_the_shell_and_its_place(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text('stages = ["shop_stages:Shout"]\n')

    for ran in (run("chain", "check", str(file)), run("run", "Hi", "--chain", str(file))):
        assert ran.err.splitlines()[1:] == [
            '  hint: pass allow_imports=["shop_stages"], if you trust the file',
            "  shell: --allow-import shop_stages",
            "  see: docs/errors.md#chainerror",
        ]


def test_a_stock_chain_that_shall_import_is_refused() -> None:
    ran = run("run", "Hi", "-m", "scripted/echo", "--allow-import", "shop_stages")

    assert ran.status == 2
    assert 'the stock chain "responses" imports nothing' in ran.err
