"""Lists in the pages are whole: every stage, every setting and option."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import antiphon
from antiphon import Stage, Timeouts
from antiphon.litellm_names import ERRORS, GLOBALS, NAMES
from antiphon.pipeline.signals import SIGNALS
from antiphon.providers import catalog

DOCS = Path(__file__).parents[2] / "docs"


def section(page: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", (DOCS / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no section {title}"
    return found[1]


def _is_stage(kind: type) -> bool:
    return issubclass(kind, Stage) and kind is not Stage


@pytest.mark.parametrize(
    "stage",
    [found for name in antiphon.__all__ if isinstance(found := getattr(antiphon, name), type) and _is_stage(found)],
    ids=lambda stage: stage.__name__,
)
def test_the_page_of_a_stage_names_its_settings_and_options(stage: type[Stage]) -> None:
    text = (DOCS / "stages" / f"{stage.__struct_config__.tag}.md").read_text("utf-8")

    names = [*stage.__struct_fields__, *(option.name for option in stage.options)]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_signal_has_a_row() -> None:
    text = section("observability.md", "Signals")

    assert [name for name, kind in SIGNALS.items() if f"`{name}`" not in text or f"`{kind.__name__}`" not in text] == []


def test_every_time_limit_has_a_row_with_its_default() -> None:
    text = section("timeouts.md", "Five limits")

    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert [(name, float(seconds)) for name, seconds in rows] == [
        (name, getattr(Timeouts(), name)) for name in Timeouts.__struct_fields__
    ]


def test_what_the_local_model_does_not_take_is_listed() -> None:
    text = section("local-models.md", "Limits")

    assert [name for name in catalog.find("local").unsupported if f"`{name}`" not in text] == []


def test_every_provider_that_the_quick_start_names_is_in_the_catalogue() -> None:
    text = section("quickstart.md", "Call")

    shown = set(re.findall(r"`(\w+)/", text))
    assert {row.name for row in catalog.rows() if row.launcher} < shown <= {row.name for row in catalog.rows()}
    assert "(providers.md)" in text


def test_every_name_of_litellm_that_is_another_here_has_a_row() -> None:
    page = "migrate-litellm.md"

    for title, names in (("Callbacks and settings", GLOBALS), ("Errors", ERRORS), ("What stays there", NAMES)):
        rows = [line for line in section(page, title).splitlines() if line.startswith("| `")]
        shown = [name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])]
        assert sorted(shown) == sorted(names), title
    for name, ours in ERRORS.items():
        assert f"| `{name}` | `{ours}`" in section(page, "Errors")
