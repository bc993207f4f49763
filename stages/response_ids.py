"""Response ids that say where the response is kept."""

from __future__ import annotations

import os
from typing import TypeVar

from ..pipeline.api import events as ev
from ..pipeline.api.response import DeletedResponse, Response
from ..pipeline.api.returned import Returned
from ..pipeline.errors import AntiphonError, InvalidParameter
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..pipeline.streams.event_stream import EventStream
from ..providers import catalog
from ..providers.response_ids import (
    GIVEN,
    GivenId,
    ResponseId,
    decode_id,
    deployment_of,
    encode_id,
    key_of_tenant,
)

_WITH_ID = (Response, DeletedResponse)
_LIFECYCLE: frozenset[type[ev.Event]] = frozenset(
    {*ev.TERMINAL, ev.ResponseCreated, ev.ResponseQueued, ev.ResponseInProgress}
)
R = TypeVar("R", bound=Returned)


class ResponseIds(Stage, frozen=True):
    """Hand out ids that carry their provider, and send hosts their own ids.

    Stages before this one see public ids, stages after it the hosts'. With public ids `get_responses(id)` and its
    siblings need no provider, and a `previous_response_id` of another provider never reaches a host: Remember has what
    it stands for, or the call is refused. Ids that LiteLLM encoded are read too; any other id stays as it is.

    Args:
        key_env: environment variable with the key that signs ids, read when a client first runs the chain. When it is
            set, an id that names a provider must have its signature, LiteLLM's are refused, and so a caller cannot
            choose a provider by writing an id, nor one tenant use what another was given. A host's own id names no
            provider and passes.

    Raises:
        InvalidParameter: an id that is damaged, wrongly signed, or of another provider than the call names.
    """

    key_env: str = "ANTIPHON_ID_KEY"

    sets = ()

    def setup(self, scope: Scope) -> object:
        value = os.environ.get(self.key_env)
        return _Key(value.encode() if value else None)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        key = request.context.state_of(self, _Key).of(request.context.tenant)
        request = _inbound(request, key)
        try:
            reply = await call_next(request)
        except AntiphonError as error:
            if error.response is not None:
                error.response = _public(error.response, request, key)
            raise
        if isinstance(reply, EventStream):
            seen: dict[str, str] = {}
            return reply.map(lambda event: _public_event(event, request, key, seen), _LIFECYCLE)
        if isinstance(reply, _WITH_ID):
            return _public(reply, request, key)
        return reply


class _Key:
    """The signing key, read when a client first runs the chain."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def of(self, tenant: str | None) -> bytes | None:
        """Return the key of one tenant's ids; None where ids are not signed."""
        return self._value if self._value is None or tenant is None else key_of_tenant(self._value, tenant)


def _inbound(request: Request, key: bytes | None) -> Request:
    """Put the host's own ids in place of public ones, and take the provider from them where the call names none."""
    params = request.params
    for name in ("response_id", "previous_response_id"):
        public = getattr(params, name, None)
        if not public or not isinstance(public, str):
            continue
        found = decode_id(public, key)
        if found.upstream != public:
            request = _agreed(request, found, name, public).with_params(**{name: found.upstream})
    return request


def _agreed(request: Request, found: ResponseId, name: str, public: str) -> Request:
    """Say what the id says to the stages that know the target; a call without a model goes where its id leads."""
    if found.provider is None:
        return request
    provider = catalog.find(found.provider).name
    given = {GIVEN: GivenId(public, provider, found.deployment, found.upstream)}
    if hasattr(request.params, "model"):
        return request.with_options(**given)
    named = request.options.get("custom_llm_provider")
    if named is not None and catalog.find(named).name != provider:
        raise InvalidParameter(
            f"{name} belongs to {found.provider}, and the call goes to {named}",
            param=name,
            hint="leave out custom_llm_provider, since the id names the provider that keeps the response",
        )
    return request.with_options(custom_llm_provider=provider, **given)


def _public(reply: R, request: Request, key: bytes | None, seen: dict[str, str] | None = None) -> R:
    """Return the response with public ids.

    Args:
        seen: those that a stream has shown: they stay, though it may go on with another target's answer.
    """
    target = request.context.target
    if target is None:
        return reply
    deployment = deployment_of(target.base_url, catalog.find(target.provider).base_url)
    ids: dict[str, str] = {}
    for name in ("id", "previous_response_id"):
        upstream = getattr(reply, name, None)
        if upstream:
            public = None if seen is None else seen.get(upstream)
            if public is None:
                public = encode_id(upstream, target.provider, deployment, key)
                if seen is not None:
                    seen[upstream] = public
            ids[name] = public
    return reply.with_scalars(**ids) if ids else reply


def _public_event(event: ev.Event, request: Request, key: bytes | None, seen: dict[str, str]) -> ev.Event | None:
    if not isinstance(event, ev.LifecycleEvent):
        return None
    return event.replace(response=_public(event.response, request, key, seen))
