"""Which call of the API a method and a path mean."""

from __future__ import annotations

from typing import cast

import msgspec

from ..pipeline.api.params import Operation
from .refusal import Refused


class Route(msgspec.Struct, frozen=True):
    """What is asked for.

    Args:
        call: a call of the API, or what the server answers by itself.
        name: the id of the response, or the name of the model; "" where the path has none.
    """

    call: str
    name: str = ""

    @property
    def operation(self) -> Operation:
        """The call, where it is one of the API."""
        return cast(Operation, self.call)


# What stands behind /responses/ (or the id) → method → call.
_ONE = {"GET": "get", "DELETE": "delete"}
_OF_ONE = {"cancel": {"POST": "cancel"}, "input_items": {"GET": "list_input_items"}}
_FIXED = {
    "/responses": {"POST": "create"},
    "/responses/compact": {"POST": "compact"},
    "/responses/input_tokens": {"POST": "count_input_tokens"},
    "/models": {"GET": "models"},
    "/health": {"GET": "health"},
}


def route_of(method: str, path: str) -> Route:
    """Return what is asked for.

    Raises:
        Refused: there is no such path (404), or not by this method (405).
    """
    methods, name = _methods_at(path)
    if methods is None:
        raise Refused(404, f"there is no {path[:200]} here", code="not_found")
    if method not in methods:
        allowed = ", ".join(methods)
        raise Refused(405, f"{path[:200]} takes {allowed}", code="method_not_allowed", headers=(("allow", allowed),))
    return Route(methods[method], name)


def _methods_at(path: str) -> tuple[dict[str, str] | None, str]:
    if path in _FIXED:
        return _FIXED[path], ""
    if path.startswith("/models/"):
        return {"GET": "model"}, path.removeprefix("/models/")
    if not path.startswith("/responses/"):
        return None, ""
    name, _, rest = path.removeprefix("/responses/").partition("/")
    if not name:
        return None, ""
    return (_OF_ONE.get(rest) if rest else None if path.endswith("/") else _ONE), name
