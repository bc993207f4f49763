"""Response ids: one codec, used at one edge.

A public id says which provider made the response, so that `get_responses(id)` needs nothing else:

    resp_ap1_<payload>            version 1
    resp_ap1s_<payload><tag>      the same, signed: 22 characters of HMAC-SHA256 (128 bits)

`payload` is base64url without padding of provider, deployment and the host's own id, separated by NUL. The deployment
is a fingerprint of the address when it is not the provider's usual one. LiteLLM's encoded ids are read too; any other
id is foreign and stays as it is.

    resp_apk1_<32 hex digits>  of a response that this library keeps in its own store, whoever made it

Such an id names no provider, since none has to be asked, and stays as it is everywhere.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import os
import re
from collections.abc import Mapping

import msgspec

from ..pipeline.errors import InvalidParameter

_PLAIN, _SIGNED = "resp_ap1_", "resp_ap1s_"
_TAG_CHARS = 22


_KEPT = "resp_apk1_"
_OURS = (_PLAIN, _SIGNED, _KEPT)
_KEPT_ID = re.compile(f"{_KEPT}[0-9a-f]{{32}}")

GIVEN = "_given_id"
"""Name of the request option with the public id of the call, a `GivenId`."""

ELSEWHERE = "_kept_elsewhere"
"""Name of the request option that says that the call goes to another provider or address than keeps that response."""

RESOLVE = "resolve"
"""Key in a call's scratch of the function that gives a request its target, for a stage that makes calls of its own:
`await scratch[RESOLVE](request)`. It is there where Resolve has handed on a call without one."""


class ResponseId(msgspec.Struct, frozen=True):
    """What an id says.

    Args:
        upstream: the host's own id.
        provider: name of the catalogue row; None for a foreign id.
        deployment: fingerprint of the address, "" for the provider's usual one; None when the id does not say.
    """

    upstream: str
    provider: str | None = None
    deployment: str | None = None


class GivenId(msgspec.Struct, frozen=True):
    """A public id that came with a call.

    Args:
        public: as it came.
        provider: the provider that it names.
        deployment, upstream: as in `ResponseId`.
    """

    public: str
    provider: str
    deployment: str | None
    upstream: str

    def is_at(self, provider: str, deployment: str) -> bool:
        """Tell whether the response is kept at this provider and address, as far as the id says."""
        return self.provider == provider and self.deployment in (None, deployment)


def new_kept_id() -> str:
    """Return a fresh id for a response that is kept in a store of this library."""
    return _KEPT + os.urandom(16).hex()


def is_kept(response_id: object) -> bool:
    """Tell whether an id is one of `new_kept_id`."""
    return isinstance(response_id, str) and response_id[:10] == _KEPT and _KEPT_ID.fullmatch(response_id) is not None


def names_its_tenant(response_id: object) -> bool:
    """Tell whether an id is of use to one tenant only: it is kept in a store here, or signed."""
    return is_kept(response_id) or (isinstance(response_id, str) and response_id.startswith(_SIGNED))


@functools.lru_cache(maxsize=1024)
def key_of_tenant(key: bytes, tenant: str) -> bytes:
    """Return the key that signs one tenant's ids, so that nobody else's are taken for them."""
    return hmac.digest(key, b"tenant\0" + tenant.encode("utf-8", "surrogatepass"), "sha256")


def is_hosts_conversation(given: object) -> bool:
    """Tell whether a conversation is one that its host has made, and no other one knows.

    Hosts make the ids of their conversations, which begin with "conv_"; every other name is the caller's own. Source:
    examples of such ids in public clients of OpenAI's API, read 2026-11; not confirmed by a host.
    """
    name = given.get("id") if isinstance(given, Mapping) else given
    return isinstance(name, str) and name.startswith("conv_")


_UNDAMAGED = "pass the id as the call returned it, whole"
_OF_THIS_KEY = "pass an id that was made with the key that ResponseIds(key_env=...) names"


def refused(given: GivenId, provider: str, base_url: str, param: str) -> InvalidParameter:
    """Return the error of a call that goes to another provider or address than keeps the response."""
    if given.provider != provider:
        return InvalidParameter(
            f"{param} belongs to {given.provider}, and the call goes to {provider}",
            param=param,
            hint="leave out custom_llm_provider, since the id names the provider that keeps the response"
            if param == "response_id"
            else "a response can be continued only where it is kept; send the whole conversation as input instead",
        )
    return InvalidParameter(
        f"the response is kept at another address of {provider} than {base_url}",
        param=param,
        hint="pass the api_base= that the response was made with",
    )


def encode_id(upstream: str, provider: str, deployment: str = "", key: bytes | None = None) -> str:
    """Return the public id of a host's id; an id that is public already, or kept here, is returned as it is."""
    if not upstream or (upstream.startswith(_OURS) and (upstream[:10] != _KEPT or is_kept(upstream))):
        return upstream
    payload = _b64(f"{provider}\0{deployment}\0{upstream}".encode("utf-8", "surrogatepass"))
    return f"{_PLAIN}{payload}" if key is None else f"{_SIGNED}{payload}{_tag(payload, key)}"


def decode_id(public: str, key: bytes | None = None) -> ResponseId:
    """Read an id in any of the known forms.

    Args:
        public: an id of ours, one of LiteLLM's, or a host's own.
        key: when given, an id that names a provider must be signed with it.

    Raises:
        InvalidParameter: empty, damaged, unsigned where a key is set, or signed with another key.
    """
    if not public:
        raise InvalidParameter("response_id is empty", param="response_id", hint=_UNDAMAGED)
    if public.startswith(_SIGNED):
        payload, tag = public[len(_SIGNED) : -_TAG_CHARS], public[-_TAG_CHARS:]
        if key is None:
            raise InvalidParameter(
                "the response id is signed, and no key is set to check it",
                param="response_id",
                hint="set the environment variable that ResponseIds(key_env=...) names",
            )
        # Only ASCII can be right; what else there may be has no bytes to compare.
        if not public.isascii() or not hmac.compare_digest(tag, _tag(payload, key)):
            raise InvalidParameter("the response id's signature is wrong", param="response_id", hint=_OF_THIS_KEY)
        return _read(payload)
    if public.startswith(_PLAIN):
        if key is not None:
            raise InvalidParameter(
                "the response id is not signed, and a key is set", param="response_id", hint=_OF_THIS_KEY
            )
        return _read(public[len(_PLAIN) :])
    found = _read_litellm(public) or ResponseId(public)
    if found.provider is not None and key is not None:
        raise InvalidParameter(
            "the response id is not signed, and a key is set", param="response_id", hint=_OF_THIS_KEY
        )
    return found


@functools.lru_cache(maxsize=256)
def deployment_of(base_url: str, usual: str) -> str:
    """Return the fingerprint of an address; "" when it is the provider's usual one, or the provider has none."""
    return "" if base_url == usual or not usual else hashlib.sha256(base_url.encode()).hexdigest()[:12]


def _read(payload: str) -> ResponseId:
    try:
        provider, deployment, upstream = _unb64(payload).decode("utf-8", "surrogatepass").split("\0", 2)
    except (ValueError, binascii.Error):
        raise InvalidParameter("the response id is damaged", param="response_id", hint=_UNDAMAGED) from None
    if not provider or not upstream:
        raise InvalidParameter("the response id is damaged", param="response_id", hint=_UNDAMAGED)
    return ResponseId(upstream, provider, deployment)


# "resp_" + base64 of this text. Seen in LiteLLM 1.106 to 1.109, 2026-11; its reader does not check the beginning, ours
# does. An id may hold ";", so the last field is taken whole.
_LITELLM = re.compile(r"litellm:custom_llm_provider:([^;]*);model_id:[^;]*;response_id:(.+)", re.DOTALL)


def _read_litellm(public: str) -> ResponseId | None:
    try:
        text = base64.b64decode(public.removeprefix("resp_"), validate=True).decode()
    except (ValueError, binascii.Error):
        return None
    found = _LITELLM.fullmatch(text)
    if found is None:
        return None
    provider, upstream = found.groups()
    return ResponseId(upstream, provider if provider not in ("", "None") else None)


def _tag(payload: str, key: bytes) -> str:
    return _b64(hmac.digest(key, payload.encode(), "sha256")[:16])


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def _b64(data: bytes) -> str:
    # What base64.urlsafe_b64encode does, without two calls in between: every answer's id comes through here.
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
