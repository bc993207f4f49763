"""Sphinx's settings; `make docs` runs it by `docs/website.py`, which lays the pages out first."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from typing import Any

import antiphon

project = "Antiphon"
author = "Antiphon developers"
version = release = antiphon.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
highlight_language = "none"

myst_heading_anchors = 4

# Docstrings: sections as `Args:` and `Raises:`, single backticks for code.
napoleon_numpy_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"Antiphon {version}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["antiphon.css"]
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#7a3b12", "color-brand-content": "#8a4415"},
    "dark_css_variables": {"color-brand-primary": "#e0a477", "color-brand-content": "#e8b48c"},
}
pygments_style = "tango"
pygments_dark_style = "github-dark"

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
    pieces = _CODE.split(line)
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = re.sub(r"(?<!:)\*|(?<=\w)_(?=\W|$)", lambda found: "\\" + found[0], piece)
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
