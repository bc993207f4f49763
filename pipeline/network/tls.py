"""Which servers are trusted in TLS."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

import httpcore

from ..errors import SetupError
from ..wording import quoted

Verify = bool | str | ssl.SSLContext


def ssl_context(verify: Verify) -> ssl.SSLContext:
    """Return the TLS settings for `verify`: the caller's own context, a CA file or folder, the usual CAs, or no check.

    The usual ones are certifi's, or those of SSL_CERT_FILE and SSL_CERT_DIR. Contexts are made once and shared.

    Raises:
        SetupError: the CA file or folder cannot be read.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    return _made_context(verify, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=8)
def _made_context(verify: bool | str, ca_file: str | None, ca_dir: str | None) -> ssl.SSLContext:
    if verify is False:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if isinstance(verify, str):
        ca_file, ca_dir = (None, verify) if os.path.isdir(verify) else (verify, None)
    if not ca_file and not ca_dir:
        return httpcore.default_ssl_context()
    try:
        return ssl.create_default_context(cafile=ca_file or None, capath=ca_dir or None)
    except (OSError, ssl.SSLError) as error:
        raise SetupError(
            f"the CA certificates in {quoted(ca_file or ca_dir)} cannot be read",
            hint="check verify=, SSL_CERT_FILE and SSL_CERT_DIR",
        ) from error
