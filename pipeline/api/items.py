"""Items: what goes into a response and what comes out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import msgspec

from .answer_settings import ReasoningConfig, TextConfig
from .parts import InputText, OutputText, read_part
from .tools import ShellEnvironment, read_tool
from .views import (
    NO_KNOWN_TYPE,
    NoKnownType,
    Typed,
    always,
    anything,
    json_object,
    object_or_text,
    optional,
    several,
    text_or,
    texts,
)
from .wire import Elsewhere, JSONText, Lazy, Raw, Wire, decode, family, loads, many, raw_field, type_of

# --- nested objects -------------------------------------------------------------------------------------------------


class Caller(Wire, frozen=True, kw_only=True):
    """Who made a tool call: the model (`direct`) or a `program` of it, `caller_id`."""

    type: str = ""
    caller_id: str | None = None


class PatchOperation(Wire, frozen=True, kw_only=True):
    """A change to a file: `create_file`, `delete_file` or `update_file`; `diff` is None when deleting."""

    type: str = ""
    path: str = ""
    diff: str | None = None


class CodeOutput(Wire, frozen=True, kw_only=True):
    """Output of the code interpreter: `logs`, or an `image` at `url`."""

    type: str = ""
    logs: str | None = None
    url: str | None = None


class Point(Wire, frozen=True, kw_only=True):
    """A point on the screen."""

    x: int = 0
    y: int = 0


class ComputerAction(Wire, frozen=True, kw_only=True):
    """An action: `type` is click, double_click, drag, keypress, move, screenshot, scroll, type or wait."""

    type: str = ""
    button: str | None = None
    keys: tuple[str, ...] | None = None
    x: int | None = None
    y: int | None = None
    scroll_x: int | None = None
    scroll_y: int | None = None
    text: str | None = None
    path_json: Raw = raw_field("path")
    path = Lazy(several(Point))


class SafetyCheck(Wire, frozen=True, kw_only=True):
    """A safety check on a computer action, pending or acknowledged."""

    id: str = ""
    code: str | None = None
    message: str | None = None


class Screenshot(Wire, frozen=True, kw_only=True):
    """A computer's screen, by URL, data URL or file id."""

    type: str = ""
    file_id: str | None = None
    image_url: str | None = None
    detail: str | None = None


class FileSearchResult(Wire, frozen=True, kw_only=True):
    """A piece of a file that file search found."""

    file_id: str | None = None
    filename: str | None = None
    score: float | None = None
    text: str | None = None
    attributes_json: Raw = raw_field("attributes")
    attributes = Lazy(json_object)


class ModerationDetails(Wire, frozen=True, kw_only=True):
    """Why moderation stopped an image."""

    categories: tuple[str, ...] = ()
    moderation_stage: str | None = None


class ImageError(Wire, frozen=True, kw_only=True):
    """Why no image was made."""

    type: str = ""
    code: str | None = None
    message: str = ""
    param: str | None = None
    moderation_details_json: Raw = raw_field("moderation_details")
    moderation_details = Lazy(optional(ModerationDetails))


class SvgUsage(Wire, frozen=True, kw_only=True):
    """Tokens that a vector image took."""

    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    total_tokens: int = 0


class LocalShellAction(Wire, frozen=True, kw_only=True):
    """A command for a local shell; `timeout_ms` in milliseconds."""

    type: str = ""
    command: tuple[str, ...] = ()
    env_json: Raw = raw_field("env")
    env = Lazy(texts)
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class ShellAction(Wire, frozen=True, kw_only=True):
    """Commands for a shell; `timeout_ms` in milliseconds, `max_output_length` in characters."""

    commands: tuple[str, ...] = ()
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellOutcome(Wire, frozen=True, kw_only=True):
    """How a command ended: `exit` with its code, or `timeout`."""

    type: str = ""
    exit_code: int | None = None


class ShellOutput(Wire, frozen=True, kw_only=True):
    """What a command wrote, and how it ended."""

    stdout: str = ""
    stderr: str = ""
    outcome_json: Raw = raw_field("outcome")
    outcome = Lazy(optional(ShellOutcome))
    created_by: str | None = None


class McpListedTool(Wire, frozen=True, kw_only=True):
    """A tool that an MCP server offers."""

    name: str = ""
    description: str | None = None
    input_schema_json: Raw = raw_field("input_schema")
    input_schema = Lazy(json_object)
    annotations_json: Raw = raw_field("annotations")
    annotations = Lazy(json_object)


class McpError(Wire, frozen=True, kw_only=True):
    """Why an MCP call failed: `mcp_protocol_error`, `mcp_tool_execution_error` (with `content`) or `http_error`."""

    type: str = ""
    code: int | str | None = None
    message: str | None = None
    content_json: Raw = raw_field("content")
    content = Lazy(anything)


class SearchSource(Wire, frozen=True, kw_only=True):
    """A page that a web search used."""

    type: str = ""
    url: str | None = None


class WebSearchAction(Wire, frozen=True, kw_only=True):
    """A step of a web search: `search`, `open_page` or `find_in_page`."""

    type: str = ""
    query: str | None = None
    queries: tuple[str, ...] | None = None
    sources_json: Raw = raw_field("sources")
    sources = Lazy(several(SearchSource))
    url: str | None = None
    pattern: str | None = None


# --- items ----------------------------------------------------------------------------------------------------------


class Item(Typed, frozen=True, kw_only=True):
    """Base of the items. `id` and `status` are mostly absent on items made for input."""


class Message(Item, frozen=True, kw_only=True, tag="message"):
    """A message, of the input or of the model; `content` is a string or a tuple of parts."""

    type: ClassVar[Literal["message"]] = "message"
    role: str
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    content_json: Raw = raw_field("content")
    content = Lazy(text_or(many(read_part)))

    @property
    def text(self) -> str:
        """All text of the message, joined with nothing between; no refusals."""
        content = self.content
        if isinstance(content, str):
            return content
        return "".join([part.text for part in content if isinstance(part, OutputText | InputText)])


class Reasoning(Item, frozen=True, kw_only=True, tag="reasoning"):
    """Reasoning of the model; replayed unchanged."""

    type: ClassVar[Literal["reasoning"]] = "reasoning"
    id: str | None = None
    status: str | None = None
    summary_json: Raw = raw_field("summary")
    summary = Lazy(many(read_part))
    content_json: Raw = raw_field("content")
    content = Lazy(many(read_part))
    encrypted_content: str | None = None


class FunctionCall(Item, frozen=True, kw_only=True, tag="function_call"):
    """A call of one of the caller's functions; `arguments` is JSON text, possibly invalid."""

    type: ClassVar[Literal["function_call"]] = "function_call"
    id: str | None = None
    call_id: str
    name: str
    arguments: JSONText
    status: str | None = None
    namespace: str | None = None
    async_: bool | None = msgspec.field(default=None, name="async")
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))
    # Of OpenAI's package.
    parsed_arguments = Elsewhere("json.loads(call.arguments); or give the function itself as a tool")


class FunctionCallOutput(Item, frozen=True, kw_only=True, tag="function_call_output"):
    """The answer to a function call; `output` is a string or a tuple of input parts."""

    type: ClassVar[Literal["function_call_output"]] = "function_call_output"
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    status: str | None = None
    namespace: str | None = None
    created_by: str | None = None
    output_json: Raw = raw_field("output")
    output = Lazy(text_or(many(read_part)))
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class CustomToolCall(Item, frozen=True, kw_only=True, tag="custom_tool_call"):
    """A call of one of the caller's custom tools; `input` is free text."""

    type: ClassVar[Literal["custom_tool_call"]] = "custom_tool_call"
    id: str | None = None
    call_id: str
    name: str
    input: str
    status: str | None = None
    namespace: str | None = None
    async_: bool | None = msgspec.field(default=None, name="async")
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class CustomToolCallOutput(Item, frozen=True, kw_only=True, tag="custom_tool_call_output"):
    """The answer to a custom tool's call; `output` is a string or a tuple of input parts."""

    type: ClassVar[Literal["custom_tool_call_output"]] = "custom_tool_call_output"
    id: str | None = None
    call_id: str
    status: str | None = None
    created_by: str | None = None
    output_json: Raw = raw_field("output")
    output = Lazy(text_or(many(read_part)))
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class ItemReference(Item, frozen=True, kw_only=True, tag="item_reference"):
    """Stands for a stored item."""

    type: ClassVar[Literal["item_reference"]] = "item_reference"
    id: str


class WebSearchCall(Item, frozen=True, kw_only=True, tag="web_search_call"):
    """A web search of the host."""

    type: ClassVar[Literal["web_search_call"]] = "web_search_call"
    id: str | None = None
    status: str | None = None
    action_json: Raw = raw_field("action")
    action = Lazy(optional(WebSearchAction))


class FileSearchCall(Item, frozen=True, kw_only=True, tag="file_search_call"):
    """A file search of the host."""

    type: ClassVar[Literal["file_search_call"]] = "file_search_call"
    id: str | None = None
    status: str | None = None
    queries: tuple[str, ...] = ()
    results_json: Raw = raw_field("results")
    results = Lazy(several(FileSearchResult))


class CodeInterpreterCall(Item, frozen=True, kw_only=True, tag="code_interpreter_call"):
    """A run of the host's code interpreter."""

    type: ClassVar[Literal["code_interpreter_call"]] = "code_interpreter_call"
    id: str | None = None
    status: str | None = None
    container_id: str | None = None
    code: str | None = None
    outputs_json: Raw = raw_field("outputs")
    outputs = Lazy(several(CodeOutput))


class ImageGenerationCall(Item, frozen=True, kw_only=True, tag="image_generation_call"):
    """An image made by the host; `result` is base64."""

    type: ClassVar[Literal["image_generation_call"]] = "image_generation_call"
    id: str | None = None
    status: str | None = None
    result: str | None = None
    action: str | None = None
    background: str | None = None
    output_format: str | None = None
    quality: str | None = None
    revised_prompt: str | None = None
    size: str | None = None
    error_json: Raw = raw_field("error")
    error = Lazy(optional(ImageError))
    svg_usage_json: Raw = raw_field("svg_usage")
    svg_usage = Lazy(optional(SvgUsage))


class ComputerCall(Item, frozen=True, kw_only=True, tag="computer_call"):
    """Actions on a computer, for the caller to carry out."""

    type: ClassVar[Literal["computer_call"]] = "computer_call"
    id: str | None = None
    call_id: str
    status: str | None = None
    action_json: Raw = raw_field("action")
    action = Lazy(optional(ComputerAction))
    actions_json: Raw = raw_field("actions")
    actions = Lazy(several(ComputerAction))
    pending_safety_checks_json: Raw = raw_field("pending_safety_checks")
    pending_safety_checks = Lazy(several(SafetyCheck))


class ComputerCallOutput(Item, frozen=True, kw_only=True, tag="computer_call_output"):
    """The computer's screen after an action."""

    type: ClassVar[Literal["computer_call_output"]] = "computer_call_output"
    id: str | None = None
    call_id: str
    status: str | None = None
    created_by: str | None = None
    output_json: Raw = raw_field("output")
    output = Lazy(optional(Screenshot))
    acknowledged_safety_checks_json: Raw = raw_field("acknowledged_safety_checks")
    acknowledged_safety_checks = Lazy(several(SafetyCheck))


class LocalShellCall(Item, frozen=True, kw_only=True, tag="local_shell_call"):
    """A command for the caller's shell, in the first version of that tool."""

    type: ClassVar[Literal["local_shell_call"]] = "local_shell_call"
    id: str | None = None
    call_id: str
    status: str | None = None
    action_json: Raw = raw_field("action")
    action = Lazy(always(LocalShellAction))


class LocalShellCallOutput(Item, frozen=True, kw_only=True, tag="local_shell_call_output"):
    """The answer to a local shell call; `output` is JSON text."""

    type: ClassVar[Literal["local_shell_call_output"]] = "local_shell_call_output"
    id: str | None = None
    status: str | None = None
    output: str


class ShellCall(Item, frozen=True, kw_only=True, tag="shell_call"):
    """Commands for a shell, the host's or the caller's."""

    type: ClassVar[Literal["shell_call"]] = "shell_call"
    id: str | None = None
    call_id: str
    status: str | None = None
    created_by: str | None = None
    action_json: Raw = raw_field("action")
    action = Lazy(always(ShellAction))
    environment_json: Raw = raw_field("environment")
    environment = Lazy(optional(ShellEnvironment))
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class ShellCallOutput(Item, frozen=True, kw_only=True, tag="shell_call_output"):
    """What the commands of a shell call wrote."""

    type: ClassVar[Literal["shell_call_output"]] = "shell_call_output"
    id: str | None = None
    call_id: str
    status: str | None = None
    max_output_length: int | None = None
    created_by: str | None = None
    output_json: Raw = raw_field("output")
    output = Lazy(several(ShellOutput))
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class ApplyPatchCall(Item, frozen=True, kw_only=True, tag="apply_patch_call"):
    """A change to a file, for the caller to make."""

    type: ClassVar[Literal["apply_patch_call"]] = "apply_patch_call"
    id: str | None = None
    call_id: str
    status: str | None = None
    created_by: str | None = None
    operation_json: Raw = raw_field("operation")
    operation = Lazy(always(PatchOperation))
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class ApplyPatchCallOutput(Item, frozen=True, kw_only=True, tag="apply_patch_call_output"):
    """Whether a change to a file succeeded, with a log in `output`."""

    type: ClassVar[Literal["apply_patch_call_output"]] = "apply_patch_call_output"
    id: str | None = None
    call_id: str
    status: str
    output: str | None = None
    created_by: str | None = None
    caller_json: Raw = raw_field("caller")
    caller = Lazy(optional(Caller))


class McpListTools(Item, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools of an MCP server that the host calls."""

    type: ClassVar[Literal["mcp_list_tools"]] = "mcp_list_tools"
    id: str | None = None
    server_label: str
    error: str | None = None
    tools_json: Raw = raw_field("tools")
    tools = Lazy(several(McpListedTool))


class McpCall(Item, frozen=True, kw_only=True, tag="mcp_call"):
    """A call of an MCP tool that the host made; `arguments` is JSON text."""

    type: ClassVar[Literal["mcp_call"]] = "mcp_call"
    id: str | None = None
    status: str | None = None
    server_label: str
    name: str
    arguments: JSONText
    approval_request_id: str | None = None
    output: str | None = None
    error_json: Raw = raw_field("error")
    error = Lazy(object_or_text(McpError, "message"))  # older hosts send a string


class McpApprovalRequest(Item, frozen=True, kw_only=True, tag="mcp_approval_request"):
    """The host asks whether it may call an MCP tool; `arguments` is JSON text."""

    type: ClassVar[Literal["mcp_approval_request"]] = "mcp_approval_request"
    id: str
    server_label: str
    name: str
    arguments: JSONText


class McpApprovalResponse(Item, frozen=True, kw_only=True, tag="mcp_approval_response"):
    """The answer to an approval request."""

    type: ClassVar[Literal["mcp_approval_response"]] = "mcp_approval_response"
    id: str | None = None
    approval_request_id: str
    approve: bool
    reason: str | None = None


class ToolSearchCall(Item, frozen=True, kw_only=True, tag="tool_search_call"):
    """A search for deferred tools, by the host (`execution` server) or for the caller to do."""

    type: ClassVar[Literal["tool_search_call"]] = "tool_search_call"
    id: str | None = None
    call_id: str | None = None
    status: str | None = None
    execution: str | None = None
    created_by: str | None = None
    arguments_json: Raw = raw_field("arguments")
    arguments = Lazy(anything)


class ToolSearchOutput(Item, frozen=True, kw_only=True, tag="tool_search_output"):
    """The tools that a tool search found."""

    type: ClassVar[Literal["tool_search_output"]] = "tool_search_output"
    id: str | None = None
    call_id: str | None = None
    status: str | None = None
    execution: str | None = None
    created_by: str | None = None
    tools_json: Raw = raw_field("tools")
    tools = Lazy(many(read_tool))


class AdditionalTools(Item, frozen=True, kw_only=True, tag="additional_tools"):
    """More tools, from here on."""

    type: ClassVar[Literal["additional_tools"]] = "additional_tools"
    id: str | None = None
    role: str
    tools_json: Raw = raw_field("tools")
    tools = Lazy(many(read_tool))


class Program(Item, frozen=True, kw_only=True, tag="program"):
    """A program of the model that calls tools; replayed unchanged, with its fingerprint."""

    type: ClassVar[Literal["program"]] = "program"
    id: str | None = None
    call_id: str
    code: str
    fingerprint: str


class ProgramOutput(Item, frozen=True, kw_only=True, tag="program_output"):
    """The result of a program."""

    type: ClassVar[Literal["program_output"]] = "program_output"
    id: str | None = None
    call_id: str
    result: str
    status: str | None = None


class Compaction(Item, frozen=True, kw_only=True, tag="compaction"):
    """A conversation so far, compacted by the host."""

    type: ClassVar[Literal["compaction"]] = "compaction"
    id: str | None = None
    encrypted_content: str
    created_by: str | None = None


class CompactionTrigger(Item, frozen=True, kw_only=True, tag="compaction_trigger"):
    """Asks the host to compact; the last item of an input."""

    type: ClassVar[Literal["compaction_trigger"]] = "compaction_trigger"
    id: str | None = None


class ConfigurationUpdate(Item, frozen=True, kw_only=True, tag="configuration_update"):
    """Settings for the responses from here on, until replaced."""

    type: ClassVar[Literal["configuration_update"]] = "configuration_update"
    id: str | None = None
    reasoning_json: Raw = raw_field("reasoning")
    reasoning = Lazy(optional(ReasoningConfig))
    text_json: Raw = raw_field("text")
    text = Lazy(optional(TextConfig))


class UnknownItem(Item, frozen=True, kw_only=True):
    """An item of a type that this library does not know."""

    if TYPE_CHECKING:
        type: ClassVar[NoKnownType] = NO_KNOWN_TYPE
    else:
        type: str = ""
    id: str | None = None
    status: str | None = None


AnyItem: TypeAlias = (
    Message
    | Reasoning
    | FunctionCall
    | FunctionCallOutput
    | CustomToolCall
    | CustomToolCallOutput
    | ItemReference
    | WebSearchCall
    | FileSearchCall
    | CodeInterpreterCall
    | ImageGenerationCall
    | ComputerCall
    | ComputerCallOutput
    | LocalShellCall
    | LocalShellCallOutput
    | ShellCall
    | ShellCallOutput
    | ApplyPatchCall
    | ApplyPatchCallOutput
    | McpListTools
    | McpCall
    | McpApprovalRequest
    | McpApprovalResponse
    | ToolSearchCall
    | ToolSearchOutput
    | AdditionalTools
    | Program
    | ProgramOutput
    | Compaction
    | CompactionTrigger
    | ConfigurationUpdate
    | UnknownItem
)

ITEMS = family(
    Message,
    Reasoning,
    FunctionCall,
    FunctionCallOutput,
    CustomToolCall,
    CustomToolCallOutput,
    ItemReference,
    WebSearchCall,
    FileSearchCall,
    CodeInterpreterCall,
    ImageGenerationCall,
    ComputerCall,
    ComputerCallOutput,
    LocalShellCall,
    LocalShellCallOutput,
    ShellCall,
    ShellCallOutput,
    ApplyPatchCall,
    ApplyPatchCallOutput,
    McpListTools,
    McpCall,
    McpApprovalRequest,
    McpApprovalResponse,
    ToolSearchCall,
    ToolSearchOutput,
    AdditionalTools,
    Program,
    ProgramOutput,
    Compaction,
    CompactionTrigger,
    ConfigurationUpdate,
)


def read_item(raw: bytes | Raw) -> AnyItem:
    """Decode one item. Without a `type`, role and content make a message, and an id alone a reference.

    Raises:
        msgspec.DecodeError: not a JSON object.
    """
    kind = type_of(raw)
    cls = ITEMS.get(kind)
    if cls is None:
        cls = UnknownItem if kind else _untyped(raw)
    item: AnyItem = decode(raw, cls)  # type: ignore[assignment]
    return item


def _untyped(raw: bytes | Raw) -> type[Item]:
    found = loads(bytes(raw))
    if not isinstance(found, dict):
        return UnknownItem
    if "role" in found and "content" in found:
        return Message
    return ItemReference if found.keys() - {"type"} == {"id"} else UnknownItem
