"""The response and the other objects that the API's calls return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from .errors import SetupError
from .items import AnyItem, FunctionCall, Message, read_item
from .parts import OutputText
from .tools import ReasoningConfig, TextConfig, read_tool, read_tool_choice
from .views import (
    always,
    json_object,
    json_objects,
    number,
    object_or_text,
    optional,
    several,
    text_or,
    text_or_number,
    texts,
)
from .wire import Elsewhere, Lazy, Raw, Wire, decode, many, merge, one, raw_field
from .wire import _set_cache as set_cache
from .wire import _set_raw as set_raw
from .wire import _Slots as Slots

if TYPE_CHECKING:
    from .reply import Dropped, Meta

TERMINAL_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})


class _Beside(msgspec.Struct, frozen=True):
    """What a returned object holds beside its JSON."""

    meta: Meta | None = None
    more: Any = None
    parsed: Any = None


_NOTHING = _Beside()


class _BesideSlot(Slots):
    __slots__ = ("_beside",)

    if TYPE_CHECKING:  # msgspec would resolve it
        _beside: _Beside


class Returned(Wire, _BesideSlot, frozen=True, kw_only=True):
    """Base of what a call returns: beside the JSON it carries `meta`, the facts of the call."""

    _object: ClassVar[str]

    _request_id = Elsewhere("meta.request_id has it")  # of OpenAI's package
    _hidden_params = Elsewhere("meta has what LiteLLM hides: cost, headers, provider, attempts, times, dropped")

    @property
    def meta(self) -> Meta:
        """Facts of the call that this came from; its `call_id` is "" when it came from none. No part of the JSON."""
        meta: Meta | None = getattr(self, "_beside", _NOTHING).meta
        return _no_call() if meta is None else meta

    def with_meta(self, meta: Meta | None) -> Self:
        """Return a copy with these facts; it shares the JSON and what is decoded of it."""
        return self._with_beside(meta=meta)

    def stamp(self, meta: Meta) -> Self:
        """Set the facts on this object itself, and return it: for whoever has just decoded it."""
        _set_beside(self, _Beside(meta))
        set_cache(self, {})  # shared with all copies, so that each nested object is decoded once
        return self

    def with_text(self, name: str, text: str) -> Self:
        """Return a copy with one text field changed. Its JSON is written when it is first looked at."""
        return self.with_scalars(**{name: text})

    def with_scalars(self, **fields: str | float | bool) -> Self:
        """Return a copy with these fields set, as `replace` does; its JSON is written when it is first looked at."""
        copy = msgspec.structs.replace(self, **fields)
        self._share(copy, getattr(self, "_beside", None))
        set_raw(copy, _Retold(self, fields))
        return copy

    def _with_beside(self, **changes: object) -> Self:
        copy = msgspec.structs.replace(self)
        if hasattr(self, "_raw"):  # not where it was made here, of fields
            set_raw(copy, self._raw)
        self._share(copy, msgspec.structs.replace(getattr(self, "_beside", _NOTHING), **changes))
        return copy

    def _share(self, copy: Self, beside: _Beside | None) -> None:
        """Give a copy what is decoded of the JSON, and what it holds beside it."""
        if (cache := getattr(self, "_cache", None)) is not None:
            set_cache(copy, cache)
        if beside is not None:
            _set_beside(copy, beside)

    @classmethod
    def new(cls, **fields: object) -> Self:
        """Build one from API fields; `object` is filled in."""
        return super().new(**{"object": cls._object, **fields})

    def replace(self, **fields: object) -> Self:
        """Return a copy with these API fields set; all others, known or not, and `meta` stay as they are."""
        return super().replace(**fields).with_meta(self.meta)

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.raw, type(self), self.meta)


@cache
def _no_call() -> Meta:
    from .reply import Meta  # which is built on this module

    return Meta(call_id="")


_set_beside = vars(_BesideSlot)["_beside"].__set__  # the way around `frozen`


class _Retold(msgspec.Struct, eq=False):
    """The JSON of an object with some scalars changed. Most responses are never asked for their JSON."""

    of: Returned | None
    fields: dict[str, Any]
    written: bytes = b""

    def __bytes__(self) -> bytes:
        of = self.of
        if of is not None:
            raw = of.raw
            for name, new in self.fields.items():
                raw = _retold(raw, name, getattr(of, name), new)
            self.written = raw
            self.of = None  # last, for another thread may be here too
        return self.written


def _retold(raw: bytes, name: str, old: object, new: object) -> bytes:
    """Return the JSON with one scalar changed, by its bytes where there is one place only that can be meant."""
    key, was, becomes = b'"%b":' % name.encode(), msgspec.json.encode(old), msgspec.json.encode(new)
    if isinstance(old, str):
        at = raw.find(was)
        is_clear = at >= 0 and raw.rfind(was) == at and raw.endswith((key, key + b" "), 0, at)
    else:
        at = raw.find(key) + len(key)
        at += raw.startswith(b" ", at)
        is_clear = at > len(key) and raw.count(key) == 1 and raw.startswith(was, at) and raw[at + len(was)] in b",}"
    if not is_clear:
        if old is None and key not in raw and raw.startswith(b'{"'):
            return b"{%b%b,%b" % (key, becomes, raw[1:])
        return merge(raw, {name: new})  # written otherwise, or it stands elsewhere too
    return raw[:at] + becomes + raw[at + len(was) :]


def _restore(raw: bytes, cls: type[Returned], meta: Meta | None) -> Returned:
    return decode(raw, cls).with_meta(meta)


# --- nested objects -------------------------------------------------------------------------------------------------


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


# --- what calls return ----------------------------------------------------------------------------------------------


class Response(Returned, frozen=True, kw_only=True):
    """A response, whole or as far as it has come."""

    _object: ClassVar[str] = "response"

    id: str = ""
    object: str = "response"
    created_at: float = 0.0
    status: str | None = None
    access_programs_json: Raw = raw_field("access_programs")
    access_programs = Lazy(optional(AccessPrograms))
    background: bool | None = None
    billing_json: Raw = raw_field("billing")
    billing = Lazy(optional(Billing))
    completed_at: float | None = None
    content_filters_json: Raw = raw_field("content_filters")
    content_filters = Lazy(json_objects)
    conversation_json: Raw = raw_field("conversation")
    conversation = Lazy(object_or_text(Conversation, "id"))
    error_json: Raw = raw_field("error")
    error = Lazy(read_error)
    frequency_penalty: float | None = None
    image_json: Raw = raw_field("image")
    image = Lazy(optional(ImageConfig))
    incomplete_details_json: Raw = raw_field("incomplete_details")
    incomplete_details = Lazy(optional(IncompleteDetails))
    input_transformations_json: Raw = raw_field("input_transformations")
    input_transformations = Lazy(several(InputTransformation))
    instructions_json: Raw = raw_field("instructions")
    instructions = Lazy(text_or(many(read_item)))
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata_json: Raw = raw_field("metadata")
    metadata = Lazy(texts)
    model: str = ""
    moderation_json: Raw = raw_field("moderation")
    moderation = Lazy(optional(Moderation))
    output_json: Raw = raw_field("output")
    output = Lazy(many(read_item))
    parallel_tool_calls: bool | None = None
    presence_penalty: float | None = None
    previous_response_id: str | None = None
    prompt_json: Raw = raw_field("prompt")
    prompt = Lazy(optional(Prompt))
    prompt_cache_diagnostics_json: Raw = raw_field("prompt_cache_diagnostics")
    prompt_cache_diagnostics = Lazy(optional(PromptCacheDiagnostics))
    prompt_cache_key: str | None = None
    prompt_cache_options_json: Raw = raw_field("prompt_cache_options")
    prompt_cache_options = Lazy(optional(PromptCacheOptions))
    prompt_cache_retention: str | None = None
    reasoning_json: Raw = raw_field("reasoning")
    reasoning = Lazy(optional(ReasoningConfig))
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    temperature: float | None = None
    text_json: Raw = raw_field("text")
    text = Lazy(optional(TextConfig))
    tool_choice_json: Raw = raw_field("tool_choice")
    tool_choice = Lazy(text_or(one(read_tool_choice)))
    tool_usage_json: Raw = raw_field("tool_usage")
    tool_usage = Lazy(optional(ToolUsage))
    tools_json: Raw = raw_field("tools")
    tools = Lazy(many(read_tool))
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    usage_json: Raw = raw_field("usage")
    usage = Lazy(optional(Usage))
    user: str | None = None

    def __repr__(self) -> str:
        # In the JSON the answer stands behind all that a host repeats of the request.
        kinds, text = [item.type for item in self.output], self.output_text
        shown = text if len(text) <= 300 else f"{text[:299]}…"
        output = "" if set(kinds) <= {"message"} else f", output={kinds}"
        return f"Response(id={self.id!r}, status={self.status!r}, model={self.model!r}{output}, output_text={shown!r})"

    @property
    def output_text(self) -> str:
        """All text of the model's messages, joined with nothing between; "" when there is none.

        It mixes the phases `commentary` and `final_answer`; look at `output` to tell them apart.
        """
        return "".join(
            [
                part.text
                for item in self.output
                if isinstance(item, Message) and item.role == "assistant" and not isinstance(item.content, str)
                for part in item.content
                if isinstance(part, OutputText)
            ]
        )

    @property
    def output_parsed(self) -> Any:
        """The answer as what the call's `text_format` asks for; None without one, and while calls wait for an answer.

        Not part of the JSON; it goes along with copies, unless their `output` is replaced.
        """
        return getattr(self, "_beside", _NOTHING).parsed

    def with_parsed(self, value: Any) -> Self:
        """Return a copy with this `output_parsed`."""
        return self._with_beside(parsed=value)

    def replace(self, **fields: Any) -> Self:
        """Return a copy with these API fields set; all others, known or not, `meta` and `output_parsed` stay."""
        copy = super().replace(**fields)
        parsed = self.output_parsed
        return copy if parsed is None or "output" in fields else copy.with_parsed(parsed)

    def __reduce__(self) -> tuple[Any, ...]:
        if (parsed := self.output_parsed) is not None:
            return _restore_parsed, (self.raw, self.meta, parsed)
        return super().__reduce__()

    @property
    def dropped(self) -> tuple[Dropped, ...]:
        """What of the call did not reach the host, with the reasons; () when all did. As `meta.dropped`."""
        return self.meta.dropped

    @property
    def function_calls(self) -> tuple[FunctionCall, ...]:
        """The calls of the caller's functions, in order."""
        return tuple([item for item in self.output if isinstance(item, FunctionCall)])

    def _repr_html_(self) -> str:
        from .notebook import response_page

        return response_page(self)

    @property
    def is_terminal(self) -> bool:
        """Whether the response will not change any more."""
        return self.status in TERMINAL_STATUSES


if TYPE_CHECKING:
    from typing import Generic, TypeVar

    T = TypeVar("T")

    class ParsedResponse(Response, Generic[T], frozen=True, kw_only=True):
        """A response to a call with a class as `text_format`, as type checkers see it."""

        @property
        def output_parsed(self) -> T | None: ...

else:
    ParsedResponse = Response


def _restore_parsed(raw: bytes, meta: Meta | None, parsed: object) -> Response:
    return decode(raw, Response).with_meta(meta).with_parsed(parsed)


class CompactedResponse(Returned, frozen=True, kw_only=True):
    """A compacted conversation; `output` is the input to go on with."""

    _object: ClassVar[str] = "response.compaction"

    id: str = ""
    object: str = "response.compaction"
    created_at: float = 0.0
    output_json: Raw = raw_field("output")
    output = Lazy(many(read_item))
    usage_json: Raw = raw_field("usage")
    usage = Lazy(optional(Usage))
    image_json: Raw = raw_field("image")
    image = Lazy(optional(ImageConfig))


class DeletedResponse(Returned, frozen=True, kw_only=True):
    """What remains of a deleted response."""

    _object: ClassVar[str] = "response.deleted"

    id: str = ""
    object: str = "response.deleted"
    deleted: bool = False


class InputTokens(Returned, frozen=True, kw_only=True):
    """How many tokens an input has."""

    _object: ClassVar[str] = "response.input_tokens"

    object: str = "response.input_tokens"
    input_tokens: int = 0


class ItemPage(Returned, frozen=True, kw_only=True):
    """One page of a list of items. Iterating it goes on through all further pages, in its call's mode.

    A host that does not say `has_more` is asked until a page is empty.
    """

    _object: ClassVar[str] = "list"

    object: str = "list"
    data_json: Raw = raw_field("data")
    data = Lazy(many(read_item))
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool | None = None

    def with_more(self, more: Callable[[str], Any], *, sync: bool) -> Self:
        """Return the page with what fetches the next one: `more(after)`, which returns a page, or awaits to one."""
        return self._with_beside(more=(more, sync))

    @property
    def next_after(self) -> str | None:
        """The `after` of the next page: the id of this one's last item; None when there is no next page."""
        return self._last if self.has_more is not False else None

    @property
    def _last(self) -> str | None:
        return self.data[-1].to_dict().get("id") or self.last_id if self.data else None

    def __iter__(self) -> Iterator[AnyItem]:
        page = self
        while True:
            yield from page.data
            after = page.next_after
            if after is None:
                return
            page = self._next(after, sync=True)
            if page._last == after:  # a host that ignores `after` would go on forever
                return

    async def __aiter__(self) -> AsyncIterator[AnyItem]:
        page = self
        while True:
            for item in page.data:
                yield item
            after = page.next_after
            if after is None:
                return
            page = await self._next(after, sync=False)
            if page._last == after:
                return

    def _next(self, after: str, *, sync: bool) -> Any:
        more, for_sync = getattr(self, "_beside", _NOTHING).more or (None, sync)
        if more is None:
            raise SetupError(
                "this page does not know how to fetch the next one", hint="use list_input_items(after=...)"
            )
        if for_sync is not sync:
            came, hint = ("a sync", "use `for`") if for_sync else ("an async", "use `async for`")
            raise SetupError(f"this page came from {came} call; the next one comes in the same mode only", hint=hint)
        return more(after)
