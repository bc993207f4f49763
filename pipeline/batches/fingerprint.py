"""What tells a batch from another one: facts of its chain and its keywords, and a key of each row's request.

Credentials, time limits and hooks are no part of it, since they do not change what is asked for: a batch may go on
with another key. A function is its place in the code, whatever it does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..api.params import NAMES
from ..api.wire import Raw, embed, loads
from ..chain_files.stage_names import name_of
from ..secret import MASK, FromEnv, Secret, is_credential
from ..stage import place_in_code

if TYPE_CHECKING:
    from ..chain import Chain

_SHOWN: Final = 200  # characters of a value that a message may show


class Fingerprint:
    """Makes facts and keys for the batches of one chain.

    Args:
        common: the keywords of all rows.
    """

    def __init__(self, chain: Chain, common: Mapping[str, Any]) -> None:
        from ..call_options import ENGINE_OPTIONS

        options = chain.options
        self._left_out = {*ENGINE_OPTIONS, "stream", *(name for name, option in options.items() if option.secret)}
        self.facts = dict(_chain_facts(chain))
        for name, value in {**chain.defaults, **common}.items():
            if name not in self._left_out and value is not None:
                self.facts[name] = _shown(value) if name in NAMES["create"] else _digest(_told(name, value)).hex()

    def key(self, own: Mapping[str, Any]) -> bytes:
        """Return the key of a row's own keywords: 16 bytes, the same for the same request."""
        return _digest({name: _told(name, value) for name, value in own.items() if name not in self._left_out})


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return how two batches' facts differ, a phrase each."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        f"{name} was {then.get(name, 'not there')}, and is {now.get(name, 'not there')}"
        for name in names
        if then.get(name) != now.get(name)
    ]


def _chain_facts(chain: Chain) -> list[tuple[str, str]]:
    facts: list[tuple[str, str]] = []
    for index, stage in enumerate(chain.flat()):
        where = f"stages[{index}]"
        facts.append((where, f"{name_of(stage)} ({':'.join(place_in_code(type(stage)))})"))
        facts += [(f"{where} {stage.name}.{name}", _shown(getattr(stage, name))) for name in stage.__struct_fields__]
    return facts


def _told(name: str, value: Any) -> Any:
    if name == "extra_headers" and isinstance(value, Mapping):
        return {header: value[header] for header in value if not is_credential(str(header))}
    return value


def _shown(value: Any) -> str:
    text = _json(value).decode("utf-8", "replace")
    return text if len(text) <= _SHOWN else f"{text[:40]}… ({_digest(value).hex()})"


def _digest(value: Any) -> bytes:
    return hashlib.sha256(_json(value)).digest()[:16]


def _json(value: Any) -> bytes:
    embedded = embed(value)
    try:
        return msgspec.json.encode(embedded, enc_hook=_form, order="deterministic")
    except UnicodeEncodeError:  # half a character; JSON can say it, UTF-8 cannot
        return json.dumps(embedded, default=_form, sort_keys=True).encode()


def _form(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, FromEnv):
        return {"env": value.name}
    if isinstance(value, Raw):
        return loads(bytes(value))
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return dump()
    if isinstance(value, Mapping):
        return dict(value)
    return ":".join(place_in_code(value if callable(value) else type(value)))
