"""A program that talks over its standard input and output, as one body for threads and event loops.

The pipes are not waited for one by one: what can be done on any of the three at a moment is done in one step by
`pump`, which waits for a selector's own descriptor. So a program that writes errors, or answers while it is being
written to, never blocks and never blocks us; and nothing runs in the background.

The program gets a process group of its own, since launchers (npx, uvx) leave the work to their children. Stopping it is
blocking code with an end: close its input, wait, SIGTERM, wait, SIGKILL. Run through `Runtime.call`, it goes on in its
thread when the caller is cancelled. POSIX only.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .runtime import Runtime

_READ_BYTES = 256 * 1024
_ERROR_BYTES = 16 * 1024
# Where the end of a process cannot be waited for together with its pipes, it is looked for this often, seconds.
_LOOK_S = 0.5
_AT_EXIT_S = 0.5
_KILLED_S = 5.0


class Process:
    """A running program. `send` and `stop` may be called from any thread; `pump` by one at a time.

    Args:
        command: looked up in the PATH of `env`; never given to a shell.
        env: its whole environment.
        cwd: the folder it runs in; None for ours.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: str | None = None) -> None:
        self._popen = subprocess.Popen(  # noqa: S603  a list, from the set-up and not from a call
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._owner = os.getpid()
        self._pipes = [pipe for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr) if pipe]
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        self._lock = threading.Lock()
        self._unsent = bytearray()
        self._errors = bytearray()
        self._input_open = True
        self._pumping = False
        self._stopping = False
        self._closed = False
        self._end: int | None = None
        self._selector = selectors.DefaultSelector()
        try:
            self._end = _end_of(self.pid)
            for fd in (self._out, self._err, self._end):
                if fd is not None:
                    self._selector.register(fd, selectors.EVENT_READ)
            for fd in (self._in, self._out, self._err):
                os.set_blocking(fd, False)
        except OSError:  # no descriptors are left, or the like
            self.stop(0.0)
            raise
        _remember(self)

    @property
    def errors(self) -> str:
        """The last that it wrote to its standard error."""
        return self._errors.decode("utf-8", "replace").strip()

    @property
    def exit_code(self) -> int | None:
        """How it ended, negative for a signal's number; None before `stop`."""
        return self._popen.returncode

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def has_exited(self) -> bool:
        """Tell whether it has ended by itself or was stopped. Leaves it to be reaped, so that its group's number stays
        taken until the group is gone.
        """
        if self._popen.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            return self._popen.poll() is not None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody else has reaped it
            return True

    def send(self, data: bytes) -> bool:
        """Take `data` for its input, write what fits, and leave the rest to `pump`. Never waits.

        Returns:
            False when it takes no input any more, and nothing of `data` has been written.
        """
        with self._lock:
            if not self._input_open:
                return False
            was_empty = not self._unsent
            self._unsent += data
            self._flush()
            return self._input_open or not was_empty or len(self._unsent) < len(data)

    async def pump(self, runtime: Runtime, seconds: float) -> bytes | None:
        """Wait until something happens, at most so long; move what can be moved; return what came out of it.

        Returns:
            b"" when the time ran out or only its input or its errors moved; None at its end.
        """
        with self._lock:
            if self._closed:
                return None
            self._pumping = True
        try:
            wait = seconds if self._end is not None else min(seconds, _LOOK_S)
            await runtime.readable(self._selector.fileno(), max(wait, 0.0))
            return self._move()
        finally:
            with self._lock:
                self._pumping = False
                if self._stopping and self._popen.returncode is not None:
                    self._close()

    def stop(self, grace_s: float = 2.0) -> None:
        """End it, and all of its group. Blocks, at most about twice `grace_s`. Idempotent."""
        with self._lock:
            if self._closed or self._owner != os.getpid():
                return
            first, self._stopping = not self._stopping, True
            self._close_input()
        if not first:
            self._wait(2 * grace_s + 1)
            return
        if not self._wait(grace_s):
            self._signal(signal.SIGTERM)
            self._wait(grace_s)
        self._signal(signal.SIGKILL)  # the group's rest, even when its first process has gone by itself
        with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in the kernel; nobody can end it
            self._popen.wait(_KILLED_S)
        with self._lock:
            if not self._pumping:
                self._close()

    def _wait(self, seconds: float) -> bool:
        """Tell whether it ended within `seconds`; read what it writes meanwhile, for that may be what it waits for."""
        ends_at, step_s = time.monotonic() + seconds, 0.001
        while not self.has_exited():
            if time.monotonic() >= ends_at:
                return False
            with self._lock:
                if not self._pumping and not self._closed:
                    _read(self._out)
                    self._read_errors()
            time.sleep(step_s)
            step_s = min(2 * step_s, 0.02)
        return True

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _move(self) -> bytes | None:
        with self._lock:
            if self._closed:
                return None
            self._flush()
            self._read_errors()
            data = _read(self._out)
            if data == b"" or (data is None and self.has_exited()):
                return None
            return data or b""

    def _flush(self) -> None:
        """Write what fits, and have the selector report room for the rest."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._in, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has closed its input, mostly by ending
            self._close_input()
            return
        watched = self._in in self._selector.get_map()
        if self._unsent and not watched:
            self._selector.register(self._in, selectors.EVENT_WRITE)
        elif watched and not self._unsent:
            self._selector.unregister(self._in)

    def _read_errors(self) -> None:
        if self._err not in self._selector.get_map():
            return
        data = _read(self._err)
        if data == b"":
            self._selector.unregister(self._err)
        elif data:
            self._errors += data
            del self._errors[:-_ERROR_BYTES]

    def _close_input(self) -> None:
        if self._input_open:
            self._input_open = False
            if self._in in self._selector.get_map():
                self._selector.unregister(self._in)
            with contextlib.suppress(OSError):
                self._pipes[0].close()

    def _close(self) -> None:
        """Close what is ours of it."""
        if self._closed:
            return
        self._closed = True
        self._read_errors()
        self._selector.close()
        for pipe in self._pipes[1:]:
            pipe.close()
        if self._end is not None:
            os.close(self._end)
        _running.discard(self)

    def _leave_to_parent(self) -> None:
        """Close this fork's copies of the descriptors, so that the parent's closing its input reaches the program."""
        self._lock = threading.Lock()
        self._closed = True
        self._popen.returncode = 0  # it is not ours to wait for
        for pipe in self._pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        if self._end is not None:
            os.close(self._end)
        self._selector.close()


def _read(fd: int) -> bytes | None:
    """Return what can be read now; b"" at the end, None when there is nothing yet."""
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _end_of(pid: int) -> int | None:
    """Return a descriptor that can be read when a process has ended; None where the system has none (not Linux)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


_running: weakref.WeakSet[Process] = weakref.WeakSet()
_prepared = False


def _remember(process: Process) -> None:
    """Have it stopped at the interpreter's end, and let go of in a fork."""
    global _prepared
    if not _prepared:
        _prepared = True
        atexit.register(_stop_all)
        os.register_at_fork(after_in_child=_after_fork)
    _running.add(process)


def _stop_all() -> None:
    for process in list(_running):
        process.stop(_AT_EXIT_S)


def _after_fork() -> None:
    for process in list(_running):
        process._leave_to_parent()
    _running.clear()
