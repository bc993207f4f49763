"""Stream events: one class for each of the API's event types, and the decoding of one event.

Hosts that leave fields out are common, so every field has a default: -1 for an index, "" for text and ids. Other fields
of the wire, such as the random padding `obfuscation`, are in `raw` only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, Self, TypeAlias, Union, cast

import msgspec

from .items import ShellOutput, read_item
from .parts import Logprob, read_annotation, read_part
from .response import Response
from .response_fields import ResponseError, read_error
from .views import NO_KNOWN_TYPE, NoKnownType, Typed, always, several
from .wire import REFUSED, JSONText, Lazy, Raw, Wire, decode, decoder, is_absent, one, raw_field, type_of
from .wire import _set_cache as set_cache
from .wire import _set_raw as set_raw


class Event(Typed, frozen=True, kw_only=True):
    """Base of the stream events. `sequence_number` rises by one per event."""

    sequence_number: int = -1

    @property
    def original(self) -> Event | None:
        """The event as it came, with the host's bytes in its `raw`: itself when nothing was changed in it since.

        None for one that was filled in here.
        """
        found: Event | None = getattr(self, "_cache", {}).get("original", self)
        return found

    @property
    def resume_after(self) -> int:
        """The `starting_after` that takes the stream up again after this event: the number that the host knows.

        It is the `sequence_number`, but behind events that were filled in or translated here.
        """
        number: int = getattr(self, "_cache", {}).get("resume_after", self.sequence_number)
        return number

    def renumbered(self, number: int, *, resume_after: int, original: Event | None) -> Self:
        """Return a copy with another number, which knows what it was made of."""
        copy = self.replace(sequence_number=number)
        set_cache(copy, {**copy._cache, "resume_after": resume_after, "original": original})
        return copy

    def replace(self, **fields: object) -> Self:
        """Return a copy with these API fields set; it knows what it was made of."""
        copy = super().replace(**fields)
        set_cache(copy, {"resume_after": self.resume_after, "original": self.original})
        return copy


class LifecycleEvent(Event, frozen=True, kw_only=True):
    """Base of the events that carry the response; an absent one reads as an empty one."""

    response_json: Raw = raw_field("response")
    response = Lazy(always(Response))

    def replace(self, **fields: object) -> Self:
        """Return a copy with these API fields set; its response keeps what it holds beside the JSON."""
        copy = super().replace(**fields)
        response = fields.get("response", getattr(self, "_cache", {}).get("response"))
        if isinstance(response, Response):
            set_cache(copy, {**copy._cache, "response": response})
        return copy


class OutputEvent(Event, frozen=True, kw_only=True):
    """Base of the events of one member of `output`."""

    output_index: int = -1


class ItemEvent(Event, frozen=True, kw_only=True):
    """Base of the events of one item."""

    item_id: str = ""
    output_index: int = -1


class ContentEvent(ItemEvent, frozen=True, kw_only=True):
    """Base of the events of one content part."""

    content_index: int = -1


class SummaryEvent(ItemEvent, frozen=True, kw_only=True):
    """Base of the events of one part of a reasoning summary."""

    summary_index: int = -1


class AudioEvent(Event, frozen=True, kw_only=True):
    """Base of the audio events."""

    response_id: str | None = None


class ShellOutputDelta(Wire, frozen=True, kw_only=True):
    """More of what a shell command writes."""

    stdout: str | None = None
    stderr: str | None = None


class ResponseCreated(LifecycleEvent, frozen=True, kw_only=True, tag="response.created"):
    """The response has begun; the first event of a stream."""

    type: ClassVar[Literal["response.created"]] = "response.created"


class ResponseQueued(LifecycleEvent, frozen=True, kw_only=True, tag="response.queued"):
    """The response waits for its turn."""

    type: ClassVar[Literal["response.queued"]] = "response.queued"


class ResponseInProgress(LifecycleEvent, frozen=True, kw_only=True, tag="response.in_progress"):
    """The host works on the response."""

    type: ClassVar[Literal["response.in_progress"]] = "response.in_progress"


class ResponseCompleted(LifecycleEvent, frozen=True, kw_only=True, tag="response.completed"):
    """The end: the response is complete."""

    type: ClassVar[Literal["response.completed"]] = "response.completed"


class ResponseIncomplete(LifecycleEvent, frozen=True, kw_only=True, tag="response.incomplete"):
    """The end: the response was cut short; its `incomplete_details` say why."""

    type: ClassVar[Literal["response.incomplete"]] = "response.incomplete"


class ResponseFailed(LifecycleEvent, frozen=True, kw_only=True, tag="response.failed"):
    """The end: the response failed; its `error` says why."""

    type: ClassVar[Literal["response.failed"]] = "response.failed"


class ErrorEvent(Event, frozen=True, kw_only=True, tag="error"):
    """An error of the host in the middle of a stream; the flat and the nested form read alike."""

    type: ClassVar[Literal["error"]] = "error"
    status: int | None = None
    nested_json: Raw = raw_field("error")
    nested = Lazy(read_error)

    @property
    def error(self) -> ResponseError:
        """What went wrong; of the flat form, the event's own fields."""
        return self.nested or decode(self.raw, ResponseError)

    @property
    def message(self) -> str:
        """What went wrong, in the host's words; "" when it gave none."""
        return self.error.message

    @property
    def code(self) -> str | None:
        """The host's code, a number as text."""
        return self.error.code

    @property
    def param(self) -> str | None:
        """The parameter that the error is about."""
        return self.error.param


class OutputItemAdded(OutputEvent, frozen=True, kw_only=True, tag="response.output_item.added"):
    """An item begins; its content is still empty."""

    type: ClassVar[Literal["response.output_item.added"]] = "response.output_item.added"
    item_json: Raw = raw_field("item")
    item = Lazy(one(read_item))


class OutputItemDone(OutputEvent, frozen=True, kw_only=True, tag="response.output_item.done"):
    """An item is finished, with its whole content."""

    type: ClassVar[Literal["response.output_item.done"]] = "response.output_item.done"
    item_json: Raw = raw_field("item")
    item = Lazy(one(read_item))


class ContentPartAdded(ContentEvent, frozen=True, kw_only=True, tag="response.content_part.added"):
    """A part of a message or of raw reasoning begins."""

    type: ClassVar[Literal["response.content_part.added"]] = "response.content_part.added"
    part_json: Raw = raw_field("part")
    part = Lazy(one(read_part))


class ContentPartDone(ContentEvent, frozen=True, kw_only=True, tag="response.content_part.done"):
    """A part is finished."""

    type: ClassVar[Literal["response.content_part.done"]] = "response.content_part.done"
    part_json: Raw = raw_field("part")
    part = Lazy(one(read_part))


class OutputTextDelta(ContentEvent, frozen=True, kw_only=True, tag="response.output_text.delta"):
    """More text."""

    type: ClassVar[Literal["response.output_text.delta"]] = "response.output_text.delta"
    delta: str = ""
    logprobs_json: Raw = raw_field("logprobs")
    logprobs = Lazy(several(Logprob))


class OutputTextDone(ContentEvent, frozen=True, kw_only=True, tag="response.output_text.done"):
    """The text of a part is finished."""

    type: ClassVar[Literal["response.output_text.done"]] = "response.output_text.done"
    text: str = ""
    logprobs_json: Raw = raw_field("logprobs")
    logprobs = Lazy(several(Logprob))


class OutputTextAnnotationAdded(ContentEvent, frozen=True, kw_only=True, tag="response.output_text.annotation.added"):
    """An annotation of the text."""

    type: ClassVar[Literal["response.output_text.annotation.added"]] = "response.output_text.annotation.added"
    annotation_index: int = -1
    annotation_json: Raw = raw_field("annotation")
    annotation = Lazy(one(read_annotation))


class RefusalDelta(ContentEvent, frozen=True, kw_only=True, tag="response.refusal.delta"):
    """More of a refusal."""

    type: ClassVar[Literal["response.refusal.delta"]] = "response.refusal.delta"
    delta: str = ""


class RefusalDone(ContentEvent, frozen=True, kw_only=True, tag="response.refusal.done"):
    """A refusal is finished."""

    type: ClassVar[Literal["response.refusal.done"]] = "response.refusal.done"
    refusal: str = ""


class ReasoningTextDelta(ContentEvent, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    """More raw reasoning."""

    type: ClassVar[Literal["response.reasoning_text.delta"]] = "response.reasoning_text.delta"
    delta: str = ""


class ReasoningTextDone(ContentEvent, frozen=True, kw_only=True, tag="response.reasoning_text.done"):
    """A part of raw reasoning is finished."""

    type: ClassVar[Literal["response.reasoning_text.done"]] = "response.reasoning_text.done"
    text: str = ""


class ReasoningSummaryPartAdded(SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_part.added"):
    """A part of a reasoning summary begins."""

    type: ClassVar[Literal["response.reasoning_summary_part.added"]] = "response.reasoning_summary_part.added"
    part_json: Raw = raw_field("part")
    part = Lazy(one(read_part))


class ReasoningSummaryPartDone(SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_part.done"):
    """A part of a reasoning summary is finished."""

    type: ClassVar[Literal["response.reasoning_summary_part.done"]] = "response.reasoning_summary_part.done"
    part_json: Raw = raw_field("part")
    part = Lazy(one(read_part))
    status: str | None = None


class ReasoningSummaryTextDelta(SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"):
    """More of a reasoning summary."""

    type: ClassVar[Literal["response.reasoning_summary_text.delta"]] = "response.reasoning_summary_text.delta"
    delta: str = ""


class ReasoningSummaryTextDone(SummaryEvent, frozen=True, kw_only=True, tag="response.reasoning_summary_text.done"):
    """The text of a reasoning summary's part is finished."""

    type: ClassVar[Literal["response.reasoning_summary_text.done"]] = "response.reasoning_summary_text.done"
    text: str = ""


class FunctionCallArgumentsDelta(ItemEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.delta"):
    """More of a function call's arguments."""

    type: ClassVar[Literal["response.function_call_arguments.delta"]] = "response.function_call_arguments.delta"
    delta: str = ""


class FunctionCallArgumentsDone(ItemEvent, frozen=True, kw_only=True, tag="response.function_call_arguments.done"):
    """The arguments of a function call are finished."""

    type: ClassVar[Literal["response.function_call_arguments.done"]] = "response.function_call_arguments.done"
    arguments: JSONText = ""
    name: str | None = None


class CustomToolCallInputDelta(ItemEvent, frozen=True, kw_only=True, tag="response.custom_tool_call_input.delta"):
    """More of a custom tool call's input."""

    type: ClassVar[Literal["response.custom_tool_call_input.delta"]] = "response.custom_tool_call_input.delta"
    delta: str = ""


class CustomToolCallInputDone(ItemEvent, frozen=True, kw_only=True, tag="response.custom_tool_call_input.done"):
    """The input of a custom tool call is finished."""

    type: ClassVar[Literal["response.custom_tool_call_input.done"]] = "response.custom_tool_call_input.done"
    input: str = ""


class WebSearchCallInProgress(ItemEvent, frozen=True, kw_only=True, tag="response.web_search_call.in_progress"):
    """A web search begins."""

    type: ClassVar[Literal["response.web_search_call.in_progress"]] = "response.web_search_call.in_progress"


class WebSearchCallSearching(ItemEvent, frozen=True, kw_only=True, tag="response.web_search_call.searching"):
    """A web search is running."""

    type: ClassVar[Literal["response.web_search_call.searching"]] = "response.web_search_call.searching"


class WebSearchCallCompleted(ItemEvent, frozen=True, kw_only=True, tag="response.web_search_call.completed"):
    """A web search is finished."""

    type: ClassVar[Literal["response.web_search_call.completed"]] = "response.web_search_call.completed"


class FileSearchCallInProgress(ItemEvent, frozen=True, kw_only=True, tag="response.file_search_call.in_progress"):
    """A file search begins."""

    type: ClassVar[Literal["response.file_search_call.in_progress"]] = "response.file_search_call.in_progress"


class FileSearchCallSearching(ItemEvent, frozen=True, kw_only=True, tag="response.file_search_call.searching"):
    """A file search is running."""

    type: ClassVar[Literal["response.file_search_call.searching"]] = "response.file_search_call.searching"


class FileSearchCallCompleted(ItemEvent, frozen=True, kw_only=True, tag="response.file_search_call.completed"):
    """A file search is finished."""

    type: ClassVar[Literal["response.file_search_call.completed"]] = "response.file_search_call.completed"


class CodeInterpreterCallInProgress(
    ItemEvent, frozen=True, kw_only=True, tag="response.code_interpreter_call.in_progress"
):
    """A run of the code interpreter begins."""

    type: ClassVar[Literal["response.code_interpreter_call.in_progress"]] = "response.code_interpreter_call.in_progress"


class CodeInterpreterCallInterpreting(
    ItemEvent, frozen=True, kw_only=True, tag="response.code_interpreter_call.interpreting"
):
    """The code is running."""

    type: ClassVar[Literal["response.code_interpreter_call.interpreting"]] = (
        "response.code_interpreter_call.interpreting"
    )


class CodeInterpreterCallCompleted(
    ItemEvent, frozen=True, kw_only=True, tag="response.code_interpreter_call.completed"
):
    """A run of the code interpreter is finished."""

    type: ClassVar[Literal["response.code_interpreter_call.completed"]] = "response.code_interpreter_call.completed"


class CodeInterpreterCallCodeDelta(
    ItemEvent, frozen=True, kw_only=True, tag="response.code_interpreter_call_code.delta"
):
    """More of the code to be run."""

    type: ClassVar[Literal["response.code_interpreter_call_code.delta"]] = "response.code_interpreter_call_code.delta"
    delta: str = ""


class CodeInterpreterCallCodeDone(ItemEvent, frozen=True, kw_only=True, tag="response.code_interpreter_call_code.done"):
    """The code to be run is finished."""

    type: ClassVar[Literal["response.code_interpreter_call_code.done"]] = "response.code_interpreter_call_code.done"
    code: str = ""


class ImageGenerationCallInProgress(
    ItemEvent, frozen=True, kw_only=True, tag="response.image_generation_call.in_progress"
):
    """An image is begun."""

    type: ClassVar[Literal["response.image_generation_call.in_progress"]] = "response.image_generation_call.in_progress"


class ImageGenerationCallGenerating(
    ItemEvent, frozen=True, kw_only=True, tag="response.image_generation_call.generating"
):
    """An image is being made."""

    type: ClassVar[Literal["response.image_generation_call.generating"]] = "response.image_generation_call.generating"


class ImageGenerationCallPartialImage(
    ItemEvent, frozen=True, kw_only=True, tag="response.image_generation_call.partial_image"
):
    """A preview of an image."""

    type: ClassVar[Literal["response.image_generation_call.partial_image"]] = (
        "response.image_generation_call.partial_image"
    )
    partial_image_index: int = -1
    partial_image_b64: str = ""
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    size: str | None = None


class ImageGenerationCallCompleted(
    ItemEvent, frozen=True, kw_only=True, tag="response.image_generation_call.completed"
):
    """An image is finished."""

    type: ClassVar[Literal["response.image_generation_call.completed"]] = "response.image_generation_call.completed"


class McpListToolsInProgress(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_list_tools.in_progress"):
    """The host asks an MCP server for its tools."""

    type: ClassVar[Literal["response.mcp_list_tools.in_progress"]] = "response.mcp_list_tools.in_progress"


class McpListToolsCompleted(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_list_tools.completed"):
    """The MCP server has listed its tools."""

    type: ClassVar[Literal["response.mcp_list_tools.completed"]] = "response.mcp_list_tools.completed"


class McpListToolsFailed(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_list_tools.failed"):
    """The MCP server could not list its tools."""

    type: ClassVar[Literal["response.mcp_list_tools.failed"]] = "response.mcp_list_tools.failed"


class McpCallInProgress(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_call.in_progress"):
    """The host calls an MCP tool."""

    type: ClassVar[Literal["response.mcp_call.in_progress"]] = "response.mcp_call.in_progress"


class McpCallCompleted(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_call.completed"):
    """An MCP call has succeeded."""

    type: ClassVar[Literal["response.mcp_call.completed"]] = "response.mcp_call.completed"


class McpCallFailed(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_call.failed"):
    """An MCP call has failed."""

    type: ClassVar[Literal["response.mcp_call.failed"]] = "response.mcp_call.failed"


class McpCallArgumentsDelta(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_call_arguments.delta"):
    """More of an MCP call's arguments."""

    type: ClassVar[Literal["response.mcp_call_arguments.delta"]] = "response.mcp_call_arguments.delta"
    delta: str = ""


class McpCallArgumentsDone(ItemEvent, frozen=True, kw_only=True, tag="response.mcp_call_arguments.done"):
    """The arguments of an MCP call are finished."""

    type: ClassVar[Literal["response.mcp_call_arguments.done"]] = "response.mcp_call_arguments.done"
    arguments: JSONText = ""


class ShellCallCommandAdded(OutputEvent, frozen=True, kw_only=True, tag="response.shell_call_command.added"):
    """A command of a shell call begins."""

    type: ClassVar[Literal["response.shell_call_command.added"]] = "response.shell_call_command.added"
    command_index: int = -1
    command: str = ""


class ShellCallCommandDelta(OutputEvent, frozen=True, kw_only=True, tag="response.shell_call_command.delta"):
    """More of a shell command."""

    type: ClassVar[Literal["response.shell_call_command.delta"]] = "response.shell_call_command.delta"
    command_index: int = -1
    delta: str = ""
    obfuscation: str | None = None


class ShellCallCommandDone(OutputEvent, frozen=True, kw_only=True, tag="response.shell_call_command.done"):
    """A shell command is finished."""

    type: ClassVar[Literal["response.shell_call_command.done"]] = "response.shell_call_command.done"
    command_index: int = -1
    command: str = ""


class ShellCallOutputContentDelta(ItemEvent, frozen=True, kw_only=True, tag="response.shell_call_output_content.delta"):
    """More output of a shell command."""

    type: ClassVar[Literal["response.shell_call_output_content.delta"]] = "response.shell_call_output_content.delta"
    command_index: int = -1
    delta_json: Raw = raw_field("delta")
    delta = Lazy(always(ShellOutputDelta))


class ShellCallOutputContentDone(ItemEvent, frozen=True, kw_only=True, tag="response.shell_call_output_content.done"):
    """The output of a shell command is finished."""

    type: ClassVar[Literal["response.shell_call_output_content.done"]] = "response.shell_call_output_content.done"
    command_index: int = -1
    output_json: Raw = raw_field("output")
    output = Lazy(several(ShellOutput))


class AudioDelta(AudioEvent, frozen=True, kw_only=True, tag="response.audio.delta"):
    """More audio, in base64."""

    type: ClassVar[Literal["response.audio.delta"]] = "response.audio.delta"
    delta: str = ""


class AudioDone(AudioEvent, frozen=True, kw_only=True, tag="response.audio.done"):
    """The audio is finished."""

    type: ClassVar[Literal["response.audio.done"]] = "response.audio.done"


class AudioTranscriptDelta(AudioEvent, frozen=True, kw_only=True, tag="response.audio.transcript.delta"):
    """More of the audio's transcript."""

    type: ClassVar[Literal["response.audio.transcript.delta"]] = "response.audio.transcript.delta"
    delta: str = ""


class AudioTranscriptDone(AudioEvent, frozen=True, kw_only=True, tag="response.audio.transcript.done"):
    """The audio's transcript is finished."""

    type: ClassVar[Literal["response.audio.transcript.done"]] = "response.audio.transcript.done"


class CompactionCompacting(ItemEvent, frozen=True, kw_only=True, tag="response.compaction.compacting"):
    """The host compacts the conversation."""

    type: ClassVar[Literal["response.compaction.compacting"]] = "response.compaction.compacting"


class UnknownEvent(Event, frozen=True, kw_only=True):
    """An event of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyEvent: TypeAlias = (
    ResponseCreated
    | ResponseQueued
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | ErrorEvent
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | ContentPartDone
    | OutputTextDelta
    | OutputTextDone
    | OutputTextAnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | ReasoningSummaryPartAdded
    | ReasoningSummaryPartDone
    | ReasoningSummaryTextDelta
    | ReasoningSummaryTextDone
    | FunctionCallArgumentsDelta
    | FunctionCallArgumentsDone
    | CustomToolCallInputDelta
    | CustomToolCallInputDone
    | WebSearchCallInProgress
    | WebSearchCallSearching
    | WebSearchCallCompleted
    | FileSearchCallInProgress
    | FileSearchCallSearching
    | FileSearchCallCompleted
    | CodeInterpreterCallInProgress
    | CodeInterpreterCallInterpreting
    | CodeInterpreterCallCompleted
    | CodeInterpreterCallCodeDelta
    | CodeInterpreterCallCodeDone
    | ImageGenerationCallInProgress
    | ImageGenerationCallGenerating
    | ImageGenerationCallPartialImage
    | ImageGenerationCallCompleted
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | McpCallInProgress
    | McpCallCompleted
    | McpCallFailed
    | McpCallArgumentsDelta
    | McpCallArgumentsDone
    | ShellCallCommandAdded
    | ShellCallCommandDelta
    | ShellCallCommandDone
    | ShellCallOutputContentDelta
    | ShellCallOutputContentDone
    | AudioDelta
    | AudioDone
    | AudioTranscriptDelta
    | AudioTranscriptDone
    | CompactionCompacting
    | UnknownEvent
)

_CLASSES: tuple[type[Event], ...] = (
    ResponseCreated,
    ResponseQueued,
    ResponseInProgress,
    ResponseCompleted,
    ResponseIncomplete,
    ResponseFailed,
    ErrorEvent,
    OutputItemAdded,
    OutputItemDone,
    ContentPartAdded,
    ContentPartDone,
    OutputTextDelta,
    OutputTextDone,
    OutputTextAnnotationAdded,
    RefusalDelta,
    RefusalDone,
    ReasoningTextDelta,
    ReasoningTextDone,
    ReasoningSummaryPartAdded,
    ReasoningSummaryPartDone,
    ReasoningSummaryTextDelta,
    ReasoningSummaryTextDone,
    FunctionCallArgumentsDelta,
    FunctionCallArgumentsDone,
    CustomToolCallInputDelta,
    CustomToolCallInputDone,
    WebSearchCallInProgress,
    WebSearchCallSearching,
    WebSearchCallCompleted,
    FileSearchCallInProgress,
    FileSearchCallSearching,
    FileSearchCallCompleted,
    CodeInterpreterCallInProgress,
    CodeInterpreterCallInterpreting,
    CodeInterpreterCallCompleted,
    CodeInterpreterCallCodeDelta,
    CodeInterpreterCallCodeDone,
    ImageGenerationCallInProgress,
    ImageGenerationCallGenerating,
    ImageGenerationCallPartialImage,
    ImageGenerationCallCompleted,
    McpListToolsInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpCallInProgress,
    McpCallCompleted,
    McpCallFailed,
    McpCallArgumentsDelta,
    McpCallArgumentsDone,
    ShellCallCommandAdded,
    ShellCallCommandDelta,
    ShellCallCommandDone,
    ShellCallOutputContentDelta,
    ShellCallOutputContentDone,
    AudioDelta,
    AudioDone,
    AudioTranscriptDelta,
    AudioTranscriptDone,
    CompactionCompacting,
)

EVENTS: dict[str, type[Event]] = {cls.type: cls for cls in _CLASSES}
"""Event type → class."""

TERMINAL: frozenset[type[Event]] = frozenset({ResponseCompleted, ResponseIncomplete, ResponseFailed})
"""The classes that end a stream and carry the final response."""

# Open Responses (2026-04-24) gives the events of raw reasoning other names; `raw` keeps them.
_BY_TYPE: dict[str, type[Event]] = {
    **EVENTS,
    "response.reasoning.delta": ReasoningTextDelta,
    "response.reasoning.done": ReasoningTextDone,
}
_DECODERS: dict[str, Callable[[bytes], AnyEvent]] = {}  # filled as the names come: making all takes milliseconds
_NOT_AT_ONCE = (KeyError, *REFUSED)


def decode_event(name: str, data: bytes) -> AnyEvent:
    """Decode one event of a stream.

    The JSON's own `type` decides. `name`, the SSE event name or "", stands in for a missing one, and saves the usual
    event a second look.

    Raises:
        msgspec.DecodeError: `data` is not a JSON object.
    """
    try:
        event = _DECODERS[name](data)  # fails when the JSON has another type
    except _NOT_AT_ONCE:
        return _decode_by_type(name, data)
    set_raw(event, data)
    return event


@functools.cache
def _any_event() -> Callable[[bytes], AnyEvent]:
    return msgspec.json.Decoder(Union[_CLASSES]).decode  # noqa: UP007 (a tuple has no other form)


def _decode_by_type(name: str, data: bytes) -> AnyEvent:
    kind = type_of(data)
    cls = _BY_TYPE.get(kind or name)
    if cls is None and (name == "error" or (not kind and not is_absent(decode(data, ErrorEvent).nested_json))):
        cls = ErrorEvent  # an HTTP error's body: no type at all, or the error's own
    if not name:
        _DECODERS[name] = _any_event()  # some hosts name no events (seen on OpenRouter 2026-11)
    elif cls is not None and cls.type == name:
        _DECODERS[name] = cast("Callable[[bytes], AnyEvent]", decoder(cls))
    event = cast("AnyEvent", decode(data, cls or UnknownEvent))
    if isinstance(event, UnknownEvent) and not kind:
        msgspec.structs.force_setattr(event, "type", name)  # a name that only the SSE line has
    return event
