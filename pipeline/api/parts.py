"""Content parts and annotations: the pieces of messages, reasoning items and tool outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from .views import NO_KNOWN_TYPE, NoKnownType, Typed, optional, several
from .wire import Elsewhere, Lazy, Raw, Wire, family, many, one, open_union, raw_field

# --- annotations ----------------------------------------------------------------------------------------------------


class Annotation(Typed, frozen=True, kw_only=True):
    """Base of the annotations of an output text."""


class UrlCitation(Annotation, frozen=True, kw_only=True, tag="url_citation"):
    """A web page that the text from `start_index` to `end_index` cites."""

    type: ClassVar[Literal["url_citation"]] = "url_citation"
    url: str
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class FileCitation(Annotation, frozen=True, kw_only=True, tag="file_citation"):
    """A file that the text cites at `index`."""

    type: ClassVar[Literal["file_citation"]] = "file_citation"
    file_id: str
    filename: str | None = None
    index: int | None = None


class ContainerFileCitation(Annotation, frozen=True, kw_only=True, tag="container_file_citation"):
    """A file of a code interpreter's container that the text cites."""

    type: ClassVar[Literal["container_file_citation"]] = "container_file_citation"
    container_id: str
    file_id: str
    filename: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class FilePath(Annotation, frozen=True, kw_only=True, tag="file_path"):
    """A file that the text names at `index`."""

    type: ClassVar[Literal["file_path"]] = "file_path"
    file_id: str
    index: int | None = None


class UnknownAnnotation(Annotation, frozen=True, kw_only=True):
    """An annotation of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyAnnotation: TypeAlias = UrlCitation | FileCitation | ContainerFileCitation | FilePath | UnknownAnnotation

ANNOTATIONS = family(UrlCitation, FileCitation, ContainerFileCitation, FilePath)
read_annotation: Callable[[bytes | Raw], AnyAnnotation] = open_union(ANNOTATIONS, UnknownAnnotation)


# --- log probabilities ----------------------------------------------------------------------------------------------


class TopLogprob(Wire, frozen=True, kw_only=True):
    """One of the likeliest tokens at a position; `bytes` are its UTF-8 bytes as numbers."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] | None = None


class Logprob(Wire, frozen=True, kw_only=True):
    """The log probability of a token of the text; `bytes` are its UTF-8 bytes as numbers, absent in stream events."""

    token: str = ""
    logprob: float = 0.0
    bytes: tuple[int, ...] | None = None
    top_logprobs_json: Raw = raw_field("top_logprobs")
    top_logprobs = Lazy(several(TopLogprob))


# --- parts ----------------------------------------------------------------------------------------------------------


class PromptCacheBreakpoint(Wire, frozen=True, kw_only=True):
    """Marks the end of a prefix to be cached."""

    mode: str | None = None
    ttl: str | None = None


class Part(Typed, frozen=True, kw_only=True):
    """Base of the content parts."""


class InputText(Part, frozen=True, kw_only=True, tag="input_text"):
    """Text given to the model."""

    type: ClassVar[Literal["input_text"]] = "input_text"
    text: str
    prompt_cache_breakpoint_json: Raw = raw_field("prompt_cache_breakpoint")
    prompt_cache_breakpoint = Lazy(optional(PromptCacheBreakpoint))


class InputImage(Part, frozen=True, kw_only=True, tag="input_image"):
    """An image given to the model, by URL, data URL or file id."""

    type: ClassVar[Literal["input_image"]] = "input_image"
    detail: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    prompt_cache_breakpoint_json: Raw = raw_field("prompt_cache_breakpoint")
    prompt_cache_breakpoint = Lazy(optional(PromptCacheBreakpoint))


class InputFile(Part, frozen=True, kw_only=True, tag="input_file"):
    """A file given to the model, by URL, base64 data or file id."""

    type: ClassVar[Literal["input_file"]] = "input_file"
    detail: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None
    filename: str | None = None
    prompt_cache_breakpoint_json: Raw = raw_field("prompt_cache_breakpoint")
    prompt_cache_breakpoint = Lazy(optional(PromptCacheBreakpoint))


class OutputText(Part, frozen=True, kw_only=True, tag="output_text"):
    """Text written by the model."""

    type: ClassVar[Literal["output_text"]] = "output_text"
    text: str
    annotations_json: Raw = raw_field("annotations")
    annotations = Lazy(many(read_annotation))
    logprobs_json: Raw = raw_field("logprobs")
    logprobs = Lazy(several(Logprob))
    parsed = Elsewhere("the response has it, as output_parsed")  # of OpenAI's package


class Refusal(Part, frozen=True, kw_only=True, tag="refusal"):
    """The model's explanation of why it does not answer."""

    type: ClassVar[Literal["refusal"]] = "refusal"
    refusal: str


class ReasoningText(Part, frozen=True, kw_only=True, tag="reasoning_text"):
    """Raw reasoning of the model."""

    type: ClassVar[Literal["reasoning_text"]] = "reasoning_text"
    text: str


class SummaryText(Part, frozen=True, kw_only=True, tag="summary_text"):
    """A summary of the model's reasoning."""

    type: ClassVar[Literal["summary_text"]] = "summary_text"
    text: str


class UnknownPart(Part, frozen=True, kw_only=True):
    """A part of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyPart: TypeAlias = (
    InputText | InputImage | InputFile | OutputText | Refusal | ReasoningText | SummaryText | UnknownPart
)

PARTS = family(InputText, InputImage, InputFile, OutputText, Refusal, ReasoningText, SummaryText)
read_part: Callable[[bytes | Raw], AnyPart] = open_union(PARTS, UnknownPart)
optional_part = one(read_part)
