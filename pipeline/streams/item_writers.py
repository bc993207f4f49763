"""The items of a response that is being made, while they are open: each makes the events of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from ..api import events as ev
from ..api.wire import Raw, encode

if TYPE_CHECKING:
    from .assembler import Assembler

EMPTY_LIST: Final = Raw(b"[]")
Fields: TypeAlias = Mapping[str, Any]


class ItemWriter:
    """One open item."""

    __slots__ = ("_assembler", "fields", "id", "index")

    def __init__(
        self, assembler: Assembler, fields: dict[str, Any], empty: Fields, status: str | None = "in_progress"
    ) -> None:
        self._assembler = assembler
        self.fields = fields
        """What the finished item will have beside its content; may be added to until it is closed."""
        self.id: str = fields.get("id") or ""
        said = {**fields, "status": status} if status else fields
        self.index = assembler.open({**said, **empty})

    def close(self, **fields: Any) -> None:
        """Finish the item; `fields` are added to it."""
        self._assembler.close(self.index, {**self.fields, **self._content(), **fields})

    def _content(self) -> dict[str, Any]:
        return {}


class _Kind(msgspec.Struct, frozen=True):
    """One kind of part: how it is opened, written and closed."""

    part: dict[str, Any]
    text: str  # its field
    place: str  # the field of the events that numbers it
    added: type[ev.Event]
    delta: type[ev.Event]
    said: type[ev.Event]
    done: type[ev.Event]


_TEXT = _Kind(
    {"type": "output_text", "text": "", "annotations": [], "logprobs": []},
    "text",
    "content_index",
    ev.ContentPartAdded,
    ev.OutputTextDelta,
    ev.OutputTextDone,
    ev.ContentPartDone,
)
_REFUSAL = _Kind(
    {"type": "refusal", "refusal": ""},
    "refusal",
    "content_index",
    ev.ContentPartAdded,
    ev.RefusalDelta,
    ev.RefusalDone,
    ev.ContentPartDone,
)
_RAW_REASONING = _Kind(
    {"type": "reasoning_text", "text": ""},
    "text",
    "content_index",
    ev.ContentPartAdded,
    ev.ReasoningTextDelta,
    ev.ReasoningTextDone,
    ev.ContentPartDone,
)
_SUMMARY = _Kind(
    {"type": "summary_text", "text": ""},
    "text",
    "summary_index",
    ev.ReasoningSummaryPartAdded,
    ev.ReasoningSummaryTextDelta,
    ev.ReasoningSummaryTextDone,
    ev.ReasoningSummaryPartDone,
)


class _PartsWriter(ItemWriter):
    """An item that is made of parts, one open at a time."""

    __slots__ = ("_annotations", "_at", "_kind", "_lists", "_logprobs", "_pieces")

    def __init__(self, assembler: Assembler, fields: dict[str, Any], empty: dict[str, list[Any]]) -> None:
        super().__init__(assembler, fields, empty)
        self._lists: dict[str, list[Raw]] = {name: [] for name in empty}
        self._kind: _Kind | None = None
        self._at = 0
        self._pieces: list[str] = []
        self._annotations: list[Any] = []
        self._logprobs: list[Any] = []

    def _write(self, kind: _Kind, delta: str) -> None:
        if kind is not self._kind:
            self._open(kind)
        self._pieces.append(delta)
        self._assembler.add(kind.delta, delta=delta, **self._where(kind))

    def _open(self, kind: _Kind) -> None:
        self.close_part()
        self._kind = kind
        self._at = len(self._list(kind))
        self._assembler.add(kind.added, part_json=Raw(encode(kind.part)), **self._where(kind))

    def close_part(self, part: Fields | None = None) -> None:
        """Close the open part, if there is one; `part` is the whole of it, where it is known."""
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._pieces)
        where, logprobs = self._where(kind), Raw(encode(self._logprobs)) if self._logprobs else EMPTY_LIST
        said = {"logprobs_json": logprobs} if kind is _TEXT else {}
        whole = dict(part) if part is not None else {**kind.part, kind.text: text}
        if part is None and kind is _TEXT:
            whole |= {"annotations": self._annotations, "logprobs": logprobs}
        self._assembler.add_said(kind.said, kind.text, text, **said, **where)
        done = Raw(encode(whole))
        self._assembler.add(kind.done, part_json=done, **where)
        self._list(kind).append(done)
        self._kind = None
        self._pieces, self._annotations, self._logprobs = [], [], []

    def _list(self, kind: _Kind) -> list[Raw]:
        return self._lists.setdefault("summary" if kind is _SUMMARY else "content", [])

    def _where(self, kind: _Kind) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, kind.place: self._at}

    def close(self, **fields: Any) -> None:
        self.close_part()
        super().close(**fields)

    def _content(self) -> dict[str, Any]:
        return self._lists


class MessageWriter(_PartsWriter):
    """An open message."""

    __slots__ = ()

    def text(self, delta: str, logprobs: list[Any] | None = None) -> None:
        """More text, with the API's log probabilities of its tokens."""
        if self._kind is not _TEXT:
            self._open(_TEXT)
        self._pieces.append(delta)
        if logprobs:
            self._logprobs += logprobs
        # The hot path of every stream that is not native.
        assembler = self._assembler
        assembler.events.append(
            ev.OutputTextDelta(
                delta=delta,
                logprobs_json=Raw(encode(logprobs)) if logprobs else EMPTY_LIST,
                item_id=self.id,
                output_index=self.index,
                content_index=self._at,
                sequence_number=assembler.number,
            )
        )
        assembler.number += 1

    def annotation(self, annotation: Any) -> None:
        """An annotation of the text so far."""
        if self._kind is not _TEXT:
            self._open(_TEXT)
        self._assembler.add(
            ev.OutputTextAnnotationAdded,
            annotation_index=len(self._annotations),
            annotation_json=Raw(encode(annotation)),
            **self._where(_TEXT),
        )
        self._annotations.append(annotation)

    def refusal(self, delta: str) -> None:
        """More of a refusal."""
        self._write(_REFUSAL, delta)

    def empty_text(self) -> None:
        """A part without any text, where the host says so."""
        self._open(_TEXT)

    def part(self, part: Fields) -> None:
        """A whole part of any other type."""
        self.close_part()
        parts = self._lists["content"]
        where = {"item_id": self.id, "output_index": self.index, "content_index": len(parts)}
        whole = Raw(encode(part))
        self._assembler.add(ev.ContentPartAdded, part_json=whole, **where)
        self._assembler.add(ev.ContentPartDone, part_json=whole, **where)
        parts.append(whole)


class ReasoningWriter(_PartsWriter):
    """An open reasoning item."""

    __slots__ = ()

    def text(self, delta: str) -> None:
        """More raw reasoning."""
        self._write(_RAW_REASONING, delta)

    def summary(self, delta: str) -> None:
        """More of the current part of the summary; `close_part` begins another one."""
        self._write(_SUMMARY, delta)


class CallWriter(ItemWriter):
    """An open call: a function's JSON arguments, or a custom tool's input."""

    __slots__ = ("_field", "_pieces")

    def __init__(self, assembler: Assembler, fields: dict[str, Any], empty: dict[str, str]) -> None:
        super().__init__(assembler, fields, empty)
        self._field = next(iter(empty))
        self._pieces: list[str] = []

    @property
    def so_far(self) -> str:
        """What was written."""
        return "".join(self._pieces)

    @property
    def is_custom(self) -> bool:
        """Whether it is a custom tool's."""
        return self._field == "input"

    def write(self, delta: str) -> None:
        """More of the arguments or the input."""
        self._pieces.append(delta)
        delta_event = ev.FunctionCallArgumentsDelta if self._field == "arguments" else ev.CustomToolCallInputDelta
        self._assembler.add(delta_event, delta=delta, item_id=self.id, output_index=self.index)

    def close(self, *, said: str | None = None, **fields: Any) -> None:
        """Finish the call; `said` is the whole text where nothing of it was written."""
        text = self.so_far if said is None else said
        where: dict[str, Any] = {"item_id": self.id, "output_index": self.index}
        if self._field == "arguments":
            name = self.fields.get("name")
            self._assembler.add_said(ev.FunctionCallArgumentsDone, "arguments", text, name=name, **where)
        else:
            self._assembler.add_said(ev.CustomToolCallInputDone, "input", text, **where)
        super().close(**{self._field: text}, **fields)


class HostedWriter(ItemWriter):
    """An open call of a tool that runs at the host."""

    __slots__ = ()

    def tell(self, step: type[ev.ItemEvent], **fields: Any) -> None:
        """Say how far it is, by the event of that step and its own fields."""
        self._assembler.add(step, item_id=self.id, output_index=self.index, **fields)
