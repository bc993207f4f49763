"""HTML that is safe by construction: text is escaped when it becomes part of a page, and only there."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()

    def __add__(self, other: str) -> Html:
        return Html(str.__add__(self, text(other)))


def tag(name: str, *inside: str | None, **attributes: str | bool | None) -> Html:
    """Return an element: what is inside is escaped unless it is `Html`, None is left out.

    Args:
        name: of the element.
        inside: texts and elements.
        attributes: `class_` for class; True stands alone, as in `<details open>`; False and None are left out.
    """
    said = "".join(
        f" {key.rstrip('_')}" if value is True else f' {key.rstrip("_")}="{escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{said}>{''.join(text(one) for one in inside if one is not None)}</{name}>")


def text(value: str) -> Html:
    """Return text as HTML that shows it; half a character as the escape that stands for it."""
    if isinstance(value, Html):
        return value
    return Html(escape(value.encode(errors="backslashreplace").decode(), quote=False))


def joined(parts: Iterable[Html]) -> Html:
    """Return elements one after the other."""
    return Html("".join(parts))
