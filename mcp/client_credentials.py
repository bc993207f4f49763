"""Tokens that a program gets in its own name: OAuth's client credentials, with the addresses that the server tells.

A server that refuses says whose tokens it takes, and that authorization server says where it gives them. Sources: RFC
6749 section 4.4 (the grant), RFC 9728 (what a server says of itself), RFC 8414 and OpenID Connect Discovery (what an
authorization server says), RFC 8707 (`resource`), RFC 7523 (a JWT in place of a secret); authorization in the revisions
of MCP from 2025-03-26 on, and its extension io.modelcontextprotocol/oauth-client-credentials, read 2026-11.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args
from urllib.parse import quote_plus, urlencode, urlsplit

import msgspec

from ..pipeline.errors import InvalidParameter, SetupError, did_you_mean
from ..pipeline.network.address import is_loopback, parse_url
from ..pipeline.secret import Secret, mask
from ..pipeline.wording import quoted
from .errors import McpAuthError

AuthMethod = Literal["client_secret_basic", "client_secret_post"]
_SENDABLE = re.compile(r"[\x20-\x7e]+")  # RFC 6749, appendix A.12
_METHODS: tuple[AuthMethod, ...] = get_args(AuthMethod)


class ClientCredentials(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Who a program is to the authorization server of an MCP server, as `auth=` of the MCP server.

        connect("https://example.com/mcp", auth=ClientCredentials(client_id="me", client_secret=os.environ["SECRET"]))

    A token is asked for when the server first refuses a call, and a new one whenever it does so again: because the old
    one has expired, or a call needs a scope that it has not.

    Args:
        client_id: as the authorization server knows it.
        client_secret: goes to its token endpoint only, as HTTP Basic where that is taken, else in the form.
        assertion: in place of a secret, a function that returns a signed JWT for an audience, which it is given: the
            issuer, or the token endpoint where no issuer is known. It may be async.
        scope: what to ask for, names with spaces between; None for what the server says that it needs.
        issuer: the authorization server that knows this client; a server that takes tokens of others only is refused.
            None trusts the one that the server names.
        token_url: where tokens are given; None finds it out. With it, or with `issuer`, the first token is asked for
            before the server has refused anything.
        auth_method: how a secret is sent, "client_secret_basic" or "client_secret_post", by OAuth's names; None for
            what the authorization server says that it takes, the first of them where it says nothing.

    Raises:
        SetupError: nothing to prove it with, or two things; an address that is not encrypted, or an unknown method.
    """

    client_id: str
    client_secret: str | Secret | None = None
    assertion: Callable[[str], Any] | None = None
    scope: str | None = None
    issuer: str | None = None
    token_url: str | None = None
    auth_method: AuthMethod | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name == "assertion":
                if value is not None and not callable(value):
                    raise SetupError("assertion of ClientCredentials is no function of an audience")
            elif not isinstance(value, str | Secret | None if name == "client_secret" else str | None):
                raise SetupError(f"{name} of ClientCredentials is {type(value).__name__}; text is expected")
        if isinstance(self.client_secret, str):
            msgspec.structs.force_setattr(self, "client_secret", Secret(self.client_secret))
        if not self.client_id or (self.client_secret is not None and not self.secret.reveal()):
            raise SetupError("ClientCredentials has an empty client_id or client_secret")
        if (self.client_secret is None) == (self.assertion is None):
            raise SetupError("ClientCredentials wants one of client_secret and assertion")
        for name in ("issuer", "token_url"):
            if (url := getattr(self, name)) is not None and not _is_safe(url):
                raise SetupError(f"{name} of ClientCredentials is not https://…", hint="a secret is sent there")
        if self.auth_method not in (None, *_METHODS):
            raise SetupError(
                f"auth_method of ClientCredentials is {quoted(self.auth_method)}; {' or '.join(_METHODS)} is expected"
            )

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> ClientCredentials:
        """Read them from a mapping of the same names, as mcp.json files have it.

        Raises:
            SetupError: a name that is not one of these, or one that is missing.
        """
        for name in given:
            if name not in cls.__struct_fields__:
                raise SetupError(
                    f'"{name}" is no setting of ClientCredentials{did_you_mean(str(name), cls.__struct_fields__)}',
                    hint=f"its settings: {', '.join(cls.__struct_fields__)}",
                )
        if "client_id" not in given:
            raise SetupError("ClientCredentials has no client_id")
        return cls(**given)

    @property
    def secret(self) -> Secret:
        """The client's secret."""
        assert isinstance(self.client_secret, Secret)
        return self.client_secret


class Fetch(Protocol):
    """Sends one request to an address that may be reached; returns the status and the body."""

    def __call__(
        self, method: str, url: str, headers: Sequence[tuple[str, str | Secret]], body: bytes | None
    ) -> Awaitable[tuple[int, bytes]]: ...


class TokenDesk:
    """Gets the tokens of one client for one server.

    Args:
        server: its name, for errors.
        url: its address.
        client: who asks.
        fetch: how to ask.
        call: calls a function of the user's.
    """

    def __init__(
        self, server: str, url: str, client: ClientCredentials, fetch: Fetch, call: Callable[..., Awaitable[Any]]
    ) -> None:
        self._server = server
        self._url = url
        self._client = client
        self._fetch = fetch
        self._call = call
        self._scopes: list[str] = []

    @property
    def needs_challenge(self) -> bool:
        """Whether only the server can say where tokens are given."""
        return self._client.token_url is None and self._client.issuer is None

    async def token(self, challenge: Mapping[str, str]) -> str:
        """Return a new token.

        Args:
            challenge: the parameters of the server's refusal; {} before there is one.

        Raises:
            McpAuthError: there is none for this client, or what the server says of itself does not fit.
        """
        client = self._client
        resource, offered, issuer = self._url.partition("#")[0], "", client.issuer
        metadata: Mapping[str, Any] = {}
        if client.token_url is None:
            if issuer is None or challenge:
                resource, offered, issuer = await self._about_the_server(challenge.get("resource_metadata"))
            metadata = await self._about_the_issuer(issuer)
        token_url = client.token_url or _text(metadata, "token_endpoint")
        if not _is_safe(token_url):
            raise self._error(f"{quoted(issuer)} names no token endpoint that is encrypted")
        wanted = client.scope or challenge.get("scope") or offered
        if challenge.get("error") == "insufficient_scope":
            wanted = f"{wanted} {challenge.get('scope', '')}"
        self._scopes = list(dict.fromkeys([*self._scopes, *wanted.split()]))  # one that was wanted once stays
        form = {"grant_type": "client_credentials", "resource": resource}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        headers: list[tuple[str, str | Secret]] = [
            ("accept", "application/json"),
            ("content-type", "application/x-www-form-urlencoded"),
        ]
        taken = _texts(metadata, "token_endpoint_auth_methods_supported")
        if client.assertion is None:
            headers += self._secret(taken, form)
        else:
            form |= await self._asserted(client.assertion, taken, issuer or token_url)
        return await self._granted(token_url, form, headers)

    async def _about_the_server(self, told: str | None) -> tuple[str, str, str]:
        """Return the server's identifier, the scopes that it knows, and who gives its tokens."""
        here = urlsplit(self._url)
        origin = f"{here.scheme}://{here.netloc}"
        known = f"{origin}/.well-known/oauth-protected-resource"
        if told and not _is_safe(told) and _origin(told) != _origin(self._url):
            raise self._error(f"its metadata are at {quoted(told)}, which is not https://…")
        found = await self._first([told] if told else [f"{known}{here.path.rstrip('/')}", known])
        if found is None:  # as before 2025-06-18, when servers gave their tokens themselves
            return self._url.partition("#")[0], "", self._client.issuer or origin
        resource = _text(found, "resource")
        if not _covers(resource, self._url):
            raise self._error(f"its metadata are of another resource, {quoted(resource)}")
        issuers = _texts(found, "authorization_servers")
        issuer = self._client.issuer or next(iter(issuers), "")
        if not any(_is_same(issuer, each) for each in issuers):
            raise self._error(f"it takes tokens of {quoted(', '.join(issuers))}, and not of {quoted(issuer)}")
        return resource, " ".join(_texts(found, "scopes_supported")), issuer

    async def _about_the_issuer(self, issuer: str) -> Mapping[str, Any]:
        """Return what an authorization server says of itself."""
        if not _is_safe(issuer):
            raise self._error(f"{quoted(issuer)} gives its tokens, which is not https://…")
        found = await self._first(list(_metadata_urls(issuer)))
        if found is None:
            raise self._error(f"{quoted(issuer)} does not say where it gives tokens", hint="pass token_url=")
        if not _is_same(issuer, _text(found, "issuer")):
            raise self._error(f"the metadata of {quoted(issuer)} are of {quoted(_text(found, 'issuer'))}")
        return found

    async def _first(self, urls: list[str]) -> Mapping[str, Any] | None:
        """Return the JSON object at the first of these addresses that has one."""
        for url in dict.fromkeys(urls):
            status, body = await self._fetch("GET", url, [("accept", "application/json")], None)
            if status == 200 and (found := _object(body)) is not None:
                return found
        return None

    async def _asserted(self, assertion: Callable[[str], Any], taken: list[str], audience: str) -> dict[str, str]:
        """Return what of the form a signed JWT is."""
        if taken and "private_key_jwt" not in taken:
            raise self._error(f"its authorization server takes no assertion, but {quoted(', '.join(taken))}")
        given = await self._call(assertion, audience)
        text = given.reveal() if isinstance(given, Secret) else given
        if not isinstance(text, str) or not text:
            raise self._error("the function of assertion= returned no text", hint="return a signed JWT")
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        return {"client_id": self._client.client_id, "client_assertion_type": kind, "client_assertion": text}

    def _secret(self, taken: list[str], form: dict[str, str]) -> list[tuple[str, str | Secret]]:
        """Return the header that carries the secret, or put it into the form where only that is taken."""
        client = self._client
        method = client.auth_method or next((name for name in _METHODS if name in (taken or _METHODS)), None)
        if method is None:
            raise self._error(f"its authorization server takes no client secret, but {quoted(', '.join(taken))}")
        if method == "client_secret_basic":
            pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret.reveal())}"
            return [("authorization", Secret(f"Basic {base64.b64encode(pair.encode()).decode()}"))]
        form |= {"client_id": client.client_id, "client_secret": client.secret.reveal()}
        return []

    async def _granted(self, url: str, form: Mapping[str, str], headers: list[tuple[str, str | Secret]]) -> str:
        status, body = await self._fetch("POST", url, headers, urlencode(form).encode())
        found = _object(body) or {}
        token = _text(found, "access_token")
        hidden = [form.get("client_assertion"), self._client.client_secret]
        said = [text for name in ("error", "error_description") if (text := _text(found, name))]
        why = f"HTTP {status}" if not said else ": ".join(said)
        if status == 200 and token:
            kind = _text(found, "token_type")
            if kind.lower() not in ("bearer", ""):
                why = f"the type {quoted(kind)} is not known"
            elif not _SENDABLE.fullmatch(token):
                why = "it has characters that no header has"
            else:
                return token
        raise self._error(
            f"{parse_url(url).where} gives no token that can be used: {mask(why, hidden)[:200]}",
            hint="check client_id, client_secret or assertion, and scope",
        )

    def _error(self, why: str, hint: str | None = None) -> McpAuthError:
        return McpAuthError(f'server "{self._server}": {why}', server=self._server, method="OAuth", hint=hint)


def _metadata_urls(issuer: str) -> Iterator[str]:
    """Yield where an issuer's metadata may be, in the order that MCP asks for."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    yield f"{origin}/.well-known/openid-configuration{path}"
    yield f"{origin}{path}/.well-known/openid-configuration"


def _covers(resource: str, url: str) -> bool:
    """Tell whether a resource is this address, or what it stands in."""
    if _origin(resource) != _origin(url):
        return False
    there, here = urlsplit(resource).path.rstrip("/"), urlsplit(url).path.rstrip("/")
    return f"{here}/".startswith(f"{there}/")


def _origin(url: str) -> object:
    """Return what URLs of one origin have in common; None for what is no URL."""
    try:
        return parse_url(url).key
    except InvalidParameter:
        return None


def _is_same(issuer: str, other: str) -> bool:
    return issuer.rstrip("/") == other.rstrip("/")  # some servers add the slash on one side only


def _is_safe(url: str) -> bool:
    """Tell whether a secret may be sent there: encrypted, or to this machine."""
    try:
        address = parse_url(url)
    except InvalidParameter:
        return False
    return address.scheme == "https" or is_loopback(address.host)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def _texts(found: Mapping[str, Any], name: str) -> list[str]:
    values = found.get(name)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
