"""What the HTTP library's exceptions mean, in our errors.

httpcore, httpx and httpx2 name their exceptions alike, so one table by class name serves all three, and none of them
needs to be imported for it.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Literal

import msgspec

from ..errors import APIConnectionError, APIResponseError, APITimeoutError, InvalidParameter
from ..secret import mask
from ..timeouts import Timeouts

Kind = Literal["timeout", "connect", "broken", "protocol", "proxy", "request", "coding"]

_KINDS: dict[str, Kind] = {
    "ConnectTimeout": "timeout",
    "ReadTimeout": "timeout",
    "WriteTimeout": "timeout",
    "PoolTimeout": "timeout",
    "TimeoutException": "timeout",
    "ConnectError": "connect",
    "ReadError": "broken",
    "WriteError": "broken",
    "CloseError": "broken",
    "NetworkError": "broken",
    "ConnectionNotAvailable": "broken",
    "TransportError": "broken",
    "RequestError": "broken",
    "TooManyRedirects": "protocol",
    "RemoteProtocolError": "protocol",
    "ProtocolError": "protocol",
    "LocalProtocolError": "request",
    "UnsupportedProtocol": "request",
    "InvalidURL": "request",
    "ProxyError": "proxy",
    "DecodingError": "coding",
}

_TIMEOUT_TEXTS = {
    "total": "the call to {where} is not over after {seconds:g} s",
    "connect": "no connection to {where} within {seconds:g} s",
    "first_event": "{where} sent no event within {seconds:g} s",
    "idle": "{where} fell silent for {seconds:g} s",
    "pool": "no free connection for {where} within {seconds:g} s: all {max_connections} are in use",
}


class Situation(msgspec.Struct, frozen=True):
    """Where an exchange stood when it failed.

    Args:
        where: "host:port".
        via: the proxy's "host:port".
        limit: which limit bounded the last wait.
        limit_s: its length, seconds.
        handshaking: whether TLS was being set up.
        reused: whether the connection had served before.
        started: whether any byte of the answer had come.
    """

    where: str
    via: str | None = None
    limit: str = "total"
    limit_s: float = 0.0
    handshaking: bool = False
    reused: bool = False
    started: bool = False


def limit_length(timeouts: Timeouts, limit: str) -> float:
    """Return the length of a limit by its name, seconds."""
    length: float = getattr(timeouts, limit, timeouts.total)
    return length


def timed_out(at: Situation, max_connections: int = 0) -> APITimeoutError:
    """Return the error for the limit that `at` names."""
    text = _TIMEOUT_TEXTS[at.limit].format(where=at.where, seconds=at.limit_s, max_connections=max_connections)
    return APITimeoutError(
        text,
        limit=at.limit,
        limit_s=at.limit_s,
        reused_connection=at.reused,
        response_started=at.started,
        request_sent=at.limit not in ("connect", "pool"),
        hint=(
            "read streams to their end or close them, or give the Client a larger max_connections="
            if at.limit == "pool"
            else f"raise it with timeout=Timeouts({at.limit}=…) if the host needs longer"
        ),
    )


def aborted(at: Situation) -> APIConnectionError:
    """Return the error for an exchange that was aborted from our side; repeating it is not wanted."""
    return APIConnectionError(
        f"the exchange with {at.where} was aborted",
        reused_connection=at.reused,
        response_started=at.started,
        retryable=False,
    )


def fault_of(error: Exception, at: Situation) -> APIConnectionError | APIResponseError | InvalidParameter:
    """Translate an exception of the HTTP library (or a bare OS error) that ended an exchange."""
    kind = kind_of(error)
    if kind == "timeout":
        return timed_out(at)
    reason = reason_of(error)
    hint: str | None = None
    if kind == "request":
        return InvalidParameter(f"the request to {at.where} cannot be sent: {text_of(error)}", param="headers")
    if kind == "coding":
        return APIResponseError(f"the answer of {at.where} cannot be decoded: {text_of(error)}")
    if kind == "connect":
        target = f"proxy {at.via}" if at.via and not at.handshaking else at.where
        if at.handshaking:
            text = f"cannot set up TLS with {target}: {reason or 'the handshake failed'}"
            hint = "name the CA file of a private host, or of a proxy that inspects TLS, in Client(verify=...)"
        else:
            text = f"cannot connect to {target}: {reason or text_of(error) or 'no reason given'}"
            hint = "check the address (api_base=), and that the host is up and reachable from here"
    elif kind == "proxy":
        text = f"proxy {at.via} does not connect to {at.where}: {text_of(error)}"
        hint = "check the proxy's credentials, and NO_PROXY if this host needs none"
    elif kind == "protocol":
        if at.started:
            text = f"the answer of {at.where} is cut or malformed: {text_of(error)}"
        else:
            text = f"{at.where} closed the connection without an answer"
            if "disconnected" not in str(error):
                text = f"{at.where} sent no HTTP answer: {text_of(error)}"
    else:
        text = f"the connection to {at.where} broke: {reason or text_of(error) or 'it was closed'}"
    return APIConnectionError(
        text,
        reused_connection=at.reused,
        response_started=at.started,
        request_sent=kind not in ("connect", "proxy"),
        hint=hint,
    )


def kind_of(error: BaseException) -> Kind | None:
    """Return the row of the table for an exception; None for a stranger."""
    for cls in type(error).__mro__:
        if cls.__name__ in _KINDS:
            return _KINDS[cls.__name__]
    return None


def reason_of(error: BaseException | None) -> str:
    """Return the operating system's or TLS's reason behind an exception, in words; "" when there is none.

    The libraries wrap it, some with no text of their own, and put it into a group when a name has several addresses.
    """
    while error is not None:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
            continue
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not accepted ({error.verify_message})"
        if isinstance(error, ssl.SSLError) and error.reason:
            return error.reason.lower().replace("_", " ")
        if isinstance(error, socket.gaierror):
            return "the name is not known"
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno).lower()
        error = error.__cause__ or error.__context__
    return ""


def text_of(error: BaseException) -> str:
    """Return an exception's own text, one short line, without what looks like a key."""
    return mask(" ".join(str(error).split()))[:200].rstrip(".")
