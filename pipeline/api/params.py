"""Parameters of the API's operations, as the API names them."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Operation = Literal["create", "get", "delete", "cancel", "list_input_items", "compact", "count_input_tokens"]


class Null:
    """The JSON value null, said on purpose. In a call, `None` means "not given"."""

    def __repr__(self) -> str:
        return "NULL"

    def __reduce__(self) -> str:
        return "NULL"  # the same one, in every process: it is told by identity


NULL: Final = Null()
"""The JSON value null, said on purpose: `temperature=antiphon.NULL`. In a call, None means "not given"."""


class CreateParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Create a response: the body of `POST /responses`. None means "not given", here and below.

    Source: OpenAI API reference, Responses › Create, and the types of its Python package 3.54, read 2026-11.
    Newer parameters travel in the call option `extra_body`.
    """

    model: str | None = None
    input: Any = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    store: bool | None = None
    background: bool | None = None
    background_options: dict[str, Any] | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    include: list[str] | None = None
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    truncation: str | None = None
    context_management: list[Any] | None = None
    metadata: dict[str, Any] | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    moderation: dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    access_programs: dict[str, Any] | None = None
    user: str | None = None


class GetParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Retrieve a stored response, or resume its stream after an event: `GET /responses/{id}`."""

    response_id: str | None = None
    include: list[str] | None = None
    stream: bool | None = None
    starting_after: int | None = None
    include_obfuscation: bool | None = None


class DeleteParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Delete a stored response: `DELETE /responses/{id}`."""

    response_id: str | None = None


class CancelParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Cancel a background response: `POST /responses/{id}/cancel`."""

    response_id: str | None = None


class ListInputItemsParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """One page of a stored response's input: `GET /responses/{id}/input_items`."""

    response_id: str | None = None
    after: str | None = None
    before: str | None = None
    limit: int | None = None
    order: Literal["asc", "desc"] | None = None
    include: list[str] | None = None


class CompactParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Compact a conversation: the body of `POST /responses/compact`."""

    model: str | None = None
    input: Any = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    image: dict[str, Any] | None = None


class CountInputTokensParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """Count the tokens of an input without asking the model: the body of `POST /responses/input_tokens`."""

    model: str | None = None
    input: Any = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | dict[str, Any] | None = None
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    truncation: str | None = None
    parallel_tool_calls: bool | None = None
    personality: str | None = None


Params = (
    CreateParams
    | GetParams
    | DeleteParams
    | CancelParams
    | ListInputItemsParams
    | CompactParams
    | CountInputTokensParams
)

PARAMS: Final[dict[Operation, type[Params]]] = {
    "create": CreateParams,
    "get": GetParams,
    "delete": DeleteParams,
    "cancel": CancelParams,
    "list_input_items": ListInputItemsParams,
    "compact": CompactParams,
    "count_input_tokens": CountInputTokensParams,
}
"""The parameters of each operation."""

NAMES: Final[dict[Operation, frozenset[str]]] = {
    operation: frozenset(kind.__struct_fields__) for operation, kind in PARAMS.items()
}
"""Their names."""

HAPPENS_ANYWAY: Final[dict[str, object]] = {
    "store": False,
    "background": False,
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "tool_choice": "auto",
}
"""Values that ask for what a host without the parameter does: leaving them out changes nothing."""
