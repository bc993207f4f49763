"""The response and the other objects that the API's calls return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import SetupError
from .answer_settings import ReasoningConfig, TextConfig
from .items import AnyItem, FunctionCall, Message, read_item
from .response_fields import (
    AccessPrograms,
    Billing,
    Conversation,
    ImageConfig,
    IncompleteDetails,
    InputTransformation,
    Moderation,
    Prompt,
    PromptCacheDiagnostics,
    PromptCacheOptions,
    ToolUsage,
    Usage,
    read_error,
)
from .returned import Returned
from .tool_choices import read_tool_choice
from .tools import read_tool
from .views import (
    json_objects,
    object_or_text,
    optional,
    several,
    text_or,
    texts,
)
from .wire import Lazy, Raw, decode, many, one, raw_field

if TYPE_CHECKING:
    from ..reply import Dropped, Meta

TERMINAL_STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})


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
        return "".join([item.text for item in self.output if isinstance(item, Message) and item.role == "assistant"])

    @property
    def output_parsed(self) -> Any:
        """The answer as what the call's `text_format` asks for; None without one, and while calls wait for an answer.

        Not part of the JSON; it goes along with copies, unless their `output` is replaced.
        """
        return self._besides.parsed

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
        from ..pictures.notebook import response_page

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
        more, for_sync = self._besides.more or (None, sync)
        if more is None:
            raise SetupError(
                "this page does not know how to fetch the next one", hint="use list_input_items(after=...)"
            )
        if for_sync is not sync:
            came, hint = ("a sync", "use `for`") if for_sync else ("an async", "use `async for`")
            raise SetupError(f"this page came from {came} call; the next one comes in the same mode only", hint=hint)
        return more(after)
