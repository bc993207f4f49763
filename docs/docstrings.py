"""A Sphinx extension: docstrings in the style of the house, as reStructuredText.

In them a single backtick is code, an indented block is an example, and sections have the form that napoleon reads.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from typing import Any

import antiphon

_CODE = re.compile(r"(?<![`\w:])`([^`\n]+)`(?!`)")
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")


def as_restructured_text(lines: list[str]) -> list[str]:
    """Return a docstring of the house as reStructuredText: code in backticks, indented blocks as what they are."""
    found: list[str] = []
    in_section = in_block = False
    for index, line in enumerate(lines):
        is_indented = line.startswith("    ")
        if line and not is_indented:
            in_section, in_block = bool(_SECTION.match(line)), False
        if is_indented and not in_section and not in_block and found and not found[-1].strip():
            block = itertools.takewhile(lambda one: not one or one.startswith("    "), lines[index:])
            found += [".. code-block:: " + language(textwrap.dedent("\n".join(block))), ""]
            in_block = True
        found.append(line if in_block else marked_up(line))
    return found


def language(block: str) -> str:
    """Return the language in which a block of a docstring is to be coloured."""
    if block.startswith(">>> "):
        return "pycon"
    try:
        ast.parse(block)
    except SyntaxError:
        return "none"
    return "python"


def marked_up(line: str) -> str:
    """Return a line with its code as roles and literals, and without what else would be markup."""
    pieces = _CODE.split(line)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            begins_inside_a_word = index > 0 and piece[:1].isalnum()
            pieces[index] = ("\\ " if begins_inside_a_word else "") + re.sub(
                r"(?<!:)\*|(?<=\w)_(?=\W|$)", lambda found: "\\" + found[0], piece
            )
        else:
            name = piece.removeprefix("antiphon.")
            pieces[index] = f":py:obj:`~antiphon.{name}`" if name in antiphon.__all__ else f"``{piece}``"
    return "".join(pieces)


def setup(app: Any) -> None:
    def convert(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
        lines[:] = as_restructured_text(lines)
        if what == "property" and lines:
            lines[0] = lines[0].replace(": ", " – ")  # napoleon takes what stands before a colon for a type

    app.connect("autodoc-process-docstring", convert, priority=1)  # before napoleon reads the sections
