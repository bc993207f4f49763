"""Make a page of a trace file, or show its calls as they come."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

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
    parser.add_argument("-o", "--output", type=Path, help="the page to write (default: the file's name with .html)")
    parser.add_argument("--follow", action="store_true", help="print each call as it ends, until Ctrl-C")


def run(options: argparse.Namespace) -> int:
    with options.file.open("rb") as file:
        if options.follow:
            for line in follow(file):
                for call in read_trace([line]):
                    print(trace_line(call, colour=terminal.has_colours(sys.stdout)), flush=True)
        calls = read_trace(file)
    output: Path = options.output or options.file.with_suffix(".html")
    output.write_bytes(render_trace(calls, title=options.file.name))
    print(f"{output}: {len(calls)} calls")
    return 0
