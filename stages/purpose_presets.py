"""Stock chains for a purpose, as plain lists from the outside in; `presets` has them too.

Each is the chain of every call with some stages more. Change what does not fit by name: `.before("retry", ...)`,
`.without("log")`, `.with_(retry={"attempts": 3})`.
"""

from __future__ import annotations

from typing import Final

from ..pipeline.chain import Chain
from .budget import Budget
from .compact_history import CompactHistory
from .concurrency_limit import ConcurrencyLimit
from .cost import Cost
from .dispatch import Dispatch
from .fallback import Fallback
from .guard import Guard
from .log import Log
from .opentelemetry import OpenTelemetry
from .parse_output import ParseOutput
from .prompt_cache import PromptCache
from .remember import Remember
from .resolve import Resolve
from .response_ids import ResponseIds
from .retry import Retry
from .tools.stage import Tools
from .transform import Transform
from .validate import Validate

resilient: Final = Chain(
    [
        Log(),
        Validate(),
        ParseOutput(),
        ResponseIds(),
        Fallback(),  # other targets, as the call says in `fallbacks`, or .with_(fallback={"targets": [...]})
        Resolve(),
        Remember(),
        Tools(),
        ConcurrencyLimit(64, per="provider"),  # no host gets more at once
        Retry(attempts=5),  # of each target
        Cost(),
        Transform(),
        Dispatch(),
    ],
    name="resilient",
)

observed: Final = Chain(
    [
        OpenTelemetry(),  # a span of each call and tool, metrics; extra `otel`
        Log(content="hash"),  # with digests of input and output, by which the same ones are found
        Validate(),
        ParseOutput(),
        ResponseIds(),
        Resolve(),
        Remember(),
        Tools(),
        Retry(),
        Cost(prices="genai-prices"),  # where the host does not say it; extra `cost`
        Transform(),
        Dispatch(),
    ],
    name="observed",
)

agentic: Final = Chain(
    [
        Log(),
        Validate(),
        Guard(),  # your checks: .with_(guard={"on_input": ..., "on_output": ...})
        ParseOutput(),
        ResponseIds(),
        Resolve(),
        Remember(),
        Tools(max_rounds=50),
        CompactHistory(100_000),  # the oldest turns go when a round would have more tokens
        Budget(tokens=2_000_000, per="call"),  # asked before each round
        Retry(),
        Cost(),
        Transform(),
        PromptCache(),  # each round begins as the one before
        Dispatch(),
    ],
    name="agentic",
)
