"""Ctrl-C, as tests press it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Generator


@contextlib.contextmanager
def ctrl_c() -> Generator[Callable[[], None]]:
    """Give the function by which another thread presses Ctrl-C: this one, the main one, is interrupted once.

    It is pressed until it is heard, as people do: CPython does not notice a signal that comes just before a lock is
    waited for until the wait is over.
    """
    main, heard = threading.get_ident(), threading.Event()

    def interrupt(number: int, frame: object) -> None:
        if not heard.is_set():
            heard.set()
            raise KeyboardInterrupt

    def press() -> None:
        while not heard.is_set():
            signal.pthread_kill(main, signal.SIGINT)
            heard.wait(0.1)

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield press
    finally:
        signal.signal(signal.SIGINT, before)
