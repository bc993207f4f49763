"""The engine behind the one-call functions."""

from __future__ import annotations

import atexit
import os
import threading

from .engine import Engine


class _Default:
    """Holds the one engine of this process, made when first needed."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._pid = 0
        self._lock = threading.Lock()

    def get(self) -> Engine:
        engine = self._engine
        if engine is not None and self._pid == os.getpid() and not engine.is_closed:
            return engine
        with self._lock:
            if self._engine is None or self._pid != os.getpid() or self._engine.is_closed:
                # After a fork the parent's sockets are the parent's: forget them, touch nothing.
                self._engine, self._pid = Engine(), os.getpid()
                atexit.register(self._engine.close)
            return self._engine

    def take(self) -> Engine | None:
        with self._lock:
            engine, self._engine = self._engine, None
            return engine if self._pid == os.getpid() else None


_default = _Default()
default_engine = _default.get


def close() -> None:
    """Close the client behind the one-call functions; the next call makes a new one."""
    if (engine := _default.take()) is not None:
        atexit.unregister(engine.close)
        engine.close()


async def aclose() -> None:
    """Close the client behind the one-call functions, the running event loop's connections included."""
    if (engine := _default.take()) is not None:
        atexit.unregister(engine.close)
        await engine.aclose()
