"""What a chat completion says, as events: one state machine for streams and for plain answers.

Theory of operation. At most one item that is no call is open: a message or a reasoning item. A piece of the other kind
closes it, so that reasoning, text and calls come out as the separate items that they were on the wire, in their order.
Calls are kept by their index and may be written side by side; a call is closed when something else begins and its
arguments are whole, else at the end. Text after a call is a message of its own.

Hosts differ in how they mark a call (seen in recordings, or read in the sources of hosts and clients, 2026-11): ids
that are missing, empty, the word "null" (Mistral), late, or new in every piece; a name in pieces, or in every piece;
several calls under one index; arguments as an object, or once more in full at the end.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Any

from ...pipeline.api.wire import encode
from ...pipeline.streams.item_writers import MessageWriter
from .answer import Answer
from .chat_call import Call
from .chat_thought import Seal, Thought, text_of
from .chat_usage import end_of, usage_of
from .chat_wire import Chunk, Delta, Piece, ToolCall
from .named_tools import ToolName
from .think_tags import ThinkTags


class ChatAnswer(Answer):
    """Told what chunks say, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        seal: how a reasoning item's own form is kept.
        names: functions on the wire that stand for other tools.
        has_tags: whether reasoning may come inside the text.
        token: part of all ids that are made here.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        seal: Seal,
        names: Mapping[str, ToolName] | None = None,
        has_tags: bool = False,
        token: str | None = None,
    ) -> None:
        super().__init__(fields, names, token)
        self._seal = seal
        self._tags = ThinkTags() if has_tags else None
        self._message: MessageWriter | None = None
        self._thought: Thought | None = None
        self._calls: dict[int, Call] = {}  # those that are open
        self._last_call: Call | None = None
        self._call_ids: set[str] = set()
        self._annotations: list[Any] = []  # that came while no text was open
        self._audio: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self.finish_reason: str | None = None
        self.error: Any = None  # what a choice says of its end

    # --- being told ---------------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends; usage may still follow."""
        return self.finish_reason is not None

    def begin(self, chunk: Chunk) -> None:
        """Take note of the first chunk of a stream, or of a whole answer."""
        # Azure's first chunk holds the filter's findings about the prompt, and neither id nor model.
        if chunk.id or chunk.choices:
            self._start(chunk)
            self.go_on(chunk)

    def go_on(self, piece: Piece) -> None:
        """Take note of a further chunk."""
        if piece.usage and isinstance(piece.usage, dict):
            self._usage = piece.usage  # some hosts send it with every chunk; the last one counts
        for choice in piece.choices or ():
            if choice.index:
                continue  # a further answer to the same question, of which a response has none
            said, is_whole = choice.delta, False
            if said is None and (said := choice.message) is not None:
                is_whole = True
                for at, call in enumerate(said.tool_calls or ()):
                    call.index = at  # each entry of a whole answer is a call
            if said is not None:
                self._said(said, choice.logprobs, is_whole=is_whole)
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
                self.error = choice.error or self.error

    def keep(self, fields: dict[str, Any]) -> None:
        """Keep fields of the host's own for the response."""
        self._extra.update(fields)

    def end(self) -> None:
        """The answer is over."""
        if not self.has_begun:
            self._start(Chunk())
        end = end_of(self.finish_reason)
        self._close_all(end.status)
        if not self._items and end.status == "completed":
            self._text_item().empty_text()
            self._close_message()
        fields: dict[str, Any] = {"status": end.status}
        if end.reason is not None:
            fields["incomplete_details"] = {"reason": end.reason}
        if end.status == "failed":
            fields["error"] = {"code": "server_error", "message": "the host ended the answer with an error"}
        self._finish(fields)

    def fail(self, error: dict[str, Any], usage: Any = None) -> None:
        """The host reported an error inside the answer.

        Args:
            error: `code` and `message`, and what else is known of it.
        """
        if usage and isinstance(usage, dict):
            self._usage = usage
        if not self.has_begun:
            self._start(Chunk())
        self._close_all("incomplete")
        self._finish({"status": "failed", "error": error})

    # --- items --------------------------------------------------------------------------------------------------------

    def _start(self, chunk: Chunk) -> None:
        fields: dict[str, Any] = {}
        if isinstance(chunk.created, int | float) and chunk.created and math.isfinite(chunk.created):
            fields["created_at"] = int(chunk.created)
        if chunk.model:
            fields["model"] = chunk.model
        if chunk.service_tier and isinstance(chunk.service_tier, str):
            fields["service_tier"] = chunk.service_tier
        self._open(chunk.id, fields)

    def _said(self, said: Delta, logprobs: Any, *, is_whole: bool) -> None:
        if said.reasoning_details:
            self._details(said.reasoning_details, said.reasoning or said.reasoning_content, is_whole=is_whole)
        elif said.reasoning_content:
            self._thinking("reasoning_content").writer.text(said.reasoning_content)
        elif said.reasoning:
            self._thinking("reasoning").writer.text(said.reasoning)
        if said.extra_content:
            self._signature({"extra_content": said.extra_content})
        content = said.content
        if content:
            if not isinstance(content, str):
                self._parts(content)
            elif (message := self._message) is not None and self._tags is None:
                message.text(content, _tokens(logprobs) if logprobs else None)  # nearly every chunk
            else:
                self._text(content, logprobs)
        if said.refusal:
            self._text_item().refusal(said.refusal)
        if said.annotations and isinstance(said.annotations, list):
            self._annotate(said.annotations)
        if said.tool_calls:
            for part in said.tool_calls:
                self._call_part(part)
        elif said.function_call is not None and (said.function_call.name or said.function_call.arguments):
            self._call_part(ToolCall(index=0, function=said.function_call))
        if said.images or said.audio or said.executed_tools:
            self._media(said)

    # Messages

    def _text(self, text: str, logprobs: Any) -> None:
        if self._tags is None:
            self._text_item().text(text, _tokens(logprobs) if logprobs else None)
        else:
            self._parted(self._tags.feed(text))

    def _parted(self, pieces: list[tuple[bool, str]]) -> None:
        for is_thought, piece in pieces:
            if is_thought:
                self._thinking("think_tags").writer.text(piece)
            else:
                self._text_item().text(piece)

    def _text_item(self) -> MessageWriter:
        if self._message is None:
            self._close_thought()
            self._close_whole_calls()
            self._message = self._out.message({"id": self._item_id("msg")})
            for annotation in self._annotations:
                self._message.annotation(annotation)
            self._annotations = []
        return self._message

    def _parts(self, parts: list[Any]) -> None:
        """Content as a list of parts (Mistral, and hosts that take the Responses API for their model)."""
        for part in parts:
            match part:
                case {"text": str(text)} if part.get("type") in ("text", "output_text", None):
                    if text:
                        self._text(text, None)
                case {"type": "refusal", "refusal": str(text)}:
                    if text:
                        self._text_item().refusal(text)
                case {"type": "reasoning" | "thinking", "text": str(text)}:
                    if text:
                        self._thinking("reasoning").writer.text(text)
                case {"type": "thinking", "thinking": thinking}:
                    thought = self._thinking("content")
                    thought.keep_chunk(part)
                    if text := text_of(thinking):
                        thought.writer.text(text)
                case {"type": "image_url"}:
                    self._image(part)
                case dict():  # a reference to a source, for one
                    self._annotate([part])
                case None:
                    pass
                case _:
                    self._text(str(part), None)

    def _annotate(self, annotations: list[Any]) -> None:
        for found in annotations:
            annotation = found
            if isinstance(found, dict) and isinstance(inner := found.get(str(found.get("type"))), dict):
                annotation = {"type": found["type"], **inner}
            if self._message is not None:
                self._message.annotation(annotation)
            else:
                self._annotations.append(annotation)

    def _close_message(self, status: str = "completed") -> None:
        if self._message is not None:
            self._message.close(status=status)
            self._message = None

    # Reasoning

    def _thinking(self, form: str) -> Thought:
        thought = self._thought
        if thought is None or thought.form != form:
            self._close_thought()
            self._close_message()
            self._close_whole_calls()
            thought = self._thought = Thought(self._out.reasoning({"id": self._item_id("rs")}), form)
        return thought

    def _details(self, details: list[dict[str, Any]], text: str | None, *, is_whole: bool) -> None:
        """OpenRouter's form: entries with text, a summary or ciphertext; `text` says the same once more."""
        thought = self._thinking("reasoning_details")
        is_shown = False
        for entry in details:
            thought.keep_entry(entry, is_whole=is_whole)
            for field, write in (("text", thought.writer.text), ("summary", thought.writer.summary)):
                if isinstance(piece := entry.get(field), str) and piece:
                    write(piece)
                    is_shown = True
        if text and not is_shown:
            thought.writer.text(text)

    def _signature(self, block: dict[str, Any]) -> None:
        """A host's own block that belongs to what comes after it (Gemini's signatures)."""
        self._thinking("extra_content").blocks.append(block)

    def _close_thought(self, status: str = "completed") -> None:
        if self._thought is not None:
            self._thought.close(self._seal, status)
            self._thought = None

    # Calls

    def _call_part(self, part: ToolCall) -> None:
        called = part.custom if part.custom is not None and part.custom.name else part.function or part.custom
        call_id = part.id if part.id and part.id != "null" else ""
        name = (called.name if called else None) or ""
        said = None if called is None else called.input if called is part.custom else called.arguments
        text = said if isinstance(said, str) else "" if said is None else encode(said).decode()
        call = self._call_at(part.index, call_id)
        if call is not None and call.is_another(call_id, name, text):
            self._close_call(call)
            call = None
        if call is None:
            if not (call_id or name or text):
                return
            if part.extra_content:
                self._signature({"extra_content": part.extra_content, "call": True})
            call = self._new_call(part, is_custom=called is part.custom)
        self._last_call = call
        call.hear(call_id, name)
        if text and not call.has_said(text):
            call.early.append(text)
        # A piece without arguments may be followed by more of the name, or by an id.
        if call.writer is None and call.name and (text or (call.call_id and said is not None)):
            self._open_call(call)
        call.write()

    def _call_at(self, index: int | None, call_id: str) -> Call | None:
        if index is not None:
            return self._calls.get(index)
        last = self._last_call
        return None if last is None or last.is_closed or (call_id and last.call_id != call_id) else last

    def _new_call(self, part: ToolCall, is_custom: bool) -> Call:
        if self._tags is not None:
            self._parted(self._tags.finish())
        self._close_thought()
        self._close_message()
        self._close_whole_calls()
        index = part.index if part.index is not None else max(self._calls, default=-1) + 1
        call = self._calls[index] = Call(index, is_custom)
        return call

    def _open_call(self, call: Call) -> None:
        if not call.call_id or call.call_id in self._call_ids:
            call.call_id = f"call_{secrets.token_hex(12)}"
        self._call_ids.add(call.call_id)
        writer = call.writer = self._begin_call(call.name, call.call_id, is_custom=call.is_custom)
        call.is_wrapped = writer.is_custom and not call.is_custom

    def _close_whole_calls(self) -> None:
        for call in [call for call in self._calls.values() if call.is_whole]:
            self._close_call(call)

    def _close_call(self, call: Call, status: str = "completed") -> None:
        if self._calls.get(call.index) is call:
            del self._calls[call.index]
        if call.writer is None:
            if not call.name:
                return  # nothing that could be called
            self._open_call(call)
        call.close(status)

    # Media, and tools that ran at the host

    def _media(self, said: Delta) -> None:
        for image in said.images if isinstance(said.images, list) else ():
            self._image(image)
        for name, value in said.audio.items() if isinstance(said.audio, dict) else ():
            if value:
                is_piece = name in ("data", "transcript")
                self._audio[name] = self._audio.get(name, "") + str(value) if is_piece else value
        if said.executed_tools and isinstance(said.executed_tools, list):
            self._extra.setdefault("executed_tools", []).extend(said.executed_tools)

    def _image(self, image: Any) -> None:
        url = image.get("image_url") if isinstance(image, dict) else image
        url = url.get("url") if isinstance(url, dict) else url
        if not isinstance(url, str):
            return
        self._close_thought()
        self._close_message()
        data = url.partition(";base64,")[2] if url.startswith("data:") else url
        self._out.item(
            {"type": "image_generation_call", "id": self._item_id("ig"), "status": "completed", "result": data}
        )

    # The end

    def _close_all(self, status: str) -> None:
        """Close what is open; only the last item can have been cut."""
        item = "incomplete" if status != "completed" else "completed"
        if self._tags is not None:
            self._parted(self._tags.finish())
        self._close_thought(item)
        if self._annotations:
            self._text_item()
        if self._audio:
            self._text_item().part({"type": "output_audio", **self._audio})
        calls = sorted(self._calls.values(), key=lambda call: call.writer.index if call.writer else len(self._calls))
        self._close_message("completed" if calls else item)
        for call in calls:
            self._close_call(call, item if call is calls[-1] or not call.is_whole else "completed")

    def _finish(self, fields: dict[str, Any]) -> None:
        self.is_done = True
        self._out.end(**{**self._extra, **fields, "usage": usage_of(self._usage)})


def _tokens(logprobs: Any) -> list[Any] | None:
    """Return the probabilities of the text's tokens."""
    found = logprobs.get("content") if isinstance(logprobs, dict) else None
    return found if isinstance(found, list) else None
