"""The command line: `antiphon trace run.jsonl -o run.html`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .pipeline.errors import AntiphonError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    parser = argparse.ArgumentParser(prog="antiphon", description="Tools for the calls of this library.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    trace = commands.add_parser(
        "trace",
        help="show a file that antiphon.Trace wrote",
        description="Make a page of a trace file, or show its calls as they come.",
    )
    trace.add_argument("file", type=Path, help="what antiphon.Trace wrote")
    trace.add_argument("-o", "--output", type=Path, help="the page to write (default: the file's name with .html)")
    trace.add_argument("--follow", action="store_true", help="print each call as it ends, until Ctrl-C")
    trace.set_defaults(run=_trace)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except (AntiphonError, OSError) as error:
        print(f"antiphon: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _trace(options: argparse.Namespace) -> int:
    from .stages.trace import read_trace
    from .stages.trace_page import follow, render_trace, trace_line

    with options.file.open("rb") as file:
        if options.follow:
            for line in follow(file):
                for call in read_trace([line]):
                    print(trace_line(call, colour=sys.stdout.isatty()), flush=True)
        calls = read_trace(file)
    output: Path = options.output or options.file.with_suffix(".html")
    output.write_bytes(render_trace(calls, title=options.file.name))
    print(f"{output}: {len(calls)} calls")
    return 0


if __name__ == "__main__":
    sys.exit(main())
