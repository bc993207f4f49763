"""Decide whom the call goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..pipeline.errors import InvalidModel, InvalidParameter, did_you_mean
from ..pipeline.http import Transport
from ..pipeline.params import CreateParams
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request, Target
from ..pipeline.response import Response
from ..pipeline.secret import Secret
from ..pipeline.stage import Option, Scope, Stage
from ..providers import catalog
from ..providers.credentials import Access, clean_base, find_access, find_headers
from ..providers.dialect_choice import Choice, choose_dialect
from ..providers.dialects import DIALECTS
from ..providers.profiles import Profile, profile_of
from ..providers.response_ids import GIVEN, RESOLVE, GivenId, deployment_of, is_kept, refused
from ..providers.rows import Provider
from ..providers.scripted import ScriptedHost, echo_host

if TYPE_CHECKING:
    from ..providers.local_model import LocalModels


_WITH_MODEL = frozenset({"create", "compact", "count_input_tokens"})


class Resolve(Stage, frozen=True):
    """Read provider and model from the call, and find address, key and dialect.

    Stages after it see `request.target`. "local/..." starts the model on this machine once per client. Calls that the
    host does not serve go on too, since a stage may serve them; Transform refuses those that reach it. A call on a
    response that is kept in a store of this library goes on without a target: nobody is asked.

    Raises:
        InvalidModel, UnknownProvider: the model string leads nowhere.
        MissingKey: the host needs a key and there is none.
        MissingExtra: a local model whose packages are not installed.
    """

    options = (
        Option("api_key", (str, Secret, Callable), "the key, or a function that returns it", secret=True),  # type: ignore[arg-type]
        Option("api_base", (str,), "the host's address, e.g. https://host/v1"),
        Option("base_url", (str,), "the same, by OpenAI's name"),
        Option("custom_llm_provider", (str,), "the provider, when the model string does not name it"),
        Option("mock_response", (str, Mapping, Response, Exception), "answer this instead of asking the host; no key"),
        Option("dialect", (str,), "API format to speak, instead of the one the provider's row prefers"),
    )
    sets = ("target",)

    def setup(self, scope: Scope) -> object:
        return _Surroundings(scope)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if is_kept(request.param("response_id")):
            request.context.scratch[RESOLVE] = self._resolved
            return await call_next(request)
        return await call_next(await self._resolved(request))

    async def _resolved(self, request: Request) -> Request:
        options = request.options
        has_base = "api_base" in options or "base_url" in options
        provider = options.get("custom_llm_provider")
        if request.operation in _WITH_MODEL:
            row, model = catalog.split_model(request.model, provider, has_base)
        else:
            row, model = catalog.provider_of(provider, has_base), ""
        is_served = request.operation in row.operations
        is_offline = row.launcher == "scripted" or "mock_response" in options
        choice, model = _choice(row, model, request, is_offline)
        usual = not row.launcher and not is_offline
        if request.operation not in _WITH_MODEL and not is_served:
            access = Access(row.base_url, None)  # the host will not be asked
        else:
            access = find_access(row, options) if usual else await self._access(row, model, request)
            request = _with_agreed_id(request, row.name, deployment_of(access.base_url, row.base_url), access.base_url)
        profile = profile_of(model, row.name)
        is_chat = choice.dialect == "chat"
        base_url = row.chat.base_url if is_chat and access.base_url == row.base_url else ""
        target = Target(
            provider=row.name,
            model=model,
            base_url=base_url or access.base_url,
            dialect=DIALECTS[choice.dialect](row, profile),
            api_key=access.api_key,
            auth=(row.chat.auth if is_chat else "") or access.auth,
            headers=() if has_base else request.context.state_of(self, _Surroundings).headers_of(row),
            operations=row.operations,
            unsupported=_unsupported(_not_taken(row, choice.dialect), profile, request),
            why=choice.why,
            key_note=access.note,
            transport=_offline(model, options) if is_offline else None,
        )
        request.context.target = target
        return request.replace(target=target)

    async def _access(self, row: Provider, model: str, request: Request) -> Access:
        context = request.context
        if row.launcher == "scripted" or "mock_response" in request.options:
            return Access(row.base_url or "http://scripted.invalid/v1", None)
        if row.launcher == "local" and not (request.options.get("api_base") or request.options.get("base_url")):
            if "api_key" in request.options:
                context.drop("api_key", "a model on this machine takes none")
            models = context.state_of(self, _Surroundings).local_models()
            url = "http://127.0.0.1/v1" if context.dry else await context.runtime.call(models.url_for, model)
            return Access(clean_base(url, row.name), None)
        return find_access(row, request.options)


def _choice(row: Provider, model: str, request: Request, is_offline: bool) -> tuple[Choice, str]:
    """Return the dialect of the call, and the model's name without a routing prefix for it."""
    asked = request.options.get("dialect")
    for prefix, dialect in _PREFIXES:
        if model.startswith(prefix):
            model = model.removeprefix(prefix)
            asked = asked or dialect
            if not model:
                raise InvalidModel(f'model "{request.model}" ends after "{prefix}"', param="model")
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


def _with_agreed_id(request: Request, provider: str, deployment: str, base_url: str) -> Request:
    """Hold the id that came with the call against the target. A previous response may be kept elsewhere."""
    given = request.options.get(GIVEN)
    if not isinstance(given, GivenId):
        return request
    is_here = given.is_at(provider, deployment)
    if hasattr(request.params, "response_id"):
        if not is_here:
            raise refused(given, provider, base_url, "response_id")
        return request
    return request.with_options(**{GIVEN: None}) if is_here else request


# LiteLLM's routing prefixes.
_PREFIXES = (("chat_completions/", "chat"), ("responses/", "responses"))


_NOTHING: Mapping[str, str] = {}


def _not_taken(row: Provider, dialect: str) -> frozenset[str]:
    """Return the parameters that a host does not take in this dialect; other codecs know them by themselves."""
    if dialect == "chat":
        return row.chat.unsupported
    return row.unsupported if dialect == "responses" else frozenset()


def _unsupported(names: frozenset[str], profile: Profile, request: Request) -> Mapping[str, str]:
    """Return what host or model refuses, with the reason where it is the model's."""
    refused = profile.refused(request.params) if isinstance(request.params, CreateParams) else ()
    if not names and not refused:
        return _NOTHING
    when = "" if profile.sampling == "never" else " while it reasons"
    return {**dict.fromkeys(names, ""), **dict.fromkeys(refused, f"{request.model} does not take it{when}")}


def _offline(model: str, options: Mapping[str, Any]) -> Transport:
    """Return what answers in this process instead of the network."""
    return ScriptedHost([options["mock_response"]]) if "mock_response" in options else echo_host(model)


class _Surroundings:
    """What a client's calls find around them: models on this machine, started when first needed; headers."""

    __slots__ = ("_headers", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
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
