"""Who may call, and whose data a caller's calls may see."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import ipaddress
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..pipeline.chain import Chain
from ..pipeline.errors import SetupError
from ..pipeline.http import Headers
from ..pipeline.secret import FromEnv, Secret
from ..stages.response_ids import ResponseIds
from .exchange import Exchange
from .refusal import Refused

Key: TypeAlias = str | Secret | FromEnv
Keys: TypeAlias = Key | Mapping[str, Key | Sequence[Key]]
Authorize: TypeAlias = Callable[[Mapping[str, str]], "str | Awaitable[str | None] | None"]

_UNKNOWN = (("www-authenticate", "Bearer"),)


class Callers:
    """Tells callers apart.

    Args:
        keys: one key, or those of each tenant by its name.
        authorize: a function that takes the headers and returns the tenant, or None for somebody unknown.
        open_to_network: without either: answer other machines too.

    Raises:
        SetupError: what was given cannot be meant.
    """

    def __init__(self, keys: Keys | None, authorize: Authorize | None, *, open_to_network: bool) -> None:
        if keys is not None and authorize is not None:
            raise SetupError("keys and authorize are both given", hint="let authorize know the keys")
        self._authorize = authorize
        self._known = None if keys is None else _digests(keys)
        self._is_open = open_to_network

    @property
    def are_many(self) -> bool:
        """Whether callers must not see each other's data."""
        return self._authorize is not None or (self._known is not None and len({name for _, name in self._known}) > 1)

    @property
    def kind(self) -> str:
        """Who may call: "keys", "authorize", "this machine" or "everybody"."""
        if self._authorize is not None:
            return "authorize"
        return "keys" if self._known is not None else "everybody" if self._is_open else "this machine"

    def check(self, chain: Chain) -> None:
        """Refuse a chain that cannot keep callers apart.

        What a host keeps, it keeps for the server's key, whoever asks. So ids have to say whose they are.

        Raises:
            SetupError: ids are not signed.
        """
        if not self.are_many:
            return
        signed = [item for item in chain.flat() if isinstance(item, ResponseIds)]
        if not signed:
            raise SetupError(
                "the server has many tenants, and its chain has no ResponseIds, so ids do not say whose they are",
                hint="keep ResponseIds() in the chain",
            )
        for stage in signed:
            if not os.environ.get(stage.key_env):
                raise SetupError(
                    f"the server has many tenants, and {stage.key_env} is not set, so ids do not say whose they are",
                    hint=f"set {stage.key_env} to a long random text, the same one for all processes of the server",
                )

    async def tenant_of(self, exchange: Exchange) -> str | None:
        """Return whose data a request may see; None for the client's own tenant.

        Raises:
            Refused: nobody knows the caller.
            SetupError: `authorize` returned something else than text or None.
        """
        if self._authorize is not None:
            found: Any = self._authorize(exchange.headers)
            tenant = await found if inspect.isawaitable(found) else found
            if tenant is None:
                raise Refused(401, "the credentials are wrong", code="invalid_api_key", headers=_UNKNOWN)
            if not isinstance(tenant, str) or not tenant:
                what = "empty text" if tenant == "" else type(tenant).__name__
                raise SetupError(f"authorize returned {what}; the name of a tenant or None is expected")
            return tenant
        if self._known is not None:
            return self._by_key(exchange.headers)
        if not self._is_open and not _is_local(exchange):
            raise Refused(403, "this server has no keys, so it answers its own machine only", code="not_local")
        return None

    def _by_key(self, headers: Headers) -> str | None:
        scheme, _, given = str(headers.get("authorization", "")).partition(" ")
        digest = _digest(given.strip().encode("latin-1")) if scheme.lower() == "bearer" else b""
        found: tuple[bytes, str | None] | None = None
        for known in self._known or ():  # all of them, so that the time says nothing
            if hmac.compare_digest(known[0], digest):
                found = known
        if found is None:
            said = "the key is wrong" if given else "a key is missing: send it as authorization: Bearer …"
            raise Refused(401, said, code="invalid_api_key", headers=_UNKNOWN)
        return found[1]


def _digests(keys: object) -> tuple[tuple[bytes, str | None], ...]:
    """Return the digest of each key with its tenant. Raises SetupError for what does not say who calls."""
    if isinstance(keys, str | Secret | FromEnv):
        return ((_digest_of(keys, "keys"), None),)
    if not isinstance(keys, Mapping):
        raise SetupError(
            f"keys is {type(keys).__name__}, which does not say whose data each key may see",
            hint='give each a tenant: keys={"acme": FromEnv("ACME_KEY"), "zeta": [old, new]}; or one key alone',
        )
    found: list[tuple[bytes, str | None]] = []
    for tenant, given in keys.items():
        if not isinstance(tenant, str) or not tenant:
            raise SetupError("keys names a tenant that is no text")
        several = [given] if isinstance(given, str | Secret | FromEnv) else list(given)
        found += [(_digest_of(key, f'keys["{tenant}"]'), tenant) for key in several]
    if not found:
        raise SetupError("keys is empty, so nobody could call", hint="leave it out to serve this machine only")
    digests = [digest for digest, _ in found]
    if len(set(digests)) < len(digests):
        raise SetupError("two of the keys are the same, so they do not say who calls")
    return tuple(found)


def _digest_of(key: object, where: str) -> bytes:
    given = key() if isinstance(key, FromEnv) else key
    text = given.reveal() if isinstance(given, Secret) else given
    if not isinstance(text, str) or not text.strip():
        raise SetupError(f"{where} is empty, or no text", hint='a key is text, a Secret, or FromEnv("NAME")')
    return _digest(text.strip().encode())


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()  # of one length, so that comparing takes one time


def _is_local(exchange: Exchange) -> bool:
    """Tell whether a request comes from this machine, and was meant for it.

    A page in a browser can have a name of its own lead to this machine (DNS rebinding); its requests name that host.
    """
    if exchange.peer is not None and not _is_loopback(exchange.peer):
        return False
    host = str(exchange.headers.get("host", "localhost"))
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
