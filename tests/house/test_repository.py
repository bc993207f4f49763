"""What must not be in the repository, and that the pinned requirements are whole."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import antiphon

ROOT = Path(__file__).parents[2]

# Written so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.-])/(?:[r]oot|[w]ork|[h]ome/\w+|[U]sers/\w+)/|[A-Z]:\\[U]sers\\")
INDEX = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs[.]|--(?:extra-)?index[-]url|--find[-]links")

# What each pinned file holds: extras and dependency groups beside the run-time dependencies, as `make lock` says.
PINNED = {
    "test.txt": ((), ("test", "build")),
    "demo.txt": (("local",), ("demo", "build")),
    "dev.txt": (("local",), ("demo", "dev")),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """The repository's text files by name: those that git tracks, and those that it would take."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = {}
    for name in sorted(set(listing.stdout.split("\0")) - {""}):
        path = ROOT / name
        if path.is_file():
            data = path.read_bytes()
            if b"\0" not in data:
                found[name] = data.decode("utf-8")
    return found


@pytest.mark.parametrize("pattern", [MACHINE_PATH, INDEX], ids=["machine path", "package index"])
def test_no_text_file_names(texts: dict[str, str], pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()[:160]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]

    assert not found, "\n" + "\n".join(found)


def test_no_text_file_names_the_folder_of_this_checkout(texts: dict[str, str]) -> None:
    found = [name for name, text in texts.items() if f"{ROOT}/" in text]

    assert not found


def pins(file: str) -> dict[str, tuple[Requirement, str]]:
    """Return name → (requirement, its hash lines) of one pinned file."""
    entries = (ROOT / "requirements" / file).read_text().replace("\\\n", " ").splitlines()
    found: dict[str, tuple[Requirement, str]] = {}
    for entry in entries:
        if entry.strip() and not entry.startswith("#"):
            spec, _, hashes = entry.partition("--hash")
            requirement = Requirement(spec.strip())
            found[canonicalize_name(requirement.name)] = (requirement, f"--hash{hashes}")
    return found


def group(settings: dict[str, list[object]], name: str) -> list[str]:
    wanted: list[str] = []
    for entry in settings[name]:
        wanted += group(settings, entry["include-group"]) if isinstance(entry, dict) else [str(entry)]
    return wanted


@pytest.mark.parametrize("file", PINNED)
def test_each_pin_is_exact_and_has_its_hashes(file: str) -> None:
    for requirement, hashes in pins(file).values():
        assert [clause.operator for clause in requirement.specifier] == ["=="], requirement
        assert re.fullmatch(r"(--hash=sha256:[0-9a-f]{64}\s*)+", hashes), requirement


@pytest.mark.parametrize("file", PINNED)
def test_the_pins_satisfy_the_project_file(file: str) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = PINNED[file]
    wanted = list(settings["project"]["dependencies"])
    for extra in extras:
        wanted += settings["project"]["optional-dependencies"][extra]
    for name in groups:
        wanted += group(settings["dependency-groups"], name)
    pinned = pins(file)

    for text in wanted:
        requirement = Requirement(text)
        pin, _ = pinned[canonicalize_name(requirement.name)]
        version = next(iter(pin.specifier)).version
        assert requirement.specifier.contains(version, prereleases=True), f"{text}, pinned: {pin}; run `make lock`"


def test_every_pinned_file_is_checked_here() -> None:
    assert {path.name for path in (ROOT / "requirements").glob("*.txt")} == set(PINNED)


def test_the_package_has_the_version_of_its_release() -> None:
    assert antiphon.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
