"""The named servers of one client."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import Mode
from mcp_calls import plain_server
from scripted_mcp import scripted_mcp

from antiphon import InvalidParameter, Secret, SetupError
from antiphon.mcp import McpAddressRefused, McpServer, McpServers, UnknownMcpServer
from antiphon.pipeline.engine import Engine
from antiphon.pipeline.runtimes.driver import drive

DOCS = "https://docs.example/mcp"


@pytest.fixture
def servers() -> McpServers:
    return McpServers({"docs": DOCS, "files": {"command": "mcp-files"}, "mail": {"url": "https://mail.example/mcp"}})


def tool(**fields: Any) -> dict[str, Any]:
    return {"type": "mcp", "server_label": "x", **fields}


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("antiphon", ["docs", "files", "mail"]),
        ("antiphon/docs", ["docs"]),
        ("antiphon/docs,mail", ["docs", "mail"]),
        ("litellm_proxy", ["docs", "files", "mail"]),
        ("litellm_proxy/mcp", ["docs", "files", "mail"]),
        ("litellm_proxy/mcp/files", ["files"]),
        ("litellm_proxy/mcp/docs, mail", ["docs", "mail"]),
        ("docs", ["docs"]),
    ],
)
def test_registered_servers_are_found_by_name(servers: McpServers, url: str, names: list[str]) -> None:
    found = servers.find(tool(server_url=url))

    assert [name for name, _ in found] == names
    assert all(server is servers.servers[name] for name, server in found)


def test_a_label_without_an_address_is_a_name(servers: McpServers) -> None:
    assert servers.find({"type": "mcp", "server_label": "docs"}) == [("docs", servers.servers["docs"])]


@pytest.mark.parametrize(
    "other",
    [
        {"type": "function", "name": "docs"},
        {"type": "mcp", "server_label": "dropbox", "connector_id": "connector_dropbox"},
        {"type": "mcp", "server_label": "docs", "connector_id": "connector_dropbox"},
        {"type": "mcp", "server_label": "docs", "tunnel_id": "t"},
        {"type": "mcp", "server_label": "unknown"},
    ],
)
def test_what_is_the_providers_is_not_ours(servers: McpServers, other: dict[str, Any]) -> None:
    assert servers.find(other) == []


def test_an_unknown_name_gets_a_suggestion(servers: McpServers) -> None:
    with pytest.raises(UnknownMcpServer, match=r'no MCP server "dcos" .* did you mean "docs"'):
        servers.find(tool(server_url="antiphon/dcos"))


def test_an_address_that_comes_with_a_call_is_taken_with_its_own_credentials(servers: McpServers) -> None:
    given = tool(
        server_url="https://other.example/mcp", headers={"X-A": "1", "x-litellm-api-key": "k"}, authorization="t"
    )

    [(name, server)] = servers.find(given)

    assert (name, server.url, server.auth) == ("x", "https://other.example/mcp", Secret("t"))
    assert server.headers == {"X-A": Secret("1")}
    assert server.allow_private is False
    assert servers.find(given)[0][1] is server
    assert servers.find({**given, "authorization": "u"})[0][1] is not server


def test_the_address_of_a_registered_server_under_its_label_is_that_server(servers: McpServers) -> None:
    assert servers.find(tool(server_label="docs", server_url=DOCS))[0][1] is servers.servers["docs"]
    assert servers.find(tool(server_label="other", server_url=DOCS))[0][1] is not servers.servers["docs"]


def test_a_call_may_bring_credentials_for_a_registered_server() -> None:
    servers = McpServers({"docs": {"url": DOCS, "headers": {"A": "1", "B": "2"}, "auth": "ours", "timeout_s": 7}})

    [(_, server)] = servers.find(tool(server_url="antiphon/docs", headers={"B": "3"}, authorization="theirs"))

    assert server.headers == {"A": Secret("1"), "B": Secret("3")}
    assert server.auth == Secret("theirs")
    assert server.timeout_s == 7
    assert servers.servers["docs"].auth == Secret("ours")


@pytest.mark.parametrize("url", ["https://10.0.0.1/mcp", "http://example.com/mcp", "https://169.254.169.254/mcp"])
def test_addresses_of_calls_obey_the_policy(servers: McpServers, url: str) -> None:
    with pytest.raises(McpAddressRefused):
        servers.find(tool(server_url=url))
    assert McpServers(allow_private=True).find(tool(server_url=url))


def test_addresses_of_calls_can_be_forbidden() -> None:
    with pytest.raises(UnknownMcpServer, match=r"may not bring the address a\.example"):
        McpServers(urls=False).find(tool(server_url="https://a.example/mcp"))
    some = McpServers(urls=["a.example"], allow_loopback=False)
    assert some.find(tool(server_url="https://a.example/mcp"))
    with pytest.raises(UnknownMcpServer):
        some.find(tool(server_url="https://b.example/mcp"))
    with pytest.raises(McpAddressRefused, match="this machine"):
        some.find(tool(server_url="http://localhost:8000/mcp"))


@pytest.mark.parametrize(
    "wrong", [{"server_url": 7}, {"server_url": DOCS, "headers": "text"}, {"server_url": "ftp://a/"}]
)
def test_a_tool_that_cannot_be_read_is_an_error(servers: McpServers, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter):
        servers.find(tool(**wrong))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("npx some-server --flag", '"npx" is no address'),
        ({"comand": "npx"}, 'did you mean "command"'),
        ({}, "has no address"),
        ({"url": DOCS, "command": "npx"}, "has url and command"),
        ({"url": "file:///etc/passwd"}, r"http\(s\)"),
        ({"url": DOCS, "type": "websocket"}, 'the type of an MCP server is "websocket"'),
        ({"url": DOCS, "protocol": "2020-01-01"}, 'protocol is "2020-01-01"'),
        ({"url": DOCS, "timeout_s": 0}, "timeout_s of an MCP server is 0"),
        (7, "a int is no MCP server"),
    ],
)
def test_a_server_that_cannot_be_read_is_an_error_of_the_set_up(value: Any, text: str) -> None:
    with pytest.raises(SetupError, match=text):
        McpServers({"x": value})


def test_a_file_of_servers_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCS_KEY", "hush")
    monkeypatch.delenv("NOWHERE", raising=False)
    path = tmp_path / "mcp.json"
    entries = {
        "docs": {"type": "http", "url": "https://docs.example/mcp", "headers": {"Authorization": "Bearer ${DOCS_KEY}"}},
        "files": {"command": "npx", "args": ["-y", "files", "${NOWHERE:-/tmp}"], "env": {"KEY": "${env:DOCS_KEY}"}},
        "old": {"type": "sse", "url": "https://old.example/sse"},
        "off": {"command": "x", "disabled": True},
    }
    path.write_text(json.dumps({"mcpServers": entries}))

    servers = McpServers.from_file(path).servers

    assert list(servers) == ["docs", "files", "old"]
    assert servers["docs"].headers == {"Authorization": Secret("Bearer hush")}
    assert servers["files"].args == ("-y", "files", "/tmp")
    assert servers["files"].env == {"KEY": Secret("hush")}
    assert servers["old"].transport == "sse"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", 'no object "mcpServers"'),
        ('{"mcpServers": {"a": {"command": "${NOWHERE}"}}}', 'server "a": the environment variable NOWHERE is not set'),
        ('{"mcpServers": {"a": {"cmd": "x"}}}', 'server "a": "cmd" is no setting'),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)

    with pytest.raises(SetupError, match=complaint) as caught:
        McpServers.from_file(path)
    assert str(path) in str(caught.value)
    with pytest.raises(SetupError, match="cannot be read"):
        McpServers.from_file(tmp_path / "none.json")


def test_a_connection_is_used_again_in_its_mode_and_closed_with_the_owner(mode: Mode, run: Any) -> None:
    engine = Engine()

    async def body() -> None:
        with scripted_mcp() as host:
            servers = McpServers({"demo": host.url})
            engine.on_close(servers.close)
            runtime = engine.runtime(is_async=mode.is_async)
            [(name, server)] = servers.find(tool(server_url="antiphon/demo"))

            first = await servers.connection(name, server, runtime)
            assert (await first.call_tool("add", {"a": 1, "b": 2})).text == "3"
            assert await servers.connection(name, server, runtime) is first
            if mode.is_async:
                await servers.aclose(runtime)
                await engine.aclose()
            else:
                engine.close()

            assert host.count("initialize") == 1
            assert host.count("DELETE") == 1
            with pytest.raises(SetupError, match="closed"):
                await servers.connection(name, server, runtime)

    run(body)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_engine_that_is_closed_in_a_loop_ends_the_sessions_of_that_loop(backend: str) -> None:
    async def body() -> None:
        with scripted_mcp() as host:
            engine = Engine()
            servers = engine.shared("mcp_servers", lambda: McpServers({"demo": host.url}))
            runtime = engine.runtime(is_async=True)
            connection = await servers.connection("demo", servers.servers["demo"], runtime)
            await connection.list_tools()

            await engine.aclose()

            assert host.count("DELETE") == 1

    anyio.run(body, backend=backend)


def test_each_event_loop_has_a_connection_of_its_own_and_knows_what_the_last_one_learnt() -> None:
    engine = Engine()
    with scripted_mcp() as host:
        servers = McpServers({"demo": host.url})

        async def body() -> object:
            runtime = engine.runtime(is_async=True)
            connection = await servers.connection("demo", servers.servers["demo"], runtime)
            await connection.list_tools()
            return connection

        first, second = anyio.run(body), anyio.run(body, backend="trio")

        assert first is not second
        assert host.count("server/discover") == 1
        assert host.count("initialize") == 2
        assert servers._connections == {}
    servers.close()
    engine.close()


def test_closing_ends_servers_of_all_loops_and_threads() -> None:
    engine = Engine()
    servers = McpServers({"plain": plain_server()})
    engine.on_close(servers.close)
    server = servers.servers["plain"]
    ready, done = threading.Event(), threading.Event()
    pids: list[int] = []

    async def use(is_async: bool) -> None:
        connection = await servers.connection("plain", server, engine.runtime(is_async=is_async))
        pids.append(int((await connection.call_tool("pid", {})).text))

    async def in_loop() -> None:
        await use(True)
        ready.set()
        await anyio.to_thread.run_sync(done.wait)

    thread = threading.Thread(target=anyio.run, args=(in_loop,))
    thread.start()
    assert ready.wait(20)
    drive(use(False))
    engine.close()
    done.set()
    thread.join()

    from subprocess import run as ps

    found = [
        ps(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout for pid in pids
    ]
    assert len(pids) == 2
    assert all(not state.strip() or state.startswith("Z") for state in found)


def test_connections_for_addresses_of_calls_do_not_pile_up() -> None:
    engine = Engine()
    servers = McpServers()
    with scripted_mcp() as host:

        async def use(number: int) -> None:
            [(name, server)] = servers.find(tool(server_url=host.url, authorization=f"token-{number}"))
            connection = await servers.connection(name, server, engine.runtime(is_async=False))
            await connection.list_tools()

        for number in range(70):
            drive(use(number))

        assert len(servers._connections) <= 64
        assert len(servers._foreign) == 64
        servers.close()
        engine.close()


def test_a_registry_shows_names_and_no_secrets() -> None:
    assert repr(McpServers({"docs": {"url": DOCS, "auth": "hush"}})) == "McpServers(docs)"
    assert McpServer.of(DOCS).where == DOCS
