"""Antiphon: the OpenAI Responses API over every provider, as a chain of stages that you compose.

    >>> import antiphon
    >>> antiphon.responses("Hello there.", model="scripted/echo").output_text
    'Hello there.'

"scripted/echo" answers offline; "openai/gpt-5" or "anthropic/claude-sonnet-4-5" ask those hosts, "local/smollm2" asks a
model on this machine. Where to begin:

    responses, aresponses       one call to a model: a Response, or with stream=True an EventStream
    get_responses, …            the API's other calls, each with a twin for async code
    Client                      the same calls on one chain, with connections, time limits and hooks of its own
    presets.responses           the chain that they go through; print it, change it by name
    Chain, Stage, Request       what chains are made of; before, after, stage make stages of functions
    Retry, Fallback, Cache, …   the stages that there are
    Observe, CallEnded, …       hooks, and the signals that they get
    tool, McpServers            functions and MCP servers that the model may use
    RateLimitError, …           errors, all an AntiphonError; errors.__doc__ draws their tree
    serve.app                   a chain as an HTTP endpoint, for any OpenAI client
    testing.scripted            answers from a script, for tests

More names are in `antiphon.errors`, `antiphon.events`, `antiphon.items`, `antiphon.parts`, `antiphon.mcp`,
`antiphon.providers`, `antiphon.serve` and `antiphon.testing`. The pages are in the folder docs of the source, beginning
with docs/index.md.

Nothing is loaded before it is used: importing this module imports no other.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import mcp as mcp
    from . import providers as providers
    from . import serve as serve
    from . import testing as testing
    from .client import Client as Client
    from .mcp.registry import McpServers as McpServers
    from .mcp.server import McpServer as McpServer
    from .openai_client import AsyncOpenAI as AsyncOpenAI
    from .openai_client import OpenAI as OpenAI
    from .pipeline import errors as errors
    from .pipeline.api import events as events
    from .pipeline.api import items as items
    from .pipeline.api import parts as parts
    from .pipeline.api.params import NULL as NULL
    from .pipeline.api.params import CancelParams as CancelParams
    from .pipeline.api.params import CompactParams as CompactParams
    from .pipeline.api.params import CountInputTokensParams as CountInputTokensParams
    from .pipeline.api.params import CreateParams as CreateParams
    from .pipeline.api.params import DeleteParams as DeleteParams
    from .pipeline.api.params import GetParams as GetParams
    from .pipeline.api.params import ListInputItemsParams as ListInputItemsParams
    from .pipeline.api.response import Response as Response
    from .pipeline.api.response_fields import Usage as Usage
    from .pipeline.batches.progress import Progress as Progress
    from .pipeline.batches.row import Row as Row
    from .pipeline.batches.rows import AsyncRows as AsyncRows
    from .pipeline.batches.rows import Rows as Rows
    from .pipeline.chain import Chain as Chain
    from .pipeline.default_engine import aclose as aclose
    from .pipeline.default_engine import close as close
    from .pipeline.errors import *  # noqa: F403
    from .pipeline.explain import Explanation as Explanation
    from .pipeline.function_stages import after as after
    from .pipeline.function_stages import before as before
    from .pipeline.function_stages import on_stream_event as on_stream_event
    from .pipeline.function_stages import stage as stage
    from .pipeline.hook_queue import in_background as in_background
    from .pipeline.reply import Attempt as Attempt
    from .pipeline.reply import Dropped as Dropped
    from .pipeline.reply import Meta as Meta
    from .pipeline.reply import Outcome as Outcome
    from .pipeline.reply import Reply as Reply
    from .pipeline.request import Handler as Handler
    from .pipeline.request import Request as Request
    from .pipeline.secret import FromEnv as FromEnv
    from .pipeline.secret import Secret as Secret
    from .pipeline.signals import AttemptEnded as AttemptEnded
    from .pipeline.signals import AttemptStarted as AttemptStarted
    from .pipeline.signals import CacheHit as CacheHit
    from .pipeline.signals import CacheMissed as CacheMissed
    from .pipeline.signals import CacheStored as CacheStored
    from .pipeline.signals import CallEnded as CallEnded
    from .pipeline.signals import CallStarted as CallStarted
    from .pipeline.signals import FallbackScheduled as FallbackScheduled
    from .pipeline.signals import McpNotice as McpNotice
    from .pipeline.signals import ParameterDropped as ParameterDropped
    from .pipeline.signals import ResponseSettled as ResponseSettled
    from .pipeline.signals import RetryScheduled as RetryScheduled
    from .pipeline.signals import Signal as Signal
    from .pipeline.signals import StreamFirstEvent as StreamFirstEvent
    from .pipeline.signals import ToolEnded as ToolEnded
    from .pipeline.signals import ToolProgress as ToolProgress
    from .pipeline.signals import ToolStarted as ToolStarted
    from .pipeline.stage import Option as Option
    from .pipeline.stage import Scope as Scope
    from .pipeline.stage import Stage as Stage
    from .pipeline.stores.store import Entry as Entry
    from .pipeline.stores.store import Store as Store
    from .pipeline.stores.store import key_of as key_of
    from .pipeline.stores.store import open_store as open_store
    from .pipeline.streams.event_stream import EventStream as EventStream
    from .pipeline.streams.event_stream import finally_ as finally_
    from .pipeline.streams.grammar import check_grammar as check_grammar
    from .pipeline.timeouts import Timeouts as Timeouts
    from .pipeline.tool_function import ToolContext as ToolContext
    from .pipeline.tool_function import ToolError as ToolError
    from .pipeline.tool_function import ToolFunction as ToolFunction
    from .pipeline.tool_function import tool as tool
    from .pipeline.version import __version__ as __version__
    from .prebuilt import acancel_responses as acancel_responses
    from .prebuilt import acompact_responses as acompact_responses
    from .prebuilt import acount_input_tokens as acount_input_tokens
    from .prebuilt import adelete_responses as adelete_responses
    from .prebuilt import aget_responses as aget_responses
    from .prebuilt import alist_input_items as alist_input_items
    from .prebuilt import apoll_responses as apoll_responses
    from .prebuilt import aresponses as aresponses
    from .prebuilt import aresponses_api_with_mcp as aresponses_api_with_mcp
    from .prebuilt import cancel_responses as cancel_responses
    from .prebuilt import compact_responses as compact_responses
    from .prebuilt import count_input_tokens as count_input_tokens
    from .prebuilt import delete_responses as delete_responses
    from .prebuilt import get_responses as get_responses
    from .prebuilt import list_input_items as list_input_items
    from .prebuilt import poll_responses as poll_responses
    from .prebuilt import responses as responses
    from .prebuilt import responses_api_with_mcp as responses_api_with_mcp
    from .providers.aws_signature import AwsCredentials as AwsCredentials
    from .stages import presets as presets
    from .stages.budget import Budget as Budget
    from .stages.cache import Cache as Cache
    from .stages.compact_history import CompactHistory as CompactHistory
    from .stages.concurrency_limit import ConcurrencyLimit as ConcurrencyLimit
    from .stages.cost import Cost as Cost
    from .stages.defaults import Defaults as Defaults
    from .stages.dispatch import Dispatch as Dispatch
    from .stages.fallback import Fallback as Fallback
    from .stages.guard import Guard as Guard
    from .stages.litellm_callbacks import LiteLLMCallbacks as LiteLLMCallbacks
    from .stages.log import Log as Log
    from .stages.log import configure_logging as configure_logging
    from .stages.metrics import Metrics as Metrics
    from .stages.observe import Observe as Observe
    from .stages.opentelemetry import OpenTelemetry as OpenTelemetry
    from .stages.parse_output import ParseOutput as ParseOutput
    from .stages.prompt_cache import PromptCache as PromptCache
    from .stages.reask import Reask as Reask
    from .stages.record import Record as Record
    from .stages.redact import Redact as Redact
    from .stages.remember import Remember as Remember
    from .stages.rename import Rename as Rename
    from .stages.replay import Replay as Replay
    from .stages.resolve import Resolve as Resolve
    from .stages.response_ids import ResponseIds as ResponseIds
    from .stages.retry import Retry as Retry
    from .stages.route import Route as Route
    from .stages.tools.approvals import ApprovalRequest as ApprovalRequest
    from .stages.tools.stage import Tools as Tools
    from .stages.trace import Trace as Trace
    from .stages.trace import read_trace as read_trace
    from .stages.trace_page import render_trace as render_trace
    from .stages.transform import Transform as Transform
    from .stages.validate import Validate as Validate

# Public name -> the module that has it. Errors are found in pipeline.errors by any of their names.
_HOMES = {
    "client": ["Client"],
    "mcp.registry": ["McpServers"],
    "mcp.server": ["McpServer"],
    "openai_client": ["AsyncOpenAI", "OpenAI"],
    "pipeline.batches.progress": ["Progress"],
    "pipeline.batches.row": ["Row"],
    "pipeline.batches.rows": ["AsyncRows", "Rows"],
    "pipeline.chain": ["Chain"],
    "pipeline.default_engine": ["aclose", "close"],
    "pipeline.streams.event_stream": ["EventStream", "finally_"],
    "pipeline.explain": ["Explanation"],
    "pipeline.streams.grammar": ["check_grammar"],
    "pipeline.hook_queue": ["in_background"],
    "pipeline.api.params": [
        "CancelParams",
        "CompactParams",
        "CountInputTokensParams",
        "CreateParams",
        "DeleteParams",
        "GetParams",
        "ListInputItemsParams",
        "NULL",
    ],
    "pipeline.reply": ["Attempt", "Dropped", "Meta", "Outcome", "Reply"],
    "pipeline.request": ["Handler", "Request"],
    "pipeline.api.response": ["Response"],
    "pipeline.api.response_fields": ["Usage"],
    "pipeline.secret": ["FromEnv", "Secret"],
    "pipeline.signals": [
        "AttemptEnded",
        "AttemptStarted",
        "CacheHit",
        "CacheMissed",
        "CacheStored",
        "CallEnded",
        "CallStarted",
        "FallbackScheduled",
        "McpNotice",
        "ParameterDropped",
        "ResponseSettled",
        "RetryScheduled",
        "Signal",
        "StreamFirstEvent",
        "ToolEnded",
        "ToolProgress",
        "ToolStarted",
    ],
    "pipeline.function_stages": ["after", "before", "on_stream_event", "stage"],
    "pipeline.stage": ["Option", "Scope", "Stage"],
    "pipeline.stores.store": ["Entry", "Store", "key_of", "open_store"],
    "pipeline.timeouts": ["Timeouts"],
    "pipeline.version": ["__version__"],
    "pipeline.tool_function": ["ToolContext", "ToolError", "ToolFunction", "tool"],
    "prebuilt": [
        "acancel_responses",
        "acompact_responses",
        "acount_input_tokens",
        "adelete_responses",
        "aget_responses",
        "alist_input_items",
        "apoll_responses",
        "aresponses",
        "aresponses_api_with_mcp",
        "cancel_responses",
        "compact_responses",
        "count_input_tokens",
        "delete_responses",
        "get_responses",
        "list_input_items",
        "poll_responses",
        "responses",
        "responses_api_with_mcp",
    ],
    "stages.budget": ["Budget"],
    "stages.cache": ["Cache"],
    "stages.compact_history": ["CompactHistory"],
    "stages.concurrency_limit": ["ConcurrencyLimit"],
    "stages.cost": ["Cost"],
    "stages.litellm_callbacks": ["LiteLLMCallbacks"],
    "providers.aws_signature": ["AwsCredentials"],
    "stages.defaults": ["Defaults"],
    "stages.dispatch": ["Dispatch"],
    "stages.fallback": ["Fallback"],
    "stages.guard": ["Guard"],
    "stages.log": ["Log", "configure_logging"],
    "stages.metrics": ["Metrics"],
    "stages.observe": ["Observe"],
    "stages.opentelemetry": ["OpenTelemetry"],
    "stages.parse_output": ["ParseOutput"],
    "stages.prompt_cache": ["PromptCache"],
    "stages.reask": ["Reask"],
    "stages.record": ["Record"],
    "stages.redact": ["Redact"],
    "stages.remember": ["Remember"],
    "stages.rename": ["Rename"],
    "stages.replay": ["Replay"],
    "stages.resolve": ["Resolve"],
    "stages.response_ids": ["ResponseIds"],
    "stages.retry": ["Retry"],
    "stages.trace": ["Trace", "read_trace"],
    "stages.trace_page": ["render_trace"],
    "stages.route": ["Route"],
    "stages.tools.approvals": ["ApprovalRequest"],
    "stages.tools.stage": ["Tools"],
    "stages.transform": ["Transform"],
    "stages.validate": ["Validate"],
    "pipeline.errors": [
        "APIConnectionError",
        "APIError",
        "APIResponseError",
        "APIStatusError",
        "APITimeoutError",
        "AntiphonError",
        "AuthenticationError",
        "BadRequestError",
        "BillingError",
        "BudgetExceeded",
        "CallError",
        "CassetteMiss",
        "CheckpointMismatch",
        "ChainError",
        "ConflictError",
        "ContentPolicyViolationError",
        "ContextWindowExceededError",
        "ExecutorFailed",
        "GuardTripped",
        "InternalServerError",
        "InvalidModel",
        "InvalidParameter",
        "MissingExtra",
        "MissingKey",
        "NetworkForbidden",
        "NotFoundError",
        "NotSerializable",
        "OutputError",
        "OutputIncomplete",
        "OutputInvalid",
        "OutputRefused",
        "OverloadedError",
        "PermissionDeniedError",
        "RateLimitError",
        "RequestTooLargeError",
        "RowFailed",
        "SetupError",
        "StageError",
        "StoreConflict",
        "StoreError",
        "StoreFull",
        "StoreLocked",
        "StoreSchemaNewer",
        "StoreUnavailable",
        "StoreUnreadable",
        "StoreValueTooLarge",
        "StreamInterrupted",
        "SuspendedInSync",
        "ToolFailed",
        "UnknownKeyword",
        "UnknownProvider",
        "UnprocessableEntityError",
        "UnsupportedOperation",
        "UnsupportedParameter",
    ],
}
_MODULES = {
    "errors": "pipeline.errors",
    "events": "pipeline.api.events",
    "items": "pipeline.api.items",
    "mcp": "mcp",
    "parts": "pipeline.api.parts",
    "presets": "stages.presets",
    "providers": "providers",
    "serve": "serve",
    "testing": "testing",
}
_WHERE = {**{name: home for home, names in _HOMES.items() for name in names}, **_MODULES}

# A star import must not hide the official SDK, whose name is mcp too.
__all__ = [*sorted(_WHERE.keys() - {"mcp"})]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _WHERE.get(name)
    if home is None:
        return _of_litellm(name)
    import importlib

    module = importlib.import_module(f".{home}", __name__)
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def _of_litellm(name: str) -> Any:
    """Return the error class that LiteLLM calls so; raise for other names, with the next move where it has them."""
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    from .litellm_names import ERRORS, next_move

    if name in ERRORS:
        return getattr(sys.modules[__name__], ERRORS[name])
    move = next_move(name)
    hint = f", which is of LiteLLM\n  hint: {move}" if move else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}", name=name, obj=sys.modules[__name__])


def __dir__() -> list[str]:
    # Without what this module needs for itself, which would stand in every completion.
    return sorted({*_WHERE, *(name for name in globals() if name.startswith("__"))})


class _Module(type(sys)):  # type: ignore[misc]
    """This module, which refuses to be set up as LiteLLM's is: silence would lose callbacks, keys and limits."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self.__dict__ and not name.startswith("__") and not isinstance(value, type(sys)):
            from .litellm_names import GLOBALS

            if name in GLOBALS:
                raise AttributeError(
                    f"{__name__}.{name} cannot be set: what holds for all calls of a process is LiteLLM's\n"
                    f"  hint: {GLOBALS[name]}",
                    name=name,
                    obj=self,
                )
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
