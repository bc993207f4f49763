"""What tests of the Tools stage share: scripted models that call tools, and servers in this process that have some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conftest import Mode

from antiphon import presets
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.testing import ScriptedClient, function_call, message, scripted

CHAIN = presets.responses.with_(retry={"base_delay_s": 0.0, "max_delay_s": 0.0})


def calling(*calls: tuple[str, Mapping[str, Any]] | dict[str, Any], text: str | None = None) -> dict[str, Any]:
    """Return a scripted answer that calls tools: ("name", {arguments}) each, under the ids call_1, call_2, …"""
    items: list[dict[str, Any]] = [] if text is None else [message(text, "msg_said")]
    for number, call in enumerate(calls, 1):
        items.append(call if isinstance(call, dict) else function_call(call[0], call[1], f"call_{number}"))
    return {"output": items}


def chat_calling(*calls: tuple[str, str], text: str = "") -> dict[str, Any]:
    """Return the same as a plain chat completion: ("name", "JSON arguments") each."""
    tool_calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls, 1)
    ]
    said: dict[str, Any] = {"role": "assistant", "content": text or None}
    if tool_calls:
        said["tool_calls"] = tool_calls
    return chat_completion(said, "tool_calls" if tool_calls else "stop")


def chat_completion(said: dict[str, Any], finish_reason: str = "stop") -> dict[str, Any]:
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    choice = {"index": 0, "message": said, "finish_reason": finish_reason}
    return {"id": "chatcmpl_1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}


def chat_body(completion: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a scripted HTTP answer: the completion as it is, or as a stream where the request asks for one."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("stream"):
            return {"body": completion}
        from antiphon.pipeline.api.wire import encode

        (choice,) = completion["choices"]
        base = {name: completion[name] for name in ("id", "model")} | {"object": "chat.completion.chunk"}
        delta = dict(choice["message"])
        if "tool_calls" in delta:
            delta["tool_calls"] = [{**call, "index": at} for at, call in enumerate(delta["tool_calls"])]
        chunks = [
            {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
            {**base, "choices": [], "usage": completion["usage"]},
        ]
        data = b"".join(b"data: %s\n\n" % encode(chunk) for chunk in chunks) + b"data: [DONE]\n\n"
        return {"headers": {"content-type": "text/event-stream"}, "body": data}

    return answer


class Talk:
    """Calls through a client, mostly a scripted one, and what came of the last.

    Attributes:
        events: of a streamed call, all of them, held to the grammar.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.events: list[ev.Event] = []
        self.response: Response | None = None

    async def __call__(self, mode: Mode, input: Any = "Hi", *, streamed: bool, **keywords: Any) -> Response:
        keywords = {"model": "openai/m", **keywords}
        if not streamed:
            response: Response = await mode.call(self.client.chain, input, **keywords)
            return response
        stream: EventStream = await mode.call(self.client.chain, input, stream=True, **keywords)
        self.events = await mode.events(stream)
        assert check_grammar(self.events) == []
        assert stream.response is not None
        return stream.response

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("response.") for event in self.events]

    @property
    def requests(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.requests
        return found


def talk(*answers: Any, chain: Chain = CHAIN, **settings: Any) -> Talk:
    """Return a scripted client to talk to."""
    client = scripted(*answers, chain=chain, **settings)
    _open.append(client)
    return Talk(client)


_open: list[ScriptedClient] = []


def close_all() -> None:
    """Close the clients of a test. Until then they are kept: a client that is dropped open warns of that."""
    while _open:
        _open.pop().close()


def kinds(response: Response) -> list[str]:
    """Return the types of the items of a response."""
    return [item.type for item in response.output]


def outputs(request: Mapping[str, Any]) -> list[Any]:
    """Return the results of functions that a request carries."""
    return [item["output"] for item in request["input"] if item.get("type") == "function_call_output"]


class Shelf:
    """An MCP server in this process: functions by name, and what is said of them.

    Attributes:
        called: (name, arguments) of each call.
    """

    def __init__(self, *tools: Callable[..., Any], **definitions: Mapping[str, Any]) -> None:
        self._tools = {tool.__name__: tool for tool in tools}
        self._definitions = definitions
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.listed = 0

    async def list_tools(self) -> Any:
        self.listed += 1
        return [
            {
                "name": name,
                "description": tool.__doc__ or "",
                "inputSchema": {"type": "object", "properties": {}},
                **self._definitions.get(name, {}),
            }
            for name, tool in self._tools.items()
        ]

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> Any:
        self.called.append((name, arguments))
        return self._tools[name](**arguments)


def mcp(name: str, approval: Any = "never", **fields: Any) -> dict[str, Any]:
    """Return the tool of the API that means a registered server."""
    return {
        "type": "mcp",
        "server_label": name,
        "server_url": f"antiphon/{name}",
        "require_approval": approval,
        **fields,
    }


def failing(error: Exception) -> Callable[..., Any]:
    def fail(**arguments: Any) -> Any:
        raise error

    return fail


def texts(*said: str) -> Sequence[dict[str, Any]]:
    return [{"type": "text", "text": each} for each in said]
