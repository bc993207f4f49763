"""The stock chains."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon import Budget, Chain, Client, presets
from antiphon.providers.scripted import ScriptedHost
from antiphon.testing import scripted

STAGES = Path(__file__).parents[2] / "stages"
PURPOSES = ["resilient", "observed", "agentic"]
CALLS: dict[str, Any] = {
    "get_responses": {"id": "resp_1", "status": "completed", "output": []},
    "delete_responses": {"id": "resp_1", "object": "response", "deleted": True},
    "cancel_responses": {"id": "resp_1", "status": "cancelled", "output": []},
    "list_input_items": {"object": "list", "data": []},
    "compact_responses": {"id": "cmp_1", "object": "response.compaction", "output": []},
    "count_input_tokens": {"object": "response.input_tokens", "input_tokens": 7},
}
ALL = ["responses", *PURPOSES, *CALLS]


def chain_named(name: str) -> Chain:
    chain: Chain = getattr(presets, name)
    return chain


def test_the_stock_chain_is_a_plain_list_from_the_outside_in() -> None:
    names = [stage.name for stage in presets.responses]
    order = ["log", "validate", "resolve", "retry", "transform", "dispatch"]

    assert [name for name in names if name in order] == order


def test_its_stages_have_their_default_settings() -> None:
    assert all(type(stage)() == stage for stage in presets.responses.flat())


def test_every_preset_is_a_literal_list() -> None:
    found = {}
    for file in ("presets.py", "purpose_presets.py"):
        for node in ast.parse((STAGES / file).read_text()).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call):
                listed = node.value.args[0]
                assert isinstance(listed, ast.List)
                assert all(isinstance(item, ast.Call) and isinstance(item.func, ast.Name) for item in listed.elts)
                found[ast.unparse(node.target)] = len(listed.elts)

    assert found == {name: len(chain_named(name)) for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_every_preset_can_run_and_stand_in_a_file(name: str) -> None:
    chain = chain_named(name)

    assert chain.check().name == name
    assert Chain.from_toml(chain.to_toml()) == chain


@pytest.mark.parametrize("name", PURPOSES)
def test_presets_for_a_purpose_answer(mode: Mode, streamed: bool, name: str) -> None:
    client = scripted("Hello.", chain=chain_named(name))

    async def body() -> Any:
        return await mode.response(client.chain, "Hi", model="openai/gpt-5", streamed=streamed)

    assert mode.run(body).output_text == "Hello."


@pytest.mark.parametrize("name", CALLS)
def test_presets_for_a_call_serve_it(mode: Mode, name: str) -> None:
    host = ScriptedHost([{"body": CALLS[name]}])
    client = Client(chain_named(name).bind(api_key="k"), transport=host)
    is_new = name in ("compact_responses", "count_input_tokens")
    call: dict[str, Any] = {"input": "Hi", "model": "openai/m"} if is_new else {"response_id": "resp_1"}
    given = call if is_new else {**call, "custom_llm_provider": "openai"}

    async def body() -> Any:
        return await mode.either(lambda: getattr(client, name)(**given), lambda: getattr(client, f"a{name}")(**given))

    assert mode.run(body) is not None
    assert len(host.requests) == 1


def test_surgery_reads_as_it_is_said() -> None:
    chain = presets.responses.before("retry", Budget(tokens=1000)).without("log").with_(retry={"attempts": 5})

    names = [stage.name for stage in chain]
    assert names[names.index("budget") + 1] == "retry"
    assert "log" not in names
    assert '{ use = "budget", tokens = 1000 }' in chain.to_toml()
    assert '{ use = "retry", attempts = 5 }' in chain.to_toml()
    assert Chain.from_toml(chain.to_toml()) == chain


def test_an_unknown_preset_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'resilent'"):
        presets.resilent  # noqa: B018  # type: ignore[attr-defined]
