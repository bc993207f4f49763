"""What several commands take: the arguments of a call, made a client and keywords."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..client import Client
from ..mcp.registry import McpServers
from ..mcp.server import McpServer
from ..pipeline.api.params import NULL
from ..pipeline.api.wire import loads
from ..pipeline.chain import Chain
from ..pipeline.errors import InvalidModel, InvalidParameter, did_you_mean
from ..pipeline.stores.store import Store
from ..stages import presets
from ..stages.trace import Trace

MODEL_VARIABLE = "ANTIPHON_MODEL"


def add_call_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says whom to ask, and how."""
    parser.add_argument("-m", "--model", metavar="MODEL", help=f"provider/model (default: ${MODEL_VARIABLE})")
    parser.add_argument("-s", "--system", metavar="TEXT", help="instructions for the model")
    parser.add_argument("--max-output-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other parameter or option of a call; the value is JSON, else text; NAME may have dots",
    )
    parser.add_argument("--schema", type=Path, metavar="FILE", help="a JSON schema that the answer has to fit")
    parser.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="SERVER",
        help="an MCP server whose tools the model may call: a URL, a command, or an mcp.json file",
    )
    parser.add_argument("--ask", action="store_true", help="ask on the terminal before each call of a tool")
    parser.add_argument("--store", metavar="URL", help="where responses are kept, e.g. sqlite:///chats.db")
    parser.add_argument(
        "--trace", metavar="FILE", help="add the call's times and numbers to a file, for antiphon trace"
    )
    parser.add_argument("--record", metavar="FILE", help="write what goes over the wire, for --replay")
    parser.add_argument("--replay", metavar="FILE", help="answer from such a file, without a network")
    add_chain_arguments(parser)


def add_chain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which chain is meant, as the option `--chain`."""
    parser.add_argument(
        "--chain",
        default="responses",
        metavar="FILE",
        help="a chain file, or the name of a stock chain (default: responses)",
    )
    add_imports_argument(parser)


def add_imports_argument(parser: argparse.ArgumentParser) -> None:
    """Add what a chain file may name."""
    parser.add_argument(
        "--allow-import",
        action="append",
        default=[],
        metavar="MODULE",
        help='a module from which the chain file may take "module:Name"',
    )


def stock_chains() -> list[str]:
    """Return the names of the chains of `presets`."""
    return [name for name in dir(presets) if not name.startswith("_")]


def chain_named(name: str, allow_imports: list[str]) -> Chain:
    """Return a chain of `presets`, or that of a file.

    Raises:
        ChainError: the file describes none.
        InvalidParameter: there is neither a file nor a stock chain of this name, or a stock chain shall import.
    """
    known = stock_chains()
    if name in known:
        if allow_imports:
            raise InvalidParameter(
                f'the stock chain "{name}" imports nothing, and "{allow_imports[0]}" is allowed to be imported',
                param="allow_imports",
                hint="name the chain file that needs it, or leave it out",
            )
        chain: Chain = getattr(presets, name)
        return chain
    path = Path(name)
    if path.suffix in (".toml", ".json") or path.exists():
        return Chain.from_file(path, allow_imports=allow_imports)
    raise InvalidParameter(
        f'there is no stock chain "{name}"{did_you_mean(name, known)}',
        hint=f"known: {', '.join(known)}; or name a .toml or .json file",
    )


def chain_of(options: argparse.Namespace) -> Chain:
    """Return the chain that the calls go through, with the stages that `--record` and `--replay` ask for."""
    from ..stages.record import Record
    from ..stages.replay import Replay

    chain = chain_named(options.chain, options.allow_import)
    if options.record:
        chain = chain.before("dispatch", Record(path=options.record))
    if options.replay:
        chain = chain.before("dispatch", Replay(path=options.replay))
    return chain


def model_of(options: argparse.Namespace, chain: Chain) -> str:
    """Return the model to ask: the option, else the chain's, else the environment's.

    Raises:
        InvalidModel: nothing says which.
    """
    bound = chain.defaults.get("model")
    found = options.model or bound or os.environ.get(MODEL_VARIABLE, "").strip()
    if not found:
        raise InvalidModel(
            "no model is given", hint=f"give -m openai/gpt-5, or set {MODEL_VARIABLE}; -m scripted/echo needs no key"
        )
    return str(found)


def client_of(
    options: argparse.Namespace,
    chain: Chain,
    servers: Mapping[str, McpServer] | McpServers,
    store: Store | None = None,
) -> Client:
    """Return the client that makes the calls; the caller closes it, and the registry and store that it brings.

    Args:
        store: in place of what `--store` says.
    """
    hooks = [Trace(options.trace)] if options.trace else []
    return Client(chain, hooks=hooks, mcp_servers=servers, state_store=store or options.store)


def keywords_of(options: argparse.Namespace, chain: Chain, servers: Mapping[str, McpServer]) -> dict[str, Any]:
    """Return the keywords of a call, without its input.

    Raises:
        CallError: something that cannot be read.
    """
    keywords: dict[str, Any] = {"model": model_of(options, chain)}
    for given in options.set:
        _set(keywords, given)
    if options.system is not None:
        keywords["instructions"] = options.system
    if options.max_output_tokens is not None:
        keywords["max_output_tokens"] = options.max_output_tokens
    if options.schema is not None:
        keywords["text_format"] = _schema(options.schema)
    if servers:
        approval = "always" if options.ask else "never"
        tools = [
            {"type": "mcp", "server_label": name, "server_url": f"antiphon/{name}", "require_approval": approval}
            for name in servers
        ]
        keywords["tools"] = [*keywords.get("tools", []), *tools]
    return keywords


_OTHERWISE = {
    "model": "the model is what -m says",
    "input": "the input is the prompt and what --file names",
    "stream": "answers are streamed, unless --no-stream or --json says otherwise",
}


def _set(keywords: dict[str, Any], given: str) -> None:
    """Set what one `--set` says; `reasoning.effort=low` is a field of an object."""
    name, mark, text = given.partition("=")
    *outer, last = name.split(".")
    # The value is not shown: it may be a key.
    if not mark or not last or not all(outer):
        raise InvalidParameter("--set needs a name and a value", hint="e.g. --set temperature=0.2")
    if name in _OTHERWISE:
        raise InvalidParameter(f"--set {name}: {_OTHERWISE[name]}")
    inside = keywords
    for part in outer:
        inside = inside.setdefault(part, {})
        if not isinstance(inside, dict):
            raise InvalidParameter(f"--set {name}: {part} is no object, so it has no fields")
    inside[last] = _value(text)


def _value(text: str) -> Any:
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
    return NULL if value is None else value


def _schema(path: Path) -> dict[str, Any]:
    try:
        schema = loads(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise InvalidParameter(
            f"--schema {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if not isinstance(schema, dict):
        raise InvalidParameter(f"--schema {path} is no JSON object", hint='e.g. {"type": "object", "properties": …}')
    return schema
