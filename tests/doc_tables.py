"""Tables of the pages that are made from the code: Markdown, and what the docstring of a class says of its fields."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence


def ruled(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [line(heads), line(["---"] * len(heads)), *map(line, rows)]


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def names(found: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in found)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def explained(kind: type) -> list[tuple[list[str], str]]:
    """Return what the `Args:` of a class say: the names that share a meaning, and the meaning."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("Args:\n")[2]
    entries: list[tuple[list[str], str]] = []
    for raw in text.splitlines():
        if raw and not raw.startswith(" "):
            break  # the next part of the docstring
        if raw.startswith(" " * 8) and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {raw.strip()}")
        elif raw.strip():
            named, _, meaning = raw.strip().partition(": ")
            entries.append((named.split(", "), meaning))
    return [(found, cell(meaning.rstrip("."))) for found, meaning in entries]
