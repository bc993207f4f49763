"""The commands that look at things: chain, providers, tools, replay, probe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from command_runs import WEATHER, bodies, child_environment, interruptible, openai_host, run, set_all

import antiphon
from antiphon import Chain, presets
from antiphon.commands.questions import QUESTIONS
from antiphon.testing import function_call, message

# --- chain ----------------------------------------------------------------------------------------------------------


def test_a_chain_is_shown_as_a_tree_and_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nstages = ["validate", "resolve", "transform", "dispatch"]\n[defaults]\nmodel = "x/y"'
    )

    assert run("chain", "show", "responses").out.startswith("responses\n├─  0  Log()\n├─  1  Validate()\n")
    assert Chain.from_toml(run("chain", "show", "responses", "--form", "toml").out) == presets.responses
    assert Chain.from_json(run("chain", "show", str(path), "--form", "json").out) == Chain.from_file(path)
    shown = run("chain", "show", str(path), "--options").out
    assert "└─ 3  Dispatch()   answers\nmodel = 'x/y'\n" in shown
    assert run("chain", "show", str(path), "--form", "mermaid").out == Chain.from_file(path).to_mermaid()
    assert "\napi_base " in shown
    assert "max_tool_rounds" not in shown  # of Tools, which is not in this chain


def test_check_says_all_that_is_wrong_with_a_file(tmp_path: Path) -> None:
    bad, order, good = (tmp_path / name for name in ("bad.toml", "order.json", "good.toml"))
    bad.write_text(
        'name = "bad"\nstages = ["log", { use = "retry", atempts = 5 }, "retyr",\n'
        '{ use = "retry", attempts = "five" }, { name = "inner", stages = ["dispach"] }]'
    )
    order.write_text('{"stages": ["validate", "dispatch"], "defaults": {"modle": "x"}}')
    good.write_text(presets.responses.to_toml())

    ran = run("chain", "check", str(good), str(bad), str(order))

    assert (ran.status, ran.out) == (1, f"{good}: good\n")
    errors = ran.err.split("error: ")[1:]
    for error, said in zip(
        errors,
        (
            f'{bad}: chain "bad", stages[1] retry has no setting "atempts"; did you mean "attempts"?',
            f'{bad}: chain "bad", stages[2]: unknown stage "retyr"; did you mean "retry"?',
            f'{bad}: chain "bad", stages[3] retry: attempts is "five"; int is expected',
            f'{bad}: chain "inner", stages[0]: unknown stage "dispach"; did you mean "dispatch"?',
            f'{order}: chain "chain": dispatch needs request.target, which no stage before it sets\n  hint: add ',
            f'{order}: "modle" is neither a parameter of the API nor an option',
        ),
        strict=True,
    ):
        assert error.startswith(said)
    assert run("chain", "check", str(good)).status == 0
    assert "no TOML" in run("chain", "check", str(_written(tmp_path / "no.toml", "stages = ["))).err


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_schema_holds_for_a_stock_chain() -> None:
    schema = json.loads(run("chain", "schema").out)

    jsonschema.validate(json.loads(presets.responses.to_json()), schema)


# --- providers ------------------------------------------------------------------------------------------------------


def test_providers_are_listed_and_chosen_by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_0123456789abcdefghij")

    rows = run("providers").out.splitlines()
    groq = run("providers", "groq", "chat").out.splitlines()
    found = json.loads(run("providers", "--json").out)
    nothing = run("providers", "nosuch")

    assert len(rows) == len(antiphon.providers.list()) + 1
    assert groq[0].split() == ["model", "formats", "key", "set", "address", "checked", "source"]
    assert [line.split("  ")[0] for line in groq[1:]] == ["groq/…"]
    assert " GROQ_API_KEY  yes  https://api.groq.com/openai/v1 " in groq[1]
    assert [row["name"] for row in found] == [row.name for row in antiphon.providers.list()]
    assert all(row["source"] and row["checked"] for row in found if row["name"] not in ("local", "scripted"))
    assert (nothing.status, nothing.out) == (1, "")


# --- tools ----------------------------------------------------------------------------------------------------------


def test_the_tools_of_a_server_are_listed_and_called(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    command = {"command": sys.executable, "args": [WEATHER.split('"')[3]]}
    file.write_text(json.dumps({"mcpServers": {"one": command, "two": command}}))

    listed = run("tools", str(file))
    called = run("tools", WEATHER, "call", "get_weather", '{"city": "Rome"}')
    whole = json.loads(run("tools", WEATHER, "call", "get_weather", "-", "--json", stdin='{"city": "Rome"}').out)
    unknown = run("tools", WEATHER, "call", "get_wether")
    no_json = run("tools", WEATHER, "call", "get_weather", "Rome")

    assert listed.out.startswith("one: get_weather\n")
    assert "\n  city (string)" in listed.out
    assert "\ntwo: get_weather\n" in listed.out
    assert called.out == "It is sunny in Rome, and 21 degrees.\n"
    assert (whole["content"][0]["type"], whole["isError"]) == ("text", False)
    assert (unknown.status, unknown.err) == (
        2,
        'error: there is no tool "get_wether"; did you mean "get_weather"?\n  hint: known: get_weather\n'
        "  see: docs/errors.md#invalidparameter\n",
    )
    assert (no_json.status, no_json.err[:34]) == (2, "error: the arguments are no JSON: ")


# --- replay ---------------------------------------------------------------------------------------------------------


def test_recorded_exchanges_are_shown_and_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape = str(tmp_path / "hello.jsonl")
    with openai_host("Hello there.") as (server, variables):
        set_all(monkeypatch, variables)
        run("run", "Hi", "-m", "openai/gpt-5", "--record", tape)
    rows, whole, none = run("replay", tape), run("replay", tape, "1"), run("replay", tape, "2")

    assert rows.out.splitlines()[1].split()[:5] == [
        "1",
        "POST",
        f"{variables['OPENAI_BASE_URL']}/responses",
        "gpt-5",
        "200",
    ]
    assert "authorization: ***" in whole.out
    assert '"delta":"Hello"' in whole.out
    assert (none.status, none.err) == (
        2,
        f"error: {tape} has no exchange 2; it has 1\n  see: docs/errors.md#invalidparameter\n",
    )
    assert json.loads(run("replay", tape, "--json").out)[0]["status"] == 200

    process = subprocess.Popen(
        interruptible("replay", tape, "--serve", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
    )
    with process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        again = run("run", "Hi", "-m", "openai/gpt-5", "--set", f"api_base={address}/v1", "--set", "api_key=k")
        spent = run("run", "Hi", "-m", "openai/gpt-5", "--set", f"api_base={address}/v1", "--set", "api_key=k")
        os.kill(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert (again.status, again.out) == (0, "Hello there.\n")
    assert (spent.status, "has no answer left" in spent.err) == (1, True)
    assert said.decode().splitlines() == ["POST /v1/responses → 200", "POST /v1/responses → 404"]
    assert process.returncode == 130
    assert len(server.requests) == 1


# --- probe ----------------------------------------------------------------------------------------------------------


def able(body: dict[str, Any]) -> Any:
    """Answer as a host does that honours everything but images, and whose model obeys."""
    asked = json.dumps(body["input"])
    usage = {"input_tokens": 9 + 9 * ("previous_response_id" in body), "output_tokens": 1, "total_tokens": 10}
    usage["output_tokens_details"] = {"reasoning_tokens": 3}  # type: ignore[assignment]
    if "input_image" in asked:
        return {"status": 400, "body": {"error": {"message": "no images here"}}}
    if "hail" in asked:
        return "Hail."
    if body.get("tools"):
        return {"output": [function_call("get_weather", {"city": "Paris"})], "usage": usage}
    if body.get("max_output_tokens") == 16:
        cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        return {"output": [message("1, 2, 3")], "usage": usage, **cut}
    text = "Green."
    if "BANANA" in body.get("instructions", ""):
        text = "Banana"
    elif "format" in body.get("text", {}):
        text = '{"city": "Rome", "people": 3}'
    elif "previous_response_id" in body:
        text = "Walnut."
    elif "seed" in body:
        text = f"Words of {body['seed']}."
    elif "one to five" in asked:
        text = "1 2 3 4 5"
    said = message(text)
    if body.get("top_logprobs"):
        said["content"][0]["logprobs"] = [{"token": text, "logprob": 0.0, "bytes": [], "top_logprobs": []}]
    return {"output": [said], "usage": usage}


def deaf(body: dict[str, Any]) -> Any:
    """Answer as a host does that ignores all there is."""
    never_the_same = os.urandom(4).hex().translate(str.maketrans("0123456789", "ghijklmnop"))  # nor a number
    return {"output": [message(f"{never_the_same} {'word ' * 99}")], "usage": {"output_tokens": 99}}


def test_a_probe_says_what_a_host_honours_and_how_that_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with openai_host(able) as (server, variables):
        set_all(monkeypatch, variables)
        ran = run("probe", "openai/gpt-4o")
        some = run("probe", "openai/gpt-4o", "tools", "seed", "--json")

    assert ran.status == 0
    rows = {line[9:31].strip(): (line[:8].strip(), line[32:]) for line in ran.out.splitlines()}
    assert list(rows) == list(QUESTIONS)
    assert {name: verdict for name, (verdict, _) in rows.items() if verdict != "yes"} == {"images": "no"}
    assert rows["images"][1] == "refused: BadRequestError: no images here"
    assert rows["tools"][1] == 'it calls get_weather({"city":"Paris"})'
    assert rows["previous_response_id"][1].startswith("kept by the host; 9 input tokens, then 18")
    assert rows["streaming"][1].endswith("pieces of text, in good order, with usage")
    assert ran.err.startswith("openai, dialect responses: 16 calls answered, ")
    found = json.loads(some.out)
    assert (found["model"], found["calls"]) == ("openai/gpt-4o", 5)
    assert [(row["feature"], row["verdict"]) for row in found["findings"]] == [("tools", "yes"), ("seed", "yes")]
    assert len(bodies(server)) == 17 + 5
    assert max(body["max_output_tokens"] for body in bodies(server)) == 100


def test_a_probe_believes_nothing_that_it_has_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with openai_host(deaf) as (_, variables):
        set_all(monkeypatch, variables)
        found = json.loads(run("probe", "openai/gpt-4o", "--json").out)["findings"]
        unheard = run("probe", "groq/some")

    verdicts = {row["feature"]: row["verdict"] for row in found}
    assert verdicts == {
        "text": "yes",
        "usage": "no",
        "streaming": "yes",
        "instructions": "unclear",
        "max_output_tokens": "no",
        "tools": "unclear",
        "tool_results": "unclear",
        "json_schema": "no",
        "previous_response_id": "unclear",
        "temperature": "unclear",
        "seed": "no",
        "reasoning": "no",
        "logprobs": "no",
        "images": "unclear",
    }
    assert (unheard.status, unheard.out) == (2, "")
    assert "GROQ_API_KEY" in unheard.err
