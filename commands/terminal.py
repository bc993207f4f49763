"""What the commands write on: streams that may be no terminal, may know few characters, and may lose their reader."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import Any, TextIO

# What would move the cursor, change colours or worse, when a model or a server says it to a terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def prepare() -> None:
    """Let the output streams take every text: what their encoding has no character for becomes an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at this stream."""
    return stream is not None and not stream.closed and stream.isatty()


def has_colours(stream: TextIO) -> bool:
    """Tell whether colours may be written. NO_COLOR: no-color.org, read from memory 2026-11."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str, code: int, stream: TextIO) -> str:
    """Return text in a colour, or bold or dim, by the number of an SGR sequence."""
    return f"\x1b[{code}m{text}\x1b[0m" if has_colours(stream) else text


def shown(text: str, stream: TextIO | None = None) -> str:
    """Return text of a stranger as a terminal may get it; other readers get it as it is."""
    if not is_terminal(stream or sys.stdout):
        return text
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text.replace("\r\n", "\n"))


def cut(text: str, most: int) -> str:
    """Return text as one line of so many characters at the most."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


def write(text: str) -> None:
    """Write what a model says, at once."""
    print(shown(text), end="", flush=True)


def note(text: str) -> None:
    """Say something beside the output."""
    say(coloured(shown(text, sys.stderr), 2, sys.stderr))


def complain(message: str, hint: str | None = None) -> None:
    """Say what is wrong, and what to do about it."""
    with contextlib.suppress(OSError):
        flush()  # what came before stands before it
    text = shown(message, sys.stderr) + (f"\n  hint: {hint}" if hint else "")
    say(f"{coloured('error:', 31, sys.stderr)} {text}")


def say(text: str) -> None:
    """Write a line on the standard error, where there is one."""
    if sys.stderr is not None:  # else `print` would take the standard output
        print(text, file=sys.stderr, flush=True)


def counted(number: int, noun: str) -> str:
    """Return "1 call", "2 calls"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def print_json(value: Any) -> None:
    """Write a value as JSON, which every encoding can carry."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    print(shown(json.dumps(value, indent=2, ensure_ascii=encoding != "utf8")))


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows in columns. A terminal gets them cut to its width, and by rich where it is installed."""
    if is_terminal(sys.stdout):
        if _print_rich_table(header, rows):
            return
        width = shutil.get_terminal_size().columns
    else:
        width = 0
    lines = [tuple(header), *(tuple(shown(cell) for cell in row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    for line in lines:
        text = "  ".join(cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)).rstrip()
        print(text[: width - 1] + "…" if width and len(text) > width else text)


def _print_rich_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Do it by rich; return whether it is there."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(header):
        table.add_column(name, no_wrap=at == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))  # not markup: cells may hold brackets
    Console().print(table)
    return True


def flush() -> None:
    """Hand on what is written. Raises BrokenPipeError where nobody reads it."""
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()


def forget_output() -> None:
    """Let go of what cannot be written, so that the interpreter's own flush at exit does not fail on it."""
    try:
        flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
