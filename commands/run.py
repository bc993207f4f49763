"""Ask a model once. The prompt is the argument, the standard input, or both: the input stands behind the argument."""

from __future__ import annotations

import argparse
import os
import stat
import sys

from ..client import Client
from ..keywords import translate
from ..pipeline.api.response import Response
from ..pipeline.api.wire import loads
from ..pipeline.errors import AntiphonError, InvalidParameter
from . import terminal
from .answer import Call, converse, show_notes, show_stream, show_text
from .arguments import add_call_arguments, chain_of, client_of, keywords_of
from .facts import print_facts
from .input_parts import input_of
from .tool_servers import read_servers

EXAMPLES = """\
  antiphon run "Why is the sea salty?" -m openai/gpt-5
  cat notes.txt | antiphon run "Sum this up." -m openai/gpt-5 -s "Be brief."
  antiphon run "What is on it?" -f photo.png -m openai/gpt-5
  antiphon run "Name a city." --schema city.json --no-stream -m openai/gpt-5
  antiphon run "What is the weather in Rome?" --tool "python weather.py" -m openai/gpt-5 -v
  antiphon run "Think." --set reasoning.effort=low --set temperature=0.2 -m openai/gpt-5 --json
  antiphon run "Hello." --chain support.toml --dry-run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", nargs="?", help='what to ask; "-" is the standard input alone')
    parser.add_argument(
        "-f", "--file", action="append", default=[], help="a file or URL to send along: image, text, PDF, …"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--no-stream", action="store_true", help="write the answer when it is whole")
    form.add_argument("--json", action="store_true", help="write the whole response as JSON")
    form.add_argument("--events", action="store_true", help="write the stream's events, a line of JSON each")
    form.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="stages, times, tokens, cost; -vv: log lines"
    )
    add_call_arguments(parser)


def run(options: argparse.Namespace) -> int:
    text = _prompt(options.prompt)
    if not text and not options.file:
        raise InvalidParameter("there is no prompt", hint='antiphon run "Hello.", or write it to the standard input')
    chain, servers = chain_of(options), read_servers(options.tool)
    call = {"input": input_of(text, options.file), **keywords_of(options, chain, servers)}
    if options.verbose:
        call["trace"] = True
    if options.verbose > 1:
        from ..stages.log import configure_logging

        configure_logging("DEBUG")
    with client_of(options, chain, servers) as client:
        if options.dry_run:
            known, dropped = translate(call)
            print(terminal.shown(str(client.chain.explain(**known))))
            for item in dropped:
                print(f"drops    {item.name}: {item.reason}")
            return 0
        try:
            response = converse(client, call, lambda call: _answer(client, call, options))
        except AntiphonError as error:
            if options.verbose and error.meta is not None:
                print_facts(error.meta, error.response)
            raise
    show_notes(response)
    if options.verbose:
        print_facts(response.meta, response)
    return 0


def _answer(client: Client, call: Call, options: argparse.Namespace) -> Response:
    """Make one call, and write its answer in the form that is asked for."""
    if options.json or options.no_stream:
        response = client.responses(**call, stream=False)
        if options.json:
            terminal.print_json(loads(response.raw))
        else:
            show_text(response, tools=options.verbose > 0)
        return response
    stream = client.responses(**call, stream=True)
    if not options.events:
        return show_stream(stream, tools=options.verbose > 0)
    with stream:
        for event in stream:
            line = event.raw.replace(b"\n", b" ").decode("utf-8", "replace")  # between JSON's tokens only
            print(terminal.shown(line), flush=True)
        return stream.until_done()


def _prompt(argument: str | None) -> str:
    """Return the prompt: the argument, and behind it what stands in the standard input, where that is no terminal."""
    if argument == "-":
        return _standard_input()
    if argument is None:
        return "" if terminal.is_terminal(sys.stdin) else _standard_input()
    # With a prompt given, only a pipe or a file is meant: what starts this may have left any other input open.
    piped = _standard_input() if _is_piped() else ""
    return f"{argument}\n\n{piped}" if piped.strip() else argument


def _is_piped() -> bool:
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode() if sys.stdin is not None else ""
    except UnicodeDecodeError as error:
        raise InvalidParameter(f"the standard input is no UTF-8 text: {error.reason} at byte {error.start}") from None
