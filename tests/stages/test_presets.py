"""The stock chain."""

from __future__ import annotations

from antiphon import presets


def test_the_stock_chain_is_a_plain_list_from_the_outside_in() -> None:
    names = [stage.name for stage in presets.responses]
    order = ["log", "validate", "resolve", "retry", "transform", "dispatch"]

    assert [name for name in names if name in order] == order


def test_the_stock_chain_runs() -> None:
    assert presets.responses.check() is presets.responses
    assert presets.responses.name == "responses"


def test_its_stages_have_their_default_settings() -> None:
    assert all(type(stage)() == stage for stage in presets.responses.flat())
