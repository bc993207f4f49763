"""The one-call functions: prebuilt chains, with LiteLLM's parameter names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, Unpack, overload

from .keywords import translate
from .pipeline.event_stream import EventStream
from .pipeline.params import Null
from .pipeline.reply import Reply
from .pipeline.response import Response
from .pipeline.secret import Secret
from .pipeline.signals import Sink
from .pipeline.timeouts import Timeouts
from .stages import presets


class ResponsesKeywords(TypedDict, total=False):
    """Keywords of `responses` and `aresponses`; None means "not given", `antiphon.NULL` an explicit null."""

    include: list[str] | Null | None
    instructions: str | Null | None
    max_output_tokens: int | Null | None
    prompt: dict[str, Any] | Null | None
    metadata: dict[str, Any] | Null | None
    parallel_tool_calls: bool | Null | None
    previous_response_id: str | Null | None
    reasoning: dict[str, Any] | Null | None
    store: bool | Null | None
    background: bool | Null | None
    temperature: float | Null | None
    text: dict[str, Any] | Null | None
    tool_choice: str | dict[str, Any] | Null | None
    tools: list[Any] | Null | None
    top_p: float | Null | None
    truncation: str | Null | None
    user: str | Null | None
    service_tier: str | Null | None
    safety_identifier: str | Null | None
    background_options: dict[str, Any] | Null | None
    conversation: str | dict[str, Any] | Null | None
    stream_options: dict[str, Any] | Null | None
    max_tool_calls: int | Null | None
    top_logprobs: int | Null | None
    context_management: list[Any] | Null | None
    prompt_cache_key: str | Null | None
    prompt_cache_options: dict[str, Any] | Null | None
    prompt_cache_retention: str | Null | None
    moderation: dict[str, Any] | Null | None
    image: dict[str, Any] | Null | None
    access_programs: dict[str, Any] | Null | None
    # ours
    api_key: str | Secret | Callable[[], str | Secret] | None
    api_base: str | None
    base_url: str | None
    custom_llm_provider: str | None
    dialect: str | None
    drop: Literal["report", "error", "ignore"] | None
    extra_headers: dict[str, Any] | None
    extra_query: dict[str, Any] | None
    extra_body: dict[str, Any] | None
    timeout: float | Timeouts | None
    num_retries: int | None
    max_retries: int | None
    hooks: Sequence[Sink] | None
    trace: bool | None
    # LiteLLM's, under another name here; see keywords.py for all of them
    headers: dict[str, Any] | None
    reasoning_effort: str | None
    drop_params: bool | str | None
    stream_timeout: float | Timeouts | None
    allowed_openai_params: list[str] | None


@overload
def responses(
    input: Any, model: str, *, stream: Literal[True], **keywords: Unpack[ResponsesKeywords]
) -> EventStream: ...
@overload
def responses(
    input: Any, model: str, *, stream: Literal[False] | None = None, **keywords: Unpack[ResponsesKeywords]
) -> Response: ...
def responses(input: Any, model: str, *, stream: bool | None = None, **keywords: Any) -> Reply:
    """Ask a model for a response, through the stock chain `presets.responses`.

    Args:
        input: text, or the API's list of input items, e.g. [{"role": "user", "content": "Hi"}]; objects of a former
            `response.output` may stand in the list.
        model: "provider/model", e.g. "openai/gpt-5", "local/smollm2", "scripted/echo".
        stream: True for an `EventStream` to iterate; read it to its end, or close it.
        keywords: API parameters and options by name, see `ResponsesKeywords`; newer API parameters go into
            `extra_body`.

    Raises:
        CallError: the call is wrong (also a TypeError or ValueError where that fits); nothing was sent.
        APIError: the host was asked, and no good answer came of it.
    """
    known, dropped = translate({**keywords, "stream": stream})
    return presets.responses.run("create", {"input": input, "model": model, **known}, dropped)


@overload
async def aresponses(
    input: Any, model: str, *, stream: Literal[True], **keywords: Unpack[ResponsesKeywords]
) -> EventStream: ...
@overload
async def aresponses(
    input: Any, model: str, *, stream: Literal[False] | None = None, **keywords: Unpack[ResponsesKeywords]
) -> Response: ...
async def aresponses(input: Any, model: str, *, stream: bool | None = None, **keywords: Any) -> Reply:
    """Ask a model for a response (async). As `responses`."""
    known, dropped = translate({**keywords, "stream": stream})
    return await presets.responses.arun("create", {"input": input, "model": model, **known}, dropped)
