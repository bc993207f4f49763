"""What LiteLLM's names are here, where they are not the same: for code that says `import antiphon as litellm`.

Names: LiteLLM 1.109.1, the package's own attributes and its documentation's pages on the Responses API, exceptions,
callbacks and routing, read 2026-11. Keywords of calls are in `keywords.py`.
"""

from __future__ import annotations

from typing import Final

ERRORS: Final = {
    "APIResponseValidationError": "APIResponseError",
    "BadGatewayError": "InternalServerError",
    "InvalidRequestError": "BadRequestError",
    "JSONSchemaValidationError": "OutputInvalid",
    "LiteLLMUnknownProvider": "UnknownProvider",
    "OpenAIError": "AntiphonError",
    "ServiceUnavailableError": "OverloadedError",
    "Timeout": "APITimeoutError",
    "UnsupportedParamsError": "UnsupportedParameter",
}
"""Exceptions by another name. They are found, as an `except` clause is looked at only when something has failed."""

_CHAT: Final = "call responses(input=..., model=...), whose input takes chat messages of text as they are"
_OTHER: Final = "this library has the Responses API only; keep LiteLLM or the host's own client for it"
_ROUTER: Final = 'compose it: presets.responses.before("resolve", Route({...})), with Fallback([...]) outside it'
_BUDGET: Final = 'compose it: presets.responses.before("retry", Budget(dollars=..., per="user"))'
_PROFILE: Final = 'providers.profile("provider/model") says what is known of a model'
_EXPLAIN: Final = "presets.responses.explain(input, model=...) shows target, request and what would be dropped"

NAMES: Final = {
    "completion": _CHAT,
    "acompletion": _CHAT,
    "text_completion": _CHAT,
    "atext_completion": _CHAT,
    "batch_completion": "run presets.responses.batch([...], model=...)",
    "mock_completion": "call responses(..., mock_response=...)",
    "mock_responses_api_response": "call responses(..., mock_response=...)",
    "stream_chunk_builder": "a stream has its whole answer: stream.response, or stream.until_done()",
    "embedding": _OTHER,
    "aembedding": _OTHER,
    "image_generation": _OTHER,
    "aimage_generation": _OTHER,
    "transcription": _OTHER,
    "atranscription": _OTHER,
    "speech": _OTHER,
    "aspeech": _OTHER,
    "moderation": _OTHER,
    "amoderation": _OTHER,
    "rerank": _OTHER,
    "arerank": _OTHER,
    "anthropic_messages": _OTHER,
    "Router": _ROUTER,
    "router": _ROUTER,
    "proxy": "there is no proxy here; keep LiteLLM's, and reach it as litellm_proxy/...",
    "BudgetManager": _BUDGET,
    "completion_cost": "response.meta.cost has it, see the stage Cost",
    "cost_per_token": "response.meta.cost has what a call cost, see the stage Cost",
    "token_counter": "call count_input_tokens(input, model)",
    "get_max_tokens": _PROFILE,
    "get_model_info": _PROFILE,
    "supports_function_calling": _PROFILE,
    "supports_vision": _PROFILE,
    "supports_reasoning": _PROFILE,
    "supports_response_schema": _PROFILE,
    "get_supported_openai_params": _EXPLAIN,
    "get_llm_provider": _EXPLAIN,
    "validate_environment": "a call whose key is missing says which variable to set, see MissingKey",
    "register_model": "prices go into Cost(prices={...}), hosts into providers.register(...)",
    "exceptions": "they are at the top: antiphon.RateLimitError",
    "integrations": "the stage LiteLLMCallbacks takes any object with the methods of CustomLogger",
    "ModelResponse": "a call returns a Response",
    "ResponsesAPIResponse": "it is called Response",
}
"""Functions and classes that are not here, and what to do instead."""

_CALLBACKS: Final = (
    "compose it: presets.responses.before(0, LiteLLMCallbacks({})), and run calls on a Client of that chain"
)
_LOGGING: Final = 'call configure_logging("DEBUG")'
_KEYS: Final = 'set the variable in the environment, pass api_key=, or presets.responses.with_(resolve={"keys": {...}})'
_FALLBACK: Final = 'compose it: presets.responses.before("resolve", Fallback([...]))'
_CACHE: Final = 'compose it: presets.responses.before("retry", Cache())'

GLOBALS: Final = {
    "callbacks": _CALLBACKS.format("callbacks=(your_logger,)"),
    "success_callback": _CALLBACKS.format("success=(your_function,)"),
    "failure_callback": _CALLBACKS.format("failure=(your_function,)"),
    "input_callback": "compose it: presets.responses.before(0, Observe(on_attempt_start=...))",
    "drop_params": 'it is so by default; presets.responses.with_(transform={"drop": "error"}) refuses instead',
    "modify_params": "what a host does not take is mapped, or reported in response.meta.dropped; take the line out",
    "num_retries": 'presets.responses.with_(retry={"attempts": ...}), or num_retries= of a call',
    "request_timeout": "Client(timeouts=Timeouts(total=...)), or timeout= of a call",
    "api_key": _KEYS,
    "openai_key": _KEYS,
    "azure_key": _KEYS,
    "anthropic_key": _KEYS,
    "groq_key": _KEYS,
    "cohere_key": _KEYS,
    "api_base": "presets.responses.bind(api_base=...), or api_base= of a call",
    "api_version": "presets.responses.bind(api_version=...), or api_version= of a call",
    "headers": "presets.responses.bind(extra_headers={...}), or extra_headers= of a call",
    "organization": "OpenAI(organization=...), or extra_headers= of a call",
    "vertex_project": "presets.responses.bind(vertex_project=...), or vertex_project= of a call",
    "vertex_location": "presets.responses.bind(vertex_location=...), or vertex_location= of a call",
    "set_verbose": _LOGGING,
    "verbose": _LOGGING,
    "_turn_on_debug": _LOGGING,
    "json_logs": "call configure_logging(json=True)",
    "suppress_debug_info": "nothing is printed unless configure_logging() was called; take the line out",
    "telemetry": "nothing is sent to anybody but the hosts that you call; take the line out",
    "turn_off_message_logging": 'no content is logged unless Log(content="full") asks for it; take the line out',
    "cache": _CACHE,
    "enable_cache": _CACHE,
    "disable_cache": _CACHE,
    "client_session": "Client(transport=your_httpx_client)",
    "aclient_session": "Client(transport=your_httpx_async_client)",
    "ssl_verify": "Client(verify=...)",
    "max_budget": _BUDGET,
    "model_cost": "prices go into Cost(prices={...})",
    "model_alias_map": 'compose it: presets.responses.before("validate", Rename({...}))',
    "custom_provider_map": "providers.register(...) takes a row, see docs/providers.md",
    "fallbacks": _FALLBACK,
    "default_fallbacks": _FALLBACK,
    "context_window_fallbacks": _FALLBACK,
    "content_policy_fallbacks": _FALLBACK,
    "enable_json_schema_validation": "text_format= always checks the answer; take the line out",
}
"""Settings of LiteLLM's module, which hold for the whole process. Here they belong to a chain, a client or a call."""


def next_move(name: str) -> str | None:
    """Return what to do in the place of a name or setting of LiteLLM, None where it is none of them."""
    return NAMES.get(name) or GLOBALS.get(name)
