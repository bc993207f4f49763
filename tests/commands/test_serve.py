"""`antiphon serve`: what it takes and refuses; with `slow`, a server as a user starts it."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys

import pytest
from command_runs import child_environment, interruptible, run


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--host", "0.0.0.0"], 2, "--host 0.0.0.0 reaches other machines, and there is no key"),
        (["--key-env", "NO_SUCH_KEY"], 2, "the environment variable NO_SUCH_KEY is not set"),
        (["--key-env", "A", "--key-env", "B"], 2, "--key-env A: with several keys each needs a tenant"),
        (["--key-env", "a=A_KEY", "--key-env", "z=Z_KEY"], 1, "ANTIPHON_ID_KEY is not set"),
        (["--chain", "respones"], 2, 'did you mean "responses"?'),
        (["--port", "x"], 2, "invalid int value"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_server_that_cannot_be_meant_does_not_start(
    words: list[str], status: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "a")
    monkeypatch.setenv("Z_KEY", "z")

    ran = run("serve", *words)

    assert (ran.status, ran.out) == (status, "")
    assert said in ran.err


def test_without_its_package_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    ran = run("serve")

    assert ran.status == 1
    assert "antiphon serve needs uvicorn" in ran.err
    assert "pip install 'antiphon[serve]'" in ran.err


@pytest.mark.slow
def test_it_serves_until_ctrl_c() -> None:
    words = interruptible("serve", "--port", "0", "--key-env", "SERVER_KEY", "--model", "scripted/echo")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=child_environment(SERVER_KEY="k")) as server:
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"running on http://(127\.0\.0\.1:\d+)", line):
                break
        else:
            raise AssertionError("it did not start")
        connection = http.client.HTTPConnection(found[1])
        headers = {"content-type": "application/json", "authorization": "Bearer k"}
        connection.request("POST", "/v1/responses", json.dumps({"model": "scripted/echo", "input": "Hi"}), headers)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        server.send_signal(signal.SIGINT)
        rest = server.stderr.read()

    assert answer["output"][0]["content"][0]["text"] == "Hi"
    assert server.returncode == 0
    assert "Traceback" not in rest
