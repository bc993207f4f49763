"""Reads wire objects through and through, as a user would who looks at every attribute."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.pipeline.api.wire import Lazy, Wire


def walk(value: object) -> Iterator[Wire]:
    """Yield every wire object in `value`, outermost first, after reading all its attributes."""
    if isinstance(value, Wire):
        read = [getattr(value, name) for name in attributes(type(value))]
        yield value
        for each in read:
            if each is not value:  # an event that is its own original
                yield from walk(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from walk(each)


def attributes(cls: type[Wire]) -> list[str]:
    """Return the names of a wire class's public attributes: fields, views and properties."""
    views = {name for base in cls.__mro__ for name, view in vars(base).items() if isinstance(view, Lazy | property)}
    fields = {name for name in cls.__struct_fields__ if not name.endswith("_json")}
    return sorted(name for name in views | fields if not name.startswith("_"))
