"""What is particular in Gemini's model families, where the wire depends on it."""

from __future__ import annotations

import re
from typing import Any, Final

from ...pipeline.request import Drop
from ..profiles import Profile
from .chat_request import nearest_effort

_GENERATION: Final = re.compile(r"gemini-(\d+)(?:\.(\d+))?")
NEWEST: Final = (99,)


def generation(model: str) -> tuple[int, ...]:
    """Return a model's generation, e.g. (2, 5); the newest for one that does not say ("gemini-flash-latest")."""
    name = model.rpartition("/")[2]
    if found := _GENERATION.match(name):
        return int(found[1]), int(found[2] or 0)
    return (1,) if name.startswith(("gemma", "learnlm")) else NEWEST


# Levels that models of the third generation have; those that lack some say so in their profile.
_LEVELS: Final = ("minimal", "low", "medium", "high")

# Tokens for the models that take a budget instead of a level. Sources: Gemini API documentation, Thinking and OpenAI
# compatibility, read 2026-11: low, medium and high are what Google's own mapping takes; the limits are the models'.
_BUDGETS: Final = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_PRO_LEAST, _PRO_MOST = 128, 32768


def thinking(given: dict[str, Any], model: str, profile: Profile, drop: Drop) -> dict[str, Any]:
    """Return the `thinkingConfig` for `reasoning`. A level and a budget at once would be refused."""
    config: dict[str, Any] = {}
    thinks = generation(model) >= (2, 5)
    for name, value in given.items():
        if value is None:
            continue
        if name == "effort":
            if thinks:
                config.update(_effort(str(value), model, profile, drop))
            elif value != "none":
                drop("reasoning.effort", f"{model} does not reason")
        elif name not in ("summary", "generate_summary"):
            drop(f"reasoning.{name}", "Gemini has no such parameter")
        elif thinks:
            config["includeThoughts"] = True
        else:
            drop(f"reasoning.{name}", f"{model} does not reason")
    if config.get("thinkingBudget") == 0:
        config.pop("includeThoughts", None)  # there are none
    return config


def _effort(asked: str, model: str, profile: Profile, drop: Drop) -> dict[str, Any]:
    if generation(model) < (3,):
        return {"thinkingBudget": _budget(asked, "pro" in model, drop)}
    known = profile.efforts or _LEVELS
    level = nearest_effort(asked, known)
    if level != asked:
        drop("reasoning.effort", f"{asked} is sent as {level}: known here are {', '.join(known)}")
    return {"thinkingLevel": level.upper()}


def _budget(asked: str, is_pro: bool, drop: Drop) -> int:
    if asked not in _BUDGETS:
        drop("reasoning.effort", f"{asked} is unknown: the model decides")
        return -1
    if is_pro and asked == "none":
        drop("reasoning.effort", f"none is sent as {_PRO_LEAST} tokens: the model always reasons")
        return _PRO_LEAST
    return _PRO_MOST if is_pro and asked in ("xhigh", "max") else _BUDGETS[asked]
