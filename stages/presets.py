"""The stock chains, as plain lists: what happens to a request, from the outside in.

`responses` serves every call of the API, and is what the one-call functions run: what its stages learn of a response
(the tools that ran for it, the worker of a background response) they learn for all calls on it. The chains for single
calls have what their call needs, for whoever builds a service of few calls. Three more, `resilient`, `observed` and
`agentic`, stand in `purpose_presets.py`, and are loaded when they are asked for, since few programs need their stages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

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

if TYPE_CHECKING:
    from .purpose_presets import agentic as agentic
    from .purpose_presets import observed as observed
    from .purpose_presets import resilient as resilient

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

# --- for one call of the API ------------------------------------------------------------------------------------------

get_responses: Final = Chain(
    [
        Log(),
        Validate(),
        ParseOutput(),  # a response that was asked for with text_format is parsed here too
        ResponseIds(),
        Resolve(),
        Remember(),
        Retry(),
        Transform(),
        Dispatch(),
    ],
    name="get_responses",
)

delete_responses: Final = Chain(
    [Log(), Validate(), ResponseIds(), Resolve(), Remember(), Retry(), Transform(), Dispatch()],
    name="delete_responses",
)

cancel_responses: Final = Chain(
    [Log(), Validate(), ResponseIds(), Resolve(), Remember(), Retry(), Transform(), Dispatch()],
    name="cancel_responses",
)

list_input_items: Final = Chain(
    [Log(), Validate(), ResponseIds(), Resolve(), Remember(), Retry(), Transform(), Dispatch()],
    name="list_input_items",
)

compact_responses: Final = Chain(
    [
        Log(),
        Validate(),
        ResponseIds(),
        Resolve(),
        Remember(),  # a summary by the model where the host cannot compact
        Retry(),
        Cost(),
        Transform(),
        Dispatch(),
    ],
    name="compact_responses",
)

count_input_tokens: Final = Chain(
    [
        Log(),
        Validate(),
        ResponseIds(),
        Resolve(),
        Remember(),  # the turns before count too
        Tools(),  # and the tools of servers
        Retry(),
        Transform(),
        Dispatch(),
    ],
    name="count_input_tokens",
)


_PURPOSES: Final = ("agentic", "observed", "resilient")


def __dir__() -> list[str]:
    chains = [name for name, value in globals().items() if isinstance(value, Chain)]
    return [*chains, *(name for name in _PURPOSES if name not in chains), "__doc__", "__name__"]


def __getattr__(name: str) -> Chain:
    if name not in _PURPOSES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import purpose_presets

    found: Chain = getattr(purpose_presets, name)
    return found
