"""What Cohere's chat API answers, as events: one state machine for streams and for plain answers.

Theory of operation. A message has blocks of content (thinking and text), a plan, and calls.

thinking    A reasoning item for each block, its text as `content`: it is the model's own reasoning. The block goes into
            the envelope.
text        Blocks that follow each other are parts of one message. Citations are told behind the text that they are
            about, some of them behind its end, so a part is closed only when something else begins.
tool plan   A message of the phase "commentary": the model says what it is about to do. It goes back as the plan.
calls       A function call each, or the custom tool that went out as a function.

A citation of thinking, or one whose part is closed already, stays in the response's field `citations`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from ...pipeline.api.response import Response
from ...pipeline.streams.item_writers import CallWriter, MessageWriter, ReasoningWriter
from .answer import Answer
from .chat_call import close_call
from .cohere_citations import place_of, to_annotations
from .cohere_usage import end_of, usage_of
from .envelope import Seal
from .named_tools import ToolName
from .values import json_text

_READ: Final = frozenset(
    {*Response.__struct_encode_fields__, "id", "message", "finish_reason", "usage", "delta", "type"}
)


class CohereAnswer(Answer):
    """Told what the host says, it makes the events of the response.

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
        self._index = -1  # of the latest block
        self._thought: ReasoningWriter | None = None
        self._thoughts: list[str] = []
        self._message: MessageWriter | None = None
        self._is_plan = False  # whether the open message is one
        self._is_said = False  # whether the open part is whole, but for its citations
        self._calls: dict[int, CallWriter] = {}
        self._wrapped: dict[int, list[str]] = {}  # arguments of functions that stand for custom tools
        self._usage: dict[str, Any] | None = None
        self._error: str | None = None
        self.finish_reason: str | None = None

    # --- being told ---------------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends."""
        return self.finish_reason is not None

    def begin(self, host_id: str | None = None) -> None:
        """The answer starts."""
        if not self.has_begun:
            self._open(host_id, {})

    def start_content(self, index: int, kind: str | None) -> None:
        """A block of the content starts."""
        self.begin()
        self._index = index
        if kind == "thinking":
            self._close_all("completed")
            self._thought = self._out.reasoning({"id": self._item_id("rs")})
            return
        if self._message is not None and not self._is_plan and not self._calls:
            self._message.close_part()
        else:
            self._close_all("completed")
            self._message = self._out.message({"id": self._item_id("msg")})
        self._is_plan = self._is_said = False

    def add_text(self, text: str) -> None:
        """More of a text."""
        if self._message is None or self._is_plan or self._is_said:
            self.start_content(self._index + 1, "text")
        if text and self._message is not None:
            self._message.text(text)

    def add_thinking(self, text: str) -> None:
        """More of a thought."""
        if self._thought is None:
            self.start_content(self._index + 1, "thinking")
        if text and self._thought is not None:
            self._thoughts.append(text)
            self._thought.text(text)

    def stop_content(self) -> None:
        """The block is whole; citations of it may follow."""
        self._is_said = self._message is not None
        self._close_thought("completed")

    def add_plan(self, text: str) -> None:
        """More of the plan."""
        if not text:
            return
        self.begin()
        if self._message is None or not self._is_plan:
            self._close_all("completed")
            self._message = self._out.message({"id": self._item_id("msg"), "phase": "commentary"})
            self._is_plan = True
        self._message.text(text)

    def start_call(self, index: int, call_id: str | None, name: str | None) -> None:
        """A call starts."""
        self.begin()
        self._close_thought("completed")
        self._close_message("completed")
        self._close_call(index, "completed")
        writer = self._calls[index] = self._begin_call(name or "", call_id or f"call_{secrets.token_hex(12)}")
        if writer.is_custom:
            self._wrapped[index] = []

    def add_arguments(self, index: int, piece: str | None) -> None:
        """More of a call's arguments."""
        writer = self._calls.get(index)
        if not piece or writer is None:
            return
        if index in self._wrapped:
            self._wrapped[index].append(piece)
        else:
            writer.write(piece)

    def stop_call(self, index: int) -> None:
        """A call is whole."""
        self._close_call(index, "completed")

    def cite(self, citation: dict[str, Any]) -> None:
        """A citation."""
        kind, at = place_of(citation)
        is_here = kind == "PLAN" if self._is_plan else kind == "TEXT_CONTENT" and at in (self._index, 0)
        if self._message is None or not is_here:
            self._extra.setdefault("citations", []).append(citation)
            return
        for annotation in to_annotations(citation, self._provider):
            self._message.annotation(annotation)

    def note(self, fields: Mapping[str, Any]) -> None:
        """Take note of what is known at the end."""
        if isinstance(reason := fields.get("finish_reason"), str):
            self.finish_reason = reason
        if isinstance(usage := fields.get("usage"), dict):
            self._usage = usage
        if isinstance(error := fields.get("error"), str) and error:
            self._error = error
        self._extra.update(
            (name, value) for name, value in fields.items() if name not in _READ and value not in (None, "", [], {})
        )

    def add_logprobs(self, found: Any) -> None:
        """Log probabilities of a piece, in the host's own form."""
        known = self._extra.setdefault("logprobs", [])
        known.extend(found if isinstance(found, list) else [found])

    def end(self) -> None:
        """The answer is over."""
        self.begin()
        end = end_of(self.finish_reason)
        if not self._items and end.status == "completed":
            self.start_content(0, "text")
            if self._message is not None:
                self._message.empty_text()
        self._close_all("completed" if end.status == "completed" else "incomplete")
        fields: dict[str, Any] = {"status": end.status}
        if end.reason is not None:
            fields["incomplete_details"] = {"reason": end.reason}
        if end.status == "failed":
            message = f"the model stopped: {self.finish_reason}" + (f" ({self._error})" if self._error else "")
            fields["error"] = {"code": "server_error", "message": message}
        self._finish(fields)

    def fail(self, code: str | None, message: str) -> None:
        """The host reported an error inside the answer."""
        self.begin()
        self._close_all("incomplete")
        self._finish({"status": "failed", "error": {"code": code or "server_error", "message": message}})

    # --- closing ------------------------------------------------------------------------------------------------------

    def _close_thought(self, status: str) -> None:
        if self._thought is None:
            return
        block = {"type": "thinking", "thinking": "".join(self._thoughts)}
        self._thought.close(encrypted_content=self._seal((block,)), status=status)
        self._thought, self._thoughts = None, []

    def _close_message(self, status: str) -> None:
        if self._message is not None:
            self._message.close(status=status)
        self._message, self._is_plan, self._is_said = None, False, False

    def _close_call(self, index: int, status: str) -> None:
        writer = self._calls.pop(index, None)
        if writer is not None:
            close_call(writer, "".join(self._wrapped.pop(index, ())), status)

    def _close_all(self, status: str) -> None:
        """Close what is open; only the last item can have been cut."""
        self._close_thought(status)
        self._close_message(status)
        for index in list(self._calls):
            self._close_call(index, status)

    def _finish(self, fields: dict[str, Any]) -> None:
        self.is_done = True
        self._out.end(**{**self._extra, **fields, "usage": usage_of(self._usage)})


def tell_whole(found: dict[str, Any], answer: CohereAnswer) -> bool:
    """Tell `answer` what a plain answer says; return whether it is one."""
    message = found.get("message")
    if not isinstance(message, dict):
        return False
    answer.begin(_text(found.get("id")))
    cited = _objects(message.get("citations"))
    content: Any = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content else _objects(content)
    texts = [index for index, block in enumerate(blocks) if block.get("type") != "thinking"]
    for index, block in enumerate(blocks):
        answer.start_content(index, _text(block.get("type")))
        if block.get("type") == "thinking":
            answer.add_thinking(str(block.get("thinking") or ""))
        else:
            answer.add_text(str(block.get("text") or ""))
            mine = [each for each in cited if _is_about(each, index, texts)]
            for citation in mine:
                answer.cite(citation)
            cited = [each for each in cited if each not in mine]
        answer.stop_content()
    if plan := message.get("tool_plan"):
        answer.add_plan(str(plan))
    for citation in cited:
        answer.cite(citation)
    for index, call in enumerate(_objects(message.get("tool_calls"))):
        function: Any = call.get("function")
        if not isinstance(function, dict):
            continue
        answer.start_call(index, _text(call.get("id")), _text(function.get("name")))
        arguments: Any = function.get("arguments")
        answer.add_arguments(index, arguments if isinstance(arguments, str) else json_text(arguments or {}))
        answer.stop_call(index)
    answer.note(found)
    answer.end()
    return True


def _text(given: object) -> str | None:
    return given if isinstance(given, str) else None


def _objects(given: object) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


def _is_about(citation: dict[str, Any], index: int, texts: list[int]) -> bool:
    """Tell whether a citation is about the text of this index: the first, where it does not say (recorded)."""
    kind, at = place_of(citation)
    return kind == "TEXT_CONTENT" and index == (at if at in texts else texts[0])
