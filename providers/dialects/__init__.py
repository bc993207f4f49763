"""Dialects: the API formats that hosts speak, as codecs without I/O. Each is loaded when the first call speaks it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ...pipeline.request import Dialect
from ..profiles import Profile
from ..rows import Provider
from .responses import ResponsesDialect

if TYPE_CHECKING:
    from .anthropic import AnthropicDialect
    from .chat import ChatDialect
    from .cohere import CohereDialect
    from .converse import ConverseDialect
    from .gemini import GeminiDialect


_PLAIN = ResponsesDialect()


def _responses(row: Provider, profile: Profile) -> Dialect:
    if not row.typed_input and not row.scoped_calls:
        return _PLAIN  # nearly all
    return ResponsesDialect(typed_input=row.typed_input, scoped_calls=row.scoped_calls)


def _chat(row: Provider, profile: Profile) -> Dialect:
    return _chat_class()(row.chat, profile)


def _gemini(row: Provider, profile: Profile) -> Dialect:
    return _gemini_class()(profile)


def _anthropic(row: Provider, profile: Profile) -> Dialect:
    return _anthropic_class()(profile, row.messages)


def _converse(row: Provider, profile: Profile) -> Dialect:
    return _converse_class()(profile)


def _cohere(row: Provider, profile: Profile) -> Dialect:
    return _cohere_class()()


@functools.cache
def _chat_class() -> type[ChatDialect]:
    from .chat import ChatDialect

    return ChatDialect


@functools.cache
def _gemini_class() -> type[GeminiDialect]:
    from .gemini import GeminiDialect

    return GeminiDialect


@functools.cache
def _anthropic_class() -> type[AnthropicDialect]:
    from .anthropic import AnthropicDialect

    return AnthropicDialect


@functools.cache
def _converse_class() -> type[ConverseDialect]:
    from .converse import ConverseDialect

    return ConverseDialect


@functools.cache
def _cohere_class() -> type[CohereDialect]:
    from .cohere import CohereDialect

    return CohereDialect


DIALECTS: Final[dict[str, Callable[[Provider, Profile], Dialect]]] = {
    "responses": _responses,
    "chat": _chat,
    "gemini": _gemini,
    "anthropic": _anthropic,
    "converse": _converse,
    "cohere": _cohere,
}
"""By name: the codec for a host and a model."""
