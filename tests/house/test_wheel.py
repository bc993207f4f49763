"""What a release holds: built through the sdist, as a release is, from a copy of what git would take."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from email import message_from_bytes
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDERS = ("commands", "mcp", "pipeline", "providers", "serve", "stages", "testing")


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command and return its stdout; its whole output is in the failure."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONSAFEPATH": "1", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


class Release(NamedTuple):
    tree: Path
    sdist: Path
    wheel: Path

    def package_files(self) -> set[str]:
        """The package's files in the tree, by their names in a wheel."""
        inside = [path for folder in FOLDERS for path in (self.tree / folder).rglob("*") if path.is_file()]
        inside += [*self.tree.glob("*.py"), self.tree / "py.typed"]
        return {f"antiphon/{path.relative_to(self.tree).as_posix()}" for path in inside}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    tree = tmp_path_factory.mktemp("release") / "tree"
    for name in run("git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).split(
        "\0"
    ):
        if name and (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    out = tree.parent / "dist"
    run(sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", out, tree, cwd=tree.parent)
    [sdist], [wheel] = out.glob("*.tar.gz"), out.glob("*.whl")
    return Release(tree, sdist, wheel)


def test_the_wheel_holds_exactly_the_files_of_the_package(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        names = set(wheel.namelist())

    held = {name for name in names if not name.startswith("antiphon-")}

    assert held == release.package_files()
    assert "antiphon/py.typed" in held
    assert not [name for name in names if "/tests/" in name or "/examples/" in name]


def test_the_wheel_says_what_it_needs_and_under_which_licence(release: Release) -> None:
    with zipfile.ZipFile(release.wheel) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(wheel.read(name))
        licences = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]

    needs = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {need.name for need in needs if need.marker is None}

    assert metadata["Name"] == "antiphon"
    assert metadata["License-Expression"] == "MIT"
    assert always == {"anyio", "httpcore", "httpx", "msgspec", "structlog", "tenacity"}
    assert len(licences) == 1


def test_the_source_release_can_be_tested(release: Release) -> None:
    with tarfile.open(release.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}

    assert {"Makefile", "pyproject.toml", "requirements/test.txt", "tests/house/test_wheel.py"} <= names


def test_the_official_sdk_keeps_its_name_beside_the_installed_wheel(release: Release, tmp_path: Path) -> None:
    run(
        *(sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps", "--no-index"),
        *("--target", tmp_path, release.wheel),
        cwd=tmp_path,
    )
    program = (
        "import importlib.metadata, antiphon.mcp, mcp\n"
        "sdk = importlib.metadata.distribution('mcp').locate_file('mcp/__init__.py')\n"
        "print(antiphon.__file__)\n"
        "print(antiphon.mcp.__file__)\n"
        "print(mcp.__file__ == str(sdk) and hasattr(mcp, 'ClientSession'))\n"
    )

    lines = run(sys.executable, "-P", "-c", program, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}).splitlines()

    top = {path.name for path in tmp_path.iterdir()}
    assert {name for name in top if not name.endswith(".dist-info")} == {"antiphon", "bin"}
    assert [path.name for path in (tmp_path / "bin").iterdir()] == ["antiphon"]
    assert lines == [
        str(tmp_path / "antiphon" / "__init__.py"),
        str(tmp_path / "antiphon" / "mcp" / "__init__.py"),
        "True",
    ]
