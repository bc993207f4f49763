"""A stranger's first hour: what the pages show is copied, pointed at a host, and has to work; mistakes have to teach.

The blocks are taken out of README.md and docs/ by their headings, and only changed as a reader would: another model's
name, an own server's address. The hosts are loopback servers, found by the variables that the providers' rows name.
"""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Server, serving
from many_formats import STORY, ManyFormats, sent_to
from scripted_mcp import Post, scripted_mcp

import antiphon
from antiphon import Chain
from antiphon.testing import function_call

ROOT = Path(__file__).parents[2]
BARE_SERVER = ROOT / "examples" / "servers" / "bare.py"


def block(page: str, heading: str, number: int = 0, kind: str = "python") -> str:
    """Return a fenced block of one kind ("python" has those that are not run by the docs' test, too)."""
    text = (ROOT / page).read_text("utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {heading}"
    blocks: list[str] = re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", text[found.start() :], re.MULTILINE | re.DOTALL)
    return blocks[number]


def readme(model: str) -> str:
    """Return a program of README's first blocks: a call, a stream, a chain, a hook; asked of a model."""
    headings = ("One call", "Streaming", "A chain of your own, in ten lines", "Hooks, in five lines")
    return "\n".join(block("README.md", heading) for heading in headings).replace("scripted/echo", model)


def printed_by(program: str) -> str:
    """Run a program in a module of its own; return what it prints."""
    module = types.ModuleType("copied")
    sys.modules["copied"] = module  # stages look their annotations up in the module that they are written in
    try:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(program, "copied.py", "exec", dont_inherit=True), module.__dict__)
        return out.getvalue()
    finally:
        del sys.modules["copied"]
        antiphon.close()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A host that stands for OpenAI, Anthropic and Groq, as far as the environment says."""
    with serving(ManyFormats().serve) as server:
        for name, path in (("OPENAI", "/v1"), ("ANTHROPIC", ""), ("GROQ", "/v1")):
            monkeypatch.setenv(f"{name}_API_KEY", f"key of {name.lower()}")
            monkeypatch.setenv(f"{name}_BASE_URL", server.url + path)
        yield server


def test_the_first_program_of_the_readme_runs_where_a_stranger_puts_it(tmp_path: Path) -> None:
    (tmp_path / "first.py").write_text(readme("scripted/echo"), "utf-8")

    done = subprocess.run(
        [sys.executable, "-W", "error", "first.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Hello there.\ncompleted scripted 1\nOne| two| three.|completed 3\n")


@pytest.mark.parametrize(
    ("model", "path", "key"),
    [
        ("openai/gpt-5", "/v1/responses", "key of openai"),
        ("anthropic/claude-sonnet-4-5", "/v1/messages", "key of anthropic"),
        ("groq/openai/gpt-oss-20b", "/v1/responses", "key of groq"),
    ],
)
def test_the_same_program_asks_whom_the_model_names(host: Server, model: str, path: str, key: str) -> None:
    printed = printed_by(readme(model))

    assert printed.splitlines()[:2] == [STORY, f"completed {model.partition('/')[0]} 1"]
    assert re.search(r"^Once ?\|.*\|completed 4$", printed, re.MULTILINE)
    assert printed.endswith("completed 7 tokens, 1 attempt\n")
    sent = sent_to(host)
    assert [(one.path, one.key) for one in sent] == [(path, key)] * 4
    chain = sent[2].body
    assert "Answer in one sentence." in str(chain.get("instructions") or chain.get("system"))


def test_the_tools_of_the_readme_are_run(host: Server) -> None:
    """The block that the pages leave unrun, as it needs a key, a network and servers."""
    called: list[Any] = []

    def find(post: Post) -> None:
        called.append(post.params["name"])
        post.text("It is sunny, they say.")

    calls = [function_call("get_weather", {"city": "Rome"}, "1"), function_call("add", {"a": 1, "b": 2}, "2")]
    model = ManyFormats(calls, "It is.")
    with scripted_mcp({"tools/call": find}) as docs, serving(model.serve) as server:
        program = "import antiphon\n" + block("README.md", "Tools and MCP servers")
        for ours, theirs in (
            ('"https://docs.example/mcp"', repr(docs.url)),
            ('{"command": "my-mcp-server"}', repr({"command": sys.executable, "args": [str(BARE_SERVER)]})),
            ("anthropic/claude-sonnet-4-5", "openai/gpt-5"),
            ("def get_weather", "def get_weather_here"),  # the server on pipes has a tool of that name
            ("[get_weather, ", "[get_weather_here, "),
            ("tools=tools)", f'tools=tools, api_base="{server.url}/v1", api_key="k")'),
        ):
            assert ours in program, ours
            program = program.replace(ours, theirs)
        printed = printed_by(program + "client.close()\n")

        assert printed == "It is.\n"
        assert called == ["add"]
        assert [tool["name"] for tool in sent_to(server)[0].body["tools"]] == ["get_weather_here", "add", "get_weather"]


def test_a_typed_answer_comes_from_a_real_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ManyFormats('{"name": "Rome", "country": "Italy", "people": 2800000}').serve) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        # As the page says: `scripted` stands for a host; with a real one it is `antiphon.responses(...)`.
        program = block("docs/structured-output.md", "Structured output")
        program = re.sub(r"^client = .*$", "client = antiphon", program, flags=re.MULTILINE)

        assert printed_by(program) == "City(name='Rome', country='Italy', people=2800000)\n"
        assert sent_to(server)[0].body["text"]["format"]["name"] == "City"


def test_two_turns_at_a_host_that_keeps_nothing(host: Server) -> None:
    program = block("docs/state.md", "State").replace("scripted/echo", "groq/openai/gpt-oss-20b")

    printed = printed_by(program)

    assert printed == f"['Say one.', '{STORY}', 'Say two.']\n{STORY}\n"
    second = sent_to(host)[1].body
    assert [item["role"] for item in second["input"]] == ["user", "assistant", "user"]
    assert "previous_response_id" not in second


def test_a_trace_becomes_a_page_by_the_command_that_the_docs_show(tmp_path: Path) -> None:
    with antiphon.testing.scripted("Hello.", hooks=[antiphon.Trace(tmp_path / "run.jsonl")]) as client:
        client.responses("Hi", "openai/gpt-5")
    command = block("docs/observability.md", "Trace", kind="sh").splitlines()[0].split()

    program = Path(sys.executable).with_name(command[0])
    done = subprocess.run(
        [program, *command[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run.html").stat().st_size > 1000


# --- mistakes ------------------------------------------------------------------------------------------------------

NO_KEY = {"error": {"message": "Incorrect API key provided.", "code": "invalid_api_key"}}
NO_MODEL = {"error": {"message": "The model does not exist.", "code": "model_not_found"}}

# What a stranger does, with what the host says to it, and what the text has to name: the thing, and the next move.
MISTAKES: dict[str, tuple[Any, dict[str, Any], list[str]]] = {
    "no key": (None, {"model": "mistral/large"}, ["no API key for mistral", "set MISTRAL_API_KEY, or pass api_key="]),
    "a wrong key": (
        ("401 Unauthorized", NO_KEY),
        {"model": "openai/gpt-5"},
        ["Incorrect API key", "provider=openai", "check the key: api_key=, or OPENAI_API_KEY in the environment"],
    ),
    "a wrong model": (
        ("404 Not Found", NO_MODEL),
        {"model": "openai/gpt-55"},
        ["model does not exist", "model=gpt-55", 'check the model\'s name, "gpt-55"'],
    ),
    "no provider": (None, {"model": "gpt5"}, ['"gpt5" names no provider', 'write "provider/gpt5"']),
    "a wrong provider": (
        None,
        {"model": "opnai/gpt-5"},
        ['no provider "opnai"', 'did you mean "openai"?', "api_base="],
    ),
    "a wrong option": (None, {"temprature": 0}, ['"temprature"', 'did you mean "temperature"?', "extra_body"]),
    "a wrong value": (None, {"temperature": "hot"}, ["temperature is str", "float is expected"]),
    "no input": (None, {"input": None}, ["input is missing", 'input="Hi"']),
    "chat's words": (None, {"max_tokens": 5}, ['"max_tokens" is of chat completions', "pass max_output_tokens="]),
    "nobody there": (
        None,
        {"model": "openai/gpt-5", "api_base": "http://127.0.0.1:9/v1", "num_retries": 0},
        ["cannot connect to 127.0.0.1:9", "check the address (api_base=)"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_names_the_thing_and_the_next_move(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said, call, texts = MISTAKES[mistake]

    with serving(ManyFormats(said or STORY).serve) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "wrong")
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        given: dict[str, Any] = {"input": "Hi", "model": "scripted/echo", **call}
        with pytest.raises(antiphon.AntiphonError) as caught:
            antiphon.responses(**given)
        antiphon.close()

    assert [text for text in texts if text not in str(caught.value)] == []
    assert "wrong" not in str(caught.value)


FILE = (
    'name = "mine"\nstages = ["log", "validate", "resolve", { use = "retry", attempts = 5 }, "transform", "dispatch"]\n'
)


@pytest.mark.parametrize(
    ("right", "wrong", "texts"),
    [
        ('"resolve"', '"resolv"', ["stages[2]", 'unknown stage "resolv"', 'did you mean "resolve"?', "stages=[...]"]),
        ("attempts", "atempts", ["stages[3] retry", '"atempts"', 'did you mean "attempts"?', "its settings: attempts"]),
        ("= 5", '= "five"', ["stages[3] retry", 'attempts is "five"; int is expected']),
        ("= 5", "= 0", ["stages[3] retry", "attempts", ">= 1"]),
        ('"resolve", ', "", ["needs request.target", "add Resolve() before it"]),
        (', "dispatch"', "", ["has no terminal stage", "end it with Dispatch()"]),
        ('"dispatch"]', '"dispatch"', ["no TOML", "Unclosed array"]),
    ],
)
def test_a_mistake_in_a_chain_file_is_found_where_it_is(
    tmp_path: Path, right: str, wrong: str, texts: list[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(FILE, "utf-8")
    Chain.from_file(path).check()
    path.write_text(FILE.replace(right, wrong), "utf-8")

    with pytest.raises(antiphon.ChainError) as caught:
        Chain.from_file(path).check()

    assert [text for text in texts if text not in str(caught.value)] == []
