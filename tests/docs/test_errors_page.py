"""The tree and the facts in docs/errors.md are made from the classes; `make pages` writes them.

Causes are by hand, and every class has a row of them, to which its errors lead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_tables import explained, names, ruled

from antiphon import errors
from antiphon.mcp import errors as mcp_errors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
BEGIN, END = "<!-- made from the classes -->", "<!-- end -->"
HOMES = (errors.__name__, mcp_errors.__name__)


def page(text: str) -> str:
    """Return the page as it should be: its prose, with the tree and the facts of today."""
    head, _, rest = text.partition(BEGIN)
    return "\n".join([f"{head}{BEGIN}", "", *made(), "", END]) + rest.partition(END)[2]


def made() -> Iterator[str]:
    yield from ("```text", *tree(errors.AntiphonError, "", ""), "```", "")
    yield "*repeated*: worth another try, which Retry makes of what it sees (of a stream until its first content)."
    yield from ("", "Some have facts of their own:", "")
    rows = [
        (f"`{kind.__name__}`", names(found), meaning)
        for kind in kinds(errors.AntiphonError)
        for found, meaning in explained(kind)
    ]
    yield from ruled(("class", "attribute", "meaning"), [row for row in rows if row[0] != "`AntiphonError`"])


def subclasses(kind: type[errors.AntiphonError]) -> list[type[errors.AntiphonError]]:
    """Return the direct ones, those with several bases under the first of them."""
    return [sub for sub in kind.__subclasses__() if sub.__module__ in HOMES and sub.__bases__[0] is kind]


def kinds(kind: type[errors.AntiphonError]) -> list[type[errors.AntiphonError]]:
    return [kind, *(one for sub in subclasses(kind) for one in kinds(sub))]


def tree(kind: type[errors.AntiphonError], first: str, further: str) -> Iterator[str]:
    """Yield the lines of a class and those under it.

    Args:
        first, further: what stands before the class itself, and before the lines under it.
    """
    builtins = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
    marks = [f"also a {name}" for name in builtins] + (["repeated"] if kind.retries else [])
    place = first + ("antiphon.mcp." if kind.__module__ == mcp_errors.__name__ else "") + kind.__name__
    yield f"{place:<42} {', '.join(marks)}".rstrip()
    under = subclasses(kind)
    for sub in under:
        is_last = sub is under[-1]
        yield from tree(sub, further + ("└── " if is_last else "├── "), further + ("    " if is_last else "│   "))


def test_the_page_says_what_the_classes_do() -> None:
    text = PAGE.read_text("utf-8")

    assert text == page(text), "write it again: make pages"


def test_every_class_is_in_the_tree_that_the_module_draws() -> None:
    drawn = re.findall(r"^[ │├└─]*(\w+)", (errors.__doc__ or "").partition("AntiphonError\n")[2], re.MULTILINE)

    assert {kind.__name__ for kind in kinds(errors.AntiphonError) if kind.__module__ == errors.__name__} - {
        *drawn,
        "AntiphonError",
    } == set()


@pytest.mark.parametrize("kind", kinds(errors.AntiphonError), ids=lambda kind: kind.__name__)
def test_every_error_leads_to_its_row(kind: type[errors.AntiphonError]) -> None:
    page, _, anchor = kind("what").docs.partition("#")

    rows = re.findall(r'^\| <a id="(\w+)"></a>`(\w+)` \| \S', (ROOT / page).read_text("utf-8"), re.MULTILINE)
    assert [name for place, name in rows if place == anchor] == [kind.__name__]


def test_an_error_class_of_a_user_leads_to_the_row_of_its_nearest_base() -> None:
    class Mine: ...

    class NoCredit(Mine, errors.BillingError): ...

    class NoCreditHere(NoCredit): ...

    assert NoCreditHere("x").docs == "docs/errors.md#billingerror"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
