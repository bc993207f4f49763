"""The chat-completions dialect: hosts that serve `POST /chat/completions`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from ...pipeline.errors import APIError
from ...pipeline.events import Event
from ...pipeline.http import Headers, HttpRequest
from ...pipeline.reply import PlainReply
from ...pipeline.request import Drop, Request, StreamDecoder, Target
from ..profiles import UNKNOWN, Profile
from ..rows import ChatFlags


class ChatDialect(msgspec.Struct, frozen=True):
    """Chat completions, plain and streamed.

    Args:
        flags: what is particular at this host.
        profile: what is particular in this model.
    """

    flags: ChatFlags = ChatFlags()
    profile: Profile = UNKNOWN

    name: ClassVar[str] = "chat"

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        raise NotImplementedError

    def decode(self, body: bytes, request: Request) -> PlainReply:
        raise NotImplementedError

    def stream_decoder(self, request: Request) -> StreamDecoder:
        raise NotImplementedError

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        raise NotImplementedError

    def event_error(self, event: Event, request: Request) -> APIError | None:
        raise NotImplementedError
