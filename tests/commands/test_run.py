"""`antiphon run`: what is sent, and what is written."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_runs import WEATHER, bodies, openai_host, run, set_all

from antiphon.testing import function_call, message

GPT = ("-m", "openai/gpt-5")


def test_the_prompt_is_the_argument_and_the_standard_input(tmp_path: Path) -> None:
    echo = ("-m", "scripted/echo")

    assert run("run", "One two.", *echo).out == "One two.\n"
    assert run("run", *echo, stdin="From stdin.\n").out == "From stdin.\n"
    assert run("run", "-", *echo, stdin="From stdin.").out == "From stdin.\n"
    bad = run("run", "-", *echo, stdin=b"\xff\xfe")
    assert (bad.status, bad.err.splitlines()[0][:38]) == (2, "error: the standard input is no UTF-8 ")


def test_arguments_become_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "city.json").write_text('{"type": "object", "properties": {"name": {"type": "string"}}}')
    with openai_host('{"name": "Rome"}') as (server, variables):
        set_all(monkeypatch, {**variables, "ANTIPHON_MODEL": "openai/gpt-5"})
        ran = run(
            *("run", "Name a city.", "-s", "Be brief.", "--max-output-tokens", "50"),
            *("--set", "reasoning.effort=low", "--set", "user=ann", "--set", 'metadata={"a": "b"}'),
            *("--set", "temperature=0.5", "--set", "truncation=null", "--schema", str(tmp_path / "city.json")),
        )

    assert (ran.status, ran.out) == (0, '{"name": "Rome"}\n')
    assert ran.err == "note: temperature was not sent: openai/gpt-5 does not take it\n"
    (body,) = bodies(server)
    assert body.pop("text")["format"]["schema"]["properties"] == {"name": {"type": "string"}}
    assert body == {
        "model": "gpt-5",
        "input": "Name a city.",
        "instructions": "Be brief.",
        "max_output_tokens": 50,
        "reasoning": {"effort": "low"},
        "user": "ann",
        "metadata": {"a": "b"},
        "truncation": None,
        "stream": True,
    }


def test_files_are_parts_of_the_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "red.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "notes.txt").write_text("Grün.")
    (tmp_path / "plan.pdf").write_bytes(b"%PDF-1.7")
    files = [str(tmp_path / name) for name in ("red.png", "notes.txt", "plan.pdf")]
    files += ["https://example.com/a.jpg?size=1", "https://example.com/a"]
    with openai_host("Good.") as (server, variables):
        set_all(monkeypatch, variables)
        ran = run("run", "Look.", *GPT, *(word for file in files for word in ("-f", file)))

    assert (ran.status, ran.out) == (0, "Good.\n")
    assert bodies(server)[0]["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": data_url("image/png", b"\x89PNG\r\n"), "detail": "auto"},
                {"type": "input_text", "text": "File notes.txt:\n\nGrün."},
                {"type": "input_file", "filename": "plan.pdf", "file_data": data_url("application/pdf", b"%PDF-1.7")},
                {"type": "input_image", "image_url": "https://example.com/a.jpg?size=1", "detail": "auto"},
                {"type": "input_file", "file_url": "https://example.com/a"},
                {"type": "input_text", "text": "Look."},
            ],
        }
    ]


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_the_answer_comes_as_text_json_and_events(monkeypatch: pytest.MonkeyPatch) -> None:
    with openai_host({"output": [message("First."), message("Second.", "msg_2")]}) as (server, variables):
        set_all(monkeypatch, variables)
        streamed, plain = run("run", "Hi", *GPT), run("run", "Hi", *GPT, "--no-stream")
        whole, events = run("run", "Hi", *GPT, "--json"), run("run", "Hi", *GPT, "--events")

    assert streamed.out == plain.out == "First.\nSecond.\n"
    assert [item["id"] for item in json.loads(whole.out)["output"]] == ["msg_scripted", "msg_2"]
    lines = [json.loads(line) for line in events.out.splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["response.created", "response.completed"]
    assert "".join(line["delta"] for line in lines if line["type"] == "response.output_text.delta") == "First.Second."
    assert [body["stream"] for body in bodies(server)] == [True, False, False, True]


def test_what_the_text_does_not_say_is_said_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    answers: list[Any] = [
        {"output": [message("Half")], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        {"output": [refusal]},
        {"output": [function_call("f", {"a": 1})]},
        {"status": "failed", "error": {"code": "server_error", "message": "broken"}},
    ]
    with openai_host(*answers) as (_, variables):
        set_all(monkeypatch, variables)
        cut, refused, called = (run("run", "Hi", *GPT) for _ in range(3))
        failed = run("run", "Hi", *GPT, "--set", "num_retries=0")

    assert (cut.status, cut.out, cut.err) == (0, "Half\n", "note: the answer was cut: max_output_tokens\n")
    assert refused.err.startswith("note: the model refused: No.\nnote: no text")
    assert 'note: the model calls f({"a":1}), which nobody here runs' in called.err
    assert (failed.status, failed.out) == (1, "")
    assert failed.err.startswith("error: broken")


def test_verbose_shows_the_chain_and_the_numbers() -> None:
    ran = run("run", "Hi there.", "-m", "scripted/echo", "-v")

    assert ran.out == "Hi there.\n"
    for line in (
        r"^chain, outermost stage first; ms$",
        r"^  log +\d+\.\d\d +$",
        r"^  dispatch +\d+\.\d\d +\d+\.\d\d$",
        r"^target     scripted · echo · dialect responses$",
        r"^attempt 1  completed 200, \d+\.\d\d s$",
        r"^response   resp_\w+ completed$",
        r"^numbers    2 → 2 tokens, \d+\.\d\d s, first event \d+\.\d\d s, cost not known$",
    ):
        assert re.search(line, ran.err, re.MULTILINE), line


def test_the_models_calls_of_tools_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"output": [function_call("get_weather", {"city": "Rome"})]}
    with openai_host(calls, "Sunny.", calls, "I may not.") as (server, variables):
        set_all(monkeypatch, variables)
        ran = run("run", "What is it like?", *GPT, "--tool", WEATHER, "-v")
        asked = run("run", "What is it like?", *GPT, "--tool", WEATHER, "--ask")

    assert (ran.status, ran.out) == (0, "Sunny.\n")
    assert '· get_weather({"city":"Rome"})\n  It is sunny in Rome, and 21 degrees.\n' in ran.err
    sent = bodies(server)
    assert sent[0]["tools"][0]["name"] == "get_weather"
    assert sent[1]["input"][-1]["output"] == "It is sunny in Rome, and 21 degrees."
    # There is nobody to ask here, so the call is not made, and the model is told so.
    assert asked.out == "I may not.\n"
    assert "not approved, since there is no terminal to ask on" in asked.err
    assert "did not approve" in sent[3]["input"][-1]["output"]


def test_a_chain_of_a_file_is_used_and_a_dry_run_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = tmp_path / "support.toml"
    chain.write_text(
        'name = "support"\nstages = ["validate", "resolve", "transform", "dispatch"]\n'
        '[defaults]\nmodel = "openai/gpt-5"\ninstructions = "Be kind."\n'
    )
    with openai_host("Hello.") as (server, variables):
        set_all(monkeypatch, {**variables, "ANTIPHON_MODEL": "groq/other"})
        dry = run("run", "Hi", "--chain", str(chain), "--dry-run")
        assert server.requests == []
        ran = run("run", "Hi", "--chain", str(chain))

    assert "sends    POST http://127.0.0.1:" in dry.out
    assert '"instructions": "Be kind."' in dry.out
    assert "authorization: ***" in dry.out
    assert ran.out == "Hello.\n"
    assert bodies(server)[0]["instructions"] == "Be kind."


def test_what_is_recorded_replays_and_a_store_keeps_responses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tape, store = str(tmp_path / "hello.jsonl"), f"sqlite:///{tmp_path}/kept.db"
    with openai_host("Hello.") as (server, variables):
        set_all(monkeypatch, variables)
        first = run("run", "Hi", *GPT, "--record", tape)
        again = run("run", "Hi", *GPT, "--replay", tape)
        other = run("run", "Another", *GPT, "--replay", tape)

    assert (first.out, again.out) == ("Hello.\n", "Hello.\n")
    assert len(server.requests) == 1
    assert other.status == 1
    assert "the next one differs in input" in other.err

    kept = json.loads(run("run", "Say one.", "-m", "scripted/echo", "--json", "--store", store).out)["id"]
    more = ("--set", f"previous_response_id={kept}", "--store", store, "--json")
    assert json.loads(run("run", "Say two.", "-m", "scripted/echo", *more).out)["usage"]["input_tokens"] > 10
