"""docs/providers.md is made from catalogue and profiles; `make pages` writes it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from doc_tables import explained, names, ruled

from antiphon.pipeline.api.params import PARAMS
from antiphon.providers.catalog import rows
from antiphon.providers.profiles import Profile, profiles
from antiphon.providers.rows import ChatFlags, Place, Preference, Provider

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "providers.md"

HEAD = """\
# Providers

Who can be asked by `model="provider/model"`: hosts that serve the Responses API themselves, and hosts without it, which
are served through chat completions or an API of their own. This page is made from `providers/catalog.toml` and
`providers/profiles.toml`.

What a table cannot say:

- **Verified** means that this library's own tests have spoken to the real thing. All other rows come from the documents
  that they name, read on the day that they name, and from recordings; they may be wrong, and a correction is welcome.
- **Key**: the first variable that is set wins, and `api_key=` of the call wins over it. A key from a variable goes to
  the host of its row, or to the one that the row's address variable names, and to no other that a call may bring.
- **Address**: `api_base=` wins over the variables, they win over the row. "…" is yours to name; a part in braces is the
  value of that environment variable, or a region or project, see [Credentials](credentials.md). An address without any
  path gets the path that stands behind "+", which may be the one of the format or the model.
- **Speaks**: API formats, the preferred one first; `dialect=` of a call chooses another one. In chat completions the
  call is translated, and what has no place there is reported or refused, see below.
- **Not taken**: parameters that the host's Responses API refuses or ignores. They are reported in
  `response.meta.dropped`, except those without which the call would mean something else: these are an
  `UnsupportedParameter`, or served here ([State](state.md)).
- **MCP servers** that a tool names by their URL are called by MCPALL itself, and where no approval is asked for also by
  MCPUNASKED. In calls to any other host they are called [from here](tools.md#mcp-servers).
- A call that a host does not serve is served here, as far as state goes, or an `UnsupportedOperation`. Hosts behind a
  gateway may serve less than it does.
- With `api_base=` the provider's name before the first slash still names the provider. For a host whose own model names
  begin like that, write `openai_compatible/openai/gpt-oss-20b`, or name the provider by `custom_llm_provider=`.
"""

CHAT = """\
## Chat completions of single hosts

What is not as with most hosts; the fields are explained at the end of this page. A host that is missing here is taken
to be like most, which may only mean that nothing is known of it. "OpenAI's own" are OPENAIS.
"""

PREFER = """\
The other format is taken by itself, unless the call says `dialect=`, where it loses less:
"""

NOTES = """\
## Notes on single hosts

- **anthropic**: in the format of its own API, see [API formats](dialects.md#claude-at-anthropic). A key goes out in the
  header `x-api-key`; a token is `api_key="Bearer TOKEN"`, or stands in the token variable. The address may end in `/v1`
  or not.
- **azure**: `AZURE_OPENAI_ENDPOINT="https://NAME.openai.azure.com"` is enough; the model is your deployment's name.
  Tokens, API versions and azure-identity: see [Credentials](credentials.md).
- **bedrock**, **bedrock_mantle**, **vertex_ai**: see [Credentials](credentials.md) for keys, regions and projects.
  Bedrock's Responses API takes no `previous_response_id`; Mantle keeps responses, and asks for them again in the region
  that they were made in. Which of Mantle's two addresses serves a model is known by its name.
- **deepseek**: its Responses API refuses assistant messages between two function calls of one turn (recorded 2026); put
  the calls behind them. Its chat completions refuse a forced `tool_choice` while the model reasons.
- **xai**: does not take `instructions` together with `previous_response_id`.
- **fireworks_ai**: its Responses API wants `system` where others take `developer`.
- **databricks**, **cloudflare**: have the Responses API for some models only (`gpt` in the name; gpt-oss); ask for it
  by `dialect="responses"`.
- **gemini**: Gemini's own generateContent; `dialect="chat"` takes its address for OpenAI's clients, which has less.
- **snowflake**: `SNOWFLAKE_ACCOUNT` is what stands before `.snowflakecomputing.com`; `SNOWFLAKE_TOKEN` is a
  programmatic access token.
- **ollama**: `OLLAMA_HOST` may be a host alone. Its Responses route always says `completed`, also of an answer that
  was cut, so chat completions are preferred.
- **hosted_vllm**: keeps responses only when started with `VLLM_ENABLE_RESPONSES_API_STORE=1`.
"""

PROFILES = """\
## Models

What is particular in a family of models, whoever serves it: `antiphon.providers.profile("openai/gpt-5")` is its row.
Sampling parameters that a model refuses are left out and reported. A model without a row is taken as it comes.
"""

OWN = """\
## Your own provider

One call needs no row: `api_base="https://models.example.com/v1"`, and a key as `api_key=`. A name for it is a row:

```python
import antiphon

antiphon.providers.register(
    {
        "name": "acme",
        "base_url": "https://models.acme.example/v1",
        "key_env": ["ACME_API_KEY"],
        "unsupported": ["background"],
    }
)
print(antiphon.presets.responses.explain("Hello.", model="acme/roadrunner-1", api_key="...").request.url)
```

```text
https://models.acme.example/v1/responses
```

It holds for the whole process, may be called from any thread, and refuses a name that is taken unless it gets
`replace=True`. `antiphon.providers.list()` has all rows in order, `antiphon.providers.find("acme")` is one of them.

For rows that no code should have to name, write a TOML file of the same form as `providers/catalog.toml`, and let the
environment variable `ANTIPHON_PROVIDERS` name it. It is read once, when the first call looks for its provider:

```toml
[[provider]]
name = "acme"
base_url = "https://models.acme.example/v1"
key_env = ["ACME_API_KEY"]
```

A host that has chat completions only says so by `dialects = ["chat"]`, and what is particular in them is a table
`[provider.chat]`. A row decides which variables' keys its host gets, so take such a file only from whom you would trust
with them.
"""


OPENAIS = frozenset(
    {
        "metadata",
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "text.verbosity",
    }
)
"""Parameters that many hosts do not take, since they are of OpenAI's chat completions only."""


def page() -> str:
    """Return the page as it should be."""
    kinds = (
        ("The fields of a row; only `name` has to be there:", Provider),
        ("The fields of an entry of `places`:", Place),
        ("The fields of `chat`, none of which has to be there:", ChatFlags),
        ("The fields of an entry of `prefer`:", Preference),
        ("The fields of a row of `providers/profiles.toml`:", Profile),
    )
    explained = [text for head, kind in kinds for text in ("", head, "", *fields(kind))]
    chat = CHAT.replace("OPENAIS", names(sorted(OPENAIS)))
    head = HEAD
    for mark, reach in (("MCPALL", "all"), ("MCPUNASKED", "unasked")):
        head = head.replace(mark, names([row.name for row in rows() if row.mcp == reach]))
    made = [head, *table(), "", chat, *flags_table(), "", PREFER, *prefer_table(), "", NOTES]
    return "\n".join([*made, PROFILES, *profiles_table(), "", OWN.rstrip("\n"), *explained, ""])


def table() -> list[str]:
    heads = ("name", "speaks", "address", "key", "operations", "not taken", "verified", "source", "checked")
    return ruled(heads, [cells(row) for row in rows()])


def flags_table() -> list[str]:
    found = [(row, differing(row.chat)) for row in rows() if "chat" in row.dialects]
    taken = [
        (names([row.name]), ", ".join(flags) or "–", not_taken(row.chat.unsupported) or "–")
        for row, flags in found
        if flags or row.chat.unsupported
    ]
    return ruled(("name", "not as usual", "not taken"), taken)


def not_taken(found: frozenset[str]) -> str:
    if found >= OPENAIS:
        return ", ".join(filter(None, ["OpenAI's own", names(sorted(found - OPENAIS))]))
    return names(sorted(found))


def differing(flags: ChatFlags) -> list[str]:
    usual = ChatFlags()
    given = {name: getattr(flags, name) for name in flags.__struct_fields__ if name != "unsupported"}
    return [f"`{name}`: {shown(value)}" for name, value in given.items() if value != getattr(usual, name)]


def shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return " ".join(sorted(value)) or "nothing"
    return " ".join(value) if isinstance(value, tuple) else f"`{value}`" if value else "nothing"


def prefer_table() -> list[str]:
    return ruled(
        ("name", "to", "when", "models", "except", "why"),
        [
            (
                names([row.name]),
                better.dialect,
                better.when,
                names(better.models) or "all",
                names(better.unless_models) or "–",
                better.why,
            )
            for row in rows()
            for better in row.prefer
        ],
    )


def profiles_table() -> list[str]:
    return ruled(
        ("models", "at", "sampling", "reasons by default", "efforts", "output tokens", "structured output", "source"),
        [
            (
                names(row.models),
                names(row.providers) or "all",
                row.sampling.replace("_", " "),
                "yes" if row.reasons else "no",
                " ".join(row.efforts) or "–",
                f"{row.max_output_tokens:,}" if row.max_output_tokens else "–",
                row.structured_output or "–",
                row.source,
            )
            for row in profiles()
        ],
    )


def cells(row: Provider) -> list[str]:
    return [
        names((row.name, *row.aliases)),
        ", ".join(row.dialects),
        address(row),
        key(row),
        "all" if row.operations >= set(PARAMS) else names([name for name in PARAMS if name in row.operations]),
        names(sorted(row.unsupported)) or "–",
        "yes" if row.verified else "no",
        row.source,
        row.checked,
    ]


def address(row: Provider) -> str:
    if row.launcher:
        return "this machine" if row.launcher == "local" else "this process"
    paths = [
        path for path in dict.fromkeys([row.base_path, *row.base_paths.values(), *row.model_paths.values()]) if path
    ]
    path = f" + {' or '.join(names([path]) for path in paths)}" if paths and not row.base_url.endswith(paths[0]) else ""
    usual = (f"`{row.base_url}`" if row.base_url else "…") + path
    return "; ".join(filter(None, [usual, names(row.base_env)]))


def key(row: Provider) -> str:
    found = names(row.key_env)
    if row.auth in ("aws", "google"):
        return "; ".join(filter(None, [found, "[credentials](credentials.md)"]))
    if row.token_env:
        found += f"; token: {names(row.token_env)}"
    if row.key_required:
        return found
    return f"{found} (may be missing)" if found else "–"


def fields(kind: type[msgspec.Struct]) -> list[str]:
    """Return the table of a struct's fields, with the words of the class itself."""
    return ruled(("field", "meaning"), [(names(found), meaning) for found, meaning in explained(kind)])


def test_the_page_says_what_the_catalogue_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it again: make pages"


@pytest.mark.parametrize("kind", [Provider, Place, ChatFlags, Preference, Profile])
def test_every_field_of_a_row_is_explained(kind: type[msgspec.Struct]) -> None:
    explained = "\n".join(fields(kind))

    assert [field.name for field in msgspec.structs.fields(kind) if f"`{field.name}`" not in explained] == []


def test_every_line_of_a_table_has_as_many_cells() -> None:
    for lines in (table(), flags_table(), prefer_table(), profiles_table(), fields(ChatFlags)):
        assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
