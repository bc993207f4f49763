"""What is loaded when, and that every public name is there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

import antiphon

HEAVY = ["httpx", "httpcore", "anyio", "asyncio", "structlog", "tenacity", "msgspec", "trio", "ssl"]


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has after this code."""
    return set(json.loads(run(f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))").splitlines()[-1]))


def run(code: str) -> str:
    """Return what a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_importing_the_package_loads_nothing_else() -> None:
    found = loaded_by("import antiphon")

    assert {name for name in found if name.startswith("antiphon")} == {"antiphon"}
    assert found.isdisjoint(HEAVY)


def test_a_first_call_loads_what_it_needs_only() -> None:
    found = loaded_by("import antiphon\nantiphon.responses('Hi', 'scripted/echo')")

    assert found.intersection(HEAVY) == {"msgspec"}
    assert "antiphon.pipeline.network.transport" not in found


def test_a_stream_and_a_client_load_no_more() -> None:
    found = loaded_by(
        "from antiphon.testing import scripted\n"
        "with scripted('Hello.') as client:\n"
        "    list(client.responses('Hi', 'openai/m', stream=True))"
    )

    assert found.intersection(HEAVY) == {"msgspec"}


def test_tenacity_is_loaded_by_the_first_repeat() -> None:
    found = loaded_by(
        "from antiphon import presets\n"
        "from antiphon.testing import scripted\n"
        "chain = presets.responses.with_(retry={'base_delay_s': 0})\n"
        "scripted({'status': 500, 'body': ''}, 'Hello.', chain=chain).responses('Hi', 'openai/m')"
    )

    assert "tenacity" in found


@pytest.mark.parametrize("name", antiphon.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(antiphon, name) is not None
    assert name in dir(antiphon)


def test_public_names_are_in_order_and_once() -> None:
    names = antiphon.__all__[1:]

    assert list(names) == sorted(set(names))


def test_a_star_import_works() -> None:
    names: dict[str, Any] = {}
    exec("from antiphon import *", names)

    assert names["responses"] is antiphon.responses


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("errors", "RateLimitError"),
        ("presets", "agentic"),
        ("events", "OutputTextDelta"),
        ("items", "FunctionCall"),
        ("parts", "OutputText"),
    ],
)
def test_a_public_module_is_imported_like_any_other(module: str, name: str) -> None:
    assert "same" in run(
        f"from antiphon.{module} import {name}\nimport antiphon\nif antiphon.{module}.{name} is {name}: print('same')"
    )


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'antiphon' has no attribute 'respones'"):
        antiphon.respones  # noqa: B018


def test_every_error_class_is_public() -> None:
    from antiphon.pipeline import errors

    classes = [
        name for name, found in vars(errors).items() if isinstance(found, type) and found.__module__ == errors.__name__
    ]

    assert set(classes) <= set(antiphon.__all__)
