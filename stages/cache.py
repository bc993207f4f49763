"""Answer a call again that has been answered before."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..pipeline.api.params import CreateParams
from ..pipeline.api.response import Response
from ..pipeline.api.wire import Raw, encode
from ..pipeline.context import CallContext
from ..pipeline.errors import InvalidParameter, StoreError
from ..pipeline.reply import FROM_CACHE, Outcome, Reply
from ..pipeline.request import Handler, Request, Target
from ..pipeline.secret import Secret
from ..pipeline.signals import CacheHit, CacheMissed, CacheStored
from ..pipeline.stage import Option, Scope, Stage
from ..pipeline.stores.given import ask, masked, store_of
from ..pipeline.stores.memory import MemoryStore
from ..pipeline.stores.store import Store, key_of
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.streams.replay import replay
from ..pipeline.wording import quoted

# They change nothing of what the model says.
_NOT_ASKED_WITH = frozenset(
    {
        "stream",
        "stream_options",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "store",
    }
)

_BYTES = 64 * 1024 * 1024  # of the store in memory


class Cache(Stage, frozen=True):
    """Answer a call again that has been answered before: same host, model and parameters, of the same tenant.

    Only completed responses are kept. A streamed call gets a kept answer as a stream of whole deltas, and a plain one
    what was streamed before. `reply.meta.notes` says "answered from the cache". Calls of a host's conversation and
    background ones pass by.

    Inside Tools, where it belongs, it answers single turns of the model; outside, whole conversations, whose tools
    would not run again.

    A store that fails is as good as an empty one, and `meta.notes` says so.

    Args:
        state_store: a store, its URL, or a function that returns the URL; by default one of 64 MB in this process's
            memory.
        ttl_s: how long an answer is kept, seconds; None until it is forgotten.
    """

    state_store: Any = None
    ttl_s: Annotated[float, Meta(gt=0)] | None = 3600.0

    options = (Option("use_cache", (bool, str), 'False: neither look nor keep; "refresh": ask, and keep the answer'),)
    needs = ("target",)
    sets = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "state_store", masked(self.state_store))

    def setup(self, scope: Scope) -> object:
        return _Kept(store_of(self.state_store, scope) if self.state_store else MemoryStore(total_bytes=_BYTES))

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        use, params = request.options.get("use_cache", True), request.params
        if use not in (True, False, "refresh"):
            raise InvalidParameter(
                f'use_cache is {quoted(use)}; True, False or "refresh" is expected', param="use_cache"
            )
        if not use or not isinstance(params, CreateParams) or request.context.dry:
            return await call_next(request)
        if params.background or params.conversation is not None:
            return await call_next(request)
        kept = request.context.state_of(self, _Kept)
        digest = _digest(request, params)
        if digest is None:
            request.context.note("not cached: the call has something that has no JSON form")
            return await call_next(request)
        if use is True and (found := await kept.find(request, digest)) is not None:
            return EventStream.of(replay(found), request.context) if request.streamed else found
        reply = await call_next(request)
        if isinstance(reply, EventStream):
            await reply.before_end(partial(self._keep_last, request, kept, digest))
        elif isinstance(reply, Response):
            await kept.keep(request, digest, reply, self.ttl_s)
        return reply

    async def _keep_last(self, request: Request, kept: _Kept, digest: str, outcome: Outcome) -> None:
        if outcome.kind == "completed" and outcome.response is not None:
            await kept.keep(request, digest, outcome.response, self.ttl_s)


class _Answer(msgspec.Struct, frozen=True):
    """What is kept: the API's object, and when it came, seconds of the wall clock."""

    at: float
    response: Raw


_read = msgspec.json.Decoder(_Answer).decode


class _Kept:
    """The answers that are kept, each for its tenant."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, request: Request, digest: str) -> Response | None:
        """Return the answer that is kept, and tell whether there is one."""
        context = request.context
        try:
            (entry,) = await ask(self._store, context, self._store.read, [_key(context, digest)])
            answer = _read(entry.value) if entry is not None else None
        except (StoreError, msgspec.DecodeError) as error:
            context.note(f"the cache could not be read: {type(error).__name__}")
            answer = None
        facts: dict[str, Any] = {
            "call_id": context.id,
            "operation": context.operation,
            "at_s": context.runtime.now(),
            "key": digest,
        }
        if answer is None:
            context.emit(CacheMissed(**facts))
            return None
        context.note(FROM_CACHE)
        context.emit(CacheHit(**facts, age_s=max(0.0, time.time() - answer.at)))
        return Response.from_json(bytes(answer.response))

    async def keep(self, request: Request, digest: str, response: Response, ttl_s: float | None) -> None:
        """Keep an answer that is whole."""
        context = request.context
        if response.status not in (None, "completed"):
            return
        value = msgspec.json.encode(_Answer(time.time(), Raw(response.raw)))
        write = partial(self._store.write, _key(context, digest), value, ttl_s=ttl_s)
        try:
            await ask(self._store, context, write)
        except StoreError as error:
            context.note(f"the answer could not be cached: {type(error).__name__}")
            return
        now = context.runtime.now()
        context.emit(CacheStored(call_id=context.id, operation=context.operation, at_s=now, key=digest))


def _key(context: CallContext, digest: str) -> str:
    return key_of(context.tenant, "cache", digest)


def _digest(request: Request, params: CreateParams) -> str | None:
    """Return what calls with the same answer have in common; None for what cannot be compared."""
    target = request.target
    assert isinstance(target, Target)
    given = {
        name: value
        for name in params.__struct_fields__
        if name not in _NOT_ASKED_WITH and (value := getattr(params, name)) is not None
    }
    beside = {name: request.options[name] for name in ("extra_body", "extra_query") if name in request.options}
    headers = [
        (name, value.reveal() if isinstance(value, Secret) else value)
        for name, value in request.options.get("extra_headers", {}).items()
    ]
    try:
        said = encode([target.provider, target.base_url, target.model, target.dialect.name, given, beside, headers])
    except TypeError:
        return None
    return hashlib.sha256(said).hexdigest()
