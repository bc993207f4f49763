"""What went over the wire is written down, and answers again."""

from __future__ import annotations

import stat
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Mode
from hand_made import answer, sse, streamed_body, text_events
from loopback import Connection, Server

from antiphon import Chain, Client, Record, Replay, presets
from antiphon.pipeline.errors import APIConnectionError, CassetteMiss, InvalidParameter, SetupError, StreamInterrupted
from antiphon.pipeline.streams.replay import replay
from antiphon.providers.scripted import ScriptedHost


def serve(connection: Connection) -> None:
    """Fail at first, then answer."""
    while received := connection.request():
        if len(connection.server.requests) == 1:
            connection.answer(b'{"error": {"message": "busy"}}', "503 Busy", retry_after_ms="1", set_cookie="canary=1")
        elif b'"stream":true' in received.body:
            connection.begin_stream()
            for event in replay(answer("One two \U0001f600.")):
                connection.send_chunk(sse([event]))
                time.sleep(0.01)  # so that they are not read in one piece
            connection.send_chunk(b"")
        else:
            connection.answer(answer("One two \U0001f600.").raw, content_type="application/json")


def recording(path: Path, **bound: Any) -> Chain:
    return presets.responses.before("dispatch", Record(str(path))).bind(api_key="canary-key", **bound)


def replaying(path: Path, **settings: Any) -> Chain:
    stages = presets.responses.before("dispatch", Replay(str(path), **settings))
    return stages.bind(api_key="none", api_base="http://127.0.0.1:9/v1")


def moved(path: Path, url: str) -> None:
    """Put an address that nobody listens at in place of the server's, whose port differs from run to run."""
    path.write_text(path.read_text().replace(url, "http://127.0.0.1:9"))


def test_a_call_answers_again_as_it_was(mode: Mode, streamed: bool, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> tuple[Any, Any]:
        with Server(serve) as server:
            client = Client(recording(path, api_base=f"{server.url}/v1"))
            first = await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m")
            await mode.close(client)
            moved(path, server.url)
        again = await mode.response(Client(replaying(path)).chain, "Hi", streamed=streamed, model="openai/m")
        return first, again

    first, again = mode.run(body)

    # The id says at which address the response is kept.
    assert {**again.to_dict(), "id": None} == {**first.to_dict(), "id": None}
    assert again.output_text == "One two \U0001f600."
    assert [attempt.status for attempt in again.meta.attempts] == [503, 200]


def test_no_secret_is_written_down(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> None:
        with Server(serve) as server:
            client = Client(recording(path, api_base=f"{server.url}/v1"))
            await mode.call(
                client.chain,
                "My key is canary-key.",
                model="openai/m",
                tools=[
                    {"type": "mcp", "server_label": "s", "server_url": "https://s.example", "authorization": "canary"}
                ],
                mcp_execute="native",
                extra_headers={"x-team-token": "canary"},
                extra_query={"key": "canary"},
            )
            await mode.close(client)

    mode.run(body)

    assert "canary" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_events_come_in_the_chunks_of_the_wire(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> int:
        with Server(serve) as server:
            client = Client(recording(path, api_base=f"{server.url}/v1"))
            await mode.response(client.chain, "Hi", streamed=True, model="openai/m")
            await mode.close(client)
            moved(path, server.url)
        stream = await mode.call(Client(replaying(path)).chain, "Hi", model="openai/m", stream=True)
        return len(await mode.events(stream))

    count = mode.run(body)

    last = msgspec.json.decode(path.read_bytes().splitlines()[-1])
    assert len(last["chunks"]) > 1
    assert count == len(replay(answer("One two \U0001f600.")))


def test_what_broke_breaks_again(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    cut = streamed_body(text_events("Shown", end=False))
    host = ScriptedHost([APIConnectionError("no route"), cut])
    chain = recording(path).with_(retry={"attempts": 1})

    async def ends(chain: Chain) -> list[str]:
        found: list[str] = []
        for _ in range(2):
            try:
                await mode.response(chain, "Hi", streamed=True, model="openai/m")
            except StreamInterrupted as error:
                found.append(f"interrupted after {error.response and error.response.output_text}")
            except APIConnectionError as error:
                found.append(error.message)
        return found

    async def body() -> tuple[list[str], list[str]]:
        first = await ends(Client(chain, transport=host).chain)
        again = presets.responses.with_(retry={"attempts": 1}).before("dispatch", Replay(str(path)))
        return first, await ends(Client(again.bind(api_key="none")).chain)

    first, again = mode.run(body)

    assert first == again == ["no route", "interrupted after Shown"]


def test_a_stream_that_was_left_early_ends_where_it_was_left(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    events = text_events("One ", "two")

    async def body() -> None:
        host = ScriptedHost([{"headers": {"content-type": "text/event-stream"}, "body": sse(events[:4])}])
        client = Client(recording(path), transport=host)
        stream = await mode.call(client.chain, "Hi", model="openai/m", stream=True)
        await mode.next(stream)
        await mode.close(stream)
        stages = presets.responses.with_(retry={"attempts": 1}).before("dispatch", Replay(str(path)))
        with pytest.raises(APIConnectionError, match="the recording ends here"):
            await mode.response(Client(stages.bind(api_key="none")).chain, "Hi", streamed=True, model="openai/m")

    mode.run(body)


def test_bytes_that_are_no_text_are_kept(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    odd = {"status": 400, "headers": {"content-type": "application/json"}, "body": b"\xff\xfe"}

    async def body() -> list[str]:
        found: list[str] = []
        stages = presets.responses.before("dispatch", Replay(str(path))).bind(api_key="none")
        for client in (Client(recording(path), transport=ScriptedHost([odd])), Client(stages)):
            with pytest.raises(Exception, match="400") as caught:
                await mode.call(client.chain, "Hi", model="openai/m")
            found.append(str(caught.value))
        return found

    first, again = mode.run(body)

    assert first == again
    assert '"base64"' in path.read_text()


def test_a_key_that_means_nothing_finds_a_body_with_that_word(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> list[str]:
        stages = presets.responses.before("dispatch", Replay(str(path))).bind(api_key="none")
        clients = Client(recording(path).bind(api_key="sk-real"), transport=ScriptedHost(["Hello."])), Client(stages)
        calls = [mode.call(client.chain, "Say none.", model="openai/m", tool_choice="none") for client in clients]
        return [(await call).output_text for call in calls]

    assert mode.run(body) == ["Hello.", "Hello."]


def test_a_file_that_cannot_be_written_is_found_out_before_anything_is_asked(mode: Mode, tmp_path: Path) -> None:
    async def body() -> None:
        host = ScriptedHost(["Hello."])
        for path in (tmp_path / "no" / "run.jsonl", tmp_path):
            with pytest.raises(InvalidParameter, match=r"make the folder first|is a folder"):
                await mode.call(Client(recording(path), transport=host).chain, "Hi", model="openai/m")
        assert host.requests == []

    mode.run(body)


def test_what_was_not_recorded_says_what_is_nearest(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> list[str]:
        client = Client(recording(path), transport=ScriptedHost(["Hello."]))
        await mode.call(client.chain, "Hi", model="openai/m", metadata={"run": "1"})
        found: list[str] = []
        stages = presets.responses.before("dispatch", Replay(str(path))).bind(api_key="none")
        client = Client(stages)
        for call in (
            {"input": "Hi", "model": "openai/m", "metadata": {"run": "2"}},
            {"input": "Hi", "model": "xai/m", "metadata": {"run": "1"}},
            {"input": "Hi", "model": "openai/m", "metadata": {"run": "1"}},
            {"input": "Hi", "model": "openai/m", "metadata": {"run": "1"}},
        ):
            try:
                found.append((await mode.call(client.chain, **call)).output_text)
            except CassetteMiss as error:
                found.append(error.message.partition("no answer left for ")[2])
        return found

    assert mode.run(body) == [
        "POST https://api.openai.com/v1/responses: the next one differs in metadata",
        "POST https://api.x.ai/v1/responses: the next one is of POST https://api.openai.com/v1/responses",
        "Hello.",
        "POST https://api.openai.com/v1/responses: all that was recorded has been answered",
    ]


def test_fields_may_differ_where_that_is_said(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> Any:
        client = Client(recording(path), transport=ScriptedHost(["Hello."]))
        await mode.call(client.chain, "Hi", model="openai/m", metadata={"run": "1"})
        stages = presets.responses.before("dispatch", Replay(str(path), ignore=("metadata",))).bind(api_key="none")
        return await mode.call(Client(stages).chain, "Hi", model="openai/m")

    assert mode.run(body).output_text == "Hello."


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"{",
        b'{"method": 3}',
        b'{"method":"POST","url":"http://h","chunks":[{"base": "/w=="}]}',
        b'{"method":"POST","url":"http://h","chunks":[{"base64":"/w"}]}',
    ],
)
def test_a_file_that_is_no_cassette_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SetupError, match="cannot be read"):
        Client(replaying(path)).responses("Hi", "openai/m")


def test_two_positions_with_one_file_share_it(mode: Mode, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> None:
        client = Client(recording(path), transport=ScriptedHost(["One.", "Two."]))
        other = recording(path).named("other").bind(client.engine)
        await mode.call(client.chain, "Hi", model="openai/m")
        await mode.call(other, "Hi", model="openai/m")

    mode.run(body)

    assert len(path.read_bytes().splitlines()) == 2


def test_a_model_on_this_machine_is_known_by_its_name_and_not_by_its_port(
    mode: Mode, streamed: bool, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"

    async def body() -> tuple[Any, Any]:
        with Server(serve) as server:
            client = Client(recording(path, api_base=f"{server.url}/v1"))
            first = await mode.response(client.chain, streamed=streamed, model="local/smollm2")
            await mode.close(client)
        again = await mode.response(Client(replaying(path)).chain, streamed=streamed, model="local/smollm2")
        with pytest.raises(CassetteMiss, match="local://other"):
            await mode.response(Client(replaying(path)).chain, streamed=streamed, model="local/other")
        return first, again

    first, again = mode.run(body)

    assert first.output_text == again.output_text == "One two 😀."
    assert '"url":"local://smollm2/responses"' in path.read_text()
