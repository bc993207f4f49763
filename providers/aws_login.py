"""Credentials of AWS where none are given: what botocore finds (profiles, single sign-on, roles of machines)."""

from __future__ import annotations

import threading
from typing import Any

from ..pipeline.errors import MissingExtra, MissingKey
from ..pipeline.secret import Secret
from .aws_signature import AwsCredentials


class AwsLogin:
    """Gives out credentials of one profile. Blocks; safe to share between threads.

    Args:
        profile: its name; "" for the usual one. Roles that a profile names are assumed by botocore.
    """

    def __init__(self, profile: str = "") -> None:
        self._profile = profile
        self._credentials: Any = None
        self._lock = threading.Lock()

    def prove(self, renew: bool) -> AwsCredentials:
        """Return credentials that have not run out; with `renew` they are looked for anew.

        Raises:
            MissingExtra: a profile is named, and botocore is not installed.
            MissingKey: there are none.
        """
        with self._lock:
            if renew or self._credentials is None:
                self._credentials = self._found()
            try:
                frozen = self._credentials.get_frozen_credentials()
            except Exception as error:
                raise self._none(f"botocore fails to give them: {type(error).__name__}") from error
        token = frozen.token
        return AwsCredentials(frozen.access_key, Secret(frozen.secret_key), Secret(token) if token else None)

    def _found(self) -> Any:
        try:
            import botocore.exceptions  # type: ignore[import-untyped]
            import botocore.session  # type: ignore[import-untyped]
        except ImportError:
            if self._profile:
                raise MissingExtra(
                    "AWS profiles need botocore, which is not installed",
                    provider="bedrock",
                    hint="pip install 'antiphon[bedrock]', or pass aws_access_key_id= and aws_secret_access_key=",
                ) from None
            raise self._none("the environment has none, and botocore, which looks further, is not installed") from None
        try:
            found = botocore.session.Session(profile=self._profile or None).get_credentials()
        except botocore.exceptions.BotoCoreError as error:
            raise self._none(f"botocore fails to find any: {type(error).__name__}") from error
        if found is None:
            raise self._none("botocore finds none")
        return found

    def _none(self, why: str) -> MissingKey:
        return MissingKey(
            f"no AWS credentials: {why}",
            provider="bedrock",
            hint="set AWS_BEARER_TOKEN_BEDROCK, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or pass api_key=; "
            "or pip install 'antiphon[bedrock]' for profiles, single sign-on and roles",
        )
