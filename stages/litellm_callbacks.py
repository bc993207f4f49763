"""Callbacks that were written for LiteLLM, unchanged.

Source: LiteLLM 1.109.1: `CustomLogger`, `success_callback`, `failure_callback`, `StandardLoggingPayload`, read 2026-11.
Only their observing methods are called. Those that change a call are stages here.
"""

from __future__ import annotations

import datetime
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from ..pipeline.api.params import Operation
from ..pipeline.api.response import Response
from ..pipeline.api.wire import encode_loosely, loads
from ..pipeline.context import CallContext
from ..pipeline.errors import APIStatusError, StageError, message_of
from ..pipeline.hook_queue import in_background, is_async
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.secret import mask
from ..pipeline.signals import AttemptEnded, AttemptStarted, CallEnded, Signal
from ..pipeline.stage import Scope, Stage
from ..pipeline.watch import watch

_CALL_TYPES: dict[Operation, str] = {
    "create": "responses",
    "get": "get_responses",
    "delete": "delete_responses",
    "cancel": "cancel_responses",
    "list_input_items": "list_input_items",
    "compact": "compact_responses",
    "count_input_tokens": "count_input_tokens",
}


class LiteLLMCallbacks(Stage, frozen=True):
    """Tell objects with `CustomLogger` methods, and plain functions, of each call as LiteLLM would.

    Outermost they hear of whole calls. Exactly one of success and failure comes for each call, once: a stream that was
    left early counts as success with what had come, a cancelled call as failure. Async calls use the async method where
    there is one, sync calls the sync one; none of them delays the call (see `Client.flush`), and their errors are
    counted, as those of hooks.

    Args:
        callbacks: objects with `log_pre_api_call`, `log_post_api_call`, `log_success_event`, `log_failure_event`, and
            their `async_` twins, as far as they have them.
        success, failure: functions `(kwargs, response, start_time, end_time)`, plain or async.

    Raises:
        StageError: a callback by name, such as "langfuse", or something that is no callback.
    """

    callbacks: Sequence[Any] = ()
    success: Sequence[Any] = ()
    failure: Sequence[Any] = ()

    sets = ()

    def setup(self, scope: Scope) -> object:
        for one in (*self.callbacks, *self.success, *self.failure):
            if isinstance(one, str):
                hint = "give the object itself; most of those services also take spans, see the stage OpenTelemetry"
                raise StageError(f'litellm_callbacks: "{one}" is a name that only LiteLLM knows', hint=hint)
        for one in (*self.success, *self.failure):
            if not callable(one):
                raise StageError(f"litellm_callbacks: {type(one).__name__} is no function; functions are expected")
        for one in self.callbacks:
            if not any(hasattr(one, name) or hasattr(one, f"async_{name}") for name in _METHODS):
                raise StageError(f"litellm_callbacks: {type(one).__name__} has none of {', '.join(_METHODS)}")
        return None

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await watch(request, call_next, (_Told(self, request).tell,))


_METHODS = ("log_pre_api_call", "log_post_api_call", "log_success_event", "log_failure_event")


class LiteLLMResponse:
    """A response as callbacks expect it: with attributes, by key, and with `model_dump`."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    def __getitem__(self, name: str) -> Any:
        return self.model_dump()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.model_dump()

    def get(self, name: str, default: Any = None) -> Any:
        return self.model_dump().get(name, default)

    def model_dump(self, **settings: Any) -> dict[str, Any]:
        return self._response.to_dict()

    dict = json = model_dump


class _Told:
    """What the callbacks are told of one call."""

    def __init__(self, stage: LiteLLMCallbacks, request: Request) -> None:
        self._stage = stage
        self._request = request

    def tell(self, signal: Signal) -> None:
        self._signal = signal
        context = self._request.context
        match signal:
            case AttemptStarted():
                kwargs = _Seen(self._request, None).kwargs()
                for one in self._stage.callbacks:
                    self._call(one, "log_pre_api_call", kwargs["model"], kwargs["messages"], kwargs)
            case AttemptEnded():
                kwargs = _Seen(self._request, None).kwargs()
                self._event("log_post_api_call", kwargs, signal.outcome.response, context)
            case CallEnded():
                good = _is_good(signal)
                kwargs = _Seen(self._request, signal).kwargs()
                response = signal.outcome.response
                self._event("log_success_event" if good else "log_failure_event", kwargs, response, context)
                for function in self._stage.success if good else self._stage.failure:
                    self._later(function, kwargs, response and LiteLLMResponse(response), *_times(context))
            case _:
                pass

    def _event(self, method: str, kwargs: dict[str, Any], response: Response | None, context: CallContext) -> None:
        for one in self._stage.callbacks:
            self._call(one, method, kwargs, response and LiteLLMResponse(response), *_times(context))

    def _call(self, callback: Any, method: str, *args: Any) -> None:
        order = (f"async_{method}", method) if self._request.context.runtime.is_async else (method, f"async_{method}")
        for name in order:
            function = getattr(callback, name, None)
            if callable(function):
                self._later(function, *args)
                return

    def _later(self, function: Callable[..., Any], *args: Any) -> None:
        """Queue one call of a callback, by the hooks' queue, which knows where it may run."""
        context = self._request.context
        if is_async(function):

            async def run(signal: Signal) -> None:
                await function(*args)

            sink = context.owner.hook_queue.sink(run, context.runtime)
        else:
            sink = context.owner.hook_queue.sink(in_background(lambda signal: function(*args)), context.runtime)
        sink(self._signal)


class _Seen:
    """A call as it stands at one moment, in LiteLLM's terms.

    Attributes:
        facts: what stands in the keyword arguments of callbacks and in the standard payload alike.
    """

    def __init__(self, request: Request, end: CallEnded | None) -> None:
        context = request.context
        self.request = request
        self.end = end
        self.response = None if end is None else end.outcome.response
        self.error = None if end is None else end.outcome.error
        self.meta = meta = context.meta()
        self.started, self.ended = _times(context)
        first_s = meta.duration_s if meta.first_event_s is None else meta.first_event_s
        self.completion_started = self.started + datetime.timedelta(seconds=first_s)
        self.api_base = None if context.target is None else context.target.base_url
        self.metadata = request.param("metadata") or {}
        given = {
            name: value
            for name in request.params.__struct_fields__
            if name not in ("input", "model", "stream", "metadata") and (value := request.param(name)) is not None
        }
        self.parameters = loads(encode_loosely(given))
        self.facts = {
            "litellm_call_id": context.id,
            "litellm_trace_id": context.parent_id or context.id,
            "call_type": ("a" if context.runtime.is_async else "") + _CALL_TYPES[request.operation],
            "model": meta.model or request.model or "",
            "custom_llm_provider": meta.provider,
            "stream": request.streamed,
            "messages": request.param("input"),
            "response_cost": meta.cost,
            "cache_hit": None,
        }

    def kwargs(self) -> dict[str, Any]:
        """Return what callbacks get as `kwargs`."""
        return {
            **self.facts,
            "input": self.facts["messages"],
            "optional_params": self.parameters,
            "litellm_params": {"metadata": self.metadata, "api_base": self.api_base},
            "metadata": self.metadata,
            "user": self.request.param("user"),
            "start_time": self.started,
            "end_time": self.ended,
            "api_call_start_time": self.started,
            "completion_start_time": self.completion_started,
            "response_headers": dict(self.meta.headers),
            "exception": self.error,
            "standard_logging_object": self._payload(),
        }

    def _payload(self) -> dict[str, Any]:
        """Return LiteLLM's `StandardLoggingPayload`."""
        response, end = self.response, self.end
        return {
            **self.facts,
            "id": self.facts["litellm_call_id"] if response is None else response.id,
            "trace_id": self.facts["litellm_trace_id"],
            "status": None if end is None else "success" if _is_good(end) else "failure",
            "startTime": self.started.timestamp(),
            "endTime": self.ended.timestamp(),
            "completionStartTime": self.completion_started.timestamp(),
            "response_time": self.meta.duration_s,
            "api_base": self.api_base,
            "metadata": self.metadata,
            "end_user": self.request.param("user"),
            "model_parameters": self.parameters,
            "response": None if response is None else response.to_dict(),
            **self._of_error(),
            **_tokens(response),
        }

    def _of_error(self) -> dict[str, Any]:
        error = self.error
        if error is None:
            return {"error_str": None, "error_information": None}
        message = mask(message_of(error), self.request.secrets())
        information = {
            "error_class": type(error).__name__,
            "error_code": str(error.status) if isinstance(error, APIStatusError) else "",
            "error_message": message,
            "llm_provider": self.meta.provider,
            "traceback": "".join(traceback.format_tb(error.__traceback__)),
        }
        return {"error_str": message, "error_information": information}


def _is_good(end: CallEnded) -> bool:
    return end.kind not in ("failed", "cancelled")


def _tokens(response: Response | None) -> dict[str, int]:
    usage = response.usage if response is not None else None
    if usage is None:
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    total = usage.total_tokens or usage.input_tokens + usage.output_tokens
    return {"prompt_tokens": usage.input_tokens, "completion_tokens": usage.output_tokens, "total_tokens": total}


def _times(context: CallContext) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the time of day of the call's start and of now, in local time without a zone, as LiteLLM's are."""
    now = datetime.datetime.now()
    return now - datetime.timedelta(seconds=context.runtime.now() - context.started_at), now
