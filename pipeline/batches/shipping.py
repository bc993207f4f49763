"""A chain on its way to another process: its spec, and the settings of its client. Nothing live is sent.

A spec is a pickle by reference: stages are their class's name and their settings, functions are their names. The
worker makes the chain again, on a client of its own, which lives as long as the worker.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import AntiphonError, InvalidParameter, NotSerializable, SetupError
from ..runtimes.driver import drive
from ..secret import Secret, mask
from ..stores.given import masked
from .row import Item, row_failed
from .workers import Answer, HereWorkers

if TYPE_CHECKING:
    from ..chain import Chain

_HINT = "define functions and classes at the top of a module that the workers can import"
_HINT_OF_KEYS = 'keys are not sent: set the variable in the workers too, and give antiphon.FromEnv("NAME")'


def pack_chain(chain: Chain, common: dict[str, Any]) -> bytes:
    """Return what `unpack_chain` makes the chain of.

    Args:
        common: the keywords of all rows; only looked at.

    Raises:
        NotSerializable: something that no other process could have; the message says of which stage or keyword.
    """
    name = f'chain "{chain.name}"'
    for index, stage in enumerate(chain.flat()):
        if _fault(stage) is None:
            continue
        for field in stage.__struct_fields__:
            _check(getattr(stage, field), f"{name}, stages[{index}] {stage.name}: {field}")
        _check(stage, f"{name}, stages[{index}] {stage.name}")
    for keyword, value in {**chain.defaults, **common}.items():
        option = chain.options.get(keyword)
        _check(value if option is None else option.masked(value), f'{name}: keyword "{keyword}"')
    settings = None if chain.own_engine is None else chain.own_engine.settings
    for setting, value in (settings or {}).items():
        parts = value if isinstance(value, dict) else {setting: value}
        for part, one in parts.items():
            _check(masked(one), f"{name} is bound to a client, whose {part}")
    return pickle.dumps((chain, settings))


def _check(value: object, where: str) -> None:
    if (fault := _fault(value)) is not None:
        is_secret = isinstance(value, Secret)
        what = "a secret" if is_secret else mask(repr(value))[:100]
        raise NotSerializable(
            f"{where} is {what}, which cannot be sent to another process" + ("" if is_secret else f": {fault}"),
            hint=_HINT_OF_KEYS if is_secret else _HINT,
        )


def _fault(value: object) -> Exception | None:
    try:
        pickle.dumps(value)
    except Exception as error:  # whatever a foreign object raises
        return error
    return None


def pack_rows(chain: Chain, items: Sequence[Item]) -> tuple[bytes, dict[int, Exception]]:
    """Return rows for `answer_rows`, and the errors of those that cannot be sent, by their place."""
    options = chain.options
    packed: list[bytes] = []
    refused: dict[int, Exception] = {}
    for place, item in enumerate(items):
        keywords = {
            name: options[name].masked(value) if name in options else value for name, value in item.keywords.items()
        }
        try:
            packed.append(pickle.dumps((keywords, item.dropped)))
        except Exception as error:
            refused[place] = InvalidParameter(
                f"row {item.index} cannot be sent to another process: {mask(str(error))}", hint=_HINT
            )
    return pickle.dumps(packed), refused


# --- in the worker --------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def unpack_chain(packed: bytes) -> Chain:
    """Return the chain of `pack_chain`, on a client like the one that it had; the same one for the same bytes."""
    from ..engine import Engine

    chain: Chain
    chain, settings = pickle.loads(packed)  # noqa: S301  made by whoever runs this worker
    return chain.check() if settings is None else chain.check().bind(Engine(**settings))


def try_chain(packed: bytes) -> str | None:
    """Make the chain here; return what is wrong, None when nothing is."""
    try:
        unpack_chain(packed)
    except Exception as error:
        return mask(f"{type(error).__name__}: {error.message if isinstance(error, AntiphonError) else error}")
    return None


def answer_rows(packed: bytes, rows: bytes, name: str) -> list[bytes]:
    """Answer rows side by side; return their results, each pickled.

    Args:
        name: of this chunk: what makes it another task than one of the same rows, where equal tasks are done once.
    """
    chain = unpack_chain(packed)
    items = [
        Item(index, None, *pickle.loads(row))  # noqa: S301
        for index, row in enumerate(pickle.loads(rows))  # noqa: S301
    ]
    here = HereWorkers(chain, chain.engine.runtime(is_async=False))
    return [_packed(answer) for answer in drive(here.answer(items))]


def _packed(answer: Answer) -> bytes:
    try:
        packed = pickle.dumps(answer)
        pickle.loads(packed)  # noqa: S301  many exceptions are pickled, and never come back
    except Exception as fault:
        return pickle.dumps(row_failed(answer if isinstance(answer, Exception) else fault))
    return packed


def unpack_answer(packed: bytes) -> Answer:
    """Return a result of `answer_rows`. Raises SetupError when its class is not known here."""
    try:
        answer: Answer = pickle.loads(packed)  # noqa: S301  from a worker of ours
    except Exception as error:
        raise SetupError(f"the result of a worker cannot be read: {error}", hint=_HINT) from error
    return answer
