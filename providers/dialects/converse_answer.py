"""What Converse answers, as events: one state machine for streams and for plain answers.

Theory of operation. Blocks come one after the other. Those of text and of reasoning have no start of their own in a
stream: their first piece opens them, and a piece with another index closes what is open. A plain answer is told as
blocks with one piece each.

text, citationsContent   Blocks that follow each other are one message with one part, which is closed when a block of
                         another kind begins, or at the end. Citations become annotations.
reasoningContent         A reasoning item for each block, so that the order among other blocks stays. What a Claude
                         shows is a summary of its reasoning, what others show is the reasoning. The block itself goes
                         into the envelope.
toolUse                  A function call, or the custom tool that went out as a function.
toolUse, toolResult      of Amazon's own tools: the use opens an item and the result closes it (`converse_hosted`).
image                    An `image_generation_call` that holds it.
all others               A reasoning item that says nothing, with the block in its envelope.

The reason of the end comes before the usage; the response ends with the latter.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ...pipeline.api.response import Response
from ...pipeline.streams.item_writers import CallWriter, HostedWriter, MessageWriter, ReasoningWriter
from . import converse_hosted as hosted
from .answer import Answer
from .anthropic_hosted import PREFIXES, end_step, steps_of
from .chat_call import close_call
from .converse_block import OpenBlock
from .converse_citations import to_annotation
from .converse_usage import end_of, usage_of
from .converse_wire import Delta, Thought, ToolInput
from .envelope import Seal
from .named_tools import ToolName
from .values import json_text

_READ: Final = frozenset({*Response.__struct_encode_fields__, "output", "role", "stopReason", "usage", "serviceTier"})
_SERVER: Final = "server_tool_use"


class ConverseAnswer(Answer):
    """Told what the host says, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        provider: name of the host, for what only it can read.
        seal: how the host's own blocks are kept.
        names: functions on the wire that stand for other tools.
        raw_reasoning: whether reasoning is the model's own, not a summary.
        token: part of all ids that are made here.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        provider: str,
        seal: Seal,
        names: Mapping[str, ToolName] | None = None,
        raw_reasoning: bool = False,
        token: str | None = None,
    ) -> None:
        super().__init__(fields, names, token)
        self._provider = provider
        self._seal = seal
        self._raw_reasoning = raw_reasoning
        self._block: OpenBlock | None = None
        self._index = -1
        self._message: MessageWriter | None = None
        self._length = 0  # of the text in the open message
        self._uses: dict[str, tuple[HostedWriter, dict[str, Any]]] = {}  # of the host's tools, without a result yet
        self._usage: dict[str, Any] = {}
        self.stop_reason: str | None = None

    # --- being told ---------------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends; the usage may be missing."""
        return self.stop_reason is not None

    def begin(self) -> None:
        """The answer starts."""
        if not self.has_begun:
            self._open(None, {})

    def start_block(self, index: int, start: Mapping[str, Any]) -> None:
        """A block starts that says what it is."""
        self._stop("completed")
        self.begin()
        if not start:
            return  # the first piece says what it is, as that of a text does
        kind = next(iter(start))
        fields = start[kind]
        self._begin_block(index, kind, fields if isinstance(fields, Mapping) else {})

    def add(self, index: int, delta: Delta, fields: Callable[[], Mapping[str, Any]]) -> None:
        """A piece of a block.

        Args:
            fields: returns all fields of the piece, for kinds that are not known.

        Raises:
            msgspec.ValidationError: it is of a call that is not open.
        """
        if delta.text is not None:
            self._opened(index, "text")
            if delta.text:
                self._text(delta.text)
        elif delta.toolUse is not None:
            self._add_input(self._opened(index, "toolUse"), delta.toolUse.input)
        elif delta.reasoningContent is not None:
            self._think(self._opened(index, "reasoningContent"), delta.reasoningContent)
        elif delta.citation is not None:
            self._opened(index, "text").citations.append(delta.citation)
        elif delta.toolResult is not None:
            self._opened(index, "toolResult").parts.extend(delta.toolResult)
        else:
            found = fields()
            kind = next(iter(found), "")
            said = found.get(kind)
            self._opened(index, kind).add_fields(said if isinstance(said, Mapping) else {})

    def stop_block(self) -> None:
        """The open block is whole."""
        self._stop("completed")

    def block(self, index: int, block: Mapping[str, Any]) -> None:
        """A whole block; the next one, or the end, closes it."""
        match block:
            case {"text": str(said)}:
                self.add(index, Delta(text=said), dict)
            case {"citationsContent": {"content": [*parts], **rest}}:
                cited: Any = rest.get("citations")  # there may be none
                found = cited if isinstance(cited, list) else ()
                self._opened(index, "text").citations += [each for each in found if isinstance(each, dict)]
                for part in parts:
                    if isinstance(part, dict) and isinstance(text := part.get("text"), str):
                        self.add(index, Delta(text=text), dict)
            case {"toolUse": {"input": given, **use}}:
                self.start_block(index, {"toolUse": use})
                self.add(index, Delta(toolUse=ToolInput(json_text(given)) if given else ToolInput()), dict)
            case {"toolResult": {"content": [*parts], **result}}:
                self.start_block(index, {"toolResult": result})
                self.add(index, Delta(toolResult=parts), dict)
            case {"reasoningContent": {"reasoningText": {"text": str(said)}}}:
                self.start_block(index, block)
                self._show_thought(said)
            case _:
                self.start_block(index, block)

    def note(self, fields: Mapping[str, Any]) -> None:
        """Take note of what is known at the end."""
        if isinstance(usage := fields.get("usage"), dict):
            self._usage.update(usage)
        if isinstance(reason := fields.get("stopReason"), str):
            self.stop_reason = reason
        tier = fields.get("serviceTier")
        if isinstance(tier, dict) and isinstance(tier.get("type"), str):
            self._extra["service_tier"] = tier["type"]
        self._extra.update(
            (name, value) for name, value in fields.items() if name not in _READ and value not in (None, "", [], {})
        )

    def end(self) -> None:
        """The answer is over."""
        self.begin()
        end = end_of(self.stop_reason)
        last = "completed" if end.status == "completed" else "incomplete"
        self._stop(last)
        if not self._items and end.status == "completed":
            self._text_item().empty_text()
        self._close_all(last)
        fields: dict[str, Any] = {"status": end.status}
        if end.reason is not None:
            fields["incomplete_details"] = {"reason": end.reason}
        if end.status == "failed":
            fields["error"] = {"code": "server_error", "message": f"the model stopped: {self.stop_reason}"}
        self._finish(fields)

    def fail(self, code: str | None, message: str) -> None:
        """The host reported an error inside the answer."""
        self.begin()
        self._close_all("incomplete")
        self._finish({"status": "failed", "error": {"code": code or "server_error", "message": message}})

    # --- blocks -------------------------------------------------------------------------------------------------------

    def _opened(self, index: int, kind: str) -> OpenBlock:
        """Return the open block of this index and kind; it is opened if it has no start of its own.

        Raises:
            msgspec.ValidationError: it is a call, which nothing has named.
        """
        if self._block is None or index != self._index or (kind and kind != self._block.kind):
            if kind == "toolUse":
                raise msgspec.ValidationError(f"it is a piece of call {index}, which is not open")
            self._stop("completed")
            self.begin()
            self._begin_block(index, kind, {})
        assert self._block is not None
        return self._block

    def _begin_block(self, index: int, kind: str, fields: Mapping[str, Any]) -> None:
        opened = self._block = OpenBlock(kind, fields)
        self._index = index
        if kind == "text":
            opened.start = self._length
            return
        self._close_message()
        if kind == "reasoningContent":
            opened.writer = self._out.reasoning({"id": self._item_id("rs")})
        elif kind == "toolUse" and fields.get("type") != _SERVER:
            opened.writer = self._start_call(fields)

    def _stop(self, status: str) -> None:
        opened, self._block = self._block, None
        if opened is None:
            return
        if opened.kind == "text":
            for citation in opened.citations:
                annotation = to_annotation(citation, opened.start, self._length, self._provider)
                self._text_item().annotation(annotation)
        elif isinstance(opened.writer, ReasoningWriter):
            opened.writer.close(encrypted_content=self._seal((opened.whole(),)), status=status)
        elif isinstance(opened.writer, CallWriter):
            close_call(opened.writer, "".join(opened.pieces), status)
        elif opened.kind == "toolUse":
            self._use(opened.whole())
        elif opened.kind == "toolResult":
            self._result(opened.whole())
        elif opened.kind == "image":
            self._image(opened.fields)
        elif opened.kind:
            self._keep(opened.whole())

    def _keep(self, block: dict[str, Any]) -> None:
        """Keep a block that no item can show."""
        item = {"type": "reasoning", "id": self._item_id("rs"), "summary": []}
        self._out.item({**item, "encrypted_content": self._seal((block,))})

    def _think(self, opened: OpenBlock, thought: Thought) -> None:
        opened.think(thought)
        if thought.text:
            self._show_thought(thought.text)

    def _show_thought(self, text: str) -> None:
        writer = self._block.writer if self._block else None
        if text and isinstance(writer, ReasoningWriter):
            (writer.text if self._raw_reasoning else writer.summary)(text)

    # Messages

    def _text(self, text: str) -> None:
        self._text_item().text(text)
        self._length += len(text)

    def _text_item(self) -> MessageWriter:
        if self._message is None:
            self._message = self._out.message({"id": self._item_id("msg")})
        return self._message

    def _close_message(self, status: str = "completed") -> None:
        if self._message is not None:
            self._message.close(status=status)
        self._message, self._length = None, 0

    # Calls

    def _start_call(self, use: Mapping[str, Any]) -> CallWriter:
        call_id = use.get("toolUseId") or f"tooluse_{secrets.token_hex(11)}"
        return self._begin_call(str(use.get("name") or ""), call_id)

    def _add_input(self, opened: OpenBlock, piece: str) -> None:
        if not piece:
            return
        opened.pieces.append(piece)
        # The input of a custom tool is inside the arguments, which can be read only when they are whole.
        if isinstance(opened.writer, CallWriter) and not opened.writer.is_custom:
            opened.writer.write(piece)

    # Tools that run at the host, and what they make

    def _use(self, block: dict[str, Any]) -> None:
        item = hosted.start_of(block["toolUse"])
        if item is None:
            self._keep(block)
            return
        writer = self._out.hosted({"id": self._item_id(PREFIXES[item["type"]]), **item})
        for step, said in steps_of(item):
            writer.tell(step, **said)
        self._uses[str(block["toolUse"].get("toolUseId"))] = writer, block

    def _result(self, block: dict[str, Any]) -> None:
        found = self._uses.pop(str(block["toolResult"].get("toolUseId")), None)
        if found is None:
            self._keep(block)
            return
        writer, use = found
        added = hosted.result_of(writer.fields, block["toolResult"])
        if (step := end_step(writer.fields, added["status"])) is not None:
            writer.tell(step)
        writer.close(**added, encrypted_content=self._seal((use, block)))

    def _image(self, image: Mapping[str, Any]) -> None:
        source = image.get("source")
        data = source.get("bytes") if isinstance(source, Mapping) else None
        if not isinstance(data, str):
            self._keep({"image": dict(image)})
            return
        item = {"type": "image_generation_call", "id": self._item_id("ig"), "status": "completed"}
        self._out.item({**item, "result": data, "output_format": image.get("format")})

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
