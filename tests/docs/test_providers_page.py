"""docs/providers.md is made from the catalogue; `python -P tests/docs/test_providers_page.py` writes it."""

from __future__ import annotations

import inspect
from pathlib import Path

import msgspec

from antiphon.pipeline.params import PARAMS
from antiphon.providers.catalog import rows
from antiphon.providers.rows import Provider

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "providers.md"

HEAD = """\
# Providers

Who can be asked by `model="provider/model"`: hosts that serve the Responses API themselves. This page is made from
`providers/catalog.toml`.

What a table cannot say:

- **Verified** means that this library's own tests have spoken to the real thing. All other rows come from the documents
  that they name, read on the day that they name, and from recordings; they may be wrong, and a correction is welcome.
- **Key**: the first variable that is set wins, and `api_key=` of the call wins over it. A key from a variable goes to
  the host of its row, or to the one that the row's address variable names, and to no other that a call may bring.
- **Address**: `api_base=` wins over the variables, they win over the row. "…" is yours to name; a part in braces is the
  value of that environment variable. An address without any path gets the path that stands behind "+".
- **Not taken**: parameters that the host refuses or ignores. They are reported in `response.meta.dropped`, except those
  without which the call would mean something else, such as `previous_response_id`: these are an `UnsupportedParameter`.
- A call that a host does not serve is an `UnsupportedOperation`. Hosts behind a gateway may serve less than it does.
- With `api_base=` the provider's name before the first slash still names the provider. For a host whose own model names
  begin like that, write `openai_compatible/openai/gpt-oss-20b`, or name the provider by `custom_llm_provider=`.
"""

NOTES = """\
## Notes on single hosts

- **azure**: the v1 form only. `AZURE_OPENAI_ENDPOINT="https://NAME.openai.azure.com"` is enough; the model is the name
  of your deployment. A key goes out in the header `api-key`; an Entra token is `api_key="Bearer TOKEN"`, a function
  that returns that, or one of the token variables.
- **deepseek**: refuses assistant messages between two function calls of one turn (recorded 2026); put the calls behind
  them.
- **xai**: does not take `instructions` together with `previous_response_id`.
- **fireworks_ai**: wants `system` where others take `developer`.
- **ollama**: `OLLAMA_HOST` may be a host alone. Its Responses route always says `completed`, also of an answer that
  was cut.
- **hosted_vllm**: keeps responses only when started with `VLLM_ENABLE_RESPONSES_API_STORE=1`.
- **perplexity**: wants `type` on every input item; messages without one get it.
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

A row decides which variables' keys its host gets, so take such a file only from whom you would trust with them.
"""


def page() -> str:
    """Return the page as it should be."""
    return "\n".join([HEAD, *table(), "", NOTES, OWN, *fields()])


def table() -> list[str]:
    heads = ("name", "address", "key", "operations", "not taken", "verified", "source", "checked")
    lines = [line(heads), line(["---"] * len(heads))]
    return [*lines, *(line(cells(row)) for row in rows())]


def line(texts: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(texts)} |"


def cells(row: Provider) -> list[str]:
    return [
        names((row.name, *row.aliases)),
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
    path = f" + `{row.base_path}`" if row.base_path else ""
    usual = f"`{row.base_url}`" if row.base_url else f"…{path}"
    return "; ".join(filter(None, [usual, names(row.base_env)]))


def key(row: Provider) -> str:
    found = names(row.key_env)
    if row.token_env:
        found += f"; token: {names(row.token_env)}"
    if row.key_required:
        return found
    return f"{found} (may be missing)" if found else "–"


def names(found: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in found)


def fields() -> list[str]:
    """Return the table of a row's fields, with the words of the class itself."""
    text = inspect.cleandoc(Provider.__doc__ or "").partition("Args:\n")[2]
    entries: list[tuple[str, str]] = []
    for raw in text.splitlines():
        if raw.startswith(" " * 8) and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {raw.strip()}")
        elif raw.strip():
            name, _, meaning = raw.strip().partition(": ")
            entries.append((name, meaning))
    shown = [line((names(name.split(", ")), meaning.rstrip("."))) for name, meaning in entries]
    return [
        "The fields of a row; only `name` has to be there:",
        "",
        line(("field", "meaning")),
        line(("---", "---")),
        *shown,
        "",
    ]


def test_the_page_says_what_the_catalogue_does() -> None:
    assert PAGE.read_text("utf-8") == page(), "write it again: python -P tests/docs/test_providers_page.py"


def test_every_field_of_a_row_is_explained() -> None:
    explained = "\n".join(fields())

    assert [field.name for field in msgspec.structs.fields(Provider) if f"`{field.name}`" not in explained] == []


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
