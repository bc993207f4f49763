"""What `api_key=` may be: a key, a function that returns one, or what the clouds' own packages hand out.

Nothing of those packages is imported: an object is known by what it can do. azure-identity's credentials have
`get_token(scope)`, google-auth's `refresh(request)` and `token`, botocore's `get_frozen_credentials()`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import msgspec

from ..pipeline.credential import Credential, attach_key
from ..pipeline.errors import InvalidParameter, MissingKey
from ..pipeline.http import HttpRequest
from ..pipeline.secret import Secret
from ..pipeline.stage import takes
from .aws_signature import AwsCredentials, sign
from .credentials import clean_key
from .rows import Provider

Proof = Secret | AwsCredentials


class Signer(msgspec.Struct, frozen=True):
    """How a host wants a proof: a key in a header, or credentials of AWS in a signature.

    Args:
        auth: as in `Provider`, "bearer" or a header's name.
        region, service: what signatures name; "" where the host takes none.
    """

    auth: str
    region: str = ""
    service: str = ""

    def attach(self, request: HttpRequest, proof: Proof, now: float) -> tuple[HttpRequest, Secret | None]:
        """Put a proof into a request, as `Credential.attach`."""
        if isinstance(proof, Secret):
            return attach_key(self.auth, request, proof, now)
        if not self.region:
            raise InvalidParameter(
                "requests to AWS are signed for a region, and nothing says which",
                param="aws_region_name",
                hint="pass aws_region_name=, or set AWS_REGION",
            )
        # AWS repeats what was signed in some errors, the token among it.
        return sign(request, proof, self.region, self.service, now), proof.session_token


class Tokens(msgspec.Struct, frozen=True):
    """A function whose text is a bearer token, at a host that takes keys in a header of their own too."""

    source: object


def credential_of(given: object, row: Provider, signer: Signer) -> Credential:
    """Return what asks for a proof in place of a fixed key.

    Args:
        given: a function, a credentials object, or `AwsCredentials`.

    Raises:
        InvalidParameter: it is none of these.
    """
    read = functools.partial(proof_of, row=row)
    if isinstance(given, Tokens):
        given, read = given.source, functools.partial(proof_of, row=row, is_token=True)
    source, is_instant = _source(given, row)
    return Credential(source=source, read=read, attach=signer.attach, is_instant=is_instant)


def _source(given: Any, row: Provider) -> tuple[Callable[[bool], object], bool]:
    """Return a function for `Credential.source`, and whether it returns at once."""
    if isinstance(given, AwsCredentials):
        return lambda renew: given, True
    if callable(prove := getattr(given, "prove", None)):  # this library's own: `AwsLogin`, `GoogleAccount`
        return prove, False
    if callable(token := getattr(given, "get_token", None)):
        if not row.token_scope:
            raise InvalidParameter(
                f"api_key is a {type(given).__name__}, which gives tokens for a scope; {row.name} has none",
                param="api_key",
                hint="pass a function that returns the token",
            )
        return lambda renew: token(row.token_scope), inspect.iscoroutinefunction(token)
    if callable(getattr(given, "refresh", None)) and hasattr(given, "token"):
        from .google_account import GoogleAccount

        return GoogleAccount(given).prove, False
    if callable(frozen := getattr(given, "get_frozen_credentials", None)):
        return lambda renew: frozen(), inspect.iscoroutinefunction(frozen)
    if callable(given):
        is_async = inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__)
        return lambda renew: _called(given), is_async
    raise InvalidParameter(
        f'option "api_key" is {type(given).__name__}; a str, a Secret, a function that returns one, or credentials of '
        "azure-identity, google-auth or botocore are expected",
        param="api_key",
    )


def _called(function: Callable[..., object]) -> object:
    try:
        return function()
    except TypeError as error:
        if takes(function, 0):
            raise
        name = getattr(function, "__name__", type(function).__name__)
        raise InvalidParameter(
            f"api_key is the function {name}, which cannot be called without arguments",
            param="api_key",
            hint="bind them: api_key=functools.partial(...)",
        ) from error


def proof_of(found: object, row: Provider, *, is_token: bool = False) -> Proof:
    """Return what a source returned as a proof; a token object's token is a bearer token.

    Raises:
        MissingKey: it is empty, or nothing that proves anything, or not of this host.
    """
    if isinstance(found, AwsCredentials):
        proof: Proof = found
    elif isinstance(access := getattr(found, "access_key", None), str) and hasattr(found, "secret_key"):
        token = getattr(found, "token", None)
        proof = AwsCredentials(access, Secret(str(getattr(found, "secret_key"))), Secret(token) if token else None)  # noqa: B009
    elif isinstance(token := getattr(found, "token", None), str):
        return Secret(f"Bearer {clean_key(token, row.name).reveal()}")
    else:
        key = clean_key(found, row.name)
        return Secret(f"Bearer {key.reveal()}") if is_token and not key.reveal().startswith("Bearer ") else key
    if not row.aws_service:
        raise MissingKey(f"{row.name} takes no AWS credentials", provider=row.name, hint="pass a key as api_key=")
    return proof
