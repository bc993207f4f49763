"""docs/keywords.md is made from keywords.py; `make pages` writes it."""

from __future__ import annotations

from pathlib import Path

from antiphon import presets
from antiphon.keywords import DROPPED, OF_CHAT, REFUSED, REFUSED_PREFIXES, RENAMED
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.call_options import ENGINE_OPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "keywords.md"

HEAD = """\
# Keywords

What each keyword of LiteLLM's `responses()` and `aresponses()` means in `antiphon.responses`, `antiphon.aresponses` and
the methods of `antiphon.Client` (names as of LiteLLM 1.109.1, read 2026-11). This page is made from `keywords.py`.

`None` means "not given"; an explicit JSON null is `antiphon.NULL`. A keyword that stands on no list is an error with
the closest known name. Chains themselves (`chain.invoke`) take API parameters and the options of their stages only.
"""

RENAMED_NOTE = """\
`drop_params=True` is `drop="report"`, `False` is `drop="error"`; `reasoning_effort="low"` is
`reasoning={"effort": "low"}`; `stream_timeout` counts in streamed calls only, where it wins over `timeout`; of a header
given both ways `extra_headers` wins; `use_chat_completions_api=True` is `dialect="chat"`."""


def page() -> str:
    """Return the page as it should be."""
    options = {**presets.responses.options, **ENGINE_OPTIONS}
    return "\n".join(
        [
            HEAD,
            "## Parameters of the API",
            "",
            "They mean what the API says. A newer one goes into `extra_body`.",
            "",
            ", ".join(f"`{name}`" for name in CreateParams.__struct_fields__),
            "",
            "## Options",
            "",
            "Read by the stages of the stock chain, or by the engine for every chain.",
            "",
            *table("option", "meaning", {name: option.doc for name, option in options.items()}),
            "",
            "## Implemented under another name",
            "",
            *table("LiteLLM", "here", {name: f"`{ours}`" for name, ours in RENAMED.items()}),
            "",
            RENAMED_NOTE,
            "",
            "## Dropped and reported",
            "",
            "Accepted, without effect, and listed in `response.meta.dropped` with this reason.",
            "",
            *table("keyword", "why", DROPPED),
            "",
            "## Refused with a hint",
            "",
            "An `UnknownKeyword` (a `TypeError`) with this hint, since silence would change what the call means.",
            "",
            *table("keyword", "what to do", REFUSED),
            "",
            "Also every further keyword that begins like these:",
            "",
            *table("begins with", "what to do", REFUSED_PREFIXES),
            "",
            "Keywords of chat completions get the same error, with the name that they have in the Responses API:",
            "",
            *table("keyword", "what to do", OF_CHAT),
            "",
        ]
    )


def table(left: str, right: str, rows: dict[str, str]) -> list[str]:
    lines = [f"| {left} | {right} |", "| --- | --- |"]
    return [*lines, *(f"| `{name}` | {text} |" for name, text in rows.items())]


def test_the_page_says_what_the_code_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it again: make pages"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
