"""Tokens of Google Cloud, by google-auth's own classes: which are taken, when they are renewed, where they go."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from cloud_accounts import GEMINI, ask, google, grant_of
from conftest import Mode
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import compute_engine
from google.auth.compute_engine import _metadata
from google.oauth2 import service_account
from google.oauth2.credentials import Credentials
from loopback import Connection, Server
from replay_server import Answer, path_of, replaying

from antiphon import presets
from antiphon.pipeline.errors import AuthenticationError, InvalidParameter, MissingExtra, MissingKey
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime
from antiphon.pipeline.secret import Secret
from antiphon.providers import catalog
from antiphon.providers.credentials import Access, Logins, find_access

MODEL = "vertex_ai/gemini-2.5-flash"
WHERE: dict[str, Any] = {"vertex_project": "pro-1", "vertex_location": "europe-west4"}
PATH = "/v1/projects/pro-1/locations/europe-west4/publishers/google/models/gemini-2.5-flash"
OK = Answer.json(GEMINI)
NO = Answer.json(b'{"error":{"code":401,"message":"no","status":"UNAUTHENTICATED"}}', 401)
OF_GOOGLE = (
    *("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT", "ANTHROPIC_VERTEX_PROJECT_ID"),
    *("GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION", "CLOUD_ML_REGION"),
)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this machine have no login of its own."""
    for name in OF_GOOGLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def a_user(server: Server, token: str | None = None) -> Credentials:
    """Return google-auth's credentials of a user, as a login leaves them."""
    given: Any = Credentials
    found: Credentials = given(token, refresh_token="r", token_uri=server.url, client_id="c", client_secret="s")
    return found


@pytest.fixture(scope="module")
def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def a_key_file(server: Server, pem: str) -> dict[str, str]:
    return {
        "type": "service_account",
        "project_id": "pro-1",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "robot@pro-1.example",
        "token_uri": server.url,
    }


def tokens(server: Server) -> list[str]:
    return [received.headers["authorization"] for received in server.requests]


def proof(access: Access) -> Any:
    assert access.credential is not None
    return drive(access.credential.ask(SyncRuntime(lambda: pytest.fail("nothing is sent"))))


def found(environ: dict[str, str] | None = None, **options: Any) -> Access:
    return find_access(catalog.find("vertex_ai"), {**WHERE, **options}, environ or {}, dialect="gemini")


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["ya29.token", Secret("ya29.token"), lambda: "ya29.token", "Bearer ya29.token"])
def test_a_token_is_a_key(key: Any, mode: Mode, streamed: bool) -> None:
    answer = Answer.stream(b"data: " + GEMINI + b"\n\n") if streamed else OK
    with replaying(answer) as host:
        response = mode.run(lambda: ask(mode, host.url, MODEL, streamed=streamed, api_key=key, **WHERE))

    assert tokens(host) == ["Bearer ya29.token"]
    assert path_of(host.requests[0]) == PATH + (":streamGenerateContent?alt=sse" if streamed else ":generateContent")
    assert response.output_text == "Hi."


@pytest.mark.parametrize("option", ["api_key", "vertex_credentials"])
def test_credentials_of_google_auth_are_refreshed_before_they_are_used(option: str, mode: Mode) -> None:
    with google("fresh") as accounts, replaying(OK) as host:
        given: dict[str, Any] = {option: a_user(accounts)}
        for _ in range(2):
            mode.run(lambda: ask(mode, host.url, MODEL, **given, **WHERE))

    assert tokens(host) == ["Bearer fresh"] * 2
    assert [grant_of(received) for received in accounts.requests] == ["refresh_token"]


def test_credentials_that_hold_are_not_refreshed(mode: Mode) -> None:
    with google("fresh") as accounts, replaying(OK) as host:
        mode.run(lambda: ask(mode, host.url, MODEL, api_key=a_user(accounts, "held"), **WHERE))

    assert (tokens(host), accounts.requests) == (["Bearer held"], [])


def test_a_refused_token_is_refreshed_once(mode: Mode, streamed: bool) -> None:
    answer = Answer.stream(b"data: " + GEMINI + b"\n\n") if streamed else OK
    with google("fresh") as accounts, replaying(NO, answer) as host:
        given = a_user(accounts, "held")
        mode.run(lambda: ask(mode, host.url, MODEL, streamed=streamed, api_key=given, num_retries=0, **WHERE))

    assert tokens(host) == ["Bearer held", "Bearer fresh"]


def test_a_token_that_nobody_takes_ends_the_call(mode: Mode) -> None:
    with google("one", "two", "three") as accounts, replaying(NO) as host, pytest.raises(AuthenticationError):
        mode.run(lambda: ask(mode, host.url, MODEL, api_key=a_user(accounts), **WHERE))

    assert tokens(host) == ["Bearer one", "Bearer two"]


def test_a_login_that_google_refuses_is_a_missing_key(mode: Mode) -> None:
    with google("canary", status="400 Bad Request") as accounts, replaying(OK) as host:
        with pytest.raises(MissingKey, match="Google gives no token: RefreshError") as caught:
            mode.run(lambda: ask(mode, host.url, MODEL, api_key=a_user(accounts), **WHERE))
        assert host.requests == []

    assert "canary" not in str(caught.value)


# --- key files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dict", "text", "path"])
def test_a_key_file_gives_tokens(form: str, pem: str, mode: Mode, tmp_path: Path) -> None:
    with google("robot") as accounts, replaying(OK) as host:
        written = a_key_file(accounts, pem)
        path = tmp_path / "key.json"
        path.write_text(json.dumps(written))
        given: dict[str, Any] = {"dict": written, "text": json.dumps(written), "path": str(path)}
        mode.run(lambda: ask(mode, host.url, MODEL, vertex_credentials=given[form], **WHERE))

    assert tokens(host) == ["Bearer robot"]
    assert "jwt-bearer" in grant_of(accounts.requests[0])


def test_a_machine_of_googles_is_its_own_login(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """What the metadata server says is read by the names of its headers, in whatever case."""

    def serve(connection: Connection) -> None:
        while (received := connection.request()) is not None:
            said: Any = {"access_token": "machine", "expires_in": 3600, "token_type": "Bearer"}
            if "token" not in received.line:
                said = {"aliases": ["default"], "email": "robot@pro-1.example", "scopes": []}
            head = {"Content_Type": "application/json", "Metadata_Flavor": "Google"}
            connection.answer(json.dumps(said).encode(), **head)

    given: Any = compute_engine.Credentials
    with Server(serve) as metadata, replaying(OK) as host:
        monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", f"127.0.0.1:{metadata.port}")
        mode.run(lambda: ask(mode, host.url, MODEL, api_key=given(), **WHERE))

    assert tokens(host) == ["Bearer machine"]


def test_a_key_file_is_read_once_for_all_calls_of_a_client(pem: str) -> None:
    logins = Logins()
    with google("robot", "again") as accounts:
        given = {**WHERE, "vertex_credentials": a_key_file(accounts, pem)}
        for _ in range(3):
            access = find_access(catalog.find("vertex_ai"), given, {}, dialect="gemini", logins=logins)
            assert proof(access) == Secret("Bearer robot")


def test_the_default_login_is_used_where_nothing_is_given(
    pem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    with google("robot") as accounts:
        path.write_text(json.dumps(a_key_file(accounts, pem)))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

        assert proof(found()) == Secret("Bearer robot")


@pytest.mark.parametrize("given", ['{"type": "service_account"}', "{no json", '{"type": "unknown"}', "/no/such/file"])
def test_a_key_file_that_is_none_is_refused_unshown(given: str) -> None:
    with pytest.raises((MissingKey, InvalidParameter), match="vertex_credentials"):
        proof(found(vertex_credentials=given))


def test_no_login_at_all_says_what_to_do() -> None:
    with pytest.raises(MissingKey, match="google-auth finds no credentials") as caught:
        proof(found())

    assert "gcloud auth application-default login" in (caught.value.hint or "")


def test_without_google_auth_a_token_will_do(monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    for name in [name for name in sys.modules if name.startswith("google.auth")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "google.auth", None)

    with replaying(OK) as host:
        mode.run(lambda: ask(mode, host.url, MODEL, api_key=lambda: "token", **WHERE))
    assert tokens(host) == ["Bearer token"]
    with pytest.raises(MissingExtra, match="google-auth, which is not installed") as caught:
        proof(found())
    assert "antiphon[vertex]" in (caught.value.hint or "")


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "host"),
    [
        (None, "aiplatform.googleapis.com/v1/projects/pro-1/locations/global"),
        ("global", "aiplatform.googleapis.com/v1/projects/pro-1/locations/global"),
        ("us", "aiplatform.us.rep.googleapis.com/v1/projects/pro-1/locations/us"),
        ("eu", "aiplatform.eu.rep.googleapis.com/v1/projects/pro-1/locations/eu"),
        ("us-east5", "us-east5-aiplatform.googleapis.com/v1/projects/pro-1/locations/us-east5"),
    ],
)
@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/publishers/google/models/gemini-2.5-flash:generateContent"),
        ("claude-3-haiku@20240307", "/publishers/anthropic/models/claude-3-haiku@20240307:rawPredict"),
        ("meta/llama-4-maverick-17b-128e-instruct-maas", "/endpoints/openapi/chat/completions"),
    ],
)
def test_an_address_has_project_location_and_publisher(location: str | None, host: str, model: str, path: str) -> None:
    call = {"vertex_project": "pro-1", "vertex_location": location, "api_key": "t"}
    explained = presets.responses.explain("Hi", model=f"vertex_ai/{model}", **call)

    assert explained.request is not None
    assert explained.request.url == f"https://{host}{path}"


def test_the_environment_says_project_and_location() -> None:
    row = catalog.find("vertex_ai")
    both = {"GOOGLE_CLOUD_PROJECT": "pro-2", "GOOGLE_CLOUD_LOCATION": "asia-east1"}

    assert find_access(row, {"api_key": "t"}, both, dialect="gemini").base_url == (
        "https://asia-east1-aiplatform.googleapis.com/v1/projects/pro-2/locations/asia-east1/publishers/google"
    )
    with pytest.raises(InvalidParameter, match="needs a project") as caught:
        find_access(row, {"api_key": "t"}, {}, dialect="gemini")
    assert "vertex_project=" in (caught.value.hint or "")


def test_a_key_file_says_the_project_where_nothing_else_does(pem: str) -> None:
    row = catalog.find("vertex_ai")
    with google("robot") as accounts:
        written = a_key_file(accounts, pem)
        made: Any = service_account.Credentials.from_service_account_info
        for given in ({"vertex_credentials": written}, {"vertex_credentials": Secret(json.dumps(written))}):
            assert "/projects/pro-1/" in find_access(row, given, {}, dialect="gemini").base_url
        assert "/projects/pro-1/" in find_access(row, {"api_key": made(written)}, {}, dialect="gemini").base_url
        for named in ({"vertex_project": "mine"}, {}):
            environ = {} if named else {"VERTEXAI_PROJECT": "mine"}
            access = find_access(row, {"vertex_credentials": written, **named}, environ, dialect="gemini")
            assert "/projects/mine/" in access.base_url


def test_a_login_goes_to_googles_hosts_only() -> None:
    for base, is_own in (
        ("https://us-east5-aiplatform.googleapis.com", True),
        ("https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/publishers/google", True),
        ("https://evil.example", False),
        ("https://evil-aiplatform.googleapis.com.evil.example", False),
        ("https://evil.example/aiplatform.googleapis.com", False),
        ("http://aiplatform.googleapis.com", False),
    ):
        access = found(api_base=base)

        assert (access.credential is not None) == is_own
        assert access.api_key is None
        assert ("was not sent" in (access.note or "")) != is_own
