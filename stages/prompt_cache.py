"""Have the host keep the beginning of a prompt for the next call."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from functools import partial
from typing import Final, Literal

from msgspec.structs import replace

from ..pipeline.api.response import Response
from ..pipeline.api.wire import merge
from ..pipeline.context import CallContext
from ..pipeline.reply import Outcome, Reply
from ..pipeline.request import Handler, Request, Target
from ..pipeline.stage import Scope, Stage
from ..pipeline.streams.event_stream import EventStream
from ..providers.cache_marks import KEYED, Prompt, key_of_prompt, marker_of


class PromptCache(Stage, frozen=True):
    """Have the host keep the beginning of a prompt, so that the next call with it is cheaper and answered sooner.

    It works on what is sent, inside Transform, and changes nothing of what the model reads:

    - Claude by Anthropic's API and by Converse, Nova by Converse: marks behind tools, instructions, and the last two
      questions of a conversation;
    - OpenAI, Azure, Mistral, xAI: a `prompt_cache_key` that calls with the same instructions and tools share;
    - Gemini and most others keep prompts by themselves; they get nothing.

    A prompt that is shorter than what the model keeps is left alone, and so is every call that has marks or a cache key
    of its own. `usage.input_tokens_details` says what was read and written; so does `meta.notes`.

    Args:
        mark: "auto", or "beginning" for tools and instructions only, where conversations are short.
        keep: "short" is the host's usual time, some minutes; "long" an hour, at Claude, for twice the price of writing.
    """

    mark: Literal["auto", "beginning"] = "auto"
    keep: Literal["short", "long"] = "short"

    needs = ("target", "wire")
    sets = ()

    def setup(self, scope: Scope) -> object:
        return _Beginnings()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        target, wire = request.target, request.wire
        if request.operation != "create" or target is None or wire is None or wire.body is None:
            return await call_next(request)
        body = self._marked(request.context, target, wire.body)
        if body is not wire.body:
            request = request.replace(wire=replace(wire, body=body))
        reply = await call_next(request)
        if isinstance(reply, EventStream):
            reply.on_end(partial(_tell, request.context))
        elif isinstance(reply, Response):
            _tell(request.context, Outcome.of_response(reply))
        return reply

    def _marked(self, context: CallContext, target: Target, body: bytes) -> bytes:
        if _OWN.search(body):
            return body
        beginnings, dialect = context.state_of(self, _Beginnings), target.dialect.name
        if (marker := marker_of(dialect, target.model)) is not None:
            prompt = Prompt(body, marker)
            return prompt.marked(
                beginning=bool(prompt.beginning) and beginnings.may_return(prompt.beginning),
                conversation=self.mark == "auto",
                ttl="1h" if self.keep == "long" else "",
            )
        if dialect in ("responses", "chat") and target.provider in KEYED and _KEY not in target.unsupported:
            key = key_of_prompt(body, context.tenant)
            return body if key is None else merge(body, {_KEY: key})
        return body


_KEY: Final = "prompt_cache_key"
# Names of fields: inside a text their quotes would be escaped.
_OWN: Final = re.compile(rb'(?<!\\)"(?:cache_control|cachePoint|prompt_cache_\w+)"\s*:')
_TRIES: Final = 4
_MANY: Final = 256


class _Beginnings:
    """Which beginnings were seen lately: one that is new each time, with a date in it perhaps, is not worth a mark."""

    __slots__ = ("_lock", "_new", "_seen")

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._new = 0  # so many in a row
        self._lock = threading.Lock()

    def may_return(self, beginning: str) -> bool:
        """Note a beginning; tell whether it has come before, or others have."""
        with self._lock:
            if beginning in self._seen:
                self._seen.move_to_end(beginning)
                self._new = 0
                return True
            self._seen[beginning] = None
            if len(self._seen) > _MANY:
                self._seen.popitem(last=False)
            self._new += 1
            return self._new <= _TRIES


def _tell(context: CallContext, outcome: Outcome) -> None:
    """Note what the host read from its cache and wrote there."""
    usage = outcome.usage
    if usage is None:
        return
    details = usage.input_tokens_details
    read, written = details.cached_tokens, details.cache_write_tokens
    if read or written:
        context.note(f"prompt cache: {read:,} of {usage.input_tokens:,} input tokens read, {written:,} written")
