"""Serve a chain over HTTP: the Responses API for any OpenAI client. Runs until Ctrl-C; needs uvicorn (extra `serve`).

Without --key-env it answers this machine only."""

from __future__ import annotations

import argparse
import ipaddress
from typing import Any

from ..pipeline.errors import InvalidParameter, MissingExtra
from ..pipeline.secret import FromEnv
from ..serve import app
from ..serve.application import client_for_callers
from ..serve.callers import Keys
from . import terminal
from .arguments import add_chain_arguments, chain_named
from .tool_servers import read_servers

_LAST_ANSWERS_S = 10  # that answers have to end when the server is stopped

EXAMPLES = """\
  antiphon serve
  antiphon serve --chain support.toml --port 8080 --model openai/gpt-5 --model local/smollm2
  antiphon serve --host 0.0.0.0 --key-env SERVER_KEY --store sqlite:///responses.db
  antiphon serve --key-env acme=ACME_KEY --key-env zeta=ZETA_KEY
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_chain_arguments(parser)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument(
        "--key-env",
        action="append",
        default=[],
        metavar="NAME",
        help="the variable with the key that callers send; TENANT=NAME, several times, keeps callers apart",
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="MODEL", help="a model that callers may ask for (default: any)"
    )
    parser.add_argument("--store", metavar="URL", help="where responses are kept, e.g. sqlite:///responses.db")
    parser.add_argument(
        "--tool", action="append", default=[], metavar="SERVER", help="an MCP server that calls may name: antiphon/NAME"
    )


def run(options: argparse.Namespace) -> int:
    keys = _keys(options.key_env)
    if keys is None and not _is_loopback(options.host):
        raise InvalidParameter(
            f"--host {options.host} reaches other machines, and there is no key",
            hint="--key-env SERVER_KEY, the variable that holds the key which callers send",
        )
    uvicorn = _uvicorn()
    chain = chain_named(options.chain, options.allow_import)
    client = client_for_callers(chain, read_servers(options.tool), options.store)
    served = app(client, keys=keys, models=options.model, closes=True)
    terminal.say(f"serving chain {chain.name} for {'callers with a key' if keys else 'this machine'}")
    uvicorn.run(served, host=options.host, port=options.port, lifespan="on", timeout_graceful_shutdown=_LAST_ANSWERS_S)
    return 0


def _keys(given: list[str]) -> Keys | None:
    """Return the keys that the options name."""
    if not given:
        return None
    if len(given) == 1 and "=" not in given[0]:
        return FromEnv(given[0])
    found: dict[str, list[FromEnv]] = {}
    for text in given:
        tenant, mark, name = text.partition("=")
        if not mark or not tenant or not name:
            raise InvalidParameter(
                f"--key-env {text}: with several keys each needs a tenant", hint="--key-env acme=ACME_KEY"
            )
        found.setdefault(tenant, []).append(FromEnv(name))
    return dict(found)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _uvicorn() -> Any:
    try:
        import uvicorn
    except ImportError as error:
        raise MissingExtra(
            f"antiphon serve needs uvicorn, which cannot be imported: {error}",
            hint="pip install 'antiphon[serve]'; or give antiphon.serve.app(...) to another ASGI server",
        ) from error
    return uvicorn
