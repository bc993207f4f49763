"""Tokens of Google Cloud: from google-auth's credentials, which find a login and refresh themselves."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..pipeline.errors import InvalidParameter, MissingExtra, MissingKey
from ..pipeline.secret import Secret
from ..pipeline.wording import quoted

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_TIMEOUT_S: Final = 60.0


class GoogleAccount:
    """Gives out tokens of one account. Blocks; safe to share between threads.

    Args:
        given: google-auth's credentials; or what they are made of: the JSON of a key file, or its path; "" for what
            google-auth finds by itself (Application Default Credentials).
    """

    def __init__(self, given: Any = "") -> None:
        self._given = given
        self._credentials: Any = None
        self._lock = threading.Lock()

    def prove(self, renew: bool) -> Secret:
        """Return a token that has not run out; with `renew` a fresh one.

        Raises:
            MissingExtra: google-auth is not installed.
            MissingKey: no login is found, or Google does not take it.
        """
        with self._lock:
            if self._credentials is None:
                self._credentials = _found(self._given)
            credentials = self._credentials
            if renew or not getattr(credentials, "valid", False):
                try:
                    credentials.refresh(_http)
                except Exception as error:
                    raise MissingKey(
                        f"Google gives no token: {type(error).__name__}",
                        provider="vertex_ai",
                        hint="log in again (gcloud auth application-default login), or check the key file",
                    ) from error
            return Secret(f"Bearer {credentials.token}")


def account_text(given: object) -> str:
    """Return the option `vertex_credentials` as the text that `GoogleAccount` takes.

    Raises:
        InvalidParameter: it is something else.
    """
    if isinstance(given, Mapping):
        return json.dumps(given, sort_keys=True, default=str)
    if isinstance(given, Secret) and given.reveal().strip():
        return given.reveal()
    raise InvalidParameter(
        f"vertex_credentials is {type(given).__name__}; a key file's path or JSON, or google-auth's credentials are "
        "expected",
        param="vertex_credentials",
    )


def project_of(given: object) -> dict[str, str]:
    """Return the project that credentials name, as "project": those of google-auth, or the JSON of a key file."""
    if isinstance(given, Secret) and given.reveal().lstrip().startswith("{"):
        try:
            given = json.loads(given.reveal())
        except ValueError:
            return {}
    found = given.get("project_id") if isinstance(given, Mapping) else getattr(given, "project_id", None)
    return {"project": found} if isinstance(found, str) and found else {}


def _found(given: Any) -> Any:
    if not isinstance(given, str):
        return _scoped(given)
    try:
        import google.auth
        import google.auth.exceptions
    except ImportError:
        raise MissingExtra(
            "Google Cloud credentials need google-auth, which is not installed",
            provider="vertex_ai",
            hint="pip install 'antiphon[vertex]', or pass a token, or a function that returns one, as api_key=",
        ) from None
    if not given:
        login: Any = google.auth.default  # most of google-auth has no types
        try:
            return login(scopes=[SCOPE])[0]
        except google.auth.exceptions.DefaultCredentialsError as error:
            raise MissingKey(
                "google-auth finds no credentials",
                provider="vertex_ai",
                hint="run gcloud auth application-default login, set GOOGLE_APPLICATION_CREDENTIALS to a key file, "
                "or pass api_key= or vertex_credentials=",
            ) from error
    return _of_key_file(given)


def _of_key_file(given: str) -> Any:
    """Return the credentials of a key file. Other kinds of files may name programs to run and addresses to ask."""
    try:
        if given.lstrip().startswith("{"):
            info = json.loads(given)
        else:
            with open(given, encoding="utf-8") as file:
                info = json.load(file)
        kind = info.get("type")
        made: Any
        if kind == "service_account":
            from google.oauth2 import service_account

            made = service_account.Credentials.from_service_account_info
            return made(info, scopes=[SCOPE])
        if kind == "authorized_user":
            from google.oauth2 import credentials

            made = credentials.Credentials.from_authorized_user_info
            return made(info, scopes=[SCOPE])
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidParameter(
            f"vertex_credentials cannot be read: {type(error).__name__}",
            param="vertex_credentials",
            hint="pass the path or the JSON of a key file, or google-auth's credentials",
        ) from None
    raise InvalidParameter(
        f"vertex_credentials are of type {quoted(kind)}; a key file of a service account or a user is expected",
        param="vertex_credentials",
        hint="make google-auth's credentials of it yourself, and pass them",
    )


def _scoped(credentials: Any) -> Any:
    return credentials.with_scopes([SCOPE]) if getattr(credentials, "requires_scopes", False) else credentials


class _Answer:
    """An answer as google-auth wants it (`google.auth.transport.Response`)."""

    def __init__(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data


def _http(
    url: str,
    method: str = "GET",
    body: bytes | str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float | None = None,
    **_: object,
) -> _Answer:
    """Send one request for google-auth, whose own way needs one more package (`google.auth.transport.Request`)."""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data, dict(headers or {}), method=method)  # noqa: S310  google-auth's own URLs
    try:
        with urllib.request.urlopen(request, timeout=timeout or _TIMEOUT_S) as answer:  # noqa: S310
            return _Answer(answer.status, _lower(answer.headers.items()), answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return _Answer(error.code, _lower(error.headers.items()), error.read())
    except OSError as error:
        import google.auth.exceptions

        failed: Any = google.auth.exceptions.TransportError
        raise failed(error) from error


def _lower(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers as google-auth looks for them: by names in lower case."""
    return {name.lower(): value for name, value in headers}
