"""Look at the exchanges that a Record stage wrote, or answer from them at an address on this machine.

For calls of this library, `antiphon run --replay FILE` answers from such a file without a server."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from ..pipeline.api.wire import loads
from ..pipeline.cassette import Recorded, read_cassette
from ..pipeline.errors import InvalidParameter
from . import terminal

EXAMPLES = """\
  antiphon run "Hello." -m openai/gpt-5 --record hello.jsonl
  antiphon run "Hello." -m openai/gpt-5 --replay hello.jsonl
  antiphon replay hello.jsonl
  antiphon replay hello.jsonl 1
  antiphon replay hello.jsonl --serve 8080
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="what a Record stage, or --record, wrote")
    parser.add_argument("number", nargs="?", type=int, help="show this exchange whole, with what was sent and came")
    parser.add_argument("--json", action="store_true", help="write the exchanges as JSON")
    parser.add_argument(
        "--serve",
        type=port,
        metavar="PORT",
        help="answer at http://127.0.0.1:PORT, each exchange once; 0 takes a free port",
    )
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="FIELD", help="a field of the body that may differ"
    )


def run(options: argparse.Namespace) -> int:
    exchanges = read_cassette(options.file)
    if options.serve is not None:
        from .replay_server import serve

        return serve(options.file, options.serve, tuple(options.ignore))
    if options.number is not None:
        if not 1 <= options.number <= len(exchanges):
            raise InvalidParameter(f"{options.file} has no exchange {options.number}; it has {len(exchanges)}")
        exchanges = exchanges[options.number - 1 : options.number]
    if options.json:
        terminal.print_json(msgspec.to_builtins(exchanges))
    elif options.number is not None:
        _show(exchanges[0])
    else:
        header = ("no.", "asked", "model", "status", "chunks", "end")
        terminal.print_table(header, [_cells(number, one) for number, one in enumerate(exchanges, 1)])
    return 0


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"a port is from 0 to 65535, not {number}")
    return number


def _cells(number: int, exchange: Recorded) -> tuple[str, ...]:
    body = _body(exchange)
    model = str(body.get("model", "")) if isinstance(body, dict) else ""
    return (
        str(number),
        f"{exchange.method} {exchange.url}",
        model,
        str(exchange.status or "none"),
        str(len(exchange.chunks)),
        exchange.error or "whole",
    )


def _show(exchange: Recorded) -> None:
    print(f"{exchange.method} {terminal.shown(exchange.url)}")
    for name, value in exchange.headers.items():
        print(terminal.shown(f"{name}: {value}"))
    if exchange.body is not None:
        print()
        terminal.print_json(_body(exchange))
    print(f"\n{exchange.status or 'no answer'}")
    for name, value in exchange.answer_headers.items():
        print(terminal.shown(f"{name}: {value}"))
    print()
    for chunk in exchange.chunks:
        text = chunk if isinstance(chunk, str) else f"[bytes, base64: {_plain(chunk)['base64']}]"
        print(terminal.shown(text), end="")
    print(f"\n[{exchange.error}: {exchange.message}]" if exchange.error else "")


def _body(exchange: Recorded) -> Any:
    if not isinstance(exchange.body, str):
        return _plain(exchange.body)
    try:
        return loads(exchange.body)
    except msgspec.DecodeError:
        return exchange.body


_plain = msgspec.to_builtins  # bytes are base64 there
