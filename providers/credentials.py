"""Which key and which address a call uses, and that a key goes to its own host only."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ..pipeline.credential import Credential
from ..pipeline.errors import InvalidParameter, MissingKey
from ..pipeline.secret import FromEnv, Secret
from .addresses import Address, find_address, first_set
from .rows import Provider

_CLOUDS: Final = frozenset({"aws", "google"})

_OPTIONS: Final = {
    "aws": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name"),
    "google": ("vertex_credentials",),
}


def cloud_options(row: Provider) -> frozenset[str]:
    """Return the call options beside `api_key` that a row reads: credentials, and what its address depends on."""
    return frozenset(
        {
            *_OPTIONS.get(row.auth, ()),
            *(place.option for place in row.places.values()),
            *(("azure_ad_token", "azure_ad_token_provider") if row.token_scope else ()),
            *(("api_version",) if row.version_env else ()),
        }
    )


class Access(msgspec.Struct, frozen=True):
    """The address and the key of one call.

    Args:
        base_url: without trailing slash.
        api_key: None for a host that gets none.
        note: why no key is sent, when there might have been one.
        auth: how the key is sent: "bearer", or the header's name.
        credential: what is asked for a key by every attempt, in place of a fixed one.
    """

    base_url: str
    api_key: Secret | None
    note: str | None = None
    auth: str = "bearer"
    credential: Credential | None = None


class Logins:
    """What a client's calls found out about accounts on this machine: kept, since looking is slow."""

    def __init__(self) -> None:
        self.aws = functools.lru_cache(maxsize=64)(_aws_login)
        self.google = functools.lru_cache(maxsize=64)(_google_account)


def _aws_login(profile: str) -> Any:
    from .aws_login import AwsLogin

    return AwsLogin(profile)


def _google_account(given: Any) -> Any:
    from .google_account import GoogleAccount

    return GoogleAccount(given)


def find_access(
    row: Provider,
    options: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    *,
    keys: Mapping[str, Any] | None = None,
    dialect: str = "",
    model: str = "",
    logins: Logins | None = None,
) -> Access:
    """Return address and key: the call's own first, then the chain's, the environment's, the row's.

    A key from the environment, or of a login on this machine, goes only to the row's own host, or to the address that
    the matching environment variable names: an address given in the call never receives it. So it is with the chain's.

    Args:
        keys: those of the chain, by provider: what `api_key` may be.
        dialect, model: what the address may depend on.

    Raises:
        MissingKey: the host needs a key and there is none.
        InvalidParameter: no address, or one that is no http(s) address; or no key but something else.
    """
    otherwise = None
    if row.auth == "google":
        from .google_account import project_of

        otherwise = project_of(options.get("vertex_credentials") or options.get("api_key"))
    address = find_address(row, options, environ, dialect=dialect, model=model, otherwise=otherwise)
    key = options.get("api_key")
    if key is None and (row.token_scope or row.auth in _CLOUDS):
        key = _cloud_key(row, options, logins)
    if key is not None:
        return _access(row, address, key)
    mine = [keys[name] for name in (row.name, *row.aliases) if name in keys] if keys else []
    if mine and address.is_own:
        return _access(row, address, mine[0])
    name, found = first_set(row.key_env + row.token_env, environ)
    if name is not None and address.is_own:
        if row.auth != "bearer" and name in row.token_env:
            found = f"Bearer {found}"
        return _access(row, address, found)
    if row.auth in _CLOUDS and address.is_own:
        return _access(row, address, _login(row, environ, logins or Logins()))
    if row.key_required and address.is_own:
        names = " or ".join(row.key_env)
        raise MissingKey(
            f"no API key for {row.name}",
            provider=row.name,
            hint=f"{f'set {names}, or ' if names else ''}pass api_key=; "
            'model="scripted/echo" answers offline, "local/smollm2" on this machine',
        )
    host = address.base_url.partition("://")[2].partition("/")[0]
    held = f"the chain's key for {row.name}" if mine else name or ("a login" if row.auth in _CLOUDS else None)
    note = f"{held} was not sent: {host} is not the host it is for; pass api_key=" if held else None
    return Access(address.base_url, None, note)


def find_headers(row: Provider, environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """Return the headers that the environment sets for a provider, e.g. the organization."""
    return tuple([(name, value) for name, env in row.header_env.items() if (value := environ.get(env, "").strip())])


def _access(row: Provider, address: Address, key: object) -> Access:
    if not isinstance(key, _FIXED):
        auth = _auth_of(row)
        key = FromEnv(str(key["env"])) if isinstance(key, Mapping) and set(key) == {"env"} else key
        if not isinstance(key, FromEnv):
            from .key_sources import Signer, credential_of

            signer = Signer(auth, address.values.get("region", ""), row.aws_service)
            return Access(address.base_url, None, None, auth, credential_of(key, row, signer))
        key = key()
    secret, auth = fixed_key(row, key)
    return Access(address.base_url, secret, None, auth)


_FIXED = (Secret, str)


def fixed_key(row: Provider, key: object) -> tuple[Secret, str]:
    """Return a key that is a text, and how it is sent, as `Access.auth` says it. Raises as `clean_key`."""
    secret = clean_key(key, row.name)
    scheme, _, token = secret.reveal().partition(" ")
    return (clean_key(token, row.name), "bearer") if scheme == "Bearer" else (secret, _auth_of(row))


def sent_as(row: Provider, dialect: str, auth: str) -> str:
    """Return how a key is sent in a dialect: as the row says for it, else as `Access.auth` says."""
    return (row.chat.auth if dialect == "chat" else "") or auth


def _auth_of(row: Provider) -> str:
    return "bearer" if row.auth in _CLOUDS else row.auth


def _cloud_key(row: Provider, options: Mapping[str, Any], logins: Logins | None) -> object:
    """Return the credentials that the call gives by a cloud's own options, None for none."""
    if row.token_scope:
        token = options.get("azure_ad_token")
        if token is not None:
            return Secret(f"Bearer {clean_key(token, row.name).reveal()}")
        if (source := options.get("azure_ad_token_provider")) is not None:
            from .key_sources import Tokens

            return Tokens(source)
    if row.auth == "aws":
        return _aws_key(options, logins or Logins())
    if row.auth == "google" and (account := options.get("vertex_credentials")) is not None:
        from .google_account import account_text

        return (logins or Logins()).google(account if hasattr(account, "refresh") else account_text(account))
    return None


def _aws_key(options: Mapping[str, Any], logins: Logins) -> object:
    access, secret = options.get("aws_access_key_id"), options.get("aws_secret_access_key")
    if (access is None) != (secret is None):
        missing = "aws_secret_access_key" if secret is None else "aws_access_key_id"
        raise InvalidParameter(
            f"{missing} is missing; aws_access_key_id and aws_secret_access_key are given together", param=missing
        )
    if access is not None:
        return _aws_credentials(access, secret, options.get("aws_session_token"))
    profile = options.get("aws_profile_name")
    return logins.aws(profile) if profile else None


def _aws_credentials(access: Any, secret: Any, token: Any) -> object:
    from .aws_signature import AwsCredentials

    session = clean_key(token, "bedrock") if token else None
    return AwsCredentials(clean_key(access, "bedrock").reveal(), clean_key(secret, "bedrock"), session)


def _login(row: Provider, environ: Mapping[str, str], logins: Logins) -> object:
    """Return what the environment has, or what a login on this machine gives."""
    if row.auth == "google":
        return logins.google("")
    access, secret = (environ.get(name, "").strip() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
    if access and secret:
        return _aws_credentials(access, secret, environ.get("AWS_SESSION_TOKEN", "").strip())
    return logins.aws("")


def clean_key(value: object, provider: str) -> Secret:
    """Return a key without white space around it; its text is not looked at otherwise.

    Raises:
        MissingKey: it is empty, or no text.
    """
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and text == text.strip() and text not in ("", "Bearer"):
        return value if isinstance(value, Secret) else Secret(text)
    if not isinstance(text, str) or text.strip() in ("", "Bearer"):
        raise MissingKey("api_key is empty", provider=provider, hint="pass the key, or a function that returns it")
    return Secret(text.strip())
