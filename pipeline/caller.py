"""Who makes a call, where an entry point knows more of that than the client does."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody for whom an entry point makes a call. It is no option: what comes with a call cannot set it.

    Args:
        call_id: the id that the call shall have; by default a fresh one.
        tenant: whose data stores keep apart in this call; by default the client's.
        trace: headers that carry the trace of whoever asked, e.g. {"traceparent": ...}.
    """

    call_id: str | None = None
    tenant: str | None = None
    trace: Mapping[str, str] = {}


NOBODY = Caller()
