"""Decide whom the call goes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec.structs import force_setattr, replace

from ..pipeline.api.params import CreateParams
from ..pipeline.api.response import Response
from ..pipeline.errors import InvalidModel, InvalidParameter, did_you_mean
from ..pipeline.http import Transport
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request, Target
from ..pipeline.secret import FromEnv, Secret
from ..pipeline.stage import Option, Scope, Stage
from ..providers import catalog
from ..providers.addresses import clean_base
from ..providers.azure_versions import find_version, versioned
from ..providers.credentials import Access, Logins, cloud_options, find_access, find_headers, sent_as
from ..providers.dialect_choice import Choice, choose_dialect, is_fixed
from ..providers.dialects import DIALECTS
from ..providers.found_targets import Environment, Found, FoundTargets
from ..providers.profiles import Profile, profile_of
from ..providers.response_ids import ELSEWHERE, GIVEN, RESOLVE, GivenId, deployment_of, is_kept, refused
from ..providers.rows import Provider
from ..providers.scripted import ScriptedHost, echo_host

if TYPE_CHECKING:
    from ..providers.local_model import LocalModels


_CLOUD_OPTIONS = frozenset(
    {
        *("api_version", "azure_ad_token", "azure_ad_token_provider"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_profile_name", "aws_region_name"),
        *("vertex_project", "vertex_location", "vertex_credentials"),
    }
)
"""Call options that the rows of one cloud read."""

_WITH_MODEL = frozenset({"create", "compact", "count_input_tokens"})


class Resolve(Stage, frozen=True):
    """Read provider and model from the call, and find address, key and dialect.

    Stages after it see `request.target`. "local/..." starts the model on this machine once per client. A key that is a
    function is not called here but by Dispatch, at every attempt.

    Calls that the host does not serve go on too, since a stage may serve them; Transform refuses those that reach it. A
    call on a response that is kept in a store of this library goes on without a target: nobody is asked.

    Args:
        keys: what the call option `api_key` may be, by provider, for calls that bring none: {"azure": get_token}, or
            {"groq": {"env": "MY_KEY"}} for the value of a variable. Such a key goes to its provider's own host only,
            or to the one that its address variable names.

    Raises:
        InvalidModel, UnknownProvider: the model string leads nowhere.
        MissingKey: the host needs a key and there is none.
        MissingExtra: a local model whose packages are not installed.
    """

    options = (
        Option("api_key", (object,), "the key, a function that returns it, or a cloud's credentials", secret=True),
        Option("api_base", (str,), "the host's address, e.g. https://host/v1"),
        Option("base_url", (str,), "the same, by OpenAI's name"),
        Option("custom_llm_provider", (str,), "the provider, when the model string does not name it"),
        Option(
            "mock_response",
            (str, Mapping, Response, Exception),
            "answer this instead of asking the host: text, fields of a response, a Response, or an exception to raise",
        ),
        Option("dialect", (str,), "API format to speak, instead of the one the provider's row prefers"),
        Option("api_version", (str,), "Azure's API version, for hosts that do not serve its v1 form"),
        Option("azure_ad_token", (str, Secret), "a token of Microsoft Entra for Azure", secret=True),
        Option("azure_ad_token_provider", (Callable,), "a function that returns such a token"),  # type: ignore[arg-type]
        Option("aws_access_key_id", (str, Secret), "AWS credentials, with the next", secret=True),
        Option("aws_secret_access_key", (str, Secret), "AWS credentials", secret=True),
        Option("aws_session_token", (str, Secret), "of temporary AWS credentials", secret=True),
        Option("aws_profile_name", (str,), "a profile of AWS's own files"),
        Option("aws_region_name", (str,), "the region of AWS that is asked"),
        Option("vertex_project", (str,), "the project of Google Cloud"),
        Option("vertex_location", (str,), "the region of Google Cloud that is asked"),
        Option("vertex_credentials", (object,), "a key file's path or JSON, or google-auth's credentials", secret=True),
    )
    sets = ("target",)

    keys: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        force_setattr(self, "keys", {name: _kept(key) for name, key in self.keys.items()})

    def setup(self, scope: Scope) -> object:
        for name in self.keys:
            catalog.find(name)
        return _Surroundings(scope)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.operation not in _WITH_MODEL and is_kept(request.param("response_id")):
            request.context.scratch[RESOLVE] = self._resolved
            return await call_next(request)
        return await call_next(await self._resolved(request))

    async def _resolved(self, request: Request) -> Request:
        context = request.context
        around = context.state_of(self, _Surroundings)
        key = request.options.get("api_key")
        said = None if self.keys else _said(request, key)
        found = None if said is None else around.targets.get(said)
        if found is None:
            environment = Environment()
            found, request = await self._found(request, around, environment)
            if said is not None and _is_lasting(found):
                around.targets.keep(said, found if key is None else found.without_key(), environment)
        elif key is not None:
            found = found.with_key(key)
        if GIVEN in request.options and request.operation in found.target.operations | _WITH_MODEL:
            request = _with_agreed_id(request, found)
        target = found.target
        if found.profile.sampling != "always":
            target = _without(found.profile, target, request)
        context.target = target
        return replace(request, target=target)

    async def _found(self, request: Request, around: _Surroundings, environment: Environment) -> tuple[Found, Request]:
        """Return whom the call goes to, and the call with what its address adds to the query."""
        options = request.options
        has_base = "api_base" in options or "base_url" in options
        provider = options.get("custom_llm_provider")
        if request.operation in _WITH_MODEL:
            row, model = catalog.split_model(request.model, provider, has_base)
        else:
            row, model = catalog.provider_of(provider, has_base), ""
        is_asked = request.operation in row.operations or request.operation in _WITH_MODEL
        is_offline = row.launcher == "scripted" or "mock_response" in options
        choice, model = _choice(row, model, request, is_offline)
        if not _CLOUD_OPTIONS.isdisjoint(options):
            for name in sorted(_CLOUD_OPTIONS.intersection(options) - cloud_options(row)):
                request.context.drop(name, f"{row.name} does not read it")
        if not is_asked:
            access = Access(row.base_url, None)
        elif row.launcher or is_offline:
            access = await self._access(row, model, request, around)
        else:
            access = self._usual(row, choice.dialect, model, request, around, environment)
        profile = profile_of(model, row.name)
        is_chat = choice.dialect == "chat"
        base_url = (row.chat.base_url if is_chat and access.base_url == row.base_url else "") or access.base_url
        if row.version_env and is_asked and not is_offline and (version := find_version(row, options, environment)):
            base_url, query = versioned(base_url, version, choice.dialect, model)
            request = request.with_options(extra_query={**query, **(options.get("extra_query") or {})})
        target = Target(
            provider=row.name,
            model=model,
            base_url=base_url,
            dialect=DIALECTS[choice.dialect](row, profile),
            api_key=access.api_key,
            credential=access.credential,
            auth=sent_as(row, choice.dialect, access.auth),
            headers=() if has_base else around.headers_of(row),
            operations=row.operations,
            unsupported=_not_taken(row, choice.dialect),
            why=choice.why,
            key_note=access.note,
            transport=_offline(model, options) if is_offline else None,
        )
        return Found(target, row, profile, access.base_url), request

    async def _access(self, row: Provider, model: str, request: Request, around: _Surroundings) -> Access:
        context = request.context
        if row.launcher == "scripted" or "mock_response" in request.options:
            return Access(row.base_url or "http://scripted.invalid/v1", None)
        if row.launcher == "local" and not (request.options.get("api_base") or request.options.get("base_url")):
            if "api_key" in request.options:
                context.drop("api_key", "a model on this machine takes none")
            models = around.local_models()
            url = (
                "http://127.0.0.1/v1"
                if context.dry
                else await context.waiting(context.runtime.call(models.url_for, model))
            )
            return Access(clean_base(url, row.name), None)
        return self._usual(row, row.dialects[0], model, request, around, os.environ)

    def _usual(
        self,
        row: Provider,
        dialect: str,
        model: str,
        request: Request,
        around: _Surroundings,
        environment: Mapping[str, str],
    ) -> Access:
        return find_access(
            row,
            request.options,
            environment,
            keys=self.keys,
            dialect=dialect,
            model=model,
            logins=around.logins,
        )


def _said(request: Request, key: object) -> tuple[object, ...] | None:
    """Return all that a usual call says about whom it goes to; None for one that says more, or brings no plain key."""
    options = request.options
    if not _UNUSUAL.isdisjoint(options) or not (key is None or key.__class__ is Secret):
        return None
    return (
        key is None,
        request.operation,
        request.model,
        options.get("custom_llm_provider"),
        options.get("api_base"),
        options.get("base_url"),
        options.get("dialect"),
    )


_UNUSUAL = _CLOUD_OPTIONS | {"mock_response"}


def _is_lasting(found: Found) -> bool:
    """Tell whether a target depends on nothing but the call's words, the environment and the catalogue."""
    row = found.row
    return is_fixed(row) and not (row.launcher or row.version_env or found.target.credential is not None)


def _kept(key: Any) -> Any:
    """Return a key as the stage holds it: text masked, a variable's name in the form that chain files have."""
    if isinstance(key, FromEnv):
        return {"env": key.name}
    return Secret(key) if isinstance(key, str) else key


def _choice(row: Provider, model: str, request: Request, is_offline: bool) -> tuple[Choice, str]:
    """Return the dialect of the call, and the model's name without a routing prefix for it."""
    asked = request.options.get("dialect")
    for prefix, dialect in _PREFIXES if "/" in model else ():
        if model.startswith(prefix):
            model = model.removeprefix(prefix)
            asked = asked or dialect
            if not model:
                raise InvalidModel(
                    f'model "{request.model}" ends after "{prefix}"',
                    param="model",
                    hint=f'write "{request.model}MODEL"',
                )
    if asked is not None and asked not in DIALECTS:
        raise InvalidParameter(
            f'there is no dialect "{asked}"{did_you_mean(asked, DIALECTS)}',
            param="dialect",
            hint=f"known: {', '.join(DIALECTS)}",
        )
    if is_offline:
        return Choice("responses"), model  # what answers in this process speaks the API itself
    if asked is None:
        return choose_dialect(row, model, request.params), model
    return Choice(asked, "the call asks for it"), model


def _with_agreed_id(request: Request, found: Found) -> Request:
    """Hold the id that came with the call against the target. A previous response may be kept elsewhere."""
    given = request.options[GIVEN]
    if not isinstance(given, GivenId):
        return request
    is_here = given.is_at(found.row.name, deployment_of(found.base_url, found.row.base_url))
    if hasattr(request.params, "response_id"):
        if not is_here:
            raise refused(given, found.row.name, found.base_url, "response_id")
        return request
    return request if is_here else request.with_options(**{ELSEWHERE: True})


# LiteLLM's routing prefixes.
_PREFIXES = (
    ("chat_completions/", "chat"),
    ("responses/", "responses"),
    ("converse/", "converse"),  # with the next one: of Bedrock
    ("invoke/", "anthropic"),
)


def _not_taken(row: Provider, dialect: str) -> Mapping[str, str]:
    """Return the parameters that a host does not take in this dialect; other codecs know them by themselves."""
    if dialect == "chat":
        return dict.fromkeys(row.chat.unsupported, "")
    return dict.fromkeys(row.unsupported, "") if dialect == "responses" else {}


def _without(profile: Profile, target: Target, request: Request) -> Target:
    """Return the target with what the model refuses of this call, and why."""
    names = profile.refused(request.params) if isinstance(request.params, CreateParams) else ()
    if not names:
        return target
    reason = f"{request.model} does not take it{'' if profile.sampling == 'never' else ' while it reasons'}"
    return replace(target, unsupported={**target.unsupported, **dict.fromkeys(names, reason)})


def _offline(model: str, options: Mapping[str, Any]) -> Transport:
    """Return what answers in this process instead of the network."""
    return ScriptedHost([options["mock_response"]]) if "mock_response" in options else echo_host(model)


class _Surroundings:
    """What a client's calls find around them: models on this machine, started when first needed; headers."""

    __slots__ = ("_headers", "_scope", "logins", "targets")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.logins: Logins = scope.shared("logins", Logins)
        self.targets = FoundTargets()
        self._headers: dict[str, tuple[Provider, tuple[tuple[str, str], ...]]] = {}

    def headers_of(self, row: Provider) -> tuple[tuple[str, str], ...]:
        """Return the headers that the environment sets for a provider, read once per client and row."""
        known = self._headers.get(row.name)
        if known is None or known[0] is not row:
            known = self._headers[row.name] = row, find_headers(row)
        return known[1]

    def local_models(self) -> LocalModels:
        from ..providers.local_model import LocalModels

        return self._scope.shared("local_models", LocalModels)
