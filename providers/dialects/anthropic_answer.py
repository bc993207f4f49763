"""What a message of the Messages API says, as events: one state machine for streams and for plain answers.

Theory of operation. Blocks come one after the other, each with a start, its deltas and a stop; a plain answer is told
as blocks whose start says everything. `content_block_start` closes what a host left open.

text            Text blocks that follow each other are one message with one part: the host cuts at every citation. The
                message is closed when a block of another kind starts, or at the end.
thinking        A reasoning item for each block, so that the order among other blocks stays. The text is its summary:
                what the host shows is not the model's own reasoning, but a summary of it (Anthropic documentation,
                Extended thinking › Summarized thinking, from memory). The block itself goes into the envelope.
tool_use        A function call, or the custom tool that went out as a function.
server tools    The use opens an item and the result closes it; see `anthropic_hosted`.
all others      An item of type `anthropic_blocks`, or `compaction`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...pipeline.api.response import Response
from ...pipeline.streams.item_writers import CallWriter, HostedWriter, MessageWriter, ReasoningWriter
from . import anthropic_hosted as hosted
from .answer import Answer
from .anthropic_block import OpenBlock
from .anthropic_citations import to_annotation
from .anthropic_usage import end_of, usage_of
from .anthropic_wire import Delta
from .chat_call import close_call
from .envelope import Seal
from .named_tools import ToolName
from .values import json_text

# Fields of a message that are read, or that a response has by the same name.
_KNOWN = frozenset(
    {*Response.__struct_encode_fields__, "type", "role", "content", "stop_reason", "stop_details", "usage"}
)


class AnthropicAnswer(Answer):
    """Told what a message says, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        provider: name of the host, for what only it can read.
        seal: how the host's own blocks are kept.
        names: functions on the wire that stand for other tools.
        token: part of all ids that are made here.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        provider: str,
        seal: Seal,
        names: Mapping[str, ToolName] | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(fields, names, token)
        self._provider = provider
        self._seal = seal
        self._block: OpenBlock | None = None
        self._index = -1
        self._message: MessageWriter | None = None
        self._length = 0  # of the text in the open message
        self._uses: dict[str, tuple[HostedWriter, dict[str, Any]]] = {}  # of the host's tools, without a result yet
        self._usage: dict[str, Any] = {}
        self._refusal: str | None = None
        self.stop_reason: str | None = None

    # --- being told ---------------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends; look-alikes may leave out the last event."""
        return self.stop_reason is not None

    def begin(self, message: dict[str, Any]) -> None:
        """The message starts: all its fields but the content are read."""
        if self.has_begun:
            return
        fields: dict[str, Any] = {}
        if isinstance(model := message.get("model"), str) and model:
            fields["model"] = model
        usage = message.get("usage")
        if isinstance(usage, dict) and usage.get("service_tier"):
            fields["service_tier"] = usage["service_tier"]
        self._open(message.get("id"), fields)
        self.note(message, usage)

    def note(self, fields: Mapping[str, Any], usage: object) -> None:
        """Take note of what is known at the end; usage is cumulative."""
        if isinstance(usage, dict):
            self._usage.update((name, value) for name, value in usage.items() if value is not None)
        if isinstance(reason := fields.get("stop_reason"), str) and reason:
            self.stop_reason = reason
        details = fields.get("stop_details")
        if isinstance(details, dict):
            self._extra["stop_details"] = details
            if isinstance(said := details.get("explanation"), str):
                self._refusal = said
        self._extra.update(
            (name, value) for name, value in fields.items() if name not in _KNOWN and value not in (None, "", [], {})
        )

    def start_block(self, index: int, block: dict[str, Any]) -> None:
        """A block starts."""
        self.stop_block()
        if not self.has_begun:
            self.begin({})
        opened = self._block = OpenBlock(block)
        self._index = index
        if opened.kind == "text":
            opened.start = self._length
            if text := block.get("text"):
                self._text(str(text))
            return
        self._close_message()
        if opened.kind == "thinking":
            writer = opened.writer = self._out.reasoning({"id": self._item_id("rs")})
            if text := block.get("thinking"):
                writer.summary(str(text))
        elif opened.kind == "tool_use":
            self._start_call(opened)

    def add(self, index: int, delta: Delta, fields: Callable[[], Mapping[str, Any]]) -> None:
        """A piece of the open block.

        Args:
            fields: returns all fields of the piece, for kinds that are not known.

        Raises:
            msgspec.ValidationError: it is of a call's input, and that call is not open.
        """
        opened = self._block_of(index, delta)
        if opened is None:
            return
        if delta.text is not None and opened.kind == "text":
            if delta.text:
                self._text(delta.text)
        elif delta.partial_json is not None:
            if delta.partial_json:
                self._add_input(opened, delta.partial_json)
        elif delta.thinking is not None and isinstance(opened.writer, ReasoningWriter):
            if delta.thinking:
                opened.add("thinking", delta.thinking)
                opened.writer.summary(delta.thinking)
        elif delta.signature is not None:
            opened.add("signature", delta.signature)
        elif delta.citation is not None:
            opened.citations.append(delta.citation)
        else:
            opened.add_fields(fields())

    def _block_of(self, index: int, delta: Delta) -> OpenBlock | None:
        """Return the block that a piece belongs to, None when it says nothing that matters.

        Look-alikes forget to start a block, or go on with one that they have stopped: text and thoughts then begin one.
        """
        opened = self._block
        kind = "text" if delta.text else "thinking" if delta.thinking else ""
        if opened is None or index != self._index:
            if delta.partial_json:
                raise msgspec.ValidationError(f"it is a piece of block {index}, which is not open")
            if not kind:
                return None
        elif not kind or {opened.kind, kind} != {"text", "thinking"}:
            return opened
        self.start_block(index, {"type": kind})
        return self._block

    def stop_block(self) -> None:
        """The open block is whole."""
        self._stop("completed")

    def end(self) -> None:
        """The answer is over."""
        if not self.has_begun:
            self.begin({})
        end = end_of(self.stop_reason)
        last = "completed" if end.status == "completed" else "incomplete"
        self._stop(last)
        if self._refusal and self.stop_reason == "refusal":
            self._text_item().refusal(self._refusal)
        elif not self._items and end.status == "completed":
            self._text_item().empty_text()
        self._close_all(last)
        fields: dict[str, Any] = {"status": end.status}
        if end.reason is not None:
            fields["incomplete_details"] = {"reason": end.reason}
        self._finish(fields)

    def fail(self, code: str | None, message: str) -> None:
        """The host reported an error inside the answer."""
        if not self.has_begun:
            self.begin({})
        self._close_all("incomplete")
        self._finish({"status": "failed", "error": {"code": code or "server_error", "message": message}})

    # --- items --------------------------------------------------------------------------------------------------------

    def _stop(self, status: str) -> None:
        opened, self._block = self._block, None
        if opened is None:
            return
        kind = opened.kind
        if kind == "text":
            for citation in opened.citations:
                annotation = to_annotation(citation, opened.start, self._length, self._provider)
                self._text_item().annotation(annotation)
        elif isinstance(opened.writer, ReasoningWriter):
            opened.writer.close(encrypted_content=self._seal((opened.whole(),)), status=status)
        elif kind == "redacted_thinking":
            self._whole("rs", {"type": "reasoning", "summary": []}, opened.whole(), status=status)
        elif kind == "tool_use":
            self._stop_call(opened, status)
        elif kind in hosted.USES:
            self._use(opened.whole())
        elif hosted.is_result(opened.block) and opened.block["tool_use_id"] in self._uses:
            self._result(opened.whole())
        elif kind == "compaction":
            self._whole("cmp", {"type": "compaction"}, opened.whole())
        else:
            self._whole("blk", {"type": hosted.OTHER}, opened.whole(), status=status)

    def _whole(self, prefix: str, item: dict[str, Any], block: dict[str, Any], **fields: Any) -> None:
        sealed = self._seal((block,))
        self._out.item({**item, "id": self._item_id(prefix), "encrypted_content": sealed, **fields})

    # Messages

    def _text(self, text: str) -> None:
        self._text_item().text(text)
        self._length += len(text)

    def _text_item(self) -> MessageWriter:
        if self._message is None:
            self._message = self._out.message({"id": self._item_id("msg")})
            self._length = 0
        return self._message

    def _close_message(self, status: str = "completed") -> None:
        if self._message is not None:
            self._message.close(status=status)
        self._message, self._length = None, 0

    # Calls

    def _start_call(self, opened: OpenBlock) -> None:
        block = opened.block
        caller = block.get("caller")
        fields = {"caller": caller} if isinstance(caller, dict) and caller.get("type") != "direct" else {}
        call_id = block.get("id") or f"toolu_{secrets.token_hex(12)}"
        opened.writer = self._begin_call(str(block.get("name") or ""), call_id, fields)

    def _add_input(self, opened: OpenBlock, piece: str) -> None:
        # The input of a custom tool is inside the arguments, which can be read only when they are whole.
        if isinstance(opened.writer, CallWriter) and not opened.writer.is_custom:
            opened.writer.write(piece)
        else:
            opened.add("input", piece)

    def _stop_call(self, opened: OpenBlock, status: str) -> None:
        writer = opened.writer
        assert isinstance(writer, CallWriter)
        given = opened.block.get("input")
        if given and not writer.so_far and "input" not in opened.pieces:  # else its pieces say the same once more
            self._add_input(opened, given if isinstance(given, str) else json_text(given))
        close_call(writer, "".join(opened.pieces.get("input", ())), status)

    # Tools that run at the host

    def _use(self, use: dict[str, Any]) -> None:
        item = hosted.start_of(use)
        writer = self._out.hosted({"id": self._item_id(hosted.PREFIXES.get(item["type"], "blk")), **item})
        for step, said in hosted.steps_of(item):
            writer.tell(step, **said)
        self._uses[str(use.get("id"))] = writer, use

    def _result(self, result: dict[str, Any]) -> None:
        writer, use = self._uses.pop(result["tool_use_id"])
        added = hosted.result_of(writer.fields, result)
        if (step := hosted.end_step(writer.fields, added["status"])) is not None:
            writer.tell(step)
        writer.close(**added, encrypted_content=self._seal((use, result)))

    # The end

    def _close_all(self, status: str) -> None:
        """Close what is open; only the last item can have been cut."""
        self._stop(status)
        self._close_message(status)
        for writer, use in self._uses.values():
            writer.close(status="incomplete", encrypted_content=self._seal((use,)))
        self._uses.clear()

    def _finish(self, fields: dict[str, Any]) -> None:
        self.is_done = True
        self._out.end(**{**self._extra, **fields, "usage": usage_of(self._usage)})
