"""How a request wants its answer: text formats and reasoning settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from .views import NO_KNOWN_TYPE, NoKnownType, Typed, json_object
from .wire import Lazy, Raw, Wire, family, one, open_union, raw_field


class TextFormat(Typed, frozen=True, kw_only=True):
    """Base of the formats of the answer's text."""


class PlainText(TextFormat, frozen=True, kw_only=True, tag="text"):
    """Free text, the default."""

    type: ClassVar[Literal["text"]] = "text"


class JsonObject(TextFormat, frozen=True, kw_only=True, tag="json_object"):
    """Some JSON object, without a schema."""

    type: ClassVar[Literal["json_object"]] = "json_object"


class JsonSchema(TextFormat, frozen=True, kw_only=True, tag="json_schema"):
    """JSON that follows a schema."""

    type: ClassVar[Literal["json_schema"]] = "json_schema"
    name: str
    description: str | None = None
    strict: bool | None = None
    schema_json: Raw = raw_field("schema")
    schema = Lazy(json_object)


class UnknownTextFormat(TextFormat, frozen=True, kw_only=True):
    """A text format of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyTextFormat: TypeAlias = PlainText | JsonObject | JsonSchema | UnknownTextFormat

TEXT_FORMATS = family(PlainText, JsonObject, JsonSchema)
read_text_format: Callable[[bytes | Raw], AnyTextFormat] = open_union(TEXT_FORMATS, UnknownTextFormat)


class TextConfig(Wire, frozen=True, kw_only=True):
    """Settings of the answer's text."""

    verbosity: str | None = None
    format_json: Raw = raw_field("format")
    format = Lazy(one(read_text_format))


class ReasoningConfig(Wire, frozen=True, kw_only=True):
    """Settings of the model's reasoning."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    context: str | None = None
    mode: str | None = None
