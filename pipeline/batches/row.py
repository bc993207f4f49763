"""The rows of a batch: what goes in, what is under way, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ..api.params import NAMES
from ..api.response import Response
from ..errors import InvalidParameter, RowFailed, message_of
from ..reply import Dropped
from ..secret import mask

Translate: TypeAlias = "Callable[[dict[str, Any]], tuple[dict[str, Any], list[Dropped]]]"


class Row(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One row of a batch that is done.

    Args:
        index: its place among the inputs, from 0.
        request: the input, as the source gave it.
        response: what the chain gave back; None where the row failed.
        error: what it raised; None where it did not.
        is_kept: whether it comes from the checkpoint, and nothing was asked for it in this run.
    """

    index: int
    request: Any
    response: Response | None = None
    error: Exception | None = None
    is_kept: bool = False

    @property
    def result(self) -> Response | Exception:
        """The response, or the error in its place."""
        if self.response is not None:
            return self.response
        assert self.error is not None
        return self.error


class Item(msgspec.Struct, frozen=True):
    """One row on its way.

    Args:
        keywords: of its call, those of all rows included.
        dropped: what an entry point had to leave out of them.
        key: what tells it from other requests, for the checkpoint; b"" without one.
    """

    index: int
    request: Any
    keywords: dict[str, Any]
    dropped: tuple[Dropped, ...] = ()
    key: bytes = b""


class RowCalls:
    """Makes calls of rows.

    Args:
        common: the keywords of all rows.
        translate: turns keywords into this library's, and says what it leaves out.

    Attributes:
        common: the same in this library's terms.

    Raises:
        CallError: keywords that no call of a batch can have.
    """

    def __init__(self, common: Mapping[str, Any], translate: Translate | None = None) -> None:
        self._translate = translate
        self.common, self._dropped = self.own(common)

    def own(self, request: Any) -> tuple[dict[str, Any], tuple[Dropped, ...]]:
        """Return what a row asks for by itself, and what of it had to be left out.

        Args:
            request: the API's `input`, or a mapping of keywords.

        Raises:
            CallError: it can be no call of a batch.
        """
        given = dict(request) if isinstance(request, Mapping) else {"input": request}
        if given.get("stream"):
            raise InvalidParameter(
                "the calls of a batch are not streamed, since its results are whole responses",
                param="stream",
                hint="leave stream out; to read streams side by side call astream in tasks of your own",
            )
        if self._translate is None:
            return given, ()
        known, dropped = self._translate(given)  # which passes over None; here it undoes what is common to all rows
        cleared = {name: None for name, value in given.items() if value is None and name in NAMES["create"]}
        return {**cleared, **known}, tuple(dropped)

    def keywords(self, own: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords of a row's call, of what it asks for by itself."""
        # None overrules what may be bound to the chain: a result is a whole response.
        return {**self.common, **own, "stream": None}

    def dropped(self, own: tuple[Dropped, ...]) -> tuple[Dropped, ...]:
        """Return what of a row's call had to be left out."""
        return (*self._dropped, *own)


def row_failed(error: Exception) -> RowFailed:
    """Return what stands in the place of an error that cannot be brought elsewhere as it is."""
    kind = type(error).__name__
    return RowFailed(mask(f"the row raised {kind}: {message_of(error)}"), kind=kind)
