"""Signatures of AWS requests, compared with those of botocore's signer for the same request at the same time."""

from __future__ import annotations

import datetime
import random
import string
from typing import Any

import botocore.auth  # type: ignore[import-untyped]
import pytest
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from antiphon.pipeline.credential import PENDING
from antiphon.pipeline.errors import InvalidParameter
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.network.address import parse_url
from antiphon.pipeline.network.request_head import encode_head
from antiphon.pipeline.secret import Secret
from antiphon.providers.aws_signature import AwsCredentials, sign

NOW = 1795741200.7
BODY = b'{"messages":[]}'
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE", "canary/secret+key", "canary-session-token//=="


@pytest.fixture(autouse=True)
def stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let botocore sign at NOW; it has no argument for the time."""
    at = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: at)


def theirs(request: HttpRequest, token: str | None, region: str, service: str) -> str:
    """Return the header that botocore makes for what is sent."""
    address = parse_url(request.url)
    url = f"{address.scheme}://{address.authority.decode()}{address.target.decode()}"
    headers: dict[str, Any] = dict(request.headers)
    signed = AWSRequest(request.method, url, headers, request.body)
    botocore.auth.SigV4Auth(Credentials(KEY_ID, SECRET, token), service, region).add_auth(signed)
    return str(signed.headers["Authorization"])


def ours(request: HttpRequest, token: str | None, region: str, service: str) -> str:
    credentials = AwsCredentials(KEY_ID, Secret(SECRET), Secret(token) if token else None)
    found = dict(sign(request, credentials, region, service, NOW).headers)
    proof = found["authorization"]
    assert isinstance(proof, Secret)
    assert found.get("x-amz-security-token") == (Secret(token) if token else None)
    return proof.reveal()


PATHS = [
    "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke",
    "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-lite-v1%3A0/converse",
    "/openai/v1/responses",
    "/openai/v1/responses/",
    "/a//b/./c/../d",
    "/a/..",
    "//",
    "/",
    "",
    "/caf%C3%A9/~tilde_under-dash.dot",
    "/caf\u00e9",
    "/plus+and*star!and'(quotes)",
    "/semi;colon,comma@at=equals:colon",
]
QUERIES = ["", "?b=2&a=1", "?a=2&a=10&a=1", "?empty=&none", "?x=%2F%20+&%C3%A9=%26", "?api-version=preview"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", QUERIES)
def test_odd_paths_and_queries_are_signed_as_botocore_does(path: str, query: str) -> None:
    request = HttpRequest("POST", f"https://host.example{path}{query}", (("content-type", "application/json"),), BODY)

    assert ours(request, TOKEN, "eu-central-1", "bedrock") == theirs(request, TOKEN, "eu-central-1", "bedrock")


@pytest.mark.parametrize("seed", range(300))
def test_any_request_is_signed_as_botocore_does(seed: int) -> None:
    chance = random.Random(seed)
    letters = string.ascii_letters + string.digits + "-._~%3A%2F/:@$&+,;=!*'()\u00fc\u4e2d "

    def text(least: int, most: int) -> str:
        return "".join(chance.choice(letters) for _ in range(chance.randint(least, most)))

    path = text(0, 40).replace(" ", "%20")
    query = "&".join(f"{text(1, 5)}={text(0, 8)}" for _ in range(chance.randint(0, 4))).replace(" ", "%20")
    names = ["Content-Type", "Accept", "x-custom", "anthropic-beta", "User-Agent", "X-Amzn-Trace-Id"]
    headers = tuple((name, f" {chance.choice('abc')}   b  ") for name in chance.sample(names, chance.randint(0, 6)))
    scheme, port = chance.choice(["https", "http"]), chance.choice(["", ":443", ":80", ":8443"])
    request = HttpRequest(
        chance.choice(["POST", "GET", "DELETE"]),
        f"{scheme}://Host.example{port}/{path}?{query}",
        headers,
        chance.choice([None, b"", BODY, "\u00fc".encode() * chance.randint(1, 300)]),
    )
    token = chance.choice([None, TOKEN])
    region, service = chance.choice(["us-east-1", "eu-central-1"]), chance.choice(["bedrock", "bedrock-mantle"])

    assert ours(request, token, region, service) == theirs(request, token, region, service)


def test_what_is_sent_is_what_was_signed() -> None:
    headers = (("content-type", "application/json"), ("authorization", PENDING))
    request = sign(
        HttpRequest("POST", "https://host.example/x", headers, BODY), AwsCredentials("a", Secret("b")), "r", "s", NOW
    )
    sent = dict(encode_head(request, parse_url(request.url)))

    assert [name for name, _ in request.headers] == ["content-type", "x-amz-date", "authorization"]
    assert sent[b"x-amz-date"] == b"20261127T010000Z"
    assert b"SignedHeaders=content-type;host;x-amz-date, " in sent[b"authorization"]
    assert request.body == BODY


def test_a_second_signature_replaces_the_first() -> None:
    request = HttpRequest("POST", "https://host.example/x", (), BODY)
    old, new = AwsCredentials("old", Secret("b"), Secret("t")), AwsCredentials("new", Secret("c"))

    twice = sign(sign(request, old, "r", "s", NOW), new, "r", "s", NOW + 60)

    assert twice == sign(request, new, "r", "s", NOW + 60)


def test_nothing_of_it_shows_a_secret() -> None:
    credentials = AwsCredentials(KEY_ID, Secret(SECRET), Secret(TOKEN))
    request = sign(HttpRequest("POST", "https://host.example/x", (), BODY), credentials, "r", "s", NOW)

    assert "canary" not in f"{credentials!r} {credentials} {request!r}"
    assert "Signature=" not in repr(request)


def test_a_url_that_cannot_be_sent_is_not_signed() -> None:
    with pytest.raises(InvalidParameter):
        sign(HttpRequest("POST", "https://host.example/a b"), AwsCredentials("a", Secret("b")), "r", "s", NOW)
