"""Credentials of AWS: which are taken, that they sign every attempt, and that they go nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.credentials  # type: ignore[import-untyped]
import httpx
import pytest
from cloud_accounts import CONVERSE, EXPIRED, KEY_ID, OWN, SECRET, TOKEN, ask, assert_signed
from conftest import Mode
from replay_server import Answer, replaying

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.credential import Credential
from antiphon.pipeline.errors import (
    AuthenticationError,
    InvalidParameter,
    MissingExtra,
    MissingKey,
    PermissionDeniedError,
)
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime
from antiphon.pipeline.secret import Secret
from antiphon.providers import catalog
from antiphon.providers.aws_signature import AwsCredentials
from antiphon.providers.credentials import Access, find_access

MODEL = "bedrock/us.amazon.nova-lite-v1:0"
OK = Answer.json(CONVERSE)
BUSY = Answer.json(b'{"message":"busy"}', 503, {"x-amzn-errortype": "ServiceUnavailableException"})
OLD = Answer.json(EXPIRED, 403, {"x-amzn-errortype": "ExpiredTokenException:http://internal.amazon.com/coral/"})
WHO: dict[str, Any] = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "aws_session_token": TOKEN}
WHERE: dict[str, Any] = {"aws_region_name": "eu-central-1"}
OF_AWS = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"),
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this machine have no login of its own."""
    for name in OF_AWS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


def found(environ: dict[str, str] | None = None, row: str = "bedrock", **options: Any) -> Access:
    return find_access(catalog.find(row), {**WHERE, **options}, environ or {})


def proof(access: Access) -> Any:
    assert isinstance(access.credential, Credential)
    return drive(access.credential.ask(SyncRuntime(lambda: pytest.fail("nothing is sent"))))


# --- signing ---------------------------------------------------------------------------------------------------------


class TheirsFrozen:
    """What botocore's credentials hand out, made by botocore."""

    def __call__(self) -> Any:
        return botocore.credentials.Credentials(KEY_ID, SECRET, TOKEN).get_frozen_credentials()


async def later() -> AwsCredentials:
    return OWN


GIVEN: dict[str, Callable[[], dict[str, Any]]] = {
    "keywords": lambda: WHO,
    "value": lambda: {"api_key": OWN},
    "function": lambda: {"api_key": lambda: OWN},
    "async function": lambda: {"api_key": later},
    "botocore": lambda: {"api_key": botocore.credentials.Credentials(KEY_ID, SECRET, TOKEN)},
    "function of botocore": lambda: {"api_key": TheirsFrozen()},
}


@pytest.mark.parametrize("form", GIVEN)
def test_a_call_is_signed_whatever_gives_the_credentials(form: str, mode: Mode, streamed: bool) -> None:
    with replaying(OK) as server:
        response = mode.run(lambda: ask(mode, server.url, MODEL, streamed=streamed, **GIVEN[form](), **WHERE))

    assert_signed(server.requests[0], server.port)
    assert response.output_text == "Hi."
    assert "canary" not in repr(response.meta)


def test_credentials_without_a_token_sign_too(mode: Mode) -> None:
    given: dict[str, Any] = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
    with replaying(OK) as server:
        mode.run(lambda: ask(mode, server.url, MODEL, **given, **WHERE))

    assert_signed(server.requests[0], server.port, key=(KEY_ID, SECRET, None))


@pytest.mark.parametrize(
    ("model", "more", "region"),
    [
        (MODEL, {"aws_region_name": "ap-south-1"}, "ap-south-1"),
        ("bedrock/arn:aws:bedrock:us-west-2:1234:inference-profile/us.amazon.nova-lite-v1:0", WHERE, "us-west-2"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", {**WHERE, "dialect": "anthropic"}, "eu-central-1"),
        ("bedrock/openai.gpt-oss-120b-1:0", {**WHERE, "extra_query": {"b": "\u00fc/", "a": ""}}, "eu-central-1"),
    ],
)
def test_every_format_and_region_is_signed(model: str, more: dict[str, Any], region: str, mode: Mode) -> None:
    with replaying(Answer.json(b"{}", 400)) as server, pytest.raises(Exception, match="HTTP 400"):
        mode.run(lambda: ask(mode, server.url, model, **WHO, **more))

    assert_signed(server.requests[0], server.port, region=region)


def test_mantle_is_signed_for_by_its_own_name(mode: Mode) -> None:
    with replaying(Answer.json(b"{}", 400)) as server, pytest.raises(Exception, match="HTTP 400"):
        mode.run(lambda: ask(mode, server.url, "bedrock_mantle/openai.gpt-5.5", **WHO, **WHERE))

    assert_signed(server.requests[0], server.port, service="bedrock-mantle")


def test_a_client_of_the_callers_own_sends_what_was_signed(mode: Mode) -> None:
    async def body() -> None:
        own: Any = httpx.AsyncClient() if mode.is_async else httpx.Client()
        client = Client(transport=own)
        try:
            await mode.call(client.chain, model=MODEL, api_base=server.url, **WHO, **WHERE)
        finally:
            await mode.close(client)
            await mode.close(own)

    with replaying(OK) as server:
        mode.run(body)

    assert_signed(server.requests[0], server.port)


def test_every_attempt_is_signed_anew(mode: Mode) -> None:
    keys = iter([OWN, AwsCredentials("AKIDOTHER", Secret("other"))])
    with replaying(BUSY, OK) as server:
        mode.run(lambda: ask(mode, server.url, MODEL, api_key=lambda: next(keys), **WHERE))

    assert_signed(server.requests[0], server.port)
    assert_signed(server.requests[1], server.port, key=("AKIDOTHER", "other", None))


def test_credentials_that_have_run_out_are_asked_for_once_more(mode: Mode, streamed: bool) -> None:
    keys = iter([AwsCredentials("AKIDOLD", Secret("old")), OWN])
    with replaying(OLD, OK) as server:
        mode.run(
            lambda: ask(mode, server.url, MODEL, streamed=streamed, api_key=lambda: next(keys), num_retries=0, **WHERE)
        )

    assert_signed(server.requests[1], server.port)


def test_fixed_credentials_are_refused_once(mode: Mode) -> None:
    with replaying(OLD) as server, pytest.raises(AuthenticationError):
        mode.run(lambda: ask(mode, server.url, MODEL, **WHO, **WHERE))

    assert len(server.requests) == 1


def test_what_the_host_repeats_of_a_signature_is_masked(mode: Mode) -> None:
    said = f'{{"message":"The canonical string should have been x-amz-security-token:{TOKEN}"}}'.encode()
    with replaying(Answer.json(said, 403)) as server, pytest.raises(PermissionDeniedError) as caught:
        mode.run(lambda: ask(mode, server.url, MODEL, **WHO, **WHERE))

    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.body}"


def test_a_dry_run_signs_nothing_and_shows_nothing() -> None:
    explained = presets.responses.explain("Hi", model=MODEL, **WHO, **WHERE)

    assert explained.request is not None
    assert explained.request.headers["authorization"] == "***"
    assert "canary" not in str(explained)
    assert "canary" not in repr(presets.responses.bind(**WHO).defaults)


# --- which are taken -------------------------------------------------------------------------------------------------

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "env"}


def test_the_call_wins_over_the_bearer_key_which_wins_over_the_environments_keys() -> None:
    everything = {**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "bearer"}

    assert proof(found(everything, **WHO)) == OWN
    assert found(everything, api_key="mine", **WHO).api_key == Secret("mine")
    assert found(everything).api_key == Secret("bearer")
    assert proof(found(KEYS)) == AwsCredentials("AKIDENV", Secret("env"))
    assert proof(found({**KEYS, "AWS_SESSION_TOKEN": "t"})).session_token == Secret("t")


def test_mantle_has_a_bearer_key_of_its_own() -> None:
    both = {"AWS_BEARER_TOKEN_BEDROCK": "bedrock", "BEDROCK_MANTLE_API_KEY": "mantle"}

    assert found(both, "bedrock_mantle").api_key == Secret("mantle")
    assert found(both).api_key == Secret("bedrock")


@pytest.mark.parametrize("missing", ["aws_access_key_id", "aws_secret_access_key"])
def test_half_of_a_pair_is_refused(missing: str) -> None:
    with pytest.raises(InvalidParameter, match=f"{missing} is missing") as caught:
        found(**{name: value for name, value in WHO.items() if name != missing})

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("environ", [KEYS, {"AWS_BEARER_TOKEN_BEDROCK": "canary"}])
@pytest.mark.parametrize("row", ["bedrock", "bedrock_mantle"])
def test_nothing_of_this_machine_goes_to_an_address_of_the_call(row: str, environ: dict[str, str]) -> None:
    for base in (
        "https://evil.example",
        "http://bedrock-runtime.eu-central-1.amazonaws.com",
        "https://bedrock-runtime.eu-central-1.amazonaws.com.evil.example",
        "https://bedrock-runtime.evil.example/.amazonaws.com",
        "https://bedrock-runtime.a.b.amazonaws.com",
        "https://bedrock-mantle.eu-central-1.api.aws:8443",
    ):
        access = found(environ, row, api_base=base)

        assert (access.api_key, access.credential) == (None, None)
        assert "was not sent" in (access.note or "")


def test_an_address_of_amazons_in_another_region_gets_them() -> None:
    access = found(KEYS, api_base="https://bedrock-runtime.us-west-2.amazonaws.com")

    assert proof(access) == AwsCredentials("AKIDENV", Secret("env"))


def test_credentials_of_aws_are_nothing_for_other_hosts(mode: Mode) -> None:
    with replaying(OK) as server, pytest.raises(MissingKey, match="openai takes no AWS credentials"):
        mode.run(lambda: ask(mode, server.url, "openai/m", api_key=OWN))

    assert server.requests == []


def test_options_of_aws_are_reported_where_nobody_reads_them() -> None:
    explained = presets.responses.explain("Hi", model="openai/m", api_key="k", **WHO, **WHERE)

    assert {item.name for item in explained.dropped} == {*WHO, *WHERE}


# --- regions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"])
def test_the_environment_says_the_region(name: str) -> None:
    access = find_access(catalog.find("bedrock"), {}, {**KEYS, name: "us-east-2"})

    assert access.base_url == "https://bedrock-runtime.us-east-2.amazonaws.com"


def test_without_a_region_the_error_says_how_to_name_it() -> None:
    with pytest.raises(InvalidParameter, match="the address of bedrock needs a region") as caught:
        find_access(catalog.find("bedrock"), {}, KEYS)

    assert caught.value.param == "aws_region_name"
    assert "AWS_REGION" in (caught.value.hint or "")


def test_a_signature_for_an_address_of_ones_own_needs_a_region(mode: Mode) -> None:
    with replaying(OK) as server, pytest.raises(InvalidParameter, match="are signed for a region"):
        mode.run(lambda: ask(mode, server.url, MODEL, **WHO))

    assert server.requests == []


@pytest.mark.parametrize("region", ["eu central", "evil.example/", "x@evil.example", "a#b"])
def test_a_region_that_is_none_makes_no_address(region: str) -> None:
    with pytest.raises(InvalidParameter):
        found(KEYS, aws_region_name=region)


# --- logins of this machine ------------------------------------------------------------------------------------------

PROFILES = """
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = default

[work]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key = canary/secret+key
aws_session_token = canary-session-token//==
"""


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    path.write_text(PROFILES)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    return path


def test_botocore_finds_what_is_written_down(profiles: Path) -> None:
    assert proof(found()) == AwsCredentials("AKIDDEFAULT", Secret("default"))
    assert proof(found(aws_profile_name="work")) == OWN
    assert proof(found({**KEYS, "AWS_BEARER_TOKEN_BEDROCK": "b"}, aws_profile_name="work")) == OWN


def test_a_profile_signs_a_call_and_is_read_anew_when_refused(profiles: Path, mode: Mode, streamed: bool) -> None:
    with replaying(OLD, OK) as server:
        profiles.write_text(PROFILES.replace("canary/secret+key", "an older one"))

        def renewed() -> None:
            profiles.write_text(PROFILES)

        async def body() -> Any:
            hooks = [lambda signal: renewed() if type(signal).__name__ == "AttemptEnded" else None]
            given = {**WHERE, "aws_profile_name": "work", "hooks": hooks, "num_retries": 0}
            return await ask(mode, server.url, MODEL, streamed=streamed, **given)

        mode.run(body)

    assert_signed(server.requests[0], server.port, key=(KEY_ID, "an older one", TOKEN))
    assert_signed(server.requests[1], server.port)


def test_no_login_at_all_says_what_to_do() -> None:
    with pytest.raises(MissingKey, match="botocore finds none") as caught:
        proof(found())

    assert "AWS_BEARER_TOKEN_BEDROCK" in (caught.value.hint or "")


def test_a_profile_that_is_not_there_is_a_missing_key() -> None:
    with pytest.raises(MissingKey, match="ProfileNotFound"):
        proof(found(aws_profile_name="nobody"))


def test_without_botocore_there_are_still_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "botocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "botocore", None)

    assert proof(found(KEYS)) == AwsCredentials("AKIDENV", Secret("env"))
    with pytest.raises(MissingExtra, match="botocore, which is not installed") as caught:
        proof(found(aws_profile_name="work"))
    assert "antiphon[bedrock]" in (caught.value.hint or "")
    with pytest.raises(MissingKey, match="is not installed"):
        proof(found())
