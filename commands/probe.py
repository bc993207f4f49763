"""Ask a host small questions, 17 calls at the most, and say what it honours and how that was seen."""

from __future__ import annotations

import argparse
import contextlib
import sys

import msgspec

from ..client import Client
from ..pipeline.errors import (
    AntiphonError,
    APIConnectionError,
    AuthenticationError,
    BillingError,
    CallError,
    InternalServerError,
    InvalidParameter,
    MissingKey,
    PermissionDeniedError,
    RateLimitError,
    did_you_mean,
)
from . import terminal
from .arguments import add_chain_arguments, chain_named
from .questions import QUESTIONS, Asker, Finding

EXAMPLES = """\
  antiphon probe openai/gpt-5
  antiphon probe openai/gpt-5 streaming tools
  antiphon probe openai/gpt-5 --json --tokens 300
"""

# What says nothing of the feature that was asked for.
_BESIDE_THE_POINT = (
    APIConnectionError,
    AuthenticationError,
    BillingError,
    InternalServerError,
    MissingKey,
    PermissionDeniedError,
    RateLimitError,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="provider/model")
    # Without a default argparse says of a missing model that features are missing too.
    parser.add_argument(
        "features", nargs="*", default=[], metavar="FEATURE", help=f"only these: {', '.join(QUESTIONS)}"
    )
    parser.add_argument(
        "--tokens",
        type=int,
        default=100,
        metavar="N",
        help="longest answer of each call (100); models that think need more",
    )
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="for each call (120)")
    parser.add_argument("--json", action="store_true", help="write the findings as JSON")
    add_chain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    for name in options.features:
        if name not in QUESTIONS:
            raise InvalidParameter(
                f'there is no feature "{name}"{did_you_mean(name, QUESTIONS)}', hint=f"known: {', '.join(QUESTIONS)}"
            )
    chain = chain_named(options.chain, options.allow_import)
    findings: list[Finding] = []
    with contextlib.closing(Client(chain)) as client:
        asker = Asker(client, options.model, options.tokens, options.timeout)
        asker.ask_first()  # an error of this one is the command's: nothing else would be answered either
        for name, question in QUESTIONS.items():
            if options.features and name not in options.features:
                continue
            try:
                verdict, seen = question(asker)
            except AntiphonError as error:
                verdict, seen = ("unclear" if isinstance(error, _BESIDE_THE_POINT) else "no"), _said(error)
            findings.append(Finding(name, verdict, seen))
            if not options.json:
                shade = {"yes": 32, "no": 31}.get(verdict, 33)
                shown = terminal.coloured(f"{verdict:<8}", shade, sys.stdout)
                print(f"{shown} {name:<22} {terminal.shown(seen)}", flush=True)
    if options.json:
        terminal.print_json({"model": options.model, **asker.spent(), "findings": msgspec.to_builtins(findings)})
    else:
        terminal.note(asker.summary())
    return 0


def _said(error: AntiphonError) -> str:
    where = "not sent" if isinstance(error, CallError) else "refused" if error.status else "failed"
    return f"{where}: {type(error).__name__}: {terminal.cut(error.message, 200)}"
