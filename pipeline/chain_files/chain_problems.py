"""All that is wrong with a chain file, where reading it would stop at the first mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..call_options import split_keywords
from ..errors import AntiphonError, ChainError
from .chain_file import read_file, read_stage
from .stage_names import StageNames


def problems_in(path: str | Path, names: StageNames) -> list[AntiphonError]:
    """Return all that is wrong with a chain file, as the errors that would be raised one after the other; [] when none.

    Beside what reading it raises, that is what a first call would say of the chain: whether it can run, and whether
    the API or one of its stages knows what stands in `defaults`.
    """
    path = Path(path)
    try:
        chain = read_file(path, names)
    except ChainError as error:
        found = list(_stage_problems(path, names))
        return found if any(one.message == error.message for one in found) else [error, *found]
    found = []
    for check in (chain.check, lambda: split_keywords("create", dict(chain.defaults), chain.options, chain.name)):
        try:
            check()
        except AntiphonError as error:
            found.append(error)
    return found


def _stage_problems(path: Path, names: StageNames) -> Iterator[AntiphonError]:
    """Yield what is wrong with each stage of a file by itself; nothing where the file has no list of stages."""
    try:
        text = path.read_text("utf-8")
        data: Any = tomllib.loads(text) if path.suffix == ".toml" else msgspec.json.decode(text)
    except (OSError, ValueError, msgspec.DecodeError):
        return
    waiting = [data]
    while waiting:
        table = waiting.pop(0)
        if not isinstance(table, Mapping) or not isinstance(table.get("stages"), list):
            continue
        title = f'{path}: chain "{table.get("name", "chain")}"'
        for index, item in enumerate(table["stages"]):
            if isinstance(item, Mapping) and "stages" in item and "use" not in item:
                waiting.append(item)
                continue
            try:
                read_stage(item, names, str(path), f"{title}, stages[{index}]")
            except ChainError as error:
                yield error
