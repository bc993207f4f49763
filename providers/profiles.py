"""Profiles: what a model can do, by the beginning of its name."""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Literal

import msgspec

from ..pipeline.api.params import CreateParams
from ..pipeline.api.wire import FIRST_USE


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """What is particular in a family of models; the defaults hold for a model that nobody knows.

    Args:
        models: beginnings of model names, in lower case; the longest that fits wins. A name is looked at without what
            stands before its last "/" (`openai/gpt-5` at a gateway), with and without names before a "."
            (`us.anthropic.…`), and without the "ft:" of a fine-tuned model.
        providers: hosts where it holds, by the names of their rows; () is all. Of two rows for the same beginning, the
            one for the host wins.
        sampling: whether `temperature` and `top_p` are taken; "without_reasoning" only with effort "none".
        reasons: whether the model reasons when the call says nothing about it.
        efforts: levels of `reasoning.effort` that it knows, from low to high; () when that is not known.
        max_output_tokens: the most it can write, tokens; None when that is not known.
        structured_output: the strongest form that it takes, where that is less than the host's.
        source, checked: where the facts come from, and the day they were looked at (ISO date).
    """

    models: tuple[str, ...]
    providers: tuple[str, ...] = ()
    sampling: Literal["always", "never", "without_reasoning"] = "always"
    reasons: bool = False
    efforts: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    structured_output: Literal["", "json_object", "json_schema"] | None = None
    source: str = ""
    checked: str = ""

    def refused(self, params: CreateParams) -> tuple[str, ...]:
        """Return the parameters that a call to this model must not have."""
        if self.sampling == "always":
            return ()
        effort = (params.reasoning or {}).get("effort")
        reasons = effort != "none" if effort else self.reasons
        return ("temperature", "top_p") if self.sampling == "never" or reasons else ()


UNKNOWN = Profile(models=())


class _File(msgspec.Struct, forbid_unknown_fields=True):
    profile: tuple[Profile, ...] = ()


@functools.cache
def profiles() -> tuple[Profile, ...]:
    """Return all rows of profiles.toml, in order; the file is read at the first call."""
    import tomllib

    text = resources.files(__name__.rpartition(".")[0]).joinpath("profiles.toml").read_text("utf-8")
    with FIRST_USE:
        return msgspec.convert(tomllib.loads(text), _File).profile


@functools.cache
def _by_start() -> dict[str, tuple[Profile, ...]]:
    """Return the rows by beginnings of model names, those for single hosts first."""
    found: dict[str, tuple[Profile, ...]] = {}
    for row in sorted(profiles(), key=lambda row: not row.providers):
        for start in row.models:
            found[start] = (*found.get(start, ()), row)
    return found


_REGIONS = re.compile(r"(?:[a-z-]+\.)+")


@functools.lru_cache(maxsize=1024)
def profile_of(model: str, provider: str) -> Profile:
    """Return what is particular in a model, or UNKNOWN. It is asked on every call, so the answer is kept.

    Args:
        model: the host's name of the model.
        provider: name of the host's row in the catalogue; "" for none.
    """
    name = model.rpartition("/")[2].lower().removeprefix("ft:")
    names = [name]
    if before := _REGIONS.match(name):
        names.append(name[before.end() :])
    by_start = _by_start()
    for length in range(len(name), 0, -1):
        for name in names:
            if length <= len(name):
                for row in by_start.get(name[:length], ()):
                    if not row.providers or provider in row.providers:
                        return row
    return UNKNOWN
