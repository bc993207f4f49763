"""Over the real wire: uvicorn on this machine, other people's clients, and a real model."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Generator
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from hand_made import outcomes
from starlette.applications import Starlette
from starlette.routing import Mount

import antiphon
from antiphon import Client, presets
from antiphon.serve import app
from antiphon.testing import Fault, faulty, scripted


@contextlib.contextmanager
def serving(served_app: Any) -> Generator[str]:
    """Serve an app by uvicorn in a thread; yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(served_app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
        assert not thread.is_alive()


@contextlib.contextmanager
def official(served_app: Any) -> Generator[openai.OpenAI]:
    """Serve an app, and yield the official client of it."""
    with serving(served_app) as url, openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        yield client


@pytest.mark.slow
def test_clients_of_every_kind_go_through_the_chain() -> None:
    seen: list[str] = []
    chain = scripted("One two.", chain=presets.responses.before(0, outcomes(seen, "call")))
    with serving(app(chain, keys="k")) as url:
        with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
            plain = client.responses.create(model="openai/m", input="Hi")
            events = list(client.responses.create(model="openai/m", input="Hi", stream=True))
            raw = client.responses.with_raw_response.create(model="openai/m", input="Hi")
        with Client() as ours:
            call: dict[str, Any] = {"model": "openai/openai/m", "api_base": f"{url}/v1", "api_key": "k"}
            through = ours.responses("Hi", **call)
            streamed = "".join(ours.responses("Hi", stream=True, **call).text)
        with pytest.raises(antiphon.AuthenticationError, match="the key is wrong"):
            antiphon.responses("Hi", "openai/m", api_base=call["api_base"], api_key="other")
    assert [plain.output_text, events[-1].response.output_text, through.output_text, streamed] == ["One two."] * 4  # type: ignore[union-attr]
    assert raw.headers["x-request-id"].startswith("call_")
    assert seen == ["call:completed"] * 5
    antiphon.close()


@pytest.mark.slow
def test_an_app_is_mounted_in_another() -> None:
    with serving(Starlette(routes=[Mount("/llm", app())])) as url:
        found = httpx.post(f"{url}/llm/v1/responses", json={"model": "scripted/echo", "input": "Hi"})
        missing = httpx.get(f"{url}/llm/v1/other")
    assert (found.status_code, missing.json()["error"]["message"]) == (200, "there is no /other here")


@pytest.mark.slow
def test_a_client_that_hangs_up_stops_the_model() -> None:
    seen: list[str] = []
    ended = threading.Event()

    def end(signal: antiphon.CallEnded) -> None:
        seen.append(signal.kind)
        ended.set()

    chain = presets.responses.before(0, antiphon.Observe(on_call_end=end))
    slow = faulty(Fault(answer="word " * 2000, pause_s=0.01), chain=chain)
    with slow, serving(app(slow)) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        body = json.dumps({"model": "openai/m", "input": "Hi", "stream": True})
        connection.request("POST", "/v1/responses", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.readline().startswith(b"event: response.created")
        connection.sock.shutdown(socket.SHUT_RDWR)
        answer.close()
        connection.close()
        assert ended.wait(10)
    assert seen in (["cancelled"], ["abandoned"])


@pytest.mark.slow
def test_a_host_that_cuts_a_stream_is_told_of_in_the_stream() -> None:
    chain = presets.responses.with_(retry={"attempts": 1})
    with faulty(Fault(answer="One two three.", cut_after=6), chain=chain) as cut, official(app(cut)) as client:
        events = list(client.responses.create(model="openai/m", input="Hi", stream=True))
    assert events[-1].type == "response.failed"
    assert events[-1].response.error is not None
    assert events[-1].response.error.code == "server_error"


@pytest.mark.local_model
def test_a_real_model_is_served() -> None:
    call: dict[str, Any] = {"model": "local/smollm2", "input": "Say hello.", "max_output_tokens": 16}
    with official(app(models=["local/smollm2"])) as client:
        plain = client.responses.create(**call)
        events = list(client.responses.create(**call, stream=True))
        goes_on = client.responses.create(**call, previous_response_id=plain.id)
    assert plain.output_text
    assert events[0].type == "response.created"
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert goes_on.previous_response_id == plain.id
