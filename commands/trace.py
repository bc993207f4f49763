"""Make a page of a trace file, or show its calls as they come."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import BinaryIO

from ..pipeline.errors import SetupError
from ..pipeline.file_folder import check_folder
from ..stages.trace import read_trace
from ..stages.trace_page import follow, render_trace, trace_line
from . import terminal

EXAMPLES = """\
  antiphon run "Hello." -m openai/gpt-5 --trace run.jsonl
  antiphon trace run.jsonl -o run.html
  antiphon trace run.jsonl --follow
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="what antiphon.Trace wrote")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PAGE",
        help="the page to write, - for standard output (default: the file's name with .html)",
    )
    parser.add_argument("--follow", action="store_true", help="print each call as it ends, until Ctrl-C")


def run(options: argparse.Namespace) -> int:
    output: Path = options.output or options.file.with_suffix(".html")
    is_piped = str(output) == "-"
    if not options.follow and not is_piped:
        check_folder(output, f"page {output}", "output")
    with _opened(options.file) as file:
        if options.follow:
            for line in follow(file):
                for call in read_trace([line]):
                    print(trace_line(call, colour=terminal.has_colours(sys.stdout)), flush=True)
        calls = read_trace(file)
    page = render_trace(calls, title=options.file.name)
    if is_piped:
        sys.stdout.buffer.write(page)
        return 0
    output.write_bytes(page)
    print(f"{output}: {terminal.counted(len(calls), 'call')}")
    return 0


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SetupError(
            f"trace {path} cannot be read: {error.strerror}", hint="write it by --trace, or a Trace hook"
        ) from error
