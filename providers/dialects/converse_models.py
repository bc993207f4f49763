"""What is particular in the models behind Converse, by the name of their maker in the model id.

An id is `anthropic.claude-…-v1:0`, with a region's prefix before it (`us.`), or the ARN of a profile that ends in one.
An ARN of a deployment says nothing of its model; it is then one that nobody knows.

Source: the profiles of Pydantic AI of August 2026 (`providers/bedrock.py`), which quote Amazon's list of models with
structured output, say that they tried what models take beside results, and record it; read 2026-11. Nine letters in
Mistral's ids, and how Nova is asked to reason: the source of vercel/ai of 2026.
"""

from __future__ import annotations

import functools
import re
from typing import Final, Literal

import msgspec

from .anthropic_models import Claude, claude_of


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One family of models; the defaults are those of one that nobody knows.

    Args:
        claude: what is particular in it as a Claude; None for all others.
        effort: how reasoning is asked for in `additionalModelRequestFields`: as in Anthropic's Messages API,
            `reasoning_effort`, `reasoning_config` or `reasoningConfig`; "" not at all.
        efforts: levels that it knows, from low to high.
        replays: whether it takes its reasoning back.
        raw_reasoning: whether the reasoning that it shows is its own, not a summary of it.
        structured: whether it takes `outputConfig.textFormat` and strict tools.
        json_results: whether the result of a tool is sent as JSON; else as text.
        status: whether a result may say that it is an error.
        nine_ids: whether ids of calls have nine letters or digits.
        in_results: kinds of blocks that a result may hold beside text and JSON.
        beside_results: kinds of blocks that a message may hold beside results; None takes all.
        may_begin: whether the assistant may speak first.
        system_tools: whether Amazon's own tools for searching and for code are there.
    """

    claude: Claude | None = None
    effort: Literal["", "claude", "reasoning_effort", "reasoning_config", "reasoningConfig"] = ""
    efforts: tuple[str, ...] = ()
    replays: bool = False
    raw_reasoning: bool = True
    structured: bool = False
    json_results: bool = False
    status: bool = True
    nine_ids: bool = False
    in_results: frozenset[str] = frozenset({"image"})
    beside_results: frozenset[str] | None = None
    may_begin: bool = False
    system_tools: bool = False


SYSTEM_TOOLS: Final = {"web_search": "nova_grounding", "code_interpreter": "nova_code_interpreter"}
"""Names of Amazon's own tools: that for code in a recording, that for searching in the source of LiteLLM 1.106."""

_UNKNOWN: Final = Model()
_STRUCTURED: Final = Model(structured=True)
_ALONE: Final[frozenset[str]] = frozenset()
_PAPERS: Final = frozenset({"document"})
_BOTH: Final = frozenset({"image", "document"})
_MISTRAL: Final = Model(json_results=True, nine_ids=True, in_results=_PAPERS, beside_results=_ALONE)
_MISTRAL_STRUCTURED: Final = msgspec.structs.replace(_MISTRAL, structured=True)
_QWEN: Final = Model(effort="reasoning_config", efforts=("low", "high"), may_begin=True)
_NO_STRUCTURE: Final = ("claude-opus-4-1", "claude-opus-4-7", "claude-opus-4-8")

_MODELS: Final[dict[str, Model]] = {
    "amazon.nova-2": Model(system_tools=True, effort="reasoningConfig", efforts=("none", "low", "medium", "high")),
    "deepseek.r1": Model(replays=True),
    "openai.": Model(effort="reasoning_effort", efforts=("low", "medium", "high")),
    "qwen.": _QWEN,
    "qwen.qwen3": msgspec.structs.replace(_QWEN, structured=True),
    "meta.": Model(in_results=_BOTH, beside_results=_ALONE),
    "writer.": Model(status=False, beside_results=_ALONE),
    "mistral.": _MISTRAL,
    "mistral.magistral-small": _MISTRAL_STRUCTURED,
    "mistral.ministral-3": _MISTRAL_STRUCTURED,
    "mistral.mistral-large-3": _MISTRAL_STRUCTURED,
    "mistral.voxtral": _MISTRAL_STRUCTURED,
    "google.gemma-3-12b-it": _STRUCTURED,
    "google.gemma-3-27b-it": _STRUCTURED,
    "minimax.minimax-m2": _STRUCTURED,
    "nvidia.nemotron-nano": _STRUCTURED,
}

# Of profiles that serve several regions (Pydantic AI, as above).
_REGION: Final = re.compile(r"^(?:us-gov|us|eu|apac|jp|au|ca|global)\.")
_VERSION: Final = re.compile(r"(?:-\d{8})?(?:-v\d+)?(?::\d+)?$")


@functools.lru_cache(maxsize=256)
def model_of(model_id: str) -> Model:
    """Return what is particular in a model."""
    name = name_of(model_id)
    if name.startswith("anthropic."):
        claude_name = name.removeprefix("anthropic.")
        claude = claude_of(claude_name)
        return Model(
            claude=claude,
            effort="claude",
            replays=True,
            raw_reasoning=False,
            structured=claude.structured and not claude_name.startswith(_NO_STRUCTURE),
            in_results=_BOTH,
            beside_results=frozenset({"text", "image"}),
            may_begin=True,
        )
    for length in range(len(name), 0, -1):
        if (found := _MODELS.get(name[:length])) is not None:
            return found
    return _UNKNOWN


def name_of(model_id: str) -> str:
    """Return an id without what stands before the maker's name: an ARN, a region."""
    name = model_id.rpartition("/")[2].lower()
    return _REGION.sub("", name)


def family_of(model_id: str) -> str:
    """Return an id's name without date and version: where signatures of one model are taken."""
    return _VERSION.sub("", name_of(model_id))
