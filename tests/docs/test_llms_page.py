"""docs/llms.txt is docs/index.md in the form of llmstxt.org (read 2026-11); `make pages` writes it.

A heading, a summary as a quotation, some words, and sections of links with notes. The section "Optional" holds what a
short context may leave out.
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "llms.txt"

WORDS = """\
Import name and distribution: `antiphon`. `model` is "provider/model"; `scripted/echo` answers offline. Parameters have
the names of the Responses API. Functions of sync code have async twins with an `a` in front. Every Python block of the
pages below runs as it stands, in the order of its page, unless it is marked "no-run"."""


def page() -> str:
    """Return the page as it should be."""
    index = (DOCS / "index.md").read_text("utf-8")
    summary = " ".join(index.partition("\n\n")[2].partition("\n\n")[0].split())
    lists = index[index.index("## ") :].replace("## Project\n", "## Optional\n")
    return f"# Antiphon\n\n> {summary}\n\n{WORDS}\n\n{lists}"


def test_the_page_says_what_the_index_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it again: make pages"


def test_the_page_has_the_form_of_llmstxt() -> None:
    head, _, lists = PAGE.read_text("utf-8").partition("\n## ")

    entry = r"- \[[^\]]+\]\([\w./-]+\.md\): \S.*\n"
    assert re.match(r"# Antiphon\n\n> \S.*\n\n", head)
    assert re.fullmatch(rf"(?:[A-Z]\w+\n\n(?:{entry})+(?:\n## |\Z))+", lists)
    assert lists.rpartition("\n## ")[2].startswith("Optional\n")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
