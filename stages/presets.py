"""The stock chains, as plain lists: what happens to a request, from the outside in."""

from __future__ import annotations

from typing import Final

from ..pipeline.chain import Chain
from .cost import Cost
from .dispatch import Dispatch
from .log import Log
from .parse_output import ParseOutput
from .remember import Remember
from .resolve import Resolve
from .response_ids import ResponseIds
from .retry import Retry
from .tools.stage import Tools
from .transform import Transform
from .validate import Validate

responses: Final = Chain(
    [
        Log(),  # one line a call, once logging is enabled
        Validate(),  # wrong types never reach a host
        ParseOutput(),  # a typed answer, where text_format asks for one
        ResponseIds(),  # public ids outside, the hosts' own inside
        Resolve(),  # whom it goes to: provider, address, key, dialect
        Remember(),  # state where the host has none: previous_response_id, get, delete, background
        Tools(),  # what the model calls of MCP servers and Python functions is run, and it is asked again
        Retry(),  # passing failures are repeated; streams until their first content
        Cost(),  # what each attempt has cost, where the host says so
        Transform(),  # the call in the target's format
        Dispatch(),  # HTTP, and the answer decoded
    ],
    name="responses",
)
