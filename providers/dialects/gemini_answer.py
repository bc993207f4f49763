"""What generateContent says, as events: one state machine for streams and for plain answers.

Theory of operation. Parts come one after the other and at most one item is open: a message, a reasoning item (the
thoughts that are shown, which are summaries), or a step of the host's own tools that still waits for its result. A part
of another kind closes it. Calls come whole.

Signatures belong to the part that they came with, and go back on it. An item of the API has no place for one, so it is
sealed into `encrypted_content` of the reasoning item before: the thoughts themselves, or one with an empty summary. Its
blocks, in order, are

    {"attach": "next", "thoughtSignature": ...}                           of the item that follows, a call or an image
    {"attach": "next", "length": n, ...}                                  of the first n characters of the next text
    {"attach": "previous", "start": at, "length": n, ...}                 of a piece of the text before
    {"part": {...}}                                                       a whole part that has no item of its own

The last but one is for text that is signed when its message is open already; such a reasoning item follows the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...pipeline.streams.item_writers import MessageWriter, ReasoningWriter
from .answer import Answer
from .envelope import Seal
from .gemini_args import PartialCall
from .gemini_grounding import annotations_of, logprobs_of, queries_of
from .gemini_steps import Steps
from .gemini_usage import end_of, reason_of, tier_of, usage_of
from .gemini_wire import Candidate, Chunk
from .named_tools import ToolName
from .values import json_text

Block: TypeAlias = dict[str, Any]


class GeminiAnswer(Answer):
    """Told what chunks say, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        seal: how the host's own form is kept.
        names: functions on the wire that stand for other tools.
        token: part of all ids that are made here.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        seal: Seal,
        names: Mapping[str, ToolName] | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(fields, names, token)
        self._seal = seal
        self._message: MessageWriter | None = None
        self._text: list[str] = []  # of the open message
        self._is_said = False  # the open message ends with a signature, and only waits for its annotations
        self._after: list[Block] = []  # what follows the open message
        self._cited: set[str] = set()
        self._thought: ReasoningWriter | None = None
        self._thought_blocks: list[Block] = []
        self._steps = Steps()
        self._has_searched = False
        self._queries: list[str] = []  # that were not told yet
        self._partial: PartialCall | None = None
        self._call_ids: set[str] = set()
        self._usage: dict[str, Any] | None = None
        self._block_reason: str | None = None
        self.finish_reason: str | None = None

    # --- being told ---------------------------------------------------------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends; chunks may still follow."""
        return self.finish_reason is not None or self._block_reason is not None

    def hear(self, chunk: Chunk) -> None:
        """Take note of a chunk."""
        if chunk.usageMetadata:
            self._usage = chunk.usageMetadata  # it comes with every chunk; the last one counts
        if not self.has_begun:
            if not chunk.is_answer:
                return
            self._start(chunk)
        if chunk.promptFeedback:
            self._extra["promptFeedback"] = chunk.promptFeedback
            reason = chunk.promptFeedback.get("blockReason")
            self._block_reason = None if reason is None else str(reason)
        for candidate in chunk.candidates or ():
            if not candidate.index:  # a response has no place for a further answer to the same question
                self._hear(candidate)

    def end(self) -> None:
        """The answer is over."""
        if not self.has_begun:
            self._start(Chunk())
        blocked = self._block_reason is not None and self.finish_reason is None
        end = end_of("SAFETY" if blocked else self.finish_reason)
        if not self._items and self._partial is None and end.status == "completed":
            self._open_message().empty_text()
        self._close_all("completed" if end.status == "completed" else "incomplete")
        fields: dict[str, Any] = {"status": end.status}
        if end.reason is not None:
            fields["incomplete_details"] = {"reason": end.reason}
        if end.status == "failed":
            said = self._extra.get("finishMessage")
            message = f"the model stopped: {self.finish_reason}" + (f" ({said})" if said else "")
            fields["error"] = {"code": "server_error", "message": message}
        self._finish(fields)

    def fail(self, code: str | None, message: str) -> None:
        """The host reported an error inside the answer."""
        if not self.has_begun:
            self._start(Chunk())
        self._close_all("incomplete")
        self._finish({"status": "failed", "error": {"code": code or "server_error", "message": message}})

    # --- the response -------------------------------------------------------------------------------------------------

    def _start(self, chunk: Chunk) -> None:
        fields: dict[str, Any] = {}
        if chunk.modelVersion:
            fields["model"] = chunk.modelVersion
        self._open(chunk.responseId, fields)

    def _hear(self, candidate: Candidate) -> None:
        grounding = candidate.groundingMetadata
        if found := queries_of(grounding):
            self._queries = found
            if self._message is None and not self._items:
                self._tell_queries()  # a search stands before the text, where it is known in time
        logprobs = logprobs_of(candidate.logprobsResult)
        for part in (candidate.content.parts if candidate.content else None) or ():
            if self._hear_part(part, logprobs):
                logprobs = None
        if grounding and self._message is not None:
            self._annotate(self._message, grounding)
        self._extra.update(candidate.own_fields())
        if candidate.finishReason:
            self.finish_reason = reason_of(candidate.finishReason)

    def _hear_part(self, part: dict[str, Any], logprobs: list[Any] | None) -> bool:
        """Take note of a part; tell whether it was text, which log probabilities are of."""
        signature = part.get("thoughtSignature")
        text = part.get("text")
        if part.get("thought"):
            self._think(text if isinstance(text, str) else "", signature)
        elif isinstance(text, str):
            self._say(text, signature, logprobs)
            return bool(text)
        elif isinstance(call := part.get("functionCall"), dict):
            self._call(call, signature)
        elif isinstance(data := part.get("inlineData"), dict):
            self._media(data, signature)
        elif not Steps.has(part):
            self._keep_part(part)
        elif self._steps.add(part, self._before):
            self._close_steps()
        return False

    # --- reasoning ----------------------------------------------------------------------------------------------------

    def _think(self, text: str, signature: str | None) -> None:
        if self._thought is None:
            self._close_others()
            self._thought = self._out.reasoning({"id": self._item_id("rs")})
        if text:
            self._thought.summary(text)
        if signature:  # thoughts do not go back, their signature does
            self._thought_blocks.append({"part": {"text": "", "thought": True, "thoughtSignature": signature}})

    def _before(self, *blocks: Block) -> None:
        """Close what is open, and keep what belongs to the item that comes next."""
        self._close_others()
        self._keep(blocks)

    def _keep(self, blocks: tuple[Block, ...], status: str = "completed") -> None:
        """Close the thoughts with these blocks, or make an item for them."""
        writer = self._thought
        if writer is None and blocks:
            writer = self._out.reasoning({"id": self._item_id("rs")})
        if writer is not None:
            writer.close(encrypted_content=self._seal((*self._thought_blocks, *blocks)), status=status)
        self._thought, self._thought_blocks = None, []

    def _keep_part(self, part: dict[str, Any]) -> None:
        """Keep a part that no item can hold."""
        if self._message is not None:
            self._after.append({"part": part})
            self._is_said = True
        else:
            self._before({"part": part})

    # --- messages -----------------------------------------------------------------------------------------------------

    def _say(self, text: str, signature: str | None, logprobs: list[Any] | None) -> None:
        if not text:
            if signature:
                self._keep_part({"text": "", "thoughtSignature": signature})
            return
        signed: Block = {"thoughtSignature": signature, "length": len(text)}
        if self._message is None or self._is_said:
            self._before(*([{"attach": "next", **signed}] if signature else ()))
            self._open_message()
        elif signature:
            self._after.append({"attach": "previous", "start": sum(map(len, self._text)), **signed})
        assert self._message is not None
        self._text.append(text)
        self._message.text(text, logprobs)

    def _open_message(self) -> MessageWriter:
        self._message = self._out.message({"id": self._item_id("msg")})
        return self._message

    def _annotate(self, message: MessageWriter, grounding: dict[str, Any]) -> None:
        for annotation in annotations_of(grounding, "".join(self._text)):
            if (known := json_text(annotation)) not in self._cited:
                self._cited.add(known)
                message.annotation(annotation)

    def _close_message(self, status: str = "completed") -> None:
        if self._message is None:
            return
        self._message.close(status=status)
        blocks = tuple(self._after)
        self._message, self._is_said = None, False
        self._text, self._after, self._cited = [], [], set()
        self._keep(blocks)

    # --- calls, media, tools that ran at the host ---------------------------------------------------------------------

    def _call(self, call: dict[str, Any], signature: str | None) -> None:
        if self._partial is not None or call.get("willContinue"):
            self._partial = self._partial or PartialCall(call, signature)
            if not self._partial.add(call):
                return
            call, signature, self._partial = self._partial.whole, self._partial.signature, None
        self._tell_call(call, signature)

    def _tell_call(self, call: dict[str, Any], signature: str | None, status: str = "completed") -> None:
        name, args = str(call.get("name") or ""), call.get("args") or {}
        if not name:
            return
        self._before(*([{"attach": "next", "thoughtSignature": signature}] if signature else ()))
        call_id = call.get("id")
        if not isinstance(call_id, str) or not call_id or call_id in self._call_ids:
            call_id = f"call_{self._token}{self._items:04d}"
        self._call_ids.add(call_id)
        writer = self._begin_call(name, call_id)
        said = args.get("input") if writer.is_custom and isinstance(args, dict) else None
        text = said if isinstance(said, str) else json_text(args)
        if text:
            writer.write(text)
        writer.close(status=status)

    def _media(self, data: dict[str, Any], signature: str | None) -> None:
        kind, _, form = str(data.get("mimeType") or "").partition("/")
        if kind == "image":
            self._before(*([{"attach": "next", "thoughtSignature": signature}] if signature else ()))
            image = {"result": data.get("data"), "output_format": form, "status": "completed"}
            self._out.item({"type": "image_generation_call", "id": self._item_id("ig"), **image})
            return
        if self._message is None or self._is_said:
            self._before()
            self._open_message()
        assert self._message is not None
        self._message.part({"type": f"output_{kind or 'data'}", "data": data.get("data"), "format": form})

    def _close_steps(self) -> None:
        steps = self._steps.take()
        if not steps.parts:
            return
        self._keep(tuple([{"part": part} for part in steps.parts]))
        for item in steps.items:
            prefix = {"code_interpreter_call": "ci", "web_search_call": "ws"}.get(item["type"], "fs")
            self._has_searched = self._has_searched or prefix == "ws"
            self._out.item({**item, "id": self._item_id(prefix)})

    def _tell_queries(self) -> None:
        if not self._has_searched:
            self._has_searched = True
            action = {"type": "search", "query": self._queries[0], "queries": self._queries}
            item = {"type": "web_search_call", "status": "completed", "action": action}
            self._out.item({**item, "id": self._item_id("ws")})
        self._queries = []

    # --- the end ------------------------------------------------------------------------------------------------------

    def _close_others(self) -> None:
        """Close what is open but thoughts."""
        self._close_message()
        self._close_steps()

    def _close_all(self, status: str) -> None:
        """Close what is open; only the last item can have been cut."""
        if (partial := self._partial) is not None:
            self._partial = None
            self._tell_call(partial.whole, partial.signature, status)
        self._close_steps()
        self._close_message(status)
        self._keep((), status)
        if self._queries:
            self._tell_queries()

    def _finish(self, fields: dict[str, Any]) -> None:
        self.is_done = True
        if tier := tier_of(self._usage):
            fields["service_tier"] = tier
        self._out.end(**{**self._extra, **fields, "usage": usage_of(self._usage)})
