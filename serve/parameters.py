"""What a caller may say: the API's parameters, and no option of ours that was not opened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec

from ..pipeline.api.params import NAMES, Operation
from ..pipeline.api.wire import loads
from ..pipeline.call_options import ENGINE_OPTIONS
from ..pipeline.chain import Chain
from ..pipeline.errors import InvalidParameter, NotFoundError, SetupError, UnknownKeyword, did_you_mean
from ..providers import catalog
from ..providers.local_model import SMOLLM2
from ..providers.response_ids import is_hosts_conversation, names_its_tenant
from .refusal import Refused
from .route import Route

Unknown = Literal["error", "extra_body"]

_PATH = frozenset({"response_id"})
_OF_ANY_CALL = frozenset[str]().union(*NAMES.values())
# Options that put into a request what nobody looks at here.
_UNSEEN = frozenset({"extra_body", "extra_query"})
# Fields of a query that are no text.
_BOOLS = {"true": True, "false": False, "1": True, "0": False}
_FLAGS, _NUMBERS, _LISTS = {"stream", "include_obfuscation"}, {"starting_after", "limit"}, {"include"}


class Parameters:
    """Makes keywords of a call of what comes over HTTP.

    Args:
        chain: whose calls they are.
        options: call options that a caller may give.
        unknown: what becomes of a field that is new to this library.
        models: names that a caller may ask for; any, when there are none.
        are_many: whether callers must not see each other's data.

    Raises:
        SetupError: the chain has no such option.
    """

    def __init__(
        self, chain: Chain, options: Iterable[str], unknown: Unknown, models: Iterable[str], *, are_many: bool
    ) -> None:
        known = {**ENGINE_OPTIONS, **chain.options}
        self.options = frozenset([options] if isinstance(options, str) else options)
        if missing := sorted(self.options - known.keys()):
            raise SetupError(
                f'options: no stage of chain "{chain.name}" reads "{missing[0]}"{did_you_mean(missing[0], known)}',
                hint=f"its options: {', '.join(sorted(known))}",
            )
        if are_many and (unseen := sorted(self.options & _UNSEEN)):
            raise SetupError(
                f'options: the server has many tenants, and by "{unseen[0]}" one could name what is another\'s',
                hint='leave it out; fields that are new to this library are taken with unknown="extra_body"',
            )
        if unknown not in ("error", "extra_body"):
            raise SetupError(f'unknown is {unknown!r}; "error" or "extra_body" is expected')
        if unknown == "extra_body" and "extra_body" not in known:
            raise SetupError('unknown="extra_body" needs a chain with Transform')
        self.models = tuple([models] if isinstance(models, str) else models)
        self._closed = known.keys() - self.options
        self._unknown = unknown
        self._are_many = are_many

    def of(self, route: Route, query: str, body: bytes) -> dict[str, Any]:
        """Return the keywords of a call.

        Raises:
            Refused: a body that is no JSON object, or a model that is not served.
            CallError, NotFoundError: a field that is not taken.
        """
        operation = route.operation
        given = _of_query(query, operation)
        if body:
            given |= self._of_body(_object(body), operation)
        elif operation in ("create", "compact", "count_input_tokens"):
            raise Refused(400, "the body is empty; a JSON object is expected", code="invalid_json")
        if route.name:
            given["response_id"] = route.name
        self._check_model(given.get("model"))
        if self._are_many:
            _check_ids(given)
        return given

    def _of_body(self, fields: Mapping[str, Any], operation: Operation) -> dict[str, Any]:
        names = NAMES[operation] - _PATH
        keywords: dict[str, Any] = {}
        beside: dict[str, Any] = {}
        for name, value in fields.items():
            if value is None:  # to the API the same as a field that is not there
                continue
            if name in names or name in self.options:
                keywords[name] = value
            elif name in self._closed:
                raise UnknownKeyword(f'"{name}" is not taken from callers', param=name)
            elif self._unknown == "extra_body" and name not in _OF_ANY_CALL:
                beside[name] = value
            else:
                raise _unknown("parameter", name, names)
        if beside:
            keywords["extra_body"] = {**keywords.get("extra_body", {}), **beside}
        return keywords

    def _check_model(self, model: object) -> None:
        if model is None:
            return
        is_served = model in self.models if self.models else not _is_file(model)
        if not is_served:
            said = f'the model "{str(model)[:100]}" is not served here'
            raise Refused(404, said, code="model_not_found", param="model")


def _is_file(model: object) -> bool:
    """Tell whether a model is a file of this machine, which is nothing that a caller should name."""
    provider, _, name = str(model).partition("/")
    row = catalog.names().get(provider)
    return row is not None and row.launcher == "local" and name != SMOLLM2


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownKeyword:
    return UnknownKeyword(f'there is no {kind} "{name[:100]}"{did_you_mean(name, known)}', param=name[:100])


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = loads(body)
    except msgspec.DecodeError as error:
        raise Refused(400, f"the body is {error}"[:300], code="invalid_json") from None
    if not isinstance(found, dict):
        raise Refused(400, f"the body is {type(found).__name__}; a JSON object is expected", code="invalid_json")
    return found


def _of_query(query: str, operation: Operation) -> dict[str, Any]:
    """Return the fields of a query; lists come as `include=a&include=b` or as `include[]=a`."""
    found: dict[str, Any] = {}
    names = NAMES[operation] - _PATH if operation in ("get", "list_input_items") else frozenset[str]()
    for key, text in parse_qsl(query, keep_blank_values=True):
        name = key.removesuffix("[]")
        if name not in names:
            raise _unknown("query field", name, names)
        if name in _LISTS:
            found.setdefault(name, []).append(text)
        else:
            found[name] = _value(name, text)
    return found


def _value(name: str, text: str) -> Any:
    if name in _FLAGS:
        if text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
        raise InvalidParameter(f"{name} is {text[:100]!r}; true or false is expected", param=name)
    if name in _NUMBERS:
        if text.isascii() and text.isdigit() and len(text) < 16:
            return int(text)
        raise InvalidParameter(f"{name} is {text[:100]!r}; a number is expected", param=name)
    return text


# --- many tenants at one account of a host ----------------------------------------------------------------------------


def _check_ids(keywords: Mapping[str, Any]) -> None:
    """Refuse ids that do not say whose they are: their host would give them to anybody with the server's key.

    Raises:
        NotFoundError: an id of a response or conversation that this server has not given out.
        InvalidParameter: an item that only names another one.
    """
    for name in ("response_id", "previous_response_id"):
        given = keywords.get(name)
        if given is not None and not names_its_tenant(given):
            raise NotFoundError(f"there is no response {str(given)[:100]!r}", status=404, param=name)
    conversation = keywords.get("conversation")
    if is_hosts_conversation(conversation):
        raise NotFoundError(f"there is no conversation {str(conversation)[:100]!r}", status=404, param="conversation")
    given = keywords.get("input")
    items: list[Any] = given if isinstance(given, list) else []
    for index, item in enumerate(items):
        if isinstance(item, Mapping) and (item.get("type") == "item_reference" or item.keys() - {"type"} == {"id"}):
            raise InvalidParameter(
                f"input[{index}] only names an item, which is not taken here; send the item itself", param="input"
            )
