"""Real Redis and PostgreSQL servers on loopback, from the binaries of this machine, in folders of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
import redis

START_S = 30.0


def binary(name: str) -> str:
    """Return a server's program; where there is none, fail in CI, and skip elsewhere."""
    found = shutil.which(name)
    # Debian keeps PostgreSQL's programs away from the path.
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if found is None and places:
        found = str(places[-1])
    if found is None:
        reason = f"{name} is not installed; .ci/run installs what these tests need"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def until(ready: Callable[[], bool], what: str) -> None:
    """Wait until `ready` returns True."""
    deadline = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} after {START_S:g} s")
        time.sleep(0.01)


class ServerProcess:
    """A server that can be stopped, killed, and started again on its data.

    Args:
        fsync: off, tests are faster, and only a crash of the machine would lose what was acknowledged.
    """

    # What ends the server at once, by a handler of its own: what a shell runs in the background ignores SIGQUIT.
    ends_at_once = signal.SIGTERM

    def __init__(self, *, fsync: bool = False) -> None:
        self.fsync = fsync
        self.folder = Path(tempfile.mkdtemp(prefix="antiphon-"))
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def is_ready(self) -> bool:
        raise NotImplementedError

    def launch(self, command: list[str]) -> subprocess.Popen[bytes]:
        log = self.log()
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        finally:
            os.close(log)

    def log(self) -> int:
        return os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def start(self) -> None:
        until(self._is_up, f"{type(self).__name__} is not ready")

    def _is_up(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            # Again, when it has ended: after a kill, what is left of the one before may be in its way for a moment.
            self.process = self.launch(self.command())
        return self.is_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(START_S)
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def remove(self) -> None:
        self.stop(self.ends_at_once)
        shutil.rmtree(self.folder, ignore_errors=True)


S = TypeVar("S", bound=ServerProcess)


def running(server: S) -> Iterator[S]:
    """Start a server for a fixture, and remove it afterwards."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


class RedisServer(ServerProcess):
    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def admin(self) -> redis.Redis:
        return redis.Redis(port=self.port, decode_responses=True)

    def command(self) -> list[str]:
        settings = {
            **{"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": ""},
            **{"appendonly": "yes", "appendfsync": "always" if self.fsync else "no", "daemonize": "no"},
        }
        return [binary("redis-server"), *(part for name, value in settings.items() for part in (f"--{name}", value))]

    def is_ready(self) -> bool:
        try:
            with self.admin() as admin:
                return bool(admin.ping())
        except redis.RedisError:
            return False


class PostgresServer(ServerProcess):
    """Initialised when made. It refuses to run as root, so then it runs as somebody else."""

    ends_at_once = signal.SIGQUIT

    def __init__(self, *, fsync: bool = False) -> None:
        initdb = binary("initdb")
        super().__init__(fsync=fsync)
        self.data = self.folder / "data"
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        done = self.launch(
            [initdb, "-D", str(self.data), "-U", "antiphon", "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
        ).wait(START_S)
        assert done == 0, (self.folder / "log").read_text(errors="replace")
        rules = self.data / "pg_hba.conf"
        rules.write_text("host all guest 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

    @property
    def url(self) -> str:
        return f"postgresql://antiphon@127.0.0.1:{self.port}/postgres"

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(self.url, autocommit=True)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        with self.admin() as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def command(self) -> list[str]:
        on = "on" if self.fsync else "off"
        settings = {
            **{"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": str(self.folder)},
            **{"fsync": on, "full_page_writes": on, "max_connections": "100", "shared_buffers": "16MB"},
        }
        return [
            *(binary("postgres"), "-D", str(self.data)),
            *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
        ]

    def launch(self, command: list[str]) -> subprocess.Popen[bytes]:
        log = self.log()
        try:
            if self.user is None:
                return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user.pw_uid,
                group=self.user.pw_gid,
                extra_groups=[],
            )
        finally:
            os.close(log)

    def is_ready(self) -> bool:
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True


class Proxy:
    """Stands between a client and a server, and can lose answers.

    While `loses_answers` is set, what the client sends still reaches the server, and when the server answers, both
    connections are closed. `loses_next_answer` does so once. `forget` is what a router does to idle connections:
    nothing passes any more, and nobody is told.
    """

    def __init__(self, port: int) -> None:
        self.loses_answers = False
        self.loses_next_answer = False
        self.connections = 0
        self._forgotten = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for ends in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=(*ends, self.connections), daemon=True).start()

    def forget(self) -> None:
        self._forgotten = self.connections

    def _pass_on(self, source: socket.socket, sink: socket.socket, is_answer: bool, number: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if number <= self._forgotten:
                    continue
                if is_answer and (self.loses_answers or self.loses_next_answer):
                    self.loses_next_answer = False
                    break
                sink.sendall(data)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
