"""Where log lines go: straight to a stream, or into the standard library's logging.

After `configure_logging` a line takes the short way: one struct, encoded by msgspec, one write. It takes the way
through structlog into the standard library as soon as anybody listens there: a handler or filter on the logger
"antiphon", or propagation to the root. What the caller bound by `structlog.contextvars` is on every line.
"""

from __future__ import annotations

import functools
import logging
import sys
import time
from typing import Any, TextIO

import msgspec

from .api.half_characters import encode_whole
from .secret import mask

_LOGGER = logging.getLogger("antiphon")
DEBUG, INFO, ERROR = logging.DEBUG, logging.INFO, logging.ERROR
_NAMES = {DEBUG: "debug", INFO: "info", ERROR: "error"}

is_enabled = _LOGGER.isEnabledFor
"""Tell whether a line of this level would be shown to anybody."""


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line: its fields in order, those without a value left out. Whoever makes it masks what may hold a key.

    Args:
        level: DEBUG, INFO or ERROR; written as its name.
        event: what kind of line it is.
    """

    timestamp: str = ""
    level: Any
    event: str
    call_id: str

    def present(self) -> dict[str, Any]:
        """Return the fields that are written."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields


def write(line: Line) -> None:
    """Write a line whose level is enabled."""
    output = _output
    if output is not None and output.is_alone():
        line.timestamp, line.level = _now(), _NAMES[line.level]
        output.write(line, _bound())
        return
    fields = line.present()
    _stdlib_lines().log(fields.pop("level"), fields.pop("event"), **fields)


def configure_logging(level: str | int = "INFO", *, json: bool = False, stream: TextIO | None = None) -> None:
    """Show the library's log lines on `stream` (stderr by default). Calling it again replaces the former setting.

    Args:
        level: "INFO" for one line a call, "DEBUG" for attempts, repeats and tools too.
        json: one JSON object a line, else key=value text.
        stream: where to.
    """
    global _output
    for handler in [handler for handler in _LOGGER.handlers if isinstance(handler, _Handler)]:
        _LOGGER.removeHandler(handler)
    output = _Output(stream or sys.stderr, json)
    _LOGGER.addHandler(output.handler)
    _LOGGER.setLevel(level)
    _LOGGER.propagate = False
    _output = output


class _Output:
    """The stream of `configure_logging`, and the short way to it."""

    def __init__(self, stream: TextIO, json: bool) -> None:
        self.handler = _Handler(stream)
        self.handler.setFormatter(_Formatter(json))
        self._lock: Any = self.handler.lock
        self._stream = stream
        self._json = json

    def is_alone(self) -> bool:
        """Tell whether nobody else listens to the library's logger."""
        handlers = _LOGGER.handlers
        return len(handlers) == 1 and handlers[0] is self.handler and not _LOGGER.propagate and not _LOGGER.filters

    def write(self, line: Line, more: dict[str, Any] | None) -> None:
        if more:
            own = line.present()
            text = render({**own, **more, **own}, self._json)
        elif self._json:
            text = encode_whole(line).decode()
        else:
            text = render(line.present(), json=False)
        # What a handler does: one write under its lock, an error of the stream reported, never raised.
        with self._lock:
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except Exception:
                self.handler.handleError(logging.LogRecord("antiphon", logging.INFO, "", 0, text, None, None))


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Shows what takes the way through the standard library, e.g. that a hook failed; made by `configure_logging`."""


class _Formatter(logging.Formatter):
    def __init__(self, json: bool) -> None:
        super().__init__()
        self._json = json

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"timestamp": _now(record.created), "level": record.levelname.lower()}
        if isinstance(record.msg, dict):  # a line of ours, come by structlog
            fields = {**fields, "event": record.msg.get("event"), **record.msg}
        else:
            fields["event"] = mask(record.getMessage())
        if record.exc_info:
            fields["exception"] = mask(self.formatException(record.exc_info))
        return render(fields, self._json)


def render(fields: dict[str, Any], json: bool) -> str:
    """Return one line of JSON, or of key=value text."""
    return encode_whole(fields).decode() if json else " ".join([f"{name}={value!r}" for name, value in fields.items()])


_output: _Output | None = None


@functools.cache
def _stdlib_lines() -> Any:
    # Loaded with the first line that is really written: importing it costs as much as httpx.
    import structlog

    return structlog.wrap_logger(
        _LOGGER,
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            lambda logger, level, fields: {**_masked(fields), "timestamp": _now()},
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _bound() -> dict[str, Any] | None:
    """Return what the caller bound by structlog; nobody can have, as long as it is not even loaded."""
    variables: Any = sys.modules.get("structlog.contextvars")
    return variables and _masked(variables.get_contextvars())


def _masked(fields: Any) -> dict[str, Any]:
    return {name: mask(value) if isinstance(value, str) else value for name, value in fields.items()}


def _now(now: float | None = None) -> str:
    """Return the time as "2026-11-22T09:30:00.123456Z"; the part up to the second is kept while it lasts."""
    global _second
    if now is None:
        now = time.time()
    second, text = _second
    whole = int(now)
    if whole != second:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
        _second = whole, text
    return f"{text}.{int((now - whole) * 1e6):06d}Z"


_second = (0, "")
