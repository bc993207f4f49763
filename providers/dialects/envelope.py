"""The envelope for reasoning: a host's own form of it, carried through `encrypted_content` of the API's items.

Clients send `encrypted_content` back as they got it, so it is where a signature or a host's own block survives a round
trip. The envelope says whose it is, since a host refuses, or takes for visible text, what another one made.

    antiphon.r1.<base64url of {"provider", "model", "dialect", "form", "blocks"}>
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from ...pipeline.api.wire import encode, loads

SEALED = "antiphon.r1."
"""What the text of an envelope begins with."""


Seal: TypeAlias = Callable[[tuple[Any, ...]], str]
"""Makes `encrypted_content` of a host's own blocks."""


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a reasoning item was at its host.

    Args:
        provider, model, dialect: whose it is.
        form: how the host wrote it, in the dialect's own terms, e.g. the name of the field that held it.
        blocks: the host's own blocks, unchanged and in order; () where the item's text is all there is.
    """

    provider: str
    model: str
    dialect: str
    form: str
    blocks: tuple[Any, ...] = ()


def seal(envelope: Envelope) -> str:
    """Return the text for `encrypted_content`."""
    return SEALED + base64.urlsafe_b64encode(encode(envelope)).decode().rstrip("=")


def unseal(text: object) -> Envelope | None:
    """Return what `seal` was given; None for what is not from this library, or is damaged."""
    if not isinstance(text, str) or not text.startswith(SEALED):
        return None
    try:
        data = base64.urlsafe_b64decode(text[len(SEALED) :] + "==")
        return msgspec.convert(loads(data), Envelope)
    except (binascii.Error, ValueError, RecursionError):
        return None
