"""Rows of the user's own: registered, or from the file that ANTIPHON_PROVIDERS names."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon import SetupError, UnknownProvider, presets, providers
from antiphon.providers import catalog
from antiphon.providers.rows import Provider
from antiphon.testing import ScriptedHost

ROW: dict[str, Any] = {"name": "acme", "base_url": "https://models.acme.example/v1", "key_env": ["ACME_API_KEY"]}


pytestmark = pytest.mark.usefixtures("own_catalogue")


def url_of(model: str) -> str:
    explanation = presets.responses.explain("Hi", model=model, api_key="sk-test-canary")
    assert explanation.request is not None
    return explanation.request.url


@pytest.mark.parametrize("row", [ROW, Provider(**ROW)], ids=["mapping", "row"])
def test_a_registered_row_is_a_provider_like_any_other(row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "canary")
    found = providers.register(row)

    assert providers.find("acme") is found
    assert providers.list()[-1] is found
    assert (found.dialects, found.key_env) == (("responses",), ("ACME_API_KEY",))
    assert found.operations == frozenset({"create"})
    assert url_of("acme/m") == "https://models.acme.example/v1/responses"


def test_the_list_has_the_rows_of_the_catalogue_in_order() -> None:
    assert providers.list()[0].name == "openai"
    assert providers.list() == catalog.rows()


def test_an_alias_finds_the_row_too() -> None:
    found = providers.register({**ROW, "aliases": ["acme.eu", "acme-2"]})

    assert providers.find("acme.eu") is providers.find("acme-2") is found
    assert providers.find("together").name == "together_ai"


def test_bare_models_of_a_registered_row_need_no_prefix() -> None:
    providers.register({**ROW, "bare_models": ["roadrunner-"]})

    assert url_of("roadrunner-1") == "https://models.acme.example/v1/responses"


def test_an_address_is_cleaned() -> None:
    assert providers.register({**ROW, "base_url": "https://acme.example/v1/responses/"}).base_url == (
        "https://acme.example/v1"
    )


def test_the_address_of_chat_completions_is_cleaned_too() -> None:
    chat = {"base_url": "https://chat.acme.example/v1/chat/completions", "unsupported": ["store", "text.verbosity"]}
    found = providers.register({**ROW, "dialects": ["responses", "chat"], "chat": chat})

    assert found.chat.base_url == "https://chat.acme.example/v1"
    assert found.base_url == ROW["base_url"]


def test_a_row_may_prefer_one_of_its_dialects_for_some_calls() -> None:
    better = {"dialect": "chat", "when": "tools", "unless_models": ["gpt-oss"], "why": "It loses tools."}
    found = providers.register({**ROW, "dialects": ["responses", "chat"], "prefer": [better]})

    assert [(one.dialect, one.when, one.unless_models) for one in found.prefer] == [("chat", "tools", ("gpt-oss",))]


def test_a_taken_name_is_refused_unless_it_is_to_be_replaced() -> None:
    providers.register(ROW)
    other = {**ROW, "base_url": "https://other.example/v1"}
    before = providers.list()

    with pytest.raises(SetupError, match='there is a provider "acme" already') as caught:
        providers.register(other)

    assert "replace=True" in (caught.value.hint or "")
    assert providers.list() is before
    assert providers.register(other, replace=True).base_url == "https://other.example/v1"
    assert url_of("acme/m") == "https://other.example/v1/responses"
    assert len(providers.list()) == len(before)


def test_a_replaced_row_keeps_its_place_and_loses_its_old_names() -> None:
    place = [row.name for row in providers.list()].index("together_ai")

    providers.register({**ROW, "name": "together_ai"}, replace=True)

    assert providers.list()[place].base_url == ROW["base_url"]
    with pytest.raises(UnknownProvider):
        providers.find("together")


@pytest.mark.parametrize("taken", ["together", "openai"])
@pytest.mark.parametrize("replace", [False, True])
def test_a_name_of_another_row_stays_taken(taken: str, replace: bool) -> None:
    before = providers.list()

    with pytest.raises(SetupError, match=f'"{taken}" names both'):
        providers.register({**ROW, "aliases": [taken]}, replace=replace)

    assert providers.list() is before


def test_a_planned_provider_may_be_registered() -> None:
    providers.register({**ROW, "name": "github_copilot"})

    assert url_of("github_copilot/m") == "https://models.acme.example/v1/responses"
    with pytest.raises(UnknownProvider, match="it speaks a chat API of its own"):
        providers.find("watsonx")


def test_a_client_that_runs_already_takes_the_new_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_TEAM", "birds")
    host = ScriptedHost(["Hello."])
    client = antiphon.Client(transport=host)
    sent: list[dict[str, Any]] = []

    for header in ("x-team", "x-group"):
        providers.register({**ROW, "header_env": {header: "ACME_TEAM"}}, replace=True)
        client.responses("Hi", "acme/m", api_key="sk-test-canary")
        sent.append(dict(host.requests[-1].headers))

    assert [(one.get("x-team"), one.get("x-group")) for one in sent] == [("birds", None), (None, "birds")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a/b"}, "cannot stand before the slash"),
        ({"name": ""}, "cannot stand before the slash"),
        ({"aliases": ["a b"]}, "cannot stand before the slash"),
        ({"nmae": "x"}, 'has "nmae", which is not known'),
        ({"base_url": "models.acme.example"}, "base_url: it is no http(s) address"),
        ({"base_url": "https://u:canary@acme.example"}, "base_url: it carries credentials"),
        ({"base_path": "v1"}, "does not begin with a slash"),
        ({"dialects": []}, "dialects is empty"),
        ({"dialects": ["respones"]}, 'did you mean "responses"?'),
        ({"operations": ["make"]}, 'is "make", which is not known'),
        ({"unsupported": ["stroe"]}, 'did you mean "store"?'),
        (
            {"chat": {"unsupported": ["stroe"]}},
            'chat.unsupported has "stroe", which is not known; did you mean "store"?',
        ),
        ({"chat": {"unsupported": ["verbosity"]}}, 'chat.unsupported has "verbosity"'),
        ({"chat": {"path": "chat"}}, 'chat.path "chat" does not begin with a slash'),
        ({"chat": {"base_url": "acme.example"}}, "chat.base_url: it is no http(s) address"),
        ({"chat": {"base_url": "https://u:canary@acme.example"}}, "chat.base_url: it carries credentials"),
        ({"chat": {"max_token": "max_tokens"}}, 'chat has "max_token", which is not known'),
        ({"chat": {"max_tokens": "max_output_tokens"}}, 'chat.max_tokens is "max_output_tokens", which is not known'),
        (
            {"prefer": [{"dialect": "chat", "when": "tools", "why": "w"}]},
            'prefer.dialect has "chat", which is none of its',
        ),
        (
            {"prefer": [{"dialect": "responses", "when": "never", "why": "w"}]},
            'prefer[0].when is "never", which is not known',
        ),
        ({"prefer": [{"dialect": "responses", "when": "tools"}]}, 'prefer[0] has no "why"'),
        ({"auth": "basic"}, 'auth is "basic", which is not known'),
        ({"key_env": "ACME_API_KEY"}, "key_env is str; a list is expected"),
    ],
)
def test_a_wrong_row_is_refused_with_the_field(change: dict[str, Any], said: str) -> None:
    before = providers.list()

    with pytest.raises(SetupError) as caught:
        providers.register({**ROW, **change})

    assert said in str(caught.value)
    assert "canary" not in str(caught.value)
    assert providers.list() is before


def test_a_row_without_name_is_refused() -> None:
    with pytest.raises(SetupError, match='has no "name"'):
        providers.register({"base_url": "https://acme.example/v1"})


def test_a_host_without_key_variable_says_to_pass_the_key() -> None:
    providers.register({"name": "acme", "base_url": "https://acme.example/v1"})

    with pytest.raises(antiphon.MissingKey) as caught:
        antiphon.responses("Hi", "acme/m")

    assert (caught.value.hint or "").startswith("pass api_key=")


def test_many_threads_may_register_at_once() -> None:
    start = threading.Barrier(16)

    def add(number: int) -> None:
        start.wait()
        providers.register({**ROW, "name": f"acme{number}"})
        assert providers.find(f"acme{number}").name == f"acme{number}"

    threads = [threading.Thread(target=add, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {f"acme{number}" for number in range(16)} <= {row.name for row in providers.list()}


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "providers.toml"
    monkeypatch.setenv(catalog.USER_FILE, str(path))
    return path


def fresh(script: str) -> list[str]:
    """Run Python code in a process that has not asked the catalogue yet; return the lines that it printed."""
    script = f"import antiphon\nfrom antiphon import presets, providers\n{script}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=30, check=True, encoding="utf-8"
    )
    return done.stdout.splitlines()


def test_the_users_file_adds_rows(user_file: Path) -> None:
    user_file.write_text('[[provider]]\nname = "acme"\nbase_url = "https://acme.example/v1/"\n', "utf-8")

    assert fresh(
        "explanation = presets.responses.explain('Hi', model='acme/m', api_key='sk-test-canary')\n"
        "print(explanation.request.url)\n"
        "print(providers.list()[-1].name)\n"
    ) == ["https://acme.example/v1/responses", "acme"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("provider = 1", "provider is int; a list is expected"),
        ("[[provider]", "is no TOML: Expected ']]'"),
        ("[[provider]]\nbase_url = 'https://acme.example'", 'has no "name"'),
        ("[[provider]]\nname = 'openai'", '"openai" names both openai and openai'),
        ("[[provider]]\nname = 'acme'\nkey = 'x'", 'has "key", which is not known'),
        ("[[providers]]\nname = 'acme'", 'has "providers", which is not known'),
        (None, "cannot be read"),
    ],
)
def test_a_wrong_file_is_named_with_the_fault(user_file: Path, text: str | None, said: str) -> None:
    if text is not None:
        user_file.write_text(text, "utf-8")

    errors = fresh(
        "for call in (lambda: antiphon.responses('Hi', 'scripted/echo'), providers.list):\n"  # wrong stays wrong
        "    try:\n"
        "        call()\n"
        "    except antiphon.SetupError as error:\n"
        "        print(' '.join(str(error).split()))\n"
    )

    assert len(errors) == 2
    assert all(said in error and str(user_file) in error for error in errors)


def test_the_file_is_not_read_by_an_import(user_file: Path) -> None:
    script = "import antiphon, antiphon.providers, sys; print('antiphon.providers.catalog' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "False\n"


def test_an_address_may_depend_on_places(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "name": "acme",
        "base_url": "https://{zone}.models.acme.example",
        "base_paths": {"responses": "/v1/{team}", "chat": "/chat/{team}"},
        "dialects": ["responses", "chat"],
        "key_env": ["ACME_API_KEY"],
        "places": {
            "zone": {"option": "aws_region_name", "env": ["ACME_ZONE"], "default": "north"},
            "team": {"option": "vertex_project", "env": ["ACME_TEAM"]},
        },
    }
    providers.register(row)
    monkeypatch.setenv("ACME_API_KEY", "sk-test-canary")
    monkeypatch.setenv("ACME_TEAM", "a b")

    def url(**call: Any) -> str:
        request = antiphon.presets.responses.explain("Hi", model="acme/m", **call).request
        assert request is not None
        assert ("authorization" in request.headers) == ("acme.example" in request.url)
        return request.url

    assert url() == "https://north.models.acme.example/v1/a%20b/responses"
    assert (
        url(aws_region_name="south", dialect="chat") == "https://south.models.acme.example/chat/a%20b/chat/completions"
    )
    assert url(api_base="https://west.models.acme.example/own") == "https://west.models.acme.example/own/responses"
    assert url(api_base="https://other.example") == "https://other.example/v1/a%20b/responses"
    monkeypatch.delenv("ACME_TEAM")
    with pytest.raises(antiphon.InvalidParameter, match="needs a team"):
        url()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"base_paths": {"chat": "/chat"}}, 'base_paths has "chat", which is none of its dialects'),
        ({"base_paths": {"responses": "v1"}}, 'base_paths "v1" does not begin with a slash'),
        ({"auth": "aws"}, "aws_service, which signatures name, is empty"),
    ],
)
def test_a_row_of_a_cloud_is_checked_too(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(antiphon.SetupError, match=says):
        providers.register({**ROW, **fields})
