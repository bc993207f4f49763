"""The one-call functions."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from conftest import Mode

import antiphon
from antiphon import prebuilt
from antiphon.pipeline.errors import UnknownKeyword
from antiphon.pipeline.streams.event_stream import EventStream


async def ask(mode: Mode, *args: Any, **keywords: Any) -> Any:
    return await mode.either(
        lambda: antiphon.responses(*args, **keywords), lambda: antiphon.aresponses(*args, **keywords)
    )


def test_one_call_gives_a_response(mode: Mode) -> None:
    async def body() -> None:
        response = await ask(mode, "Say it again.", model="scripted/echo")

        assert response.output_text == "Say it again."
        assert response.status == "completed"

    mode.run(body)


def test_input_and_model_may_stand_by_place_or_name(mode: Mode) -> None:
    async def body() -> None:
        by_place = await ask(mode, "Hi", "scripted/echo")
        by_name = await ask(mode, model="scripted/echo", input="Hi")

        assert by_place.output_text == by_name.output_text == "Hi"

    mode.run(body)


def test_one_call_gives_a_stream(mode: Mode) -> None:
    async def body() -> None:
        stream = await ask(mode, "Hi you.", "scripted/echo", stream=True)

        assert isinstance(stream, EventStream)
        assert (await mode.until_done(stream)).output_text == "Hi you."

    mode.run(body)


def test_items_are_input(mode: Mode) -> None:
    async def body() -> None:
        items = [{"role": "user", "content": "First."}, {"role": "user", "content": "Second."}]

        assert (await ask(mode, items, "scripted/echo")).output_text == "Second."

    mode.run(body)


def test_the_former_answer_is_part_of_the_next_input(mode: Mode) -> None:
    async def body() -> None:
        first = await ask(mode, "One.", "scripted/echo")
        second = await ask(mode, [*first.output, {"role": "user", "content": "Two."}], "scripted/echo")

        assert second.output_text == "Two."

    mode.run(body)


def test_a_typo_gets_a_suggestion(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(UnknownKeyword, match='did you mean "instructions"'):
            await ask(mode, "Hi", "scripted/echo", instructoins="x")

    mode.run(body)


def test_calls_go_on_after_close(mode: Mode) -> None:
    async def body() -> None:
        await ask(mode, "Hi", "scripted/echo")
        await mode.either(antiphon.close, antiphon.aclose)
        await mode.either(antiphon.close, antiphon.aclose)

        assert (await ask(mode, "Hi", "scripted/echo")).output_text == "Hi"

    mode.run(body)


PUBLIC = [name for name in vars(prebuilt) if name.endswith(("responses", "_items", "_tokens"))]
SYNC = [name for name in PUBLIC if f"a{name}" in PUBLIC]


def test_every_function_has_an_async_twin() -> None:
    assert sorted(PUBLIC) == sorted([*SYNC, *(f"a{name}" for name in SYNC)])
    assert "responses" in SYNC


@pytest.mark.parametrize("name", SYNC)
def test_twins_take_the_same_parameters(name: str) -> None:
    plain, twin = getattr(prebuilt, name), getattr(prebuilt, f"a{name}")

    assert inspect.signature(plain) == inspect.signature(twin)
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(plain)
