"""What a host keeps by itself, and by which references its responses are known here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...pipeline.errors import InvalidParameter, SetupError
from ...pipeline.request import Request, Target
from ...pipeline.wording import quoted
from ...providers import catalog
from ...providers.response_ids import GIVEN, GivenId, deployment_of, is_hosts_conversation, is_kept


class Host(msgspec.Struct, frozen=True):
    """Who answers a call, as far as it matters for what it can read and what it keeps.

    Args:
        provider: name of the catalogue row.
        deployment: fingerprint of the address, "" for the provider's usual one.
        speaks_responses: whether it gets the API's items as they are.
        keeps: whether it keeps responses, so that the next call can go on from one.
        has_background: whether it works in the background.
        has_conversations: whether it keeps conversations.
    """

    provider: str
    deployment: str
    speaks_responses: bool
    keeps: bool
    has_background: bool
    has_conversations: bool


def host_of(request: Request) -> Host:
    """Return the host of a call that has a target."""
    target = request.target
    if target is None:
        raise SetupError("Remember got a request without a target", hint="place Resolve before Remember")
    speaks = target.dialect.name == "responses"
    unsupported = target.unsupported
    return Host(
        target.provider,
        deployment_of(target.base_url, catalog.find(target.provider).base_url),
        speaks,
        speaks and "previous_response_id" not in unsupported,
        speaks and "background" not in unsupported,
        speaks and "conversation" not in unsupported,
    )


def reference(provider: str, deployment: str, upstream: str) -> str:
    """Return the name of a response here: an id of this library is one, a host's own needs to say whose it is."""
    return upstream if is_kept(upstream) else f"{provider}~{deployment}~{upstream}"


def reference_of(request: Request) -> str:
    """Return the name of the response that a call on a stored response means."""
    response_id = str(request.param("response_id"))
    if is_kept(response_id):
        return response_id
    given = request.options.get(GIVEN)
    if isinstance(given, GivenId):
        return reference(given.provider, given.deployment or "", given.upstream)
    host = host_of(request)
    return reference(host.provider, host.deployment, response_id)


def serves(target: Target | None, operation: str) -> bool:
    """Tell whether the host is to be asked about a stored response."""
    return target is not None and operation in target.operations


def conversation_of(given: Any, host: Host) -> str:
    """Return the name of a conversation that is kept here; "" for none, or for one that its host keeps.

    Raises:
        InvalidParameter: it holds half a character, which no store could keep.
    """
    name = given.get("id") if isinstance(given, Mapping) else given
    if not isinstance(name, str) or not name:
        return ""
    if not name.isascii() and any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InvalidParameter(f"conversation {quoted(name)} holds half of a surrogate pair", param="conversation")
    return "" if host.has_conversations and is_hosts_conversation(name) else name
