"""pytest's plugin: fixtures for tests of code that uses this library. pytest finds it by itself; see docs/testing.md.

Nothing else of this library is loaded before a test asks for one of the fixtures.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .testing import CassetteClients, FaultyClient, ScriptedClient

_PASSED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("antiphon").addoption(
        "--antiphon-record",
        choices=("none", "missing", "all"),
        default=os.environ.get("ANTIPHON_RECORD", "none"),
        help="what antiphon_cassette records by asking the real hosts: nothing, what has no recording yet, or "
        "everything anew (default: the environment variable ANTIPHON_RECORD, else none)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[_PASSED] = report.passed
    return report


@pytest.fixture
def antiphon_scripted() -> Generator[Callable[..., ScriptedClient]]:
    """Make clients that answer from a script: `antiphon_scripted("Hello!")`, as `antiphon.testing.scripted`."""
    from .testing import scripted

    with ExitStack() as stack:
        yield lambda *answers, **settings: stack.enter_context(scripted(*answers, **settings))


@pytest.fixture
def antiphon_faulty() -> Generator[Callable[..., FaultyClient]]:
    """Make clients whose host fails: `antiphon_faulty(Fault(cut_after=3))`, as `antiphon.testing.faulty`."""
    from .testing import faulty

    with ExitStack() as stack:
        yield lambda *steps, **settings: stack.enter_context(faulty(*steps, **settings))


@pytest.fixture
def antiphon_no_network() -> Generator[None]:
    """Make every request to another machine an error, as `antiphon.testing.no_network`."""
    from .testing import no_network

    with no_network():
        yield


@pytest.fixture
def antiphon_cassette(request: pytest.FixtureRequest) -> Generator[CassetteClients]:
    """Make clients whose answers are recorded once: `antiphon_cassette(chain, ignore=("metadata",))`.

    The recordings stand beside the test, in cassettes/<file>/<test>.jsonl, with keys masked. What a passing test did
    not ask for is reported by an `UnusedRecordings` warning.
    """
    from .testing import CassetteClients, UnusedRecordings

    name = re.sub(r"[^\w.\[\]-]", "_", request.node.name)
    path = request.path.parent / "cassettes" / request.path.stem / name
    record: Any = request.config.getoption("--antiphon-record")
    clients = CassetteClients(path, record)
    yield clients
    clients.close()
    if request.node.stash.get(_PASSED, False):
        for line in clients.unused():
            warnings.warn(line, UnusedRecordings, stacklevel=1)
