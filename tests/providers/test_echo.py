"""What a response repeats of its request where the host itself does not."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.tools import McpTool
from antiphon.pipeline.api.wire import encode
from antiphon.pipeline.request import Target
from antiphon.providers.dialects.chat import ChatDialect
from antiphon.providers.dialects.echo import response_fields

CANARY = "canary-in-a-coal-mine"
SEARCH = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example"}
SECRET = {**SEARCH, "authorization": CANARY, "headers": {"X-Key": CANARY}}
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def repeated(*tools: Any) -> Any:
    target = Target(provider="acme", model="m", base_url="", dialect=ChatDialect())
    return response_fields(CreateParams(input="Hi", tools=list(tools)), target)["tools"]


@pytest.mark.parametrize("tool", [SECRET, McpTool.new(**SECRET)], ids=["dict", "object"])
def test_what_an_mcp_server_is_called_with_is_not_repeated(tool: Any) -> None:
    found = repeated(LOOK, tool)

    assert CANARY not in encode(found).decode()
    assert found == [LOOK, {**SEARCH, "authorization": "***", "headers": {"X-Key": "***"}}]


def test_an_mcp_server_without_credentials_is_repeated_as_it_is() -> None:
    assert repeated(SEARCH, {**SEARCH, "headers": None}) == [SEARCH, {**SEARCH, "headers": None}]
