"""The names that OpenTelemetry gives to what we know of a call, by version.

Sources, read 2026-11: OpenTelemetry semantic conventions for generative AI (all of them in development): inference
spans, `execute_tool` spans, client metrics, `fetch_response`; those for MCP; Langfuse's mapping of OpenTelemetry
attributes; LiteLLM's metadata keys for Langfuse. What no convention has a name for begins with "antiphon.".
"""

from __future__ import annotations

from typing import Final

import msgspec

from ..pipeline.api.params import Operation


class Names(msgspec.Struct, frozen=True):
    """The names of one version.

    Args:
        attributes: our word for a fact, and the attribute's name.
        histograms: our word for what is measured, and the instrument's name, unit and description.
    """

    attributes: dict[str, str]
    histograms: dict[str, tuple[str, str, str]]


NAMES: Final[dict[str, Names]] = {
    "2026-11": Names(
        attributes={
            "operation": "gen_ai.operation.name",
            "provider": "gen_ai.provider.name",
            "request_model": "gen_ai.request.model",
            "stream": "gen_ai.request.stream",
            "max_tokens": "gen_ai.request.max_tokens",
            "temperature": "gen_ai.request.temperature",
            "top_p": "gen_ai.request.top_p",
            "reasoning_level": "gen_ai.request.reasoning.level",
            "cursor": "gen_ai.request.stream_cursor",
            "service_tier_asked": "openai.request.service_tier",
            "output_type": "gen_ai.output.type",
            "conversation": "gen_ai.conversation.id",
            "response_id": "gen_ai.response.id",
            "response_model": "gen_ai.response.model",
            "finish_reasons": "gen_ai.response.finish_reasons",
            "first_chunk_s": "gen_ai.response.time_to_first_chunk",
            "status": "gen_ai.response.status",
            "service_tier": "openai.response.service_tier",
            "input_tokens": "gen_ai.usage.input_tokens",
            "output_tokens": "gen_ai.usage.output_tokens",
            "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
            "cache_write_tokens": "gen_ai.usage.cache_creation.input_tokens",
            "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
            "token_type": "gen_ai.token.type",
            "instructions": "gen_ai.system_instructions",
            "input": "gen_ai.input.messages",
            "output": "gen_ai.output.messages",
            "tools": "gen_ai.tool.definitions",
            "tool": "gen_ai.tool.name",
            "tool_call_id": "gen_ai.tool.call.id",
            "tool_type": "gen_ai.tool.type",
            "mcp_method": "mcp.method.name",
            "mcp_server": "antiphon.mcp.server",
            "server": "server.address",
            "port": "server.port",
            "error_type": "error.type",
            "http_status": "http.response.status_code",
            "call_id": "antiphon.call.id",
            "parent_call_id": "antiphon.call.parent_id",
            "outcome": "antiphon.outcome",
            "attempts": "antiphon.attempts",
            "attempt": "antiphon.attempt",
            "delay_s": "antiphon.retry.delay_s",
            "failed": "antiphon.fallback.failed",
            "next": "antiphon.fallback.next",
            "cost": "antiphon.cost_usd",
            "request_id": "antiphon.request_id",
        },
        histograms={
            "duration": ("gen_ai.client.operation.duration", "s", "Duration of calls."),
            "first_chunk": (
                "gen_ai.client.operation.time_to_first_chunk",
                "s",
                "Time from the start of a call to the first event of its stream.",
            ),
            "tokens": ("gen_ai.client.token.usage", "{token}", "Input and output tokens of calls."),
            "tool_duration": ("gen_ai.execute_tool.duration", "s", "Duration of tools."),
        },
    ),
}

BUCKETS: Final[dict[str, list[float]]] = {
    "s": [0.01 * 2**step for step in range(14)],
    "{token}": [4.0**step for step in range(14)],
}
"""Bounds of histograms by unit, as the conventions advise."""

OPERATIONS: Final[dict[Operation, str]] = {
    "create": "chat",
    "get": "fetch_response",
    "delete": "delete_response",
    "cancel": "cancel_response",
    "list_input_items": "list_input_items",
    "compact": "compact_response",
    "count_input_tokens": "count_input_tokens",
}
"""`gen_ai.operation.name` of each call of the API. Only the first two are the conventions' own."""

PROVIDERS: Final[dict[str, str]] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""`gen_ai.provider.name` where it is not our name of the provider."""

METADATA: Final[dict[str, str]] = {
    "session_id": "session.id",
    "trace_session_id": "session.id",
    "trace_user_id": "user.id",
    "tags": "langfuse.trace.tags",
    "trace_name": "langfuse.trace.name",
    "trace_metadata": "langfuse.trace.metadata",
    "trace_version": "langfuse.version",
    "version": "langfuse.version",
    "trace_release": "langfuse.release",
    "generation_name": "langfuse.observation.metadata.generation_name",
    "generation_id": "langfuse.observation.metadata.generation_id",
    "trace_id": "langfuse.trace.metadata.trace_id",
    "existing_trace_id": "langfuse.trace.metadata.existing_trace_id",
    "parent_observation_id": "langfuse.observation.metadata.parent_observation_id",
}
"""Keys of a call's `metadata` that are for observability, and the attributes that they become."""
