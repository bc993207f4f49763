"""Which of the offered tools a model may or must call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from .views import NO_KNOWN_TYPE, NoKnownType, Typed, json_objects
from .wire import Lazy, Raw, family, open_union, raw_field


class ToolChoice(Typed, frozen=True, kw_only=True):
    """Base of the tool choices that are objects."""


class AllowedToolsChoice(ToolChoice, frozen=True, kw_only=True, tag="allowed_tools"):
    """Only these tools; `mode` says whether one must be used."""

    type: ClassVar[Literal["allowed_tools"]] = "allowed_tools"
    mode: str
    tools_json: Raw = raw_field("tools")
    tools = Lazy(json_objects)


class FunctionChoice(ToolChoice, frozen=True, kw_only=True, tag="function"):
    """This function."""

    type: ClassVar[Literal["function"]] = "function"
    name: str


class CustomChoice(ToolChoice, frozen=True, kw_only=True, tag="custom"):
    """This custom tool."""

    type: ClassVar[Literal["custom"]] = "custom"
    name: str


class McpChoice(ToolChoice, frozen=True, kw_only=True, tag="mcp"):
    """A tool of this MCP server."""

    type: ClassVar[Literal["mcp"]] = "mcp"
    server_label: str
    name: str | None = None


class FileSearchChoice(ToolChoice, frozen=True, kw_only=True, tag="file_search"):
    """File search."""

    type: ClassVar[Literal["file_search"]] = "file_search"


class WebSearchPreviewChoice(ToolChoice, frozen=True, kw_only=True, tag="web_search_preview"):
    """Web search, preview version."""

    type: ClassVar[Literal["web_search_preview"]] = "web_search_preview"


class WebSearchPreviewChoice20250311(ToolChoice, frozen=True, kw_only=True, tag="web_search_preview_2025_03_11"):
    """Web search, preview version of 2025-03-11."""

    type: ClassVar[Literal["web_search_preview_2025_03_11"]] = "web_search_preview_2025_03_11"


class ComputerChoice(ToolChoice, frozen=True, kw_only=True, tag="computer"):
    """Computer use."""

    type: ClassVar[Literal["computer"]] = "computer"


class ComputerUseChoice(ToolChoice, frozen=True, kw_only=True, tag="computer_use"):
    """Computer use, by its other name."""

    type: ClassVar[Literal["computer_use"]] = "computer_use"


class ComputerUsePreviewChoice(ToolChoice, frozen=True, kw_only=True, tag="computer_use_preview"):
    """Computer use, preview version."""

    type: ClassVar[Literal["computer_use_preview"]] = "computer_use_preview"


class ImageGenerationChoice(ToolChoice, frozen=True, kw_only=True, tag="image_generation"):
    """Image generation."""

    type: ClassVar[Literal["image_generation"]] = "image_generation"


class CodeInterpreterChoice(ToolChoice, frozen=True, kw_only=True, tag="code_interpreter"):
    """The code interpreter."""

    type: ClassVar[Literal["code_interpreter"]] = "code_interpreter"


class ProgrammaticToolCallingChoice(ToolChoice, frozen=True, kw_only=True, tag="programmatic_tool_calling"):
    """A program that calls tools."""

    type: ClassVar[Literal["programmatic_tool_calling"]] = "programmatic_tool_calling"


class ApplyPatchChoice(ToolChoice, frozen=True, kw_only=True, tag="apply_patch"):
    """A change to files."""

    type: ClassVar[Literal["apply_patch"]] = "apply_patch"


class ShellChoice(ToolChoice, frozen=True, kw_only=True, tag="shell"):
    """The shell."""

    type: ClassVar[Literal["shell"]] = "shell"


class UnknownToolChoice(ToolChoice, frozen=True, kw_only=True):
    """A tool choice of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyToolChoice: TypeAlias = (
    AllowedToolsChoice
    | FunctionChoice
    | CustomChoice
    | McpChoice
    | FileSearchChoice
    | WebSearchPreviewChoice
    | WebSearchPreviewChoice20250311
    | ComputerChoice
    | ComputerUseChoice
    | ComputerUsePreviewChoice
    | ImageGenerationChoice
    | CodeInterpreterChoice
    | ProgrammaticToolCallingChoice
    | ApplyPatchChoice
    | ShellChoice
    | UnknownToolChoice
)

TOOL_CHOICES = family(
    AllowedToolsChoice,
    FunctionChoice,
    CustomChoice,
    McpChoice,
    FileSearchChoice,
    WebSearchPreviewChoice,
    WebSearchPreviewChoice20250311,
    ComputerChoice,
    ComputerUseChoice,
    ComputerUsePreviewChoice,
    ImageGenerationChoice,
    CodeInterpreterChoice,
    ProgrammaticToolCallingChoice,
    ApplyPatchChoice,
    ShellChoice,
)
read_tool_choice: Callable[[bytes | Raw], AnyToolChoice] = open_union(TOOL_CHOICES, UnknownToolChoice)
