"""Which revision is spoken: what is sent, for what a server says."""

from __future__ import annotations

from typing import Any

import pytest

from antiphon.mcp import McpAuthError, McpConnectionError, McpError, McpProtocolError, McpServerError, McpTimeoutError
from antiphon.mcp.negotiation import Negotiation

MODERN = "2026-07-28"
DISCOVERED = {
    "supportedVersions": ["2025-11-25", MODERN],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "demo"}},
    "instructions": "Add.",
}
INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {"listChanged": True}},
    "serverInfo": {"name": "demo", "version": "1"},
}


def unsupported(*supported: str) -> McpServerError:
    return McpServerError("no", rpc_code=-32022, data={"supported": list(supported), "requested": MODERN})


def test_a_server_that_discovers_the_new_revision_speaks_it() -> None:
    talk = Negotiation("demo", "auto")
    assert (talk.step, talk.version) == ("discover", MODERN)

    talk.answered(DISCOVERED)

    assert talk.agreement is not None
    assert talk.agreement.is_modern
    assert (talk.agreement.server_name, talk.agreement.instructions) == ("demo", "Add.")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"supportedVersions": "2026-07-28"},
        {"supportedVersions": ["2025-11-25"]},
        {"supportedVersions": [[], {}, "2025-11-25"]},
        McpServerError("unknown", rpc_code=-32601),
        McpServerError("wrong", rpc_code=-32602),
        McpServerError("Server not initialized", rpc_code=-32000),
        McpProtocolError("HTTP 404", status=404),
        McpConnectionError("HTTP 500", status=500),
        McpTimeoutError("silence"),
        unsupported("2025-11-25"),
        unsupported(),
    ],
    ids=repr,
)
def test_whatever_is_no_modern_answer_leads_to_the_handshake(answer: dict[str, Any] | McpError) -> None:
    talk = Negotiation("demo", "auto")

    talk.failed(answer) if isinstance(answer, McpError) else talk.answered(answer)

    assert (talk.step, talk.version) == ("initialize", "2025-11-25")
    talk.answered(INITIALIZED)
    assert talk.agreement is not None
    assert talk.agreement.version == "2025-06-18"
    assert talk.agreement.server_name == "demo"


@pytest.mark.parametrize(
    "error", [McpConnectionError("refused", sent=False), McpAuthError("who are you?", status=401)], ids=repr
)
def test_troubles_of_the_network_say_nothing_about_the_revision(error: McpError) -> None:
    with pytest.raises(type(error)):
        Negotiation("demo", "auto").failed(error)


def test_a_revision_that_is_refused_and_offered_is_asked_for_once_more() -> None:
    talk = Negotiation("demo", "auto")

    talk.failed(unsupported(MODERN))

    assert talk.step == "discover"
    with pytest.raises(McpServerError):
        talk.failed(unsupported(MODERN))


def test_a_server_that_woke_up_late_is_asked_again() -> None:
    talk = Negotiation("demo", "auto")
    talk.failed(McpTimeoutError("silence"))

    talk.failed(unsupported(MODERN))

    assert talk.step == "discover"
    talk.answered(DISCOVERED)
    assert talk.agreement is not None


@pytest.mark.parametrize("answer", [{"supportedVersions": ["2031-01-01"]}, unsupported("2031-01-01")], ids=repr)
def test_no_common_revision_is_an_error_that_names_theirs(answer: dict[str, Any] | McpError) -> None:
    talk = Negotiation("demo", "auto")

    with pytest.raises(McpProtocolError, match='server "demo" speaks 2031-01-01, and not any known revision'):
        talk.failed(answer) if isinstance(answer, McpError) else talk.answered(answer)


@pytest.mark.parametrize("version", ["1999-01-01", None, 7])
def test_an_unknown_revision_in_the_handshake_is_an_error(version: Any) -> None:
    talk = Negotiation("demo", "2025-11-25")

    with pytest.raises(McpProtocolError, match=f"speaks {version}"):
        talk.answered({**INITIALIZED, "protocolVersion": version})


@pytest.mark.parametrize("protocol", ["2024-11-05", "2025-11-25"])
def test_a_pinned_old_revision_is_asked_for_at_once_and_nothing_else_taken(protocol: str) -> None:
    talk = Negotiation("demo", protocol)

    assert (talk.step, talk.version) == ("initialize", protocol)
    with pytest.raises(McpProtocolError, match=f"speaks 2025-06-18, and not {protocol}"):
        talk.answered(INITIALIZED)


def test_a_pinned_new_revision_has_no_way_back() -> None:
    with pytest.raises(McpServerError):
        Negotiation("demo", MODERN).failed(McpServerError("unknown", rpc_code=-32601))


def test_what_was_spoken_last_time_is_asked_for_first() -> None:
    assert Negotiation("demo", "auto", known="2025-06-18").step == "initialize"
    assert Negotiation("demo", "auto", known=MODERN).step == "discover"
