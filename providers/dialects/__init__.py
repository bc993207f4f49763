"""Dialects: the API formats that hosts speak, as codecs without I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...pipeline.request import Dialect
from ..profiles import Profile
from ..rows import Provider
from .anthropic import AnthropicDialect
from .chat import ChatDialect
from .gemini import GeminiDialect
from .responses import ResponsesDialect


def _responses(row: Provider, profile: Profile) -> Dialect:
    return _TYPED if row.typed_input else _PLAIN


def _chat(row: Provider, profile: Profile) -> Dialect:
    return ChatDialect(row.chat, profile)


def _gemini(row: Provider, profile: Profile) -> Dialect:
    return GeminiDialect(profile)


def _anthropic(row: Provider, profile: Profile) -> Dialect:
    return AnthropicDialect(profile)


_PLAIN, _TYPED = ResponsesDialect(), ResponsesDialect(typed_input=True)

DIALECTS: Final[dict[str, Callable[[Provider, Profile], Dialect]]] = {
    "responses": _responses,
    "chat": _chat,
    "gemini": _gemini,
    "anthropic": _anthropic,
}
"""By name: the codec for a host and a model."""
