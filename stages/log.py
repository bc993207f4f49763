"""One line a call, for people and machines."""

from __future__ import annotations

import functools
import logging
import sys
from typing import Any, TextIO

from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.secret import mask
from ..pipeline.signals import AttemptEnded, CallEnded, RetryScheduled, Signal
from ..pipeline.stage import Stage
from ..pipeline.watch import watch

_LOGGER = "antiphon"


class Log(Stage, frozen=True):
    """Write one wide line at the end of each call, and at debug level one for each attempt and retry.

    Silent, and free, until logging for "antiphon" is enabled at info level: by `antiphon.configure_logging()` or by
    the standard library's `logging`. Lines carry ids, names, numbers and outcomes, never content or keys.
    """

    sets = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if not _stdlib_logger().isEnabledFor(logging.INFO):
            return await call_next(request)
        return await watch(request, call_next, _write)


def configure_logging(level: str | int = "INFO", *, json: bool = False, stream: TextIO | None = None) -> None:
    """Show the library's log lines on `stream` (stderr by default). Calling it again replaces the former setting.

    Args:
        level: "INFO" for one line a call, "DEBUG" for attempts and retries too.
        json: one JSON object a line, else key=value text.
        stream: where to.
    """
    logger = _stdlib_logger()
    for handler in [handler for handler in logger.handlers if isinstance(handler, _Handler)]:
        logger.removeHandler(handler)
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(_formatter(json))
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Marks the handler that `configure_logging` added."""


@functools.cache
def _stdlib_logger() -> logging.Logger:
    return logging.getLogger(_LOGGER)


@functools.cache
def _structlog_logger() -> Any:
    # structlog is loaded with the first line that is really written: its import costs as much as httpx's.
    import structlog

    return structlog.wrap_logger(
        _stdlib_logger(),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _formatter(json: bool) -> logging.Formatter:
    import structlog

    render: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _write(signal: Signal) -> None:
    if isinstance(signal, CallEnded):
        level = "error" if signal.kind == "failed" else "info"
        getattr(_structlog_logger(), level)("call", **_call_fields(signal))
    elif not _stdlib_logger().isEnabledFor(logging.DEBUG):
        return
    elif isinstance(signal, AttemptEnded):
        attempt = signal.attempt
        _structlog_logger().debug("attempt", call_id=signal.call_id, **_present(attempt.__struct_fields__, attempt))
    elif isinstance(signal, RetryScheduled):
        _structlog_logger().debug(
            "retry",
            call_id=signal.call_id,
            attempt=signal.attempt,
            delay_s=round(signal.delay_s, 3),
            error=signal.error,
        )


def _present(names: tuple[str, ...], value: object) -> dict[str, Any]:
    return {name: found for name in names if (found := getattr(value, name)) is not None}


def _call_fields(signal: CallEnded) -> dict[str, Any]:
    meta, usage, error = signal.meta, signal.usage, signal.outcome.error
    fields: dict[str, Any] = {
        "call_id": signal.call_id,
        "operation": signal.operation,
        "outcome": signal.kind,
        "provider": meta.provider,
        "model": meta.model or signal.model,
        "streamed": signal.streamed or None,
        "status": meta.status,
        "duration_ms": round(meta.duration_s * 1000, 1),
        "first_event_ms": None if meta.first_event_s is None else round(meta.first_event_s * 1000, 1),
        "attempts": len(meta.attempts),
        "input_tokens": usage.input_tokens if usage is not None else None,
        "output_tokens": usage.output_tokens if usage is not None else None,
        "request_id": meta.request_id,
        "dropped": [item.name for item in meta.dropped] or None,
        "error": None if error is None else type(error).__name__,
        "message": None if error is None else mask(getattr(error, "message", "") or str(error))[:500] or None,
    }
    return {name: value for name, value in fields.items() if value is not None}
