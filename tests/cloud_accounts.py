"""Accounts of the clouds for tests: what signs, what gives out tokens, and what a host would find in a request."""

from __future__ import annotations

import datetime
import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import botocore.auth  # type: ignore[import-untyped]
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]
from conftest import Mode
from loopback import Connection, Received, Server

from antiphon.client import Client
from antiphon.pipeline.secret import Secret
from antiphon.providers.aws_signature import AwsCredentials

KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "canary/secret+key", "canary-session-token//=="
OWN = AwsCredentials(KEY_ID, Secret(SECRET), Secret(TOKEN))
CONVERSE = b'{"output":{"message":{"role":"assistant","content":[{"text":"Hi."}]}},"stopReason":"end_turn","usage":{}}'
GEMINI = b'{"candidates":[{"content":{"parts":[{"text":"Hi."}]},"finishReason":"STOP"}]}'
EXPIRED = b'{"message":"The security token included in the request is expired"}'


async def ask(mode: Mode, url: str, model: str, *, streamed: bool = False, **call: Any) -> Any:
    """Ask the host at `url` through a client of its own, until it is done."""
    client = Client()
    try:
        return await mode.response(client.chain, model=model, api_base=url, streamed=streamed, **call)
    finally:
        await mode.close(client)


def assert_signed(
    received: Received,
    port: int,
    *,
    region: str = "eu-central-1",
    service: str = "bedrock",
    key: tuple[str, str, str | None] = (KEY_ID, SECRET, TOKEN),
) -> None:
    """Check the signature of a request as it came, by botocore's own signer at the time that the request names."""
    method, target, _ = received.line.split(" ")
    given = received.headers["authorization"]
    names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    headers: dict[str, Any] = {name: received.headers[name] for name in names if name != "host"}
    at = datetime.datetime.strptime(headers.pop("x-amz-date"), "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    assert headers.pop("x-amz-security-token", None) == key[2]
    expected = AWSRequest(method, f"http://127.0.0.1:{port}{target}", headers, received.body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda: at)
        botocore.auth.SigV4Auth(Credentials(*key), service, region).add_auth(expected)
    assert given == expected.headers["Authorization"]
    assert abs((datetime.datetime.now(datetime.UTC) - at).total_seconds()) < 60


@contextmanager
def google(*tokens: str, status: str = "200 OK") -> Generator[Server, None, None]:
    """Run what gives out Google's tokens: these in turn, the last one repeats."""
    left = list(tokens)

    def serve(connection: Connection) -> None:
        while connection.request() is not None:
            token = left.pop(0) if len(left) > 1 else left[0]
            said = {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}
            if status != "200 OK":
                said = {"error": "invalid_grant", "error_description": f"canary {token}"}
            connection.answer(json.dumps(said).encode(), status, content_type="application/json")

    with Server(serve) as server:
        yield server


def grant_of(received: Received) -> str:
    """Return what kind of proof Google was given."""
    return parse_qs(received.body.decode())["grant_type"][0]
