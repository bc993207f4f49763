"""The pages tell the truth: their Python runs, prints what they show, and their links lead somewhere.

The ```python blocks of one page run in order in one namespace, offline. A ```text block right after one is what it
prints, with "…" for whatever differs from run to run; a line of "…" alone stands for any lines. A block that needs the
network or the local model is fenced as ```python no-run, and its first line is a comment that says why.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import antiphon
from antiphon.providers import catalog

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKED_PAGES = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md")),
]

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """One fenced block.

    Args:
        info: what stands behind the opening fence, e.g. "python no-run".
        line: number of the body's first line in the page.
        follows: whether only blank lines stand between it and the block before.
    """

    info: str
    body: str
    line: int
    follows: bool


def blocks(page: Path) -> Iterator[Block]:
    text, end = page.read_text("utf-8"), 0
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("body")) + 1
        yield Block(found["info"].strip(), found["body"], line, end > 0 and not text[end : found.start()].strip())
        end = found.end()


def line_pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:[^\n]*\n)*"
    return re.escape(line).replace("…", r"[^\n]*") + r"\n"


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.fixture
def tidy() -> Iterator[None]:
    """Undo what blocks do to the process: the default client, log lines on a stderr that is pytest's, providers."""
    logger = logging.getLogger("antiphon")
    before, known = (logger.handlers[:], logger.level, logger.propagate), catalog._catalogue
    yield
    catalog._catalogue = known
    logger.handlers[:], logger.level, logger.propagate = before
    antiphon.close()


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_the_python_of_a_page_runs_and_prints_what_the_page_shows(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A module of its own, since stages look their annotations up in the module that they are written in.
    module = types.ModuleType("snippets")
    monkeypatch.setitem(sys.modules, "snippets", module)
    printed: str | None = None

    for block in blocks(page):
        where = f"{relative(page)}:{block.line}"
        if block.info == "python":
            code = compile("\n" * (block.line - 1) + block.body, str(page), "exec", dont_inherit=True)
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(code, module.__dict__)
            printed = out.getvalue()
        elif block.info.startswith("python"):
            assert block.info == "python no-run", where
            assert block.body.startswith("# "), f"{where}: the first line must say why it is not run"
            printed = None
        elif block.info == "text" and block.follows and printed is not None:
            shown = "".join(line_pattern(line) for line in block.body.splitlines())
            assert re.fullmatch(shown, printed.rstrip() + "\n"), (
                f"{where} shows\n{block.body}\nand it prints\n{printed}"
            )
            printed = None


@pytest.mark.parametrize("page", LINKED_PAGES, ids=relative)
def test_the_links_of_a_page_lead_to_files_and_headings(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    broken = [
        target
        for target in (found["target"] for found in LINK.finditer(text))
        if not re.match(r"[a-z]+:", target) and not leads_somewhere(page, target)
    ]

    assert not broken


def leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists() or not path.is_relative_to(ROOT):
        return False
    return not anchor or anchor in headings(path)


def headings(page: Path) -> set[str]:
    """Return the anchors of a page's headings: in lower case, spaces as dashes, other marks left out."""
    text = FENCE.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_every_page_of_the_docs_is_listed_in_the_index_once() -> None:
    docs = ROOT / "docs"

    listed = re.findall(r"^- \[[^\]]+\]\(([\w./-]+)\): ", (docs / "index.md").read_text("utf-8"), re.MULTILINE)

    there = [page.relative_to(docs).as_posix() for page in docs.rglob("*.md")]
    assert sorted([*listed, "index.md"]) == sorted(there)
