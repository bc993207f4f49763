"""The benchmarks run and print their tables. What they measure is not judged here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script: str, *arguments: str, **environment: str) -> str:
    """Run a benchmark with Python's own safe path, as `make bench` does; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", str(BENCHMARKS / script), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def first_cells(printed: str) -> list[tuple[str, str]]:
    """Return the first two cells of every line of every table."""
    lines = [line.split("|") for line in printed.splitlines() if line.startswith("|")]
    return [(cells[1].strip(), cells[2].strip()) for cells in lines]


def test_run_prints_every_scenario_and_writes_the_figures(tmp_path: Path) -> None:
    out = tmp_path / "made" / "out.json"
    scenarios = ["call", "acall", "stream1k", "astream1k", "drip", "adrip", "conc"]
    scenarios += ["chat", "achat", "chat1k", "achat1k", "chatdrip", "achatdrip"]

    printed = run("run.py", "--peers=httpx,antiphon", "--rounds=1", "--budget=0.001", "--in-flight=3", f"--json={out}")

    cells = first_cells(printed)
    assert {(scenario, peer) for scenario in scenarios for peer in ("httpx", "antiphon")} <= set(cells)
    assert {("import httpx", "httpx"), ("import antiphon", "antiphon")} <= set(cells)
    assert "left out" not in printed
    assert json.loads(out.read_text())["results"].keys() == {*scenarios, "imports"}


def test_run_leaves_out_a_peer_that_is_not_installed(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = bare / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    printed = run(
        "run.py",
        "--peers=httpx,litellm",
        "--scenarios=call,imports",
        "--rounds=1",
        "--budget=0.001",
        f"--json={tmp_path / 'out.json'}",
        ANTIPHON_BENCH_VENVS=f"litellm={python}",
    )

    assert printed.count("left out: litellm: ModuleNotFoundError: No module named 'litellm'") == 2
    assert ("call", "httpx") in first_cells(printed)
    assert ("call", "litellm") not in first_cells(printed)


def test_chat_streams_are_divided_by_the_hosts_deltas(tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    run("run.py", "--peers=httpx,antiphon", "--scenarios=chat1k", "--rounds=1", "--budget=0.001", f"--json={out}")

    figures = {peer: found[0] for peer, found in json.loads(out.read_text())["results"]["chat1k"].items()}
    assert {peer: found["count"] / found["units"] for peer, found in figures.items()} == {
        "httpx": 1000,
        "antiphon": 1000,
    }
    # Role, end, usage and mark, if one counts chunks; the events that open and close the response, if one counts those.
    assert {peer: found["events"] / found["units"] for peer, found in figures.items()} == {
        "httpx": 1004,
        "antiphon": 1008,
    }


def test_run_leaves_out_a_peer_without_a_bridge_to_chat(tmp_path: Path) -> None:
    out = f"--json={tmp_path / 'out.json'}"

    printed = run("run.py", "--peers=httpx,any-llm", "--scenarios=chat", "--rounds=1", "--budget=0.001", out)

    assert "left out: any-llm: it has no bridge to chat hosts" in printed
    assert ("chat", "httpx") in first_cells(printed)


def test_overhead_prints_every_figure() -> None:
    printed = run("overhead.py", "--repeats=1", "--budget=0.001", "--deltas=10")

    cells = first_cells(printed)
    assert ("a call", "own encode + decode") in cells
    assert ("a stage, of 50", "call") in cells
    assert ("an event, one per read", "split + decode, drip") in cells
    assert ("a chat chunk, 64 KB reads", "chat: split + decode, burst") in cells


def test_memory_prints_both_modes_and_lengths() -> None:
    printed = run("memory.py", "--events=100,1000", "--rounds=1")

    assert first_cells(printed)[2:] == [("sync", "100"), ("sync", "1,000"), ("async", "100"), ("async", "1,000")]
