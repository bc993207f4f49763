"""The rows of a batch: what goes in, what is under way, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ..errors import InvalidParameter, RowFailed
from ..reply import Dropped
from ..response import Response
from ..secret import mask

Translate: TypeAlias = "Callable[[dict[str, Any]], tuple[dict[str, Any], list[Dropped]]]"


class Row(msgspec.Struct, frozen=True, kw_only=True):
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
    """

    def __init__(self, common: dict[str, Any], translate: Translate | None = None) -> None:
        self.common = common
        self._translate = translate
        _refuse_streams(common)

    def keywords(self, request: Any) -> tuple[dict[str, Any], tuple[Dropped, ...]]:
        """Return the keywords of a row's call, and what had to be left out.

        Args:
            request: the API's `input`, or a mapping of keywords.

        Raises:
            CallError: it can be no call of a batch.
        """
        own = request if isinstance(request, Mapping) else {"input": request}
        _refuse_streams(own)
        # None overrules what may be bound to the chain: a result is a whole response.
        keywords = {**self.common, **own, "stream": None}
        if self._translate is None:
            return keywords, ()
        known, dropped = self._translate(keywords)
        return {**known, "stream": None}, tuple(dropped)


def row_failed(error: Exception) -> RowFailed:
    """Return what stands in the place of an error that cannot be brought elsewhere as it is."""
    kind = type(error).__name__
    return RowFailed(mask(f"the row raised {kind}: {error}"), kind=kind)


def _refuse_streams(keywords: Mapping[str, Any]) -> None:
    if keywords.get("stream"):
        raise InvalidParameter(
            "the calls of a batch are not streamed, since its results are whole responses",
            param="stream",
            hint="leave stream out; to read streams side by side call astream in tasks of your own",
        )
