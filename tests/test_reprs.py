"""What a prompt shows: short, of use to whoever looks at it, and without a secret; and what a completion offers."""

from __future__ import annotations

import types
from typing import Any

import pytest

import antiphon
from antiphon import Client, Response, presets, providers
from antiphon.testing import function_call, scripted

KEY = "sk-test-0123456789abcdef"


def test_a_response_shows_its_answer() -> None:
    text = scripted("Hello there.").responses("Hi", "openai/gpt-5")
    calls = scripted(function_call("weather", {"city": "Oslo"})).responses("Hi", "openai/gpt-5")
    broken = Response.from_json(b'{"id":"resp_1","model":"m","output":[7]}')

    shown = f"Response(id={text.id!r}, status='completed', model='gpt-5', output_text='Hello there.')"
    assert repr(text) == shown
    assert "output=['function_call'], output_text=''" in repr(calls)
    assert repr(broken) == "Response(id='resp_1', status=None, model='m', output_text='')"


def test_a_long_answer_is_cut() -> None:
    assert len(repr(scripted("word " * 1000).responses("Hi", "openai/gpt-5"))) < 500


def test_a_chain_shows_what_is_bound_to_it_and_no_secret() -> None:
    bound = presets.delete_responses.bind(
        model="openai/gpt-5", api_key=KEY, extra_headers={"x-pin": "1234"}, user="u" * 100, temperature=0.5
    )

    shown = repr(bound).partition("name='delete_responses')")[2]

    assert shown.startswith(".bind(model='openai/gpt-5', api_key=Secret(***), extra_headers=…, user='uuu")
    assert shown.endswith("…, temperature=0.5)")
    assert KEY not in shown
    assert "1234" not in shown
    assert repr(Client(bound)) == f"Client({bound!r})"


def test_a_dry_run_shows_itself_as_it_prints() -> None:
    explained = presets.responses.explain("Hi", model="scripted/echo")

    assert repr(explained) == str(explained)


def test_what_is_under_way_says_how_far_it_is() -> None:
    client = scripted("One two.", "Three.")
    stream = client.responses("Hi", "openai/gpt-5", stream=True)
    rows = client.map(["a"], model="openai/gpt-5")

    assert (repr(stream.text), repr(rows)) == ("TextDeltas(EventStream(open))", "Rows(not begun)")

    stream.until_done()
    list(rows)

    assert (repr(stream.text), repr(rows)) == ("TextDeltas(EventStream(completed))", "Rows(over, 1)")


def test_rows_and_facts_leave_out_what_is_as_usual() -> None:
    meta = scripted("Hi").responses("Hi", "openai/gpt-5").meta

    assert "=None" not in repr(meta)
    assert repr(antiphon.CreateParams(model="m", input="Hi")) == "CreateParams(model='m', input='Hi')"
    assert len(repr(providers.find("openai"))) < 900


@pytest.mark.parametrize("module", [antiphon, antiphon.mcp, providers, presets], ids=lambda module: module.__name__)
def test_a_completion_offers_no_name_that_a_module_needs_for_itself(module: Any) -> None:
    names = [name for name in dir(module) if not name.startswith("__")]

    foreign = {"Any", "TYPE_CHECKING", "annotations", "sys", "Final"}
    assert foreign.isdisjoint(names)
    assert [name for name in names if name.startswith("_")] == []
    assert [name for name in names if not hasattr(module, name)] == []
    assert isinstance(module, types.ModuleType)
