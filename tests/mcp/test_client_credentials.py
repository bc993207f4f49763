"""Tokens from an authorization server that the MCP server names."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from conftest import Mode
from loopback import Connection, serving
from mcp_calls import connected
from scripted_mcp import Post, ScriptedMcp, default_answer, scripted_mcp

from antiphon.mcp import ClientCredentials, McpAuthError, McpServer, McpServers
from antiphon.pipeline.errors import SetupError
from antiphon.pipeline.secret import Secret

ME: dict[str, Any] = {"client_id": "me:1", "client_secret": "hush hush"}
BASIC = "Basic " + base64.b64encode(b"me%3A1:hush+hush").decode()


class World:
    """An MCP server that takes tokens, and the authorization server that gives them.

    Attributes:
        tokens: those that were given, and still hold.
        forms: what was sent to the token endpoint, and the `authorization` beside it.
        asked: the paths of the metadata that were asked for.
        about_server, about_issuer: the metadata; None where there are none.
        refusal: what the token endpoint answers, where it gives none.
    """

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.forms: list[tuple[dict[str, str], str | None]] = []
        self.asked: list[str] = []
        self.about_server: dict[str, Any] | None = {}
        self.about_issuer: dict[str, Any] | None = {}
        self.refusal: tuple[str, Any] | None = None
        self.names_metadata = True
        self.metadata_at: str | None = None  # in place of where they are
        self.issuer = ""
        self.host = ScriptedMcp()

    def well_known(self, post: Post) -> None:
        path = post.received.line.split()[1]
        self.asked.append(path)
        if self.about_server is None or not path.startswith("/.well-known/oauth-protected-resource/"):
            post.connection.answer(b"", "404 Not Found")
        else:
            post.send({"resource": self.host.url, "authorization_servers": [self.issuer], **self.about_server})

    def guard(self, wants: str = "") -> Callable[[Post], None]:
        """Return a behaviour that takes the newest token only, or one with these words in it."""

        def answer(post: Post) -> None:
            token = post.received.headers.get("authorization", "").removeprefix("Bearer ")
            if token not in self.tokens:
                usual = self.host.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
                where = usual if self.metadata_at is None else self.metadata_at
                known = f'resource_metadata="{where}", scope="read"' if self.names_metadata else 'error="none"'
                post.connection.answer(b"", "401 Unauthorized", www_authenticate=f"Bearer {known}")
            elif wants not in token:
                challenge = f'Bearer error="insufficient_scope", scope="{wants}"'
                post.connection.answer(b"", "403 Forbidden", www_authenticate=challenge)
            else:
                default_answer(post)

        return answer

    def issue(self, connection: Connection) -> None:
        while (received := connection.request()) is not None:
            method, path, _ = received.line.split()
            if method == "GET":
                self.asked.append(path)
                usual = "oauth-authorization-server" in path
                if not usual or self.about_issuer is None:
                    connection.answer(b"", "404 Not Found")
                    continue
                token_url = f"{self.issuer}/token"
                answer: Any = {"issuer": self.issuer, "token_endpoint": token_url, **self.about_issuer}
                connection.answer(json.dumps(answer).encode())
                continue
            form = {name: value for name, (value,) in parse_qs(received.body.decode()).items()}
            self.forms.append((form, received.headers.get("authorization")))
            if self.refusal is not None:
                status, answer = self.refusal
                connection.answer(json.dumps(answer).encode(), status)
                continue
            self.tokens = [f"token{len(self.forms)}-{form.get('scope', '').replace(' ', '-')}"]
            connection.answer(json.dumps({"access_token": self.tokens[0], "token_type": "Bearer"}).encode())


@contextlib.contextmanager
def world(wants: str = "") -> Generator[World, None, None]:
    here = World()
    with (
        serving(here.issue) as issuer,
        scripted_mcp({"tools/call": here.guard(wants), "GET": here.well_known}) as host,
    ):
        here.issuer, here.host = issuer.url, host
        yield here


def test_a_refused_call_gets_a_token_from_whom_the_server_names(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                assert [await server.add(), await server.add()] == ["3", "3"]

                form = {"grant_type": "client_credentials", "resource": here.host.url, "scope": "read"}
                assert here.forms == [(form, BASIC)]
                assert here.asked == [
                    "/.well-known/oauth-protected-resource/mcp",
                    "/.well-known/oauth-authorization-server",
                ]

    run(body)


@pytest.mark.parametrize("of", ["/mcp", "/mcp/", "/", ""])
def test_a_resource_is_the_server_or_what_it_stands_in(mode: Mode, run: Any, of: str) -> None:
    async def body() -> None:
        with world() as here:
            resource = here.host.url.removesuffix("/mcp").replace("http", "HTTP") + of
            here.about_server = {"resource": resource}
            async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                assert await server.add() == "3"

                assert here.forms[0][0]["resource"] == resource

    run(body)


def test_a_token_that_has_expired_is_replaced(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                await server.add()
                here.tokens.clear()
                assert await server.add() == "3"

                assert len(here.forms) == 2

    run(body)


def test_a_scope_that_is_missing_is_asked_for_beside_the_others(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world(wants="write") as here:
            async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                assert await server.add() == "3"

                here.tokens.clear()
                assert await server.add() == "3"

                assert [form["scope"] for form, _ in here.forms] == ["read", "read write", "read write"]

    run(body)


def test_with_an_address_no_refusal_is_waited_for(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            given = ClientCredentials(
                **ME, token_url=f"{here.issuer}/token", auth_method="client_secret_post", scope="own"
            )
            async with connected(mode, here.host.url, auth=given) as server:
                assert await server.add() == "3"

                own = {"client_id": "me:1", "client_secret": "hush hush"}
                form = {"grant_type": "client_credentials", "resource": here.host.url, "scope": "own", **own}
                assert here.forms == [(form, None)]
                assert not here.asked
                assert here.host.count("tools/call") == 1

    run(body)


def test_an_issuer_is_asked_at_once_and_its_ways_are_kept(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            here.about_issuer = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"]}
            async with connected(mode, here.host.url, auth={**ME, "issuer": f"{here.issuer}/"}) as server:
                assert await server.add() == "3"

                ((form, header),) = here.forms
                assert (form["client_secret"], header) == ("hush hush", None)
                assert here.host.count("tools/call") == 1
                assert here.asked == ["/.well-known/oauth-authorization-server"]

    run(body)


def test_an_assertion_stands_for_a_secret(mode: Mode, run: Any) -> None:
    asked: list[str] = []

    def assertion(audience: str) -> Secret:
        asked.append(audience)
        return Secret("a.signed.jwt")

    async def body() -> None:
        asked.clear()
        with world() as here:
            here.about_issuer = {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
            given = ClientCredentials(client_id="me", assertion=assertion)
            async with connected(mode, here.host.url, auth=given) as server:
                assert await server.add() == "3"

                ((form, header),) = here.forms
                assert header is None
                assert form["client_id"] == "me"
                assert form["client_assertion"] == "a.signed.jwt"
                assert form["client_assertion_type"].endswith(":jwt-bearer")
                assert asked == [here.issuer]

    run(body)


@pytest.mark.parametrize(
    ("assertion", "taken", "said"),
    [
        (lambda audience: None, "private_key_jwt", "returned no text"),
        (lambda audience: "hush.hush", "private_key_jwt", "gives no token that can be used: bad: ***"),
        (lambda audience: "hush.hush", "client_secret_post", "takes no assertion"),
    ],
)
def test_an_assertion_that_is_of_no_use_is_said(mode: Mode, run: Any, assertion: Any, taken: str, said: str) -> None:
    async def body() -> None:
        with world() as here:
            here.about_issuer = {"token_endpoint_auth_methods_supported": [taken]}
            here.refusal = ("400 Bad Request", {"error": "bad", "error_description": "hush.hush"})
            given = ClientCredentials(client_id="me", assertion=assertion)
            async with connected(mode, here.host.url, auth=given) as server:
                with pytest.raises(McpAuthError) as caught:
                    await server.add()

                assert said in caught.value.message

    run(body)


def test_a_server_without_metadata_gives_its_tokens_itself(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            here.names_metadata, here.about_server = False, None

            def of_both(post: Post) -> None:
                path = post.received.line.split()[1]
                here.asked.append(path)
                if path == "/.well-known/oauth-authorization-server":
                    origin = here.host.url.removesuffix("/mcp")
                    post.send({"issuer": origin, "token_endpoint": f"{here.issuer}/token"})
                else:
                    post.connection.answer(b"", "404 Not Found")

            with scripted_mcp({"tools/call": here.guard(), "GET": of_both}) as here.host:
                async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                    assert await server.add() == "3"
                    assert here.asked == [
                        "/.well-known/oauth-protected-resource/mcp",
                        "/.well-known/oauth-protected-resource",
                        "/.well-known/oauth-authorization-server",
                    ]

    run(body)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"refusal": ("401 Unauthorized", {"error": "invalid_client", "error_description": "no: hush hush"})},
         "gives no token that can be used: invalid_client: no: ***"),
        ({"refusal": ("500 Internal Server Error", "down")}, "gives no token that can be used: HTTP 500"),
        ({"refusal": ("200 OK", {"access_token": "t", "token_type": "mac"})}, '"mac" is not known'),
        ({"refusal": ("200 OK", {"access_token": "a\r\nb: c"})}, "characters that no header has"),
        ({"refusal": ("200 OK", [])}, "gives no token that can be used: HTTP 200"),
        ({"about_server": {"resource": "https://elsewhere.example/mcp"}}, "metadata are of another resource"),
        ({"about_server": {"resource": "http://127.0.0.1/mcp"}}, "metadata are of another resource"),
        ({"about_server": {"resource": "http://["}}, "metadata are of another resource"),
        ({"about_server": {"resource": None}}, "metadata are of another resource"),
        ({"about_server": {"authorization_servers": []}}, "it takes tokens of"),
        ({"about_server": {"authorization_servers": ["http://as.example"]}}, "which is not https://"),
        ({"metadata_at": "http://elsewhere.example/x"}, "which is not https://"),
        ({"metadata_at": "http://["}, "which is not https://"),
        ({"metadata_at": "file:///etc/passwd"}, "which is not https://"),
        ({"about_issuer": {"issuer": "https://elsewhere.example"}}, 'are of "https://elsewhere.example"'),
        ({"about_issuer": {"token_endpoint": "http://as.example/token"}}, "no token endpoint that is encrypted"),
        ({"about_issuer": {"token_endpoint": 5}}, "no token endpoint that is encrypted"),
        ({"about_issuer": {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}}, "takes no client secret"),
        ({"about_issuer": None}, "does not say where it gives tokens"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_an_error_that_says_so(mode: Mode, run: Any, facts: dict[str, Any], said: str) -> None:
    async def body() -> None:
        with world() as here:
            vars(here).update(facts)
            async with connected(mode, here.host.url, auth=ClientCredentials(**ME)) as server:
                with pytest.raises(McpAuthError) as caught:
                    await server.add()

                assert said in caught.value.message
                assert "hush" not in str(caught.value)

    run(body)


def test_tokens_of_another_issuer_are_not_given_away(mode: Mode, run: Any) -> None:
    async def body() -> None:
        with world() as here:
            here.about_server = {"authorization_servers": ["https://elsewhere.example"]}
            here.refusal = ("200 OK", {"access_token": "of no use"})
            async with connected(mode, here.host.url, auth={**ME, "issuer": here.issuer}) as server:
                with pytest.raises(McpAuthError, match="and not of"):
                    await server.add()

    run(body)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"client_id": "a"}, "one of client_secret and assertion"),
        ({"client_secret": "a"}, "has no client_id"),
        ({**ME, "assertion": str}, "one of client_secret and assertion"),
        ({"client_id": "a", "assertion": "a.jwt"}, "assertion of ClientCredentials is no function"),
        ({"client_id": "", "client_secret": "b"}, "empty client_id"),
        ({"client_id": 5, "client_secret": "b"}, "client_id of ClientCredentials is int"),
        ({**ME, "scopes": "read"}, r'"scopes" is no setting .*did you mean "scope"'),
        ({**ME, "token_url": "http://as.example/token"}, "token_url of ClientCredentials is not https"),
        ({**ME, "issuer": "https://"}, "issuer of ClientCredentials is not https"),
        ({**ME, "auth_method": "private_key_jwt"}, 'auth_method of ClientCredentials is "private_key_jwt"'),
    ],
)
def test_wrong_settings_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SetupError, match=said):
        McpServer(url="https://example.com/mcp", auth=given)


def test_the_secret_is_not_shown() -> None:
    server = McpServer(url="https://example.com/mcp", auth=ME)

    assert "client_id='me:1'" in repr(server)
    assert "hush" not in repr(server)


def test_a_file_has_them_by_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_SECRET", "of the environment")
    path = tmp_path / "mcp.json"
    auth = {"client_id": "me", "client_secret": "${MCP_SECRET}", "scope": "read"}
    path.write_text(json.dumps({"mcpServers": {"docs": {"url": "https://example.com/mcp", "auth": auth}}}))

    found = McpServers.from_file(path).servers["docs"].auth

    assert isinstance(found, ClientCredentials)
    assert (found.client_id, found.secret.reveal(), found.scope) == ("me", "of the environment", "read")
