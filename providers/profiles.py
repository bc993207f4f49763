"""Profiles: what a model can do, by the beginning of its name."""

from __future__ import annotations

from typing import Literal

import msgspec

from ..pipeline.params import CreateParams


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is particular in a family of models; the defaults hold for a model that nobody knows.

    Args:
        models: beginnings of model names; the longest that fits wins. A name is looked at without what stands before
            its last "/" (`openai/gpt-5` at a gateway), and without a region before a "." (`us.anthropic.…`).
        providers: hosts where it holds; () is all.
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
