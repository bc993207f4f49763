"""Keep personal data and secrets from the host."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from ..pipeline.api import events as ev
from ..pipeline.api.params import NAMES
from ..pipeline.api.response import CompactedResponse, Response
from ..pipeline.api.wire import Raw, encode, loads
from ..pipeline.context import CallContext
from ..pipeline.errors import AntiphonError, InvalidParameter, StageError, did_you_mean
from ..pipeline.personal_data import KINDS, Finder, by_pattern
from ..pipeline.placeholders import Moves, Placeholders
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.wording import quoted


class Redact(Stage, frozen=True):
    """Put placeholders in the place of personal data and secrets before anything is sent, and the values back after.

    It stands inside ParseOutput, which reads answers as they are shown. Inside Tools, where it belongs, it also sees
    what tools gave back, and their arguments before they run; outside, tools get placeholders, and their results go to
    the host as they are. Inside Remember it sees whole conversations, and what is kept holds the values. What a call
    has hidden is counted in `meta.notes`; values are in no log or error.

    Args:
        kinds: which of the known kinds are hidden: "email", "phone", "card", "iban", "ip", "key"
            (`pipeline/personal_data.py` says what each finds).
        patterns: further kinds by regular expressions, e.g. {"customer": r"\\bC-\\d{6}\\b"}. They run on text that
            strangers may have written: a pattern with a repeat inside a repeat can take for ever.
        finders: further kinds by functions that take a text and return spans, e.g. [(0, 5)].
        restore: put the values back into the answer, in streams too.
        restore_arguments: also into the arguments of tools, before they run.
        params: parameters that are looked through; others go out as they are ("metadata", "tools", "user" …).
        key_env: environment variable with the key of the placeholders. Without one a client makes its own, and a value
            has another placeholder in another process.

    Raises:
        StageError: when the chain is first run, for a kind or parameter that is none.
        InvalidParameter: a value that has no JSON form, in which nothing could be found.
    """

    kinds: tuple[str, ...] = tuple(KINDS)
    patterns: dict[str, str] = msgspec.field(default_factory=dict)
    finders: dict[str, Callable[[str], Iterable[tuple[int, int]]]] = msgspec.field(default_factory=dict)
    restore: bool = True
    restore_arguments: bool = False
    params: tuple[str, ...] = ("input", "instructions", "prompt")
    key_env: str = "ANTIPHON_REDACT_KEY"

    sets = ()

    def setup(self, scope: Scope) -> object:
        for what, names, known in (("kinds", self.kinds, list(KINDS)), ("params", self.params, NAMES["create"])):
            for name in names:
                if name not in known:
                    raise StageError(
                        f'stage Redact: {what} has "{name}", which is not known{did_you_mean(name, known)}',
                        hint=f"known: {', '.join(known)}",
                    )
        found: list[tuple[str, Finder]] = [(kind, KINDS[kind]) for kind in self.kinds]
        for kind, pattern in self.patterns.items():
            try:
                found.append((kind, by_pattern(pattern)))
            except re.error as error:
                raise StageError(
                    f'stage Redact: patterns["{kind}"] is {quoted(pattern)}, which is no regular expression: {error}'
                ) from error
        key = os.environ.get(self.key_env, "").encode()
        return _Secrets(key or os.urandom(32), [*found, *self.finders.items()])

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        names = [name for name in self.params if request.param(name) is not None]
        if not names:
            return await call_next(request)
        placeholders = self._placeholders(request.context)
        given = {name: request.param(name) for name in names}
        try:
            hidden = {name: placeholders.hidden_in(value) for name, value in given.items()}
        except (TypeError, RecursionError) as error:
            raise InvalidParameter(f"the call cannot be looked through: {error}", param=", ".join(names)) from error
        if changed := {name: value for name, value in hidden.items() if value is not given[name]}:
            request = request.with_params(**changed)
            _report(request.context, placeholders)
        if not self.restore or not placeholders:
            return await call_next(request)
        try:
            reply = await call_next(request)
        except AntiphonError as error:
            if error.response is not None:
                error.response = self._restored(error.response, placeholders)
            raise
        if isinstance(reply, EventStream):
            return reply.translated(_Restored(placeholders, arguments=self.restore_arguments).translate)
        return self._restored(reply, placeholders) if isinstance(reply, Response | CompactedResponse) else reply

    def _placeholders(self, context: CallContext) -> Placeholders:
        """Return those of the call: all its rounds and attempts have the same."""
        secrets = context.state_of(self, _Secrets)
        with context.lock:
            found = context.scratch.setdefault(("redact", id(self)), Placeholders(secrets.key, secrets.finders))
        assert isinstance(found, Placeholders)
        return found

    def _restored(self, reply: Any, placeholders: Placeholders) -> Any:
        if not placeholders.is_in(reply.raw):
            return reply
        shown = placeholders.shown_in(reply.to_dict(), arguments=self.restore_arguments)
        return type(reply).from_json(encode(shown)).with_facts(reply.facts)


class _Secrets:
    """The key and the finders of one position in a chain."""

    __slots__ = ("finders", "key")

    def __init__(self, key: bytes, finders: list[tuple[str, Finder]]) -> None:
        self.key = key
        self.finders = finders


def _report(context: CallContext, placeholders: Placeholders) -> None:
    """Say in the call's notes how much was hidden so far, in one sentence however many rounds there are."""
    beginning = "redacted: "
    said = ", ".join(f"{count} {kind}" for kind, count in placeholders.counts.items())
    with context.lock:
        context.notes[:] = [note for note in context.notes if not note.startswith(beginning)]
    context.note(beginning + said)


# --- streams ----------------------------------------------------------------------------------------------------------

_DONE: Final[dict[type[ev.Event], type[ev.Event]]] = {
    ev.OutputTextDone: ev.OutputTextDelta,
    ev.RefusalDone: ev.RefusalDelta,
    ev.ReasoningTextDone: ev.ReasoningTextDelta,
    ev.ReasoningSummaryTextDone: ev.ReasoningSummaryTextDelta,
    ev.FunctionCallArgumentsDone: ev.FunctionCallArgumentsDelta,
    ev.CustomToolCallInputDone: ev.CustomToolCallInputDelta,
    ev.McpCallArgumentsDone: ev.McpCallArgumentsDelta,
    ev.CodeInterpreterCallCodeDone: ev.CodeInterpreterCallCodeDelta,
}
_DELTAS: Final = frozenset(_DONE.values())
_JSON: Final = frozenset({ev.FunctionCallArgumentsDelta, ev.McpCallArgumentsDelta})
_FOR_TOOLS: Final = frozenset({ev.FunctionCallArgumentsDelta, ev.CustomToolCallInputDelta})
_PLACES: Final = ("item_id", "output_index", "content_index", "summary_index")


class _Restored:
    """The events of a stream with the values in them. The beginning of a placeholder waits for its end."""

    __slots__ = ("_arguments", "_held", "_moves", "_number", "_placeholders", "_resume_after")

    def __init__(self, placeholders: Placeholders, *, arguments: bool) -> None:
        self._placeholders = placeholders
        self._arguments = arguments
        self._held: dict[tuple[object, ...], str] = {}  # by kind of text and place
        self._moves: dict[tuple[object, ...], Moves] = {}  # the same, of texts with annotations
        self._number = self._resume_after = -1  # of the event before

    def translate(self, event: Any) -> list[ev.Event]:
        """Return the events that stand for this one, numbered on."""
        kind = event.__class__
        if self._number < 0:
            self._number = event.sequence_number - 1
        if kind in _FOR_TOOLS and not self._arguments:
            return [self._numbered(event)]
        if kind in _DELTAS:
            return self._delta(event)
        if kind is ev.OutputTextAnnotationAdded:
            return [self._numbered(self._moved(event))]
        before = self._rest(event, _DONE[kind]) if kind in _DONE else []
        if self._placeholders.is_in(event.raw):
            event = self._whole(event)
        return [*before, self._numbered(event)]

    def _delta(self, event: Any) -> list[ev.Event]:
        place, text = _place(event.__class__, event), event.delta
        moves = self._moves.setdefault(place, Moves()) if event.__class__ is ev.OutputTextDelta else None
        if "[" not in text and place not in self._held:  # most events of a stream
            if moves is not None:
                moves.length += len(text)
            return [self._numbered(event)]
        text = self._held.pop(place, "") + text
        cut = self._placeholders.cut(text)
        if text[cut:]:
            self._held[place] = text[cut:]
        shown = self._placeholders.shown(text[:cut], in_json=event.__class__ in _JSON, moves=moves)
        if not shown and not getattr(event, "logprobs", None):
            return []
        return [self._numbered(event if shown == event.delta else event.replace(delta=shown))]

    def _rest(self, event: Any, kind: Any) -> list[ev.Event]:
        """Return what waited for more of a text that has ended: it was no placeholder."""
        text = self._held.pop(_place(kind, event), "")
        if not text:
            return []
        where: dict[str, Any] = {name: found for name in _PLACES if (found := getattr(event, name, None)) is not None}
        if kind is ev.OutputTextDelta:
            where["logprobs_json"] = Raw(b"[]")
        self._number += 1
        filled_in = kind(delta=text, **where)
        return [filled_in.renumbered(self._number, resume_after=self._resume_after, original=None)]

    def _moved(self, event: Any) -> ev.Event:
        """Return an annotation's event with its positions in the text as it is shown."""
        moves = self._moves.get(_place(ev.OutputTextDelta, event))
        fields = loads(event.raw)
        annotation = self._placeholders.shown_in(fields.get("annotation"), arguments=self._arguments)
        changed = annotation if moves is None else moves.moved(annotation)
        replaced: ev.Event = event if changed == fields.get("annotation") else event.replace(annotation=changed)
        return replaced

    def _whole(self, event: Any) -> ev.Event:
        """Return an event that says a whole text, item or response with the values in it."""
        shown = self._placeholders.shown_in(loads(event.raw), arguments=self._arguments)
        if isinstance(event, ev.LifecycleEvent):
            response = Response.from_json(encode(shown["response"])).with_facts(event.response.facts)
            return event.replace(response=response)
        changed: ev.Event = event.replace(**{name: value for name, value in shown.items() if name != "type"})
        return changed

    def _numbered(self, event: ev.Event) -> ev.Event:
        self._number += 1
        self._resume_after = event.resume_after
        return event if event.sequence_number == self._number else event.replace(sequence_number=self._number)


def _place(kind: type[ev.Event], event: Any) -> tuple[object, ...]:
    return (kind, *(getattr(event, name, None) for name in _PLACES))
