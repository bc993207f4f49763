"""The objects that stand in a response's fields."""

from __future__ import annotations

from .views import always, json_object, number, object_or_text, optional, text_or_number
from .wire import Lazy, Raw, Wire, raw_field


class CacheWriteTokens(Wire, frozen=True, kw_only=True):
    """Tokens written to the prompt cache, by how long they are kept."""

    ttl_30m_tokens: int = 0
    ttl_12h_tokens: int = 0


class InputTokensDetails(Wire, frozen=True, kw_only=True):
    """What the input tokens were."""

    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_tokens_details_json: Raw = raw_field("cache_write_tokens_details")
    cache_write_tokens_details = Lazy(optional(CacheWriteTokens))


class OutputTokensDetails(Wire, frozen=True, kw_only=True):
    """What the output tokens were."""

    reasoning_tokens: int = 0


class Usage(Wire, frozen=True, kw_only=True):
    """Tokens of a response. Absent details read as zeros; `cost` is there where the host reports a number."""

    input_tokens: int = 0
    input_tokens_details_json: Raw = raw_field("input_tokens_details")
    input_tokens_details = Lazy(always(InputTokensDetails))
    output_tokens: int = 0
    output_tokens_details_json: Raw = raw_field("output_tokens_details")
    output_tokens_details = Lazy(always(OutputTokensDetails))
    total_tokens: int = 0
    cost_json: Raw = raw_field("cost")
    cost = Lazy(number)
    cost_details_json: Raw = raw_field("cost_details")
    cost_details = Lazy(json_object)
    is_byok: bool | None = None


class Steer(Wire, frozen=True, kw_only=True):
    """How to bring a stopped response back on course."""

    message: str = ""


class Misalignment(Wire, frozen=True, kw_only=True):
    """Why the host stopped a response as misaligned."""

    detailed_explanation: str | None = None
    error_type: str | None = None
    review_target: str | None = None
    steer_json: Raw = raw_field("steer")
    steer = Lazy(optional(Steer))


class ResponseError(Wire, frozen=True, kw_only=True):
    """Why a response failed; a number as `code` reads as text."""

    type: str | None = None
    code_json: Raw = raw_field("code")
    code = Lazy(text_or_number)
    message: str = ""
    param: str | None = None
    misalignment_json: Raw = raw_field("misalignment")
    misalignment = Lazy(optional(Misalignment))


read_error = object_or_text(ResponseError, "message")


class IncompleteDetails(Wire, frozen=True, kw_only=True):
    """Why a response was cut short."""

    reason: str | None = None


class Conversation(Wire, frozen=True, kw_only=True):
    """The conversation that a response belongs to."""

    id: str = ""


class AccessPrograms(Wire, frozen=True, kw_only=True):
    """The access programs that a response was made under."""

    cyber: str | None = None


class Billing(Wire, frozen=True, kw_only=True):
    """Who pays."""

    payer: str | None = None


class ImageConfig(Wire, frozen=True, kw_only=True):
    """How images of the input were treated."""

    context_compression: str | None = None


class InputTransformation(Wire, frozen=True, kw_only=True):
    """A change that the host made to the input, such as a reasoning item that it removed."""

    type: str = ""
    id: str = ""
    action: str | None = None
    reason: str | None = None


class ModerationResult(Wire, frozen=True, kw_only=True):
    """A `moderation_result`, or an `error` with `code` and `message`."""

    type: str = ""
    model: str | None = None
    flagged: bool | None = None
    categories_json: Raw = raw_field("categories")
    categories = Lazy(json_object)
    category_scores_json: Raw = raw_field("category_scores")
    category_scores = Lazy(json_object)
    category_applied_input_types_json: Raw = raw_field("category_applied_input_types")
    category_applied_input_types = Lazy(json_object)
    code: str | None = None
    message: str | None = None


class Moderation(Wire, frozen=True, kw_only=True):
    """What moderation found."""

    input_json: Raw = raw_field("input")
    input = Lazy(optional(ModerationResult))
    output_json: Raw = raw_field("output")
    output = Lazy(optional(ModerationResult))


class Prompt(Wire, frozen=True, kw_only=True):
    """A stored prompt and its variables."""

    id: str = ""
    version: str | None = None
    variables_json: Raw = raw_field("variables")
    variables = Lazy(json_object)


class PromptCacheDiagnostics(Wire, frozen=True, kw_only=True):
    """`cache_hit`, `cache_miss` with its reason, `comparison_response_not_found` or `unavailable`."""

    type: str = ""
    reason: str | None = None
    cache_missed_tokens: int | None = None
    comparison_reusable_tokens: int | None = None


class PromptCacheOptions(Wire, frozen=True, kw_only=True):
    """Settings of the prompt cache."""

    mode: str | None = None
    ttl: str | None = None
    comparison_response_id: str | None = None


class ModalityTokens(Wire, frozen=True, kw_only=True):
    """Tokens by modality."""

    image_tokens: int = 0
    text_tokens: int = 0


class CachedModalityTokens(Wire, frozen=True, kw_only=True):
    """Cached tokens by modality."""

    cached_image_tokens: int = 0
    cached_text_tokens: int = 0


class ImageGenerationUsage(Wire, frozen=True, kw_only=True):
    """Tokens of the images made."""

    input_tokens: int = 0
    input_tokens_details_json: Raw = raw_field("input_tokens_details")
    input_tokens_details = Lazy(always(ModalityTokens))
    output_tokens: int = 0
    output_tokens_details_json: Raw = raw_field("output_tokens_details")
    output_tokens_details = Lazy(optional(ModalityTokens))
    total_tokens: int = 0
    cached_tokens: int | None = None
    cached_tokens_details_json: Raw = raw_field("cached_tokens_details")
    cached_tokens_details = Lazy(optional(CachedModalityTokens))


class WebSearchUsage(Wire, frozen=True, kw_only=True):
    """Requests of the web searches."""

    num_requests: int = 0


class ToolUsage(Wire, frozen=True, kw_only=True):
    """What the host's own tools used."""

    image_gen_json: Raw = raw_field("image_gen")
    image_gen = Lazy(optional(ImageGenerationUsage))
    web_search_json: Raw = raw_field("web_search")
    web_search = Lazy(optional(WebSearchUsage))
