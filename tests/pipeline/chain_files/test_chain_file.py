"""Chains as TOML and JSON: there and back, and what is said about files that are wrong."""

from __future__ import annotations

import pickle
import sys
import tomllib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from conftest import Mode
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon import Chain, Client, FromEnv, Handler, Observe, Reply, Request, Retry, Secret, Stage, presets
from antiphon.pipeline.chain_files.stage_names import installed
from antiphon.pipeline.chain_files.toml_text import to_toml
from antiphon.pipeline.errors import ChainError, MissingKey, NotSerializable, SetupError
from antiphon.pipeline.function_stages import before, stage


class Suffix(Stage):
    """A user's stage with a setting."""

    text: str = "!"
    more: tuple[str, ...] = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request.with_params(input=f"{request.param('input')}{self.text}{''.join(self.more)}"))


@pytest.fixture
def module() -> Iterator[types.ModuleType]:
    """A module that can be imported by name, with a stage class, decorated functions and a hook in it."""
    made = types.ModuleType("shop_stages")
    source = """
from antiphon import Stage, before, stage

class Shout(Stage):
    sign: str = "!"

    async def __call__(self, request, call_next):
        return await call_next(request.with_params(input=request.params.input + self.sign))

@before
def polite(request):
    return request.with_params(input=request.params.input + " Please.")

@stage
async def untouched(request, call_next):
    return await call_next(request)

async def bare(request, call_next):
    return await call_next(request)

def bill(end):
    pass

number = 7
"""
    exec(compile(source, "shop_stages.py", "exec"), made.__dict__)
    sys.modules["shop_stages"] = made
    yield made
    del sys.modules["shop_stages"]


# --- there and back -------------------------------------------------------------------------------------------------

CHAINS = {
    "stock": presets.responses,
    "changed": presets.responses.with_(retry={"attempts": 5, "max_delay_s": 1.5}).without("log"),
    "nested": Chain([Chain([Retry(attempts=2)], name="inner"), *presets.responses.without("retry")], name="outer"),
    "bound": presets.responses.bind(
        model="openai/gpt-5",
        api_key=FromEnv("SHOP_KEY"),
        timeout=2.5,
        metadata={"a b": "c", "ü": '"\\\n\x7f'},
        tools=[{"type": "function", "name": "f", "parameters": {"enum": [1, True, "x", [], {}]}}],
    ),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_chain_comes_back_from_its_text(name: str, form: str, tmp_path: Path) -> None:
    chain = CHAINS[name]
    text = chain.to_toml() if form == "toml" else chain.to_json()
    path = tmp_path / f"chain.{form}"
    path.write_text(text, "utf-8")

    again = Chain.from_file(path)

    assert again == chain
    assert again.name == chain.name
    assert (again.to_toml() if form == "toml" else again.to_json()) == text


def test_what_has_its_default_is_left_out() -> None:
    text = presets.responses.with_(retry={"attempts": 5}).to_toml()

    assert '    { use = "retry", attempts = 5 },\n' in text
    assert '    "dispatch",\n' in text


def test_a_chain_of_a_file_answers(mode: Mode, streamed: bool) -> None:
    text = """
    name = "short"
    stages = ["validate", { use = "suffix", text = "?", more = ["!"] }, "resolve", "transform", "dispatch"]

    [defaults]
    model = "scripted/echo"
    """
    chain = Chain.from_toml(text, stages=[Suffix])

    async def body() -> str:
        return (await mode.response(chain.bind(Client().engine), "Really", streamed=streamed)).output_text

    assert mode.run(body) == "Really?!"


def test_a_key_is_named_by_its_variable_and_looked_up_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    stages = ["resolve", "transform", "dispatch"]
    [defaults]
    api_key = { env = "SHOP_KEY" }
    """
    chain = Chain.from_toml(text)

    with pytest.raises(MissingKey, match="SHOP_KEY is not set"):
        chain.explain("Hi", model="openai/gpt-5")

    monkeypatch.setenv("SHOP_KEY", "canary-key")
    explained = chain.explain("Hi", model="openai/gpt-5")
    assert explained.request is not None
    assert explained.request.headers["authorization"] == "***"
    assert "canary" not in repr(chain) + str(chain.defaults) + chain.to_toml() + str(explained)
    assert pickle.loads(pickle.dumps(chain)) == chain


# --- stages of one's own --------------------------------------------------------------------------------------------


def test_stages_are_handed_in_by_name() -> None:
    @before
    def polite(request: Request) -> Request:
        return request

    @stage
    async def untouched(request: Request, call_next: Handler) -> Reply:
        return await call_next(request)

    fragment = Chain([Retry()], name="again")
    text = 'stages = ["polite", "untouched", "again", { use = "suffix", text = "." }, "dispatch"]'

    chain = Chain.from_toml(text, stages=[polite, untouched, fragment, Suffix])

    assert list(chain)[:4] == [polite, untouched, fragment, Suffix(text=".")]


def test_places_in_code_are_imported_only_where_that_is_allowed(module: types.ModuleType) -> None:
    text = """
    stages = [
        { use = "shop_stages:Shout", sign = "?" },
        "shop_stages:polite",
        "shop_stages:untouched",
        "shop_stages:bare",
        { use = "observe", on_call_end = "shop_stages:bill" },
        "dispatch",
    ]
    """

    with pytest.raises(ChainError, match=r'stages\[0\]: "shop_stages:Shout" names code to be imported'):
        Chain.from_toml(text)
    with pytest.raises(ChainError, match="names code to be imported"):
        Chain.from_toml(text, allow_imports=["shop"])
    chain = Chain.from_toml(text, allow_imports=["shop_stages"])

    assert chain.stages[:3] == (module.Shout(sign="?"), module.polite, module.untouched)
    assert chain.stages[4] == Observe(on_call_end=module.bill)
    assert Chain.from_toml(chain.to_toml(), allow_imports=["shop_stages"]) == chain


@pytest.mark.parametrize(
    ("place", "said"),
    [("shop_stages:Nothing", "cannot be imported"), ("shop_stages:number", "is int; a stage is expected")],
)
def test_a_place_without_a_stage_is_an_error(module: types.ModuleType, place: str, said: str) -> None:
    with pytest.raises(ChainError, match=said):
        Chain.from_toml(f'stages = ["{place}"]', allow_imports=["shop_stages"])


def test_two_stages_with_one_name_are_an_error() -> None:
    class Retry(Stage):
        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            return await call_next(request)

    with pytest.raises(SetupError, match='two stages are named "retry"'):
        Chain.from_toml("stages = []", stages=[Retry])


def test_every_stage_of_the_package_has_a_name_in_files() -> None:
    ours = {
        name
        for name in antiphon.__all__
        if isinstance(found := getattr(antiphon, name), type) and issubclass(found, Stage) and found is not Stage
    }

    named = {point.load().__name__ for point in installed().values() if point.value.startswith("antiphon.")}
    assert named == ours
    aliases = {"mcp_tools": "tools"}
    for name, point in installed().items():
        assert point.load().__struct_config__.tag == aliases.get(name, name)


def test_what_is_installed_is_looked_up_once_a_process() -> None:
    before = installed()
    Chain.from_toml('stages = ["retry"]')

    assert installed() is before


# --- what cannot be written -----------------------------------------------------------------------------------------


def test_what_has_no_form_in_a_file_says_so() -> None:
    def local(end: object) -> None: ...

    @stage
    async def inner(request: Request, call_next: Handler) -> Reply:
        return await call_next(request)

    for chain, said in (
        (Chain([Observe(on_call_end=local)]), 'chain "chain": stage observe: on_call_end is function'),
        (Chain([inner]), "stage inner is made of a function that cannot be found again"),
        (presets.responses.bind(api_key="canary-key"), 'default "api_key" is a secret'),
    ):
        for write in (chain.to_toml, chain.to_json):
            with pytest.raises(NotSerializable) as caught:
                write()
            assert said in str(caught.value)
            assert "canary" not in str(caught.value)


def test_a_null_is_written_as_json_only() -> None:
    chain = presets.responses.bind(extra_body={"a": None})

    with pytest.raises(NotSerializable, match="TOML has no form for null"):
        chain.to_toml()
    assert Chain.from_json(chain.to_json()) == chain


# --- files that are wrong -------------------------------------------------------------------------------------------

WRONG = {
    'stages = ["retyr"]': [
        'chain "chain", stages[0]: unknown stage "retyr"; did you mean "retry"?',
        ", dispatch, fallback, ",
    ],
    'name = "a"\nstages = ["log", { use = "retry", attempts = "five" }]': [
        'chain "a", stages[1] retry: attempts is "five"; int is expected'
    ],
    'stages = [{ use = "retry", attempts = 0 }]': ["stages[0] retry: attempts is 0; int >= 1 is expected"],
    'stages = [{ use = "retry", atempts = 3 }]': ['has no setting "atempts"; did you mean "attempts"?'],
    "stages = [{ attempts = 3 }]": ["is no stage", 'write its name, or a table with its name under "use"'],
    "stages = [3]": ["3 is no stage"],
    'stages = [{ name = "in", stages = ["dispach"] }]': ['chain "in", stages[0]: unknown stage "dispach"'],
    'stages = [{ use = "observe", on_call_end = 3 }]': ["observe: on_call_end is 3; a function is expected"],
    "x = 1": ["has no list `stages`, so it is no chain"],
    'stages = []\nstagse = ["log"]': ['a chain has no key "stagse"; did you mean "stages"?'],
    "stages = []\nname = 3": ["the name of a chain is 3; text is expected"],
    "stages = []\ndefaults = 3": ["defaults is 3; a table of parameters and options is expected"],
    "stages = ": ["no TOML"],
    'stages = ["resolve"]\n[defaults]\napi_key = "canary"': [
        "defaults.api_key is a secret, which must not stand in a file",
        'api_key = { env = "NAME" }',
    ],
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_says_where_and_what_was_meant(text: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(text)

    with pytest.raises(ChainError) as caught:
        Chain.from_file(path)

    said = str(caught.value)
    assert said.startswith(str(path))
    for part in WRONG[text]:
        assert part in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.toml", None, "No such file"),
        ("a.yaml", b"", ".yaml; .toml or .json is expected"),
        ("a.json", b"{", "no JSON"),
        ("a.json", b"[]", "has no list `stages`, so it is no chain"),
        ("a.toml", b"\xff", "can't decode byte"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error(name: str, data: bytes | None, said: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)

    with pytest.raises(ChainError) as caught:
        Chain.from_file(tmp_path / name)

    assert said in str(caught.value)


# --- schema and TOML ------------------------------------------------------------------------------------------------


def test_the_schema_takes_what_chains_write_and_refuses_what_reading_refuses() -> None:
    schema = Chain.json_schema(stages=[Suffix])
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)

    for chain in CHAINS.values():
        assert check.is_valid(msgspec.json.decode(chain.to_json()))
    assert check.is_valid({"stages": [{"use": "suffix", "text": "?"}]})
    wrongs: list[Any] = [{"stages": ["retyr"]}, {"stages": [{"use": "retry", "atempts": 3}]}, {"stage": []}]
    for wrong in wrongs:
        assert not check.is_valid(wrong)


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=4))
def test_toml_text_is_read_back_as_it_was(table: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(table)) == table


def test_half_characters_have_no_form_in_toml() -> None:
    with pytest.raises(TypeError, match="surrogate"):
        to_toml({"a": "\ud83d"})


def test_a_secret_is_never_written() -> None:
    class Keyed(Stage):
        key: Secret

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            return await call_next(request)

    with pytest.raises(NotSerializable, match="is a secret"):
        Chain([Keyed(key=Secret("canary"))]).to_json()
