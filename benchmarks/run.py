"""Antiphon beside its peers: CPU per call and per event over loopback, and the cost of importing.

    make bench
    make bench ARGS="--rounds 15 --venv litellm=.venv-litellm/bin/python --venv any-llm=.venv-any-llm/bin/python"
    make bench ARGS="--peers httpx,antiphon --scenarios call,acall"

A mock host runs in a process of its own, and so does each peer. Every round visits all peers in shuffled order, so that
what else the machine does hits all alike; a ratio compares two figures of the same round. See README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from measuring import machine, table
from peers import APIS, BASE, ENVIRONMENT, PEERS

HERE = Path(__file__).parent
RESULTS = HERE.parent / "bench-results" / "run.json"
VENVS_VARIABLE = "ANTIPHON_BENCH_VENVS"
"""Environment variable with NAME=PYTHON,… as --venv has it."""


class Scenario(NamedTuple):
    """What is measured: a worker's operation with a model of the mock host.

    Args:
        unit: what the figures are per.
        budget: seconds of one measurement, as a multiple of --budget.
        target: the ratio to raw httpx that antiphon must not exceed.
        api: which of the host's APIs the peers call.
        deltas: of one stream of the host, where the figures are per delta and not per event that a peer makes.
    """

    operation: str
    model: str
    unit: str
    budget: float = 1.0
    target: float | None = None
    api: str = "responses"
    deltas: int | None = None


SCENARIOS = {
    "call": Scenario("call", "mock", "call", target=1.1),
    "acall": Scenario("acall", "mock", "call", target=1.1),
    "stream1k": Scenario("stream", "mock-n1000", "event", target=1.1),
    "astream1k": Scenario("astream", "mock-n1000", "event", target=1.1),
    "drip": Scenario("stream", "mock-n500-d500", "event"),
    "adrip": Scenario("astream", "mock-n500-d500", "event"),
    "conc": Scenario("conc", "mock", "call", budget=3.0),
    "chat": Scenario("call", "mock", "call", api="chat"),
    "achat": Scenario("acall", "mock", "call", api="chat"),
    "chat1k": Scenario("stream", "mock-n1000", "delta", target=1.15, api="chat", deltas=1000),
    "achat1k": Scenario("astream", "mock-n1000", "delta", target=1.15, api="chat", deltas=1000),
    "chatdrip": Scenario("stream", "mock-n500-d500", "delta", api="chat", deltas=500),
    "achatdrip": Scenario("astream", "mock-n500-d500", "delta", api="chat", deltas=500),
}
IMPORTS = "imports"
IMPORT_TARGETS = {"import antiphon": 1.3}

Rounds = dict[str, list[dict[str, float]]]


class WorkerProcess:
    """A peer's process. `asked` answers with figures, or with {"error": ...}."""

    def __init__(self, python: str, api: str, peer: str, url: str, errors: IO[str]) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / "worker.py"), api, peer, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(),
        )
        self.hello = self._read()

    def asked(self, **command: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return {"error": "its process has ended"}
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found: dict[str, Any] = json.loads(line) if line else {"error": "its process has ended"}
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a peer: no proxy between it and the mock host."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    return {**kept, **ENVIRONMENT, **more}


@contextmanager
def mock_host() -> Iterator[str]:
    """Start the mock host; yield its address."""
    process = subprocess.Popen([sys.executable, str(HERE / "mock_host.py")], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def started(api: str, pythons: dict[str, str]) -> Iterator[dict[str, WorkerProcess]]:
    """Start the mock host and the peers that can call this API of it; yield the peers."""
    with mock_host() as url, tempfile.TemporaryFile("w") as errors, ExitStack() as stack:
        workers: dict[str, WorkerProcess] = {}
        for peer, python in pythons.items():
            if peer not in APIS[api]:
                print(f"left out: {peer}: it has no bridge to {api} hosts", flush=True)
                continue
            worker = WorkerProcess(python, api, peer, url, errors)
            stack.callback(worker.close)
            if "error" in worker.hello:
                print(f"left out: {peer}: {worker.hello['error']}", flush=True)
            else:
                workers[peer] = worker
        yield workers


def measure(scenario: Scenario, workers: dict[str, WorkerProcess], rounds: int, budget_s: float, width: int) -> Rounds:
    """Return each peer's figures, one per round."""

    def asked(peer: str, units: int) -> dict[str, Any]:
        figures = workers[peer].asked(
            operation=scenario.operation, model=scenario.model, units=units, in_flight=min(width, units)
        )
        return figures if scenario.deltas is None or "error" in figures else per_delta(figures, scenario.deltas)

    least = width if scenario.operation == "conc" else 1
    units: dict[str, int] = {}
    for peer in workers:
        first = asked(peer, least)  # connects and loads what is loaded late
        second = first if "error" in first else asked(peer, least)
        if "error" in second:
            print(f"left out: {peer}: {second['error']}", flush=True)
            continue
        seconds = second["wall_us"] * second["count"] / second["units"] / 1e6
        units[peer] = max(least, min(20_000, int(budget_s * scenario.budget / seconds)))
    figures: Rounds = {peer: [] for peer in units}
    for _ in range(rounds):
        for peer in random.sample(list(units), len(units)):
            figures[peer].append(asked(peer, units[peer]))
    return figures


def per_delta(figures: dict[str, Any], deltas: int) -> dict[str, Any]:
    """Return figures per event as figures per delta that the host has sent; libraries make other numbers of events."""
    events, count = figures["count"], figures["units"] * deltas
    shares = {name: figures[name] * events / count for name in ("cpu_us", "wall_us")}
    return {**figures, **shares, "count": count, "events": events}


_IMPORT_PROBE = """
import os, sys, time
modules, cpu, wall = len(sys.modules), time.process_time(), time.perf_counter()
{statement}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
modules = len(sys.modules) - modules
sys.path.insert(0, {here!r})
from measuring import rss_kib
sys.__stdout__.write(f"\\n@@ {{wall * 1e6}} {{cpu * 1e6}} {{modules}} {{rss_kib()}}")
"""


def measure_imports(pythons: dict[str, str], rounds: int) -> dict[str, Rounds]:
    """Return by peer and statement the figures of fresh processes, one per round; byte code is cached beforehand."""
    statements = {"python": ("pass",), **{peer: PEERS[peer].imports for peer in pythons}}
    figures: dict[str, Rounds] = {
        peer: {statement: [] for statement in statements[peer]} for peer in statements if statements[peer]
    }
    jobs = [(peer, statement) for peer, found in figures.items() for statement in found]
    failed: set[str] = set()
    with tempfile.TemporaryDirectory() as cache:
        env = environment(PYTHONPYCACHEPREFIX=cache, PYTHONDONTWRITEBYTECODE="")
        for number in range(rounds + 1):  # the first round fills the cache
            for peer, statement in random.sample(jobs, len(jobs)):
                if peer in failed:
                    continue
                script = _IMPORT_PROBE.format(statement=statement, here=str(HERE))
                command = [pythons.get(peer, sys.executable), "-c", script]
                done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
                if done.returncode != 0:
                    print(f"left out: {peer}: {done.stderr.strip().splitlines()[-1]}", flush=True)
                    failed.add(peer)
                elif number:
                    values = map(float, done.stdout.rpartition("@@")[2].split())
                    figures[peer][statement].append(
                        dict(zip(("wall_us", "cpu_us", "modules", "rss_kib"), values, strict=True))
                    )
    return {peer: found for peer, found in figures.items() if peer not in failed}


def median(figures: list[dict[str, float]], name: str) -> float:
    return statistics.median(figure[name] for figure in figures)


def ratio(figures: list[dict[str, float]], base: list[dict[str, float]]) -> float | None:
    """Return the median of the per-round ratios of CPU time."""
    pairs = zip(figures, base, strict=False)
    found = [one["cpu_us"] / other["cpu_us"] for one, other in pairs if "cpu_us" in one and "cpu_us" in other]
    return statistics.median(found) if found else None


def show_calls(results: dict[str, Rounds]) -> None:
    rows: list[list[object]] = []
    for name, figures in results.items():
        base = figures.get(BASE, [])
        lines: list[tuple[float, list[object]]] = []
        for peer, found in figures.items():
            good = [figure for figure in found if "error" not in figure]
            if not good:
                print(f"left out: {peer} in {name}: {found[0]['error']}")
                continue
            times = ratio(found, base)
            target = SCENARIOS[name].target if peer == "antiphon" else None
            cpu, wall = median(good, "cpu_us"), median(good, "wall_us")
            least = min(figure["cpu_us"] for figure in good)
            lines.append((cpu, [name, peer, times, _target(target), cpu, least, wall, SCENARIOS[name].unit]))
        rows += [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    columns = ("scenario", "peer", "× httpx", "target", "CPU µs", "CPU µs min", "wall µs", "per")
    print(f"\n{table(columns, rows)}")


def show_imports(results: dict[str, Rounds]) -> None:
    base = results.get(BASE, {}).get("import httpx", [])
    lines: list[tuple[float, list[object]]] = []
    for peer, statements in results.items():
        for statement, found in statements.items():
            cpu, wall = median(found, "cpu_us") / 1e3, median(found, "wall_us") / 1e3
            least = min(figure["cpu_us"] for figure in found) / 1e3
            rss, modules = median(found, "rss_kib") / 1024, int(median(found, "modules"))
            target = _target(IMPORT_TARGETS.get(statement))
            lines.append((cpu, [statement, peer, ratio(found, base), target, cpu, least, wall, modules, rss]))
    rows = [line for _, line in sorted(lines, key=lambda pair: pair[0])]
    columns = (
        "in a fresh process",
        "peer",
        "× httpx",
        "target",
        "CPU ms",
        "CPU ms min",
        "wall ms",
        "modules",
        "RSS MiB",
    )
    print(f"\n{table(columns, rows)}")


def _target(value: float | None) -> str | None:
    return None if value is None else f"≤ {value}"


def pairs(text: str) -> dict[str, str]:
    """Read "NAME=PYTHON,NAME=PYTHON"."""
    found = dict(pair.split("=", 1) for pair in text.split(",") if pair)
    if unknown := found.keys() - PEERS.keys():
        raise argparse.ArgumentTypeError(f"no peer {', '.join(unknown)}; peers: {', '.join(PEERS)}")
    return found


def names(known: list[str]) -> Any:
    """Return the reader of a comma-separated list of known names."""

    def read(text: str) -> list[str]:
        found = [name for name in text.split(",") if name]
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
        return found

    return read


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*SCENARIOS, IMPORTS]
    parser.add_argument("--peers", type=names(list(PEERS)), default=list(PEERS), metavar="NAME,…")
    parser.add_argument("--scenarios", type=names(known), default=known, metavar="NAME,…", help=", ".join(known))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--budget", type=float, default=0.4, metavar="S", help="seconds of one measurement")
    parser.add_argument("--in-flight", type=int, default=200, metavar="N", help="calls at once in conc")
    parser.add_argument(
        "--venv",
        type=pairs,
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"run a peer with the Python of an environment of its own; also {VENVS_VARIABLE}=NAME=PYTHON,…",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", default=RESULTS, help="every round's figures go here")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    pythons = dict.fromkeys(options.peers, sys.executable) | pairs(os.environ.get(VENVS_VARIABLE, ""))
    for given in options.venv:
        pythons |= given
    pythons = {peer: pythons[peer] for peer in options.peers}
    print(f"{machine()}; {options.rounds} rounds", flush=True)
    results: dict[str, Any] = {}
    scenarios = [name for name in options.scenarios if name != IMPORTS]
    for api in APIS:
        chosen = [name for name in scenarios if SCENARIOS[name].api == api]
        if not chosen:
            continue
        with started(api, pythons) as workers:
            for name in chosen:
                print(f"measuring {name}", file=sys.stderr, flush=True)
                results[name] = measure(SCENARIOS[name], workers, options.rounds, options.budget, options.in_flight)
    if scenarios:
        show_calls(results)
    if IMPORTS in options.scenarios:
        print("measuring imports", file=sys.stderr, flush=True)
        results[IMPORTS] = measure_imports(pythons, options.rounds)
        show_imports(results[IMPORTS])
    print(f"\n{machine()}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": machine(), "rounds": options.rounds, "results": results}))


if __name__ == "__main__":
    main()
