"""A recorded talk with a real server, told again: our client reads what the server said then."""

from __future__ import annotations

from typing import Any

from conftest import Mode
from mcp_calls import connected
from recordings import load
from scripted_mcp import Post, scripted_mcp


def test_a_recorded_server_is_understood(mode: Mode, run: Any) -> None:
    talk = {each.request_body["method"]: each for each in load("mcp-http")}
    asked: dict[str, Any] = talk["tools/call"].request_body["params"]["arguments"]

    def tell_again(post: Post) -> None:
        each = talk[post.message["method"]]
        body = each.body
        if "id" in post.message:  # the ids are the only thing that differs
            body = body.replace(b'"id":%d' % each.request_body["id"], b'"id":%d' % post.message["id"], 1)
        post.connection.answer(body, f"{each.status} Recorded", content_type=each.headers["content-type"])

    async def body() -> None:
        logs: list[Any] = []
        with scripted_mcp(dict.fromkeys(talk, tell_again)) as host:
            async with connected(mode, host.url, on_log=logs.append) as server:
                assert server.client.protocol_version == "2025-11-25"
                tools = await server.tools()
                assert [tool.name for tool in tools] == ["read_wiki_structure", "read_wiki_contents", "ask_question"]
                assert tools[0].raw["_meta"] == {"_fastmcp": {"tags": []}}
                result = await server.call("ask_question", asked)
                assert result.text.startswith("Pydantic AI is a Python agent framework")
                assert logs[0]["logger"] == "deepwiki.ask_question"
            assert host.last("tools/call")["params"]["arguments"] == asked

    run(body)
