"""Pages of the items that a response was made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from ...pipeline.api.params import ListInputItemsParams
from ...pipeline.api.response import ItemPage
from ...pipeline.api.wire import Raw, loads, merge
from ...pipeline.errors import InvalidParameter
from ...pipeline.wording import quoted

_PREFIXES: Final = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
}


def page(items: Iterable[Raw], params: ListInputItemsParams, ref: str) -> ItemPage:
    """Return one page of items, as hosts page theirs: 20 of them, the newest first, unless the call says otherwise.

    Items that came without an id, or with one that another of them has, get one that is the same in every page.
    `include` asks for what is here anyway, as far as it was there.
    Source: OpenAI API reference, Responses › Input items, read 2026-11; `before` as in its other lists.

    Args:
        items: the oldest first.
        ref: whose they are.

    Raises:
        InvalidParameter: a limit outside 1 to 100, or a cursor that names no item.
    """
    limit = 20 if params.limit is None else params.limit
    if not 1 <= limit <= 100:
        raise InvalidParameter(f"limit is {limit}; 1 to 100 is expected", param="limit")
    found = _with_ids(items, ref)
    if params.order != "asc":
        found.reverse()
    start = 0 if params.after is None else _place(found, params.after, "after") + 1
    end = len(found) if params.before is None else _place(found, params.before, "before")
    if params.before is not None and params.after is None:
        start = max(0, end - limit)  # the page that ends there
        shown, has_more = found[start:end], start > 0
    else:
        shown = found[start : min(end, start + limit)]
        has_more = start + len(shown) < end
    return ItemPage.new(
        data=[raw for _, raw in shown],
        first_id=shown[0][0] if shown else None,
        last_id=shown[-1][0] if shown else None,
        has_more=has_more,
    )


def _with_ids(items: Iterable[Raw], ref: str) -> list[tuple[str, Raw]]:
    found: list[tuple[str, Raw]] = []
    taken: set[str] = set()
    for at, raw in enumerate(items):
        fields: Any = loads(bytes(raw))
        item_id = fields.get("id")
        if not isinstance(item_id, str) or not item_id or item_id in taken:
            made_of = hashlib.sha256(f"{ref}/{at}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
            item_id = f"{_PREFIXES.get(str(fields.get('type')), 'item')}_{made_of}"
            raw = Raw(merge(bytes(raw), {"id": item_id}))
        taken.add(item_id)
        found.append((item_id, raw))
    return found


def _place(items: list[tuple[str, Raw]], item_id: str, param: str) -> int:
    for at, (each, _) in enumerate(items):
        if each == item_id:
            return at
    raise InvalidParameter(
        f"{param} is {quoted(item_id)}, which is no item of this response",
        param=param,
        hint="pass the id of an item of a former page",
    )
