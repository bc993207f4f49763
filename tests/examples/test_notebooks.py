"""The notebooks run from their first cell to their last, offline, and are kept without their outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from example_runs import EXAMPLES

NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))

# What some cell of it prints.
PRINTED = {
    "first_hour": [
        "Name three colours.\ncompleted scripted",
        "One| two| three| four.|\ncompleted 4",
        "Hello from a task.",
        "WHY IS THE SEA SALTY?",
        "https://api.anthropic.com/v1/messages",
        "City(name='Rome', people=2800000)",
        "function_call\nfunction_call_output\nmessage\nTake a hat.",
        "user | What is my name?",
        'UnknownKeyword | "temprature" is neither',
    ],
    "hooks_and_traces": [
        "call.start\nattempt.start\nattempt.end\ncall.end",
        "an attempt: failed\nan attempt: completed\nthe call: completed",
        "completed \nabandoned \nfailed MissingKey",
        "completed [503, 200]\ncompleted [200]",
        "dispatch ",
        "True <!doctype html>",
        'antiphon_attempts_total{provider="openai",model="gpt-5"',
    ],
}


def cells_of(notebook: Any) -> list[Any]:
    """Return the cells with code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    cells = cells_of(json.loads(path.read_text("utf-8")))

    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert len(cells) > 5


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nbclient import NotebookClient
    from nbformat import read

    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = read(path, as_version=4)  # type: ignore[no-untyped-call]

    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()

    printed = []
    for cell in cells_of(notebook):
        assert [output for output in cell["outputs"] if output.get("name") == "stderr"] == []
        texts = [output.get("text") or output["data"]["text/plain"] for output in cell["outputs"]]
        printed.append("".join(texts))
    for expected in PRINTED[path.stem]:
        assert any(expected in text for text in printed), (expected, printed)
