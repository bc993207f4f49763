"""Next moves as they are made in a shell, where an error's hint names the keywords of Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import terminal

if TYPE_CHECKING:
    from ..pipeline.errors import AntiphonError

# Keywords that are options of their own.
_OPTIONS = {
    "allow_imports": "--allow-import",
    "mcp_servers": "--tool",
    "model": "-m",
    "state_store": "--store",
    "text_format": "--schema",
}
_WORDS = {"--allow-import": "MODULE", "--tool": "SERVER", "-m": "MODEL", "--store": "URL", "--schema": "FILE"}

# A keyword, and its value where the hint has a plain one: api_key=, drop="report", extra_body={"top_k": ...}.
_KEYWORD = re.compile(
    r'\b(?P<name>[a-z_]+)=(?:"(?P<text>[\w./:-]+)"|\["(?P<item>[\w.]+)"\]|\{"(?P<field>\w+)": \.\.\.\})?'
)


def complain_of(error: AntiphonError, *, for_call: bool = True) -> None:
    """Say an error to who works in a shell; the arguments are those of `in_shell`."""
    from ..mcp.errors import McpError

    if not isinstance(error, McpError):  # whose hint may quote a program, which must not suggest options
        error.hint = in_shell(error.hint, for_call=for_call)
    terminal.complain(str(error))


def in_shell(hint: str | None, *, for_call: bool = True) -> str | None:
    """Return a hint with a line that says by which options the keywords in it are given; as it is where there are none.

    Args:
        for_call: whether the command makes a call, and so takes the options of one.
    """
    if hint is None or "--" in hint:  # it speaks of options already
        return hint
    moves = [move for found in _KEYWORD.finditer(hint) if (move := _move(found, for_call))]
    return f"{hint}\n  shell: {', '.join(dict.fromkeys(moves))}" if moves else hint


def _move(found: re.Match[str], for_call: bool) -> str | None:
    from ..pipeline.api.params import NAMES
    from ..stages import presets

    name, value = found["name"], found["text"] or found["item"]
    if (option := _OPTIONS.get(name)) is not None and (for_call or name == "allow_imports"):
        return f"{option} {value or _WORDS[option]}"
    known = presets.responses.options
    if not for_call or (name not in NAMES["create"] and name not in known):
        return None
    if name in known and known[name].secret:
        return None  # other users of the machine see a command's words: keys belong into the environment
    field = f".{found['field']}" if found["field"] else ""
    return f"--set {name}{field}={value or 'VALUE'}"
