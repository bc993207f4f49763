"""List the providers: how to name them, what they speak, and which key they need. Words choose rows."""

from __future__ import annotations

import argparse
import os
import sys

from ..pipeline.secret import mask_url
from ..providers import catalog
from ..providers.rows import Provider
from . import terminal

EXAMPLES = """\
  antiphon providers
  antiphon providers azure
  antiphon providers chat deep
  antiphon providers openai --json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="show rows that have all of these in name, formats, address or key"
    )
    parser.add_argument("--json", action="store_true", help="write the rows as JSON, with their sources")


def run(options: argparse.Namespace) -> int:
    words = [word.casefold() for word in options.words]
    rows = [row for row in catalog.rows() if all(word in _text(row) for word in words)]
    if options.json:
        terminal.print_json([_fields(row) for row in rows])
    elif rows:
        header = ("model", "formats", "key", "set", "address", "checked", "source")
        terminal.print_table(header, [_cells(row) for row in rows])
    if not rows:
        terminal.note(f"no provider has all of: {' '.join(options.words)}")
        return 1
    return 0


def _text(row: Provider) -> str:
    return " ".join((row.name, *row.aliases, *row.dialects, row.base_url, *row.key_env, *row.token_env)).casefold()


def _cells(row: Provider) -> tuple[str, ...]:
    name = " ".join((f"{row.name}/…", *(f"{alias}/…" for alias in row.aliases)))
    variables = _variables(row)
    key = " or ".join(variables) if variables else "none" if not row.key_required else row.auth
    address = mask_url(row.base_url) or (f"${row.base_env[0]}" if row.base_env else row.launcher or "api_base")
    source = terminal.cut(row.source, 40) if terminal.is_terminal(sys.stdout) else row.source
    return (name, " ".join(row.dialects), key, _is_set(row), address, row.checked, source)


def _fields(row: Provider) -> dict[str, object]:
    return {
        "name": row.name,
        "aliases": row.aliases,
        "dialects": row.dialects,
        "base_url": mask_url(row.base_url),
        "base_env": row.base_env,
        "key_env": _variables(row),
        "key_required": row.key_required,
        "key_set": _is_set(row) == "yes",
        "operations": sorted(row.operations),
        "verified": row.verified,
        "source": row.source,
        "checked": row.checked,
    }


def _variables(row: Provider) -> tuple[str, ...]:
    return (*row.key_env, *row.token_env)


def _is_set(row: Provider) -> str:
    """Tell whether a key's variable is set; its value is not looked at further."""
    variables = _variables(row)
    if not variables:
        return "—"
    return "yes" if any(os.environ.get(name, "").strip() for name in variables) else "no"
