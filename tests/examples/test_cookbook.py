"""The cookbook: its index is whole, its examples are short and run, offline and with the real local model."""

from __future__ import annotations

import re

import pytest
from example_runs import COOKBOOK, EXAMPLES, assert_in_order, run

# All of them in one process, which costs a tenth of as many processes; each is closed behind itself.
TOGETHER = """
import runpy, sys, traceback
import antiphon

for path in {paths!r}:
    sys.argv = [path]
    print("\\n===", path, flush=True)
    try:
        runpy.run_path(path, run_name="__main__")
    except BaseException:
        traceback.print_exc(file=sys.stdout)
    antiphon.close()
"""


def test_the_cookbook_runs_offline() -> None:
    paths = {name: str(EXAMPLES / f"{name}.py") for name in COOKBOOK}

    printed = run("-W", "error", "-c", TOGETHER.format(paths=list(paths.values())))

    sections = dict(section.split("\n", 1) for section in printed.split("\n=== ")[1:])
    for name, path in paths.items():
        assert_in_order(sections[path], COOKBOOK[name][0])


@pytest.mark.local_model
@pytest.mark.parametrize("name", [name for name, (_, with_the_model) in COOKBOOK.items() if with_the_model])
def test_a_recipe_runs_with_the_local_model(name: str) -> None:
    printed = run(str(EXAMPLES / f"{name}.py"), "local/smollm2", limit_s=300)

    assert_in_order(printed, COOKBOOK[name][1] or [])


def test_a_recipe_is_short() -> None:
    lines = {name: (EXAMPLES / f"{name}.py").read_text("utf-8").count("\n") for name in COOKBOOK}

    assert {name: count for name, count in lines.items() if count > 60} == {}


def test_the_index_has_every_example_once() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")

    linked = re.findall(r"^\| .* \| \[(?:\w+/)?([\w.]+)\]\(([\w./]+)\)", text, re.MULTILINE)
    assert all(target.endswith(shown) and (EXAMPLES / target).exists() for shown, target in linked)
    there = [path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.rglob("*") if path.suffix in (".py", ".ipynb")]
    assert sorted(target for _, target in linked) == sorted(name for name in there if not name.startswith("servers/"))
