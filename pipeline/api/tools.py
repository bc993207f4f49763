"""The tools that a request offers the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import msgspec

from ..secret import MASK
from .answer_settings import ReasoningConfig
from .views import (
    NO_KNOWN_TYPE,
    NoKnownType,
    Typed,
    anything,
    json_object,
    json_objects,
    optional,
    text_or,
    texts,
)
from .wire import Lazy, Raw, Wire, encode, family, many, open_union, raw_field

# --- nested objects of the tools ------------------------------------------------------------------------------------


class NetworkPolicy(Wire, frozen=True, kw_only=True):
    """What a container may reach: `disabled` or `allowlist`."""

    type: str = ""
    allowed_domains: tuple[str, ...] | None = None


class CodeContainer(Wire, frozen=True, kw_only=True):
    """The container that a code interpreter gets."""

    type: str = ""
    file_ids: tuple[str, ...] | None = None
    memory_limit: str | None = None
    network_policy_json: Raw = raw_field("network_policy")
    network_policy = Lazy(optional(NetworkPolicy))


class ShellEnvironment(Wire, frozen=True, kw_only=True):
    """Where a shell runs: `container_auto`, `local` or `container_reference`."""

    type: str = ""
    container_id: str | None = None
    file_ids: tuple[str, ...] | None = None
    memory_limit: str | None = None
    network_policy_json: Raw = raw_field("network_policy")
    network_policy = Lazy(optional(NetworkPolicy))
    skills_json: Raw = raw_field("skills")
    skills = Lazy(json_objects)


class CustomToolFormat(Wire, frozen=True, kw_only=True):
    """The input format of a custom tool: `text` or `grammar`."""

    type: str = ""
    syntax: str | None = None
    definition: str | None = None


class SearchFilter(Wire, frozen=True, kw_only=True):
    """A filter on file attributes: a comparison (`key`, `value`) or, of type `and`/`or`, a compound of `filters`."""

    type: str = ""
    key: str | None = None
    value_json: Raw = raw_field("value")
    value = Lazy(anything)
    filters_json: Raw = raw_field("filters")
    filters = Lazy(json_objects)


class HybridSearch(Wire, frozen=True, kw_only=True):
    """The weights of the two kinds of file search."""

    embedding_weight: float | None = None
    text_weight: float | None = None


class RankingOptions(Wire, frozen=True, kw_only=True):
    """How file search ranks its results."""

    ranker: str | None = None
    score_threshold: float | None = None
    hybrid_search_json: Raw = raw_field("hybrid_search")
    hybrid_search = Lazy(optional(HybridSearch))


class ImageMask(Wire, frozen=True, kw_only=True):
    """The mask of an image to be edited."""

    file_id: str | None = None
    image_url: str | None = None


class SvgOptions(Wire, frozen=True, kw_only=True):
    """How vector images are made."""

    model: str | None = None
    reasoning_json: Raw = raw_field("reasoning")
    reasoning = Lazy(optional(ReasoningConfig))


class McpToolFilter(Wire, frozen=True, kw_only=True):
    """A choice among the tools of an MCP server."""

    read_only: bool | None = None
    tool_names: tuple[str, ...] | None = None


class McpApprovalFilter(Wire, frozen=True, kw_only=True):
    """The tools of an MCP server that always, and that never, need an approval."""

    always_json: Raw = raw_field("always")
    always = Lazy(optional(McpToolFilter))
    never_json: Raw = raw_field("never")
    never = Lazy(optional(McpToolFilter))


class WebSearchFilters(Wire, frozen=True, kw_only=True):
    """The sites that a web search may use."""

    allowed_domains: tuple[str, ...] | None = None


class UserLocation(Wire, frozen=True, kw_only=True):
    """Where the user is, roughly."""

    type: str | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


# --- tool definitions -----------------------------------------------------------------------------------------------


class ToolDefinition(Typed, frozen=True, kw_only=True):
    """Base of the tool definitions."""


class FunctionTool(ToolDefinition, frozen=True, kw_only=True, tag="function"):
    """A function that the caller runs; `parameters` is its JSON Schema."""

    type: ClassVar[Literal["function"]] = "function"
    name: str
    description: str | None = None
    strict: bool | None = None
    parameters_json: Raw = raw_field("parameters")
    parameters = Lazy(json_object)
    output_schema_json: Raw = raw_field("output_schema")
    output_schema = Lazy(json_object)
    allowed_callers: tuple[str, ...] | None = None
    async_: bool | None = msgspec.field(default=None, name="async")
    defer_loading: bool | None = None


class CustomTool(ToolDefinition, frozen=True, kw_only=True, tag="custom"):
    """A tool with free text as its input, which the caller runs."""

    type: ClassVar[Literal["custom"]] = "custom"
    name: str
    description: str | None = None
    format_json: Raw = raw_field("format")
    format = Lazy(optional(CustomToolFormat))
    allowed_callers: tuple[str, ...] | None = None
    async_: bool | None = msgspec.field(default=None, name="async")
    defer_loading: bool | None = None


def _read_tools(raw: Raw) -> tuple[AnyTool, ...]:
    return many(read_tool)(raw)


class NamespaceTool(ToolDefinition, frozen=True, kw_only=True, tag="namespace"):
    """A group of function and custom tools under one name."""

    type: ClassVar[Literal["namespace"]] = "namespace"
    name: str
    description: str | None = None
    tools_json: Raw = raw_field("tools")
    tools = Lazy(_read_tools)


class FileSearchTool(ToolDefinition, frozen=True, kw_only=True, tag="file_search"):
    """Search in vector stores."""

    type: ClassVar[Literal["file_search"]] = "file_search"
    vector_store_ids: tuple[str, ...] = ()
    max_num_results: int | None = None
    filters_json: Raw = raw_field("filters")
    filters = Lazy(optional(SearchFilter))
    ranking_options_json: Raw = raw_field("ranking_options")
    ranking_options = Lazy(optional(RankingOptions))


class _WebSearch(ToolDefinition, frozen=True, kw_only=True):
    external_web_access: bool | None = None
    search_context_size: str | None = None
    return_token_budget: str | None = None
    filters_json: Raw = raw_field("filters")
    filters = Lazy(optional(WebSearchFilters))
    user_location_json: Raw = raw_field("user_location")
    user_location = Lazy(optional(UserLocation))


class WebSearchTool(_WebSearch, frozen=True, kw_only=True, tag="web_search"):
    """Search in the web."""

    type: ClassVar[Literal["web_search"]] = "web_search"


class WebSearchTool20250826(_WebSearch, frozen=True, kw_only=True, tag="web_search_2025_08_26"):
    """Search in the web, in the version of 2025-08-26."""

    type: ClassVar[Literal["web_search_2025_08_26"]] = "web_search_2025_08_26"


class _WebSearchPreview(ToolDefinition, frozen=True, kw_only=True):
    search_content_types: tuple[str, ...] | None = None
    search_context_size: str | None = None
    user_location_json: Raw = raw_field("user_location")
    user_location = Lazy(optional(UserLocation))


class WebSearchPreviewTool(_WebSearchPreview, frozen=True, kw_only=True, tag="web_search_preview"):
    """Search in the web, in the preview version."""

    type: ClassVar[Literal["web_search_preview"]] = "web_search_preview"


class WebSearchPreviewTool20250311(_WebSearchPreview, frozen=True, kw_only=True, tag="web_search_preview_2025_03_11"):
    """Search in the web, in the preview version of 2025-03-11."""

    type: ClassVar[Literal["web_search_preview_2025_03_11"]] = "web_search_preview_2025_03_11"


def _allowed_tools(raw: Raw) -> tuple[str, ...] | McpToolFilter | None:
    found = anything(raw)
    if isinstance(found, list):
        return tuple([name for name in found if isinstance(name, str)])
    return optional(McpToolFilter)(raw)


class McpTool(ToolDefinition, frozen=True, kw_only=True, tag="mcp"):
    """The tools of an MCP server that the host calls itself. Its `repr` hides `authorization` and `headers`."""

    type: ClassVar[Literal["mcp"]] = "mcp"
    server_label: str
    server_url: str | None = None
    server_description: str | None = None
    connector_id: str | None = None
    tunnel_id: str | None = None
    authorization: str | None = None
    defer_loading: bool | None = None
    allowed_callers: tuple[str, ...] | None = None
    headers_json: Raw = raw_field("headers")
    headers = Lazy(texts)
    allowed_tools_json: Raw = raw_field("allowed_tools")
    allowed_tools = Lazy(_allowed_tools)
    require_approval_json: Raw = raw_field("require_approval")
    require_approval = Lazy(text_or(optional(McpApprovalFilter)))

    def __repr__(self) -> str:
        return f"McpTool({encode(hide_credentials(self.to_dict())).decode('utf-8', 'replace')})"


def hide_credentials(tool: Mapping[str, Any]) -> dict[str, Any]:
    """Return an MCP tool, in the API's form or Anthropic's, with what its server trusts masked."""
    return {name: _hidden(value) if name in _CREDENTIALS and value else value for name, value in tool.items()}


def hide_in_body(body: Any) -> Any:
    """Return the JSON of a request with what its MCP servers are called with masked."""
    if not isinstance(body, dict):
        return body
    hidden = {
        name: [hide_credentials(tool) if isinstance(tool, dict) else tool for tool in body[name]]
        for name in ("tools", "mcp_servers")  # the API's, Anthropic's
        if isinstance(body.get(name), list)
    }
    return {**body, **hidden}


_CREDENTIALS = frozenset({"authorization", "authorization_token", "headers"})


def _hidden(value: object) -> object:
    return dict.fromkeys(value, MASK) if isinstance(value, dict) else MASK


class CodeInterpreterTool(ToolDefinition, frozen=True, kw_only=True, tag="code_interpreter"):
    """Python in a container of the host."""

    type: ClassVar[Literal["code_interpreter"]] = "code_interpreter"
    allowed_callers: tuple[str, ...] | None = None
    container_json: Raw = raw_field("container")
    container = Lazy(text_or(optional(CodeContainer)))


class ImageGenerationTool(ToolDefinition, frozen=True, kw_only=True, tag="image_generation"):
    """Making and editing images."""

    type: ClassVar[Literal["image_generation"]] = "image_generation"
    action: str | None = None
    background: str | None = None
    complexity: str | None = None
    frame_count: int | None = None
    frame_duration_ms: int | None = None
    input_fidelity: str | None = None
    model: str | None = None
    moderation: str | None = None
    output_compression: int | None = None
    output_format: str | None = None
    partial_images: int | None = None
    quality: str | None = None
    size: str | None = None
    input_image_mask_json: Raw = raw_field("input_image_mask")
    input_image_mask = Lazy(optional(ImageMask))
    svg_json: Raw = raw_field("svg")
    svg = Lazy(optional(SvgOptions))


class ComputerTool(ToolDefinition, frozen=True, kw_only=True, tag="computer"):
    """Use of a computer's screen and keyboard."""

    type: ClassVar[Literal["computer"]] = "computer"


class ComputerUsePreviewTool(ToolDefinition, frozen=True, kw_only=True, tag="computer_use_preview"):
    """Use of a computer's screen and keyboard, in the preview version."""

    type: ClassVar[Literal["computer_use_preview"]] = "computer_use_preview"
    display_height: int
    display_width: int
    environment: str


class LocalShellTool(ToolDefinition, frozen=True, kw_only=True, tag="local_shell"):
    """A shell that the caller runs, in its first version."""

    type: ClassVar[Literal["local_shell"]] = "local_shell"


class ShellTool(ToolDefinition, frozen=True, kw_only=True, tag="shell"):
    """A shell, in a container of the host or run by the caller."""

    type: ClassVar[Literal["shell"]] = "shell"
    allowed_callers: tuple[str, ...] | None = None
    environment_json: Raw = raw_field("environment")
    environment = Lazy(optional(ShellEnvironment))


class ApplyPatchTool(ToolDefinition, frozen=True, kw_only=True, tag="apply_patch"):
    """Changes to files, which the caller makes."""

    type: ClassVar[Literal["apply_patch"]] = "apply_patch"
    allowed_callers: tuple[str, ...] | None = None


class ProgrammaticToolCallingTool(ToolDefinition, frozen=True, kw_only=True, tag="programmatic_tool_calling"):
    """Programs of the model that call the other tools."""

    type: ClassVar[Literal["programmatic_tool_calling"]] = "programmatic_tool_calling"


class ToolSearchTool(ToolDefinition, frozen=True, kw_only=True, tag="tool_search"):
    """Search for tools whose loading was deferred."""

    type: ClassVar[Literal["tool_search"]] = "tool_search"
    description: str | None = None
    execution: str | None = None
    parameters_json: Raw = raw_field("parameters")
    parameters = Lazy(anything)


class UnknownTool(ToolDefinition, frozen=True, kw_only=True):
    """A tool of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""


AnyTool: TypeAlias = (
    FunctionTool
    | CustomTool
    | NamespaceTool
    | FileSearchTool
    | WebSearchTool
    | WebSearchTool20250826
    | WebSearchPreviewTool
    | WebSearchPreviewTool20250311
    | McpTool
    | CodeInterpreterTool
    | ImageGenerationTool
    | ComputerTool
    | ComputerUsePreviewTool
    | LocalShellTool
    | ShellTool
    | ApplyPatchTool
    | ProgrammaticToolCallingTool
    | ToolSearchTool
    | UnknownTool
)

TOOLS = family(
    FunctionTool,
    CustomTool,
    NamespaceTool,
    FileSearchTool,
    WebSearchTool,
    WebSearchTool20250826,
    WebSearchPreviewTool,
    WebSearchPreviewTool20250311,
    McpTool,
    CodeInterpreterTool,
    ImageGenerationTool,
    ComputerTool,
    ComputerUsePreviewTool,
    LocalShellTool,
    ShellTool,
    ApplyPatchTool,
    ProgrammaticToolCallingTool,
    ToolSearchTool,
)
read_tool: Callable[[bytes | Raw], AnyTool] = open_union(TOOLS, UnknownTool)
