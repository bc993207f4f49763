"""What a call may be given by name, for editors and type checkers; at run time the chain decides.

Mappings are those of the API as it comes; what a stage of the stock chain reads is beside it. A test compares the names
with what the stages declare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from .pipeline.api.params import Null
from .pipeline.api.response import Response
from .pipeline.hook_queue import Hook
from .pipeline.secret import Secret
from .pipeline.stores.store import Store
from .pipeline.timeouts import Timeouts


class StoredKeywords(TypedDict, total=False):
    """Keywords of the calls on a stored response, and of every other call."""

    api_key: Any  # text, a Secret, a function that returns either, or a cloud's credentials
    api_base: str | None
    base_url: str | None
    custom_llm_provider: str | None
    extra_headers: dict[str, Any] | None
    extra_query: dict[str, Any] | None
    extra_body: dict[str, Any] | None
    timeout: float | Timeouts | None
    num_retries: int | None
    max_retries: int | None
    hooks: Sequence[Hook] | None
    trace: bool | None
    state_store: str | Store | None
    # of single clouds
    api_version: str | None
    azure_ad_token: str | Secret | None
    azure_ad_token_provider: Callable[[], Any] | None
    aws_access_key_id: str | Secret | None
    aws_secret_access_key: str | Secret | None
    aws_session_token: str | Secret | None
    aws_profile_name: str | None
    aws_region_name: str | None
    vertex_project: str | None
    vertex_location: str | None
    vertex_credentials: Any  # a key file's path, its JSON, or google-auth's credentials
    # LiteLLM's names of them
    aws_bedrock_runtime_endpoint: str | None
    vertex_ai_project: str | None
    vertex_ai_location: str | None
    vertex_ai_credentials: Any


class GetKeywords(StoredKeywords, total=False):
    """Keywords of `get_responses`."""

    include: list[str] | None
    starting_after: int | None
    include_obfuscation: bool | None
    text_format: Any  # a class or a JSON schema
    output_mode: Literal["auto", "native", "tool", "prompt"] | None


class ListKeywords(StoredKeywords, total=False):
    """Keywords of `list_input_items`."""

    after: str | None
    before: str | None
    limit: int | None
    order: Literal["asc", "desc"] | None
    include: list[str] | None


class ResponsesKeywords(StoredKeywords, total=False):
    """Keywords of `responses` and `aresponses`, beside `text_format`.

    None means "not given", `antiphon.NULL` an explicit null.
    """

    include: list[str] | Null | None
    instructions: str | Null | None
    max_output_tokens: int | Null | None
    prompt: dict[str, Any] | Null | None
    metadata: dict[str, Any] | Null | None
    parallel_tool_calls: bool | Null | None
    previous_response_id: str | Null | None
    reasoning: dict[str, Any] | Null | None
    store: bool | Null | None
    background: bool | Null | None
    temperature: float | Null | None
    text: dict[str, Any] | Null | None
    tool_choice: str | dict[str, Any] | Null | None
    tools: list[Any] | Null | None
    top_p: float | Null | None
    truncation: str | Null | None
    user: str | Null | None
    service_tier: str | Null | None
    safety_identifier: str | Null | None
    background_options: dict[str, Any] | Null | None
    conversation: str | dict[str, Any] | Null | None
    stream_options: dict[str, Any] | Null | None
    max_tool_calls: int | Null | None
    top_logprobs: int | Null | None
    context_management: list[Any] | Null | None
    prompt_cache_key: str | Null | None
    prompt_cache_options: dict[str, Any] | Null | None
    prompt_cache_retention: str | Null | None
    moderation: dict[str, Any] | Null | None
    image: dict[str, Any] | Null | None
    access_programs: dict[str, Any] | Null | None
    # ours, beside those of every call
    output_mode: Literal["auto", "native", "tool", "prompt"] | None
    dialect: str | None
    mcp_servers: Any  # names and what McpServer.of takes, or antiphon.McpServers
    mcp_execute: Literal["auto", "local", "native"] | None
    approve: Callable[[Any], Any] | None
    max_tool_rounds: int | None
    fallbacks: Sequence[str | dict[str, Any]] | None  # read by a Fallback stage
    use_cache: bool | Literal["refresh"] | None  # read by a Cache stage
    mock_response: str | Mapping[str, Any] | Response | Exception | None
    drop: Literal["report", "error", "ignore"] | None
    input_cost_per_token: float | None
    output_cost_per_token: float | None
    # LiteLLM's, under another name here; see keywords.py for all of them
    headers: dict[str, Any] | None
    reasoning_effort: str | None
    drop_params: bool | str | None
    stream_timeout: float | Timeouts | None
    use_chat_completions_api: bool | None
    allowed_openai_params: list[str] | None
    max_agentic_loops: int | None
