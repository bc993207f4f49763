"""Arguments of a call in pieces, which come when `extra_body` asks for `streamFunctionCallArguments`.

The first piece has the name; each has values by their JSON paths ("$.address.lines[0]"), texts in pieces of their own;
one without `willContinue` is the last. Nothing of the call is shown before that, as pieces need not come in the order
that JSON text has.

Source: the types of google-genai 3.4 (PartialArg), read 2026-11; no recording has it.
"""

from __future__ import annotations

import re
from typing import Any, Final

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")
_GAP: Final = 1000  # so many members of a list may be missing; more than that is no list
_VALUES: Final = ("stringValue", "numberValue", "boolValue", "nullValue")


class PartialCall:
    """A call whose arguments are not whole yet."""

    __slots__ = ("_args", "_first", "signature")

    def __init__(self, first: dict[str, Any], signature: str | None) -> None:
        self._first = first
        self._args: dict[str, Any] = {}
        self.signature = signature

    @property
    def whole(self) -> dict[str, Any]:
        """The call as it would have come in one piece."""
        return {"id": self._first.get("id"), "name": self._first.get("name"), "args": self._args}

    def add(self, piece: dict[str, Any]) -> bool:
        """Take a piece, tell whether it is the last."""
        if isinstance(args := piece.get("args"), dict):
            self._args.update(args)
        for part in piece.get("partialArgs") or ():
            steps = [name or quoted or int(index) for name, index, quoted in _STEP.findall(part.get("jsonPath") or "")]
            found = next((field for field in _VALUES if field in part), None)
            if steps and found is not None:
                _put(self._args, steps, None if found == "nullValue" else part[found])
        return not piece.get("willContinue")


def _put(root: dict[str, Any], steps: list[Any], value: Any) -> None:
    """Set a value inside of objects and lists, which are made on the way; a text is added to the one that is there."""
    into: Any = root
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if not isinstance(into, list if isinstance(step, int) else dict) or _is_beyond(into, step):
            return  # the path does not fit what came before
        known = _get(into, step)
        if following is None:
            known = known + value if isinstance(known, str) and isinstance(value, str) else value
        elif known is None:
            known = [] if isinstance(following, int) else {}
        into[step] = known
        into = known


def _is_beyond(into: Any, step: str | int) -> bool:
    return isinstance(step, int) and step > len(into) + _GAP


def _get(into: Any, step: str | int) -> Any:
    """Return what is at a place; a list is made long enough to have it."""
    if isinstance(step, str):
        return into.get(step)
    into.extend([None] * (step + 1 - len(into)))
    return into[step]
