"""A chat in the terminal: streamed answers, tools of MCP servers, a history that outlives the process, and the cost.

Run it from a clone of the repository:

    python examples/chat_app.py                               offline: a scripted host that says the input again
    python examples/chat_app.py local/smollm2 --weather       a small real model on this machine, with a tool
    python examples/chat_app.py openai/gpt-5 --server docs=https://docs.example/mcp --prices prices.json

Ctrl-C stops an answer, Ctrl-D ends the chat; started again with the same `--history` it goes on where it was.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import antiphon
from antiphon import ApprovalRequest, Chain, Client, Store, key_of, open_store, presets

HELP = "/history  what was said   /new  begin again   /quit  or Ctrl-D"
WEATHER = {"command": sys.executable, "args": [str(Path(__file__).parent / "servers" / "bare.py")]}


class Place:
    """Where the chat is: the id of its last response, kept beside the responses themselves."""

    def __init__(self, store: Store, chat: str) -> None:
        self._store = store
        self._key = key_of(None, "chat", chat)

    def get(self) -> str | None:
        [entry] = self._store.read([self._key])
        return entry.value.decode() or None if entry else None

    def set(self, response_id: str | None) -> None:
        self._store.write(self._key, (response_id or "").encode())


class Chat:
    """One chat of a client.

    Args:
        servers: names of the MCP servers that the model may use.
    """

    def __init__(self, client: Client, model: str, place: Place, servers: Sequence[str]) -> None:
        self.client, self.model, self.place = client, model, place
        self.tools = [{"type": "mcp", "server_label": name, "server_url": f"antiphon/{name}"} for name in servers]
        self.spent = 0.0

    def run(self) -> None:
        """Talk until the user leaves."""
        print(f"{self.model}   {HELP}")
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                print()
                return
            except KeyboardInterrupt:  # an empty line, begun anew
                print()
                continue
            match line:
                case "":
                    continue
                case "/quit":
                    return
                case "/new":
                    self.place.set(None)
                case "/history":
                    self.show_history()
                case _ if line.startswith("/"):
                    print(HELP)
                case _:
                    self.say(line)

    def say(self, text: str) -> None:
        """Ask the model, and show what it does as it does it. What fails or is stopped is no part of the chat."""
        call: dict[str, Any] = {"previous_response_id": self.place.get(), "tools": self.tools or None}
        try:
            with self.client.responses(text, self.model, stream=True, approve=approve, **call) as stream:
                for event in stream:
                    show(event)
                print()
                response = stream.until_done()
        except KeyboardInterrupt:  # the block has closed the stream, which stops the host
            print(" [stopped]")
        except antiphon.AntiphonError as error:
            print(f"\n[{type(error).__name__}] {error}")
        else:
            self.place.set(response.id)
            self.show_cost(stream.meta, response.usage)

    def show_cost(self, meta: antiphon.Meta, usage: Any) -> None:
        tokens = f"{usage.input_tokens} in, {usage.output_tokens} out" if usage else "tokens not told"
        if meta.cost is None:
            print(f"[{tokens}; cost not known]")
        else:
            self.spent += meta.cost
            print(f"[{tokens}; ${meta.cost:.6f}, in all ${self.spent:.6f}]")

    def show_history(self) -> None:
        last = self.place.get()
        if last is None:
            print("[nothing yet]")
            return
        said = [*self.client.list_input_items(last, order="asc", limit=100), *self.client.get_responses(last).output]
        for item in said:
            if item.type == "message":
                print(f"{item.role}: {item.text}")
            elif item.type == "mcp_call":
                print(f"{item.server_label}.{item.name}({item.arguments})")


def show(event: Any) -> None:
    """Print what an event adds."""
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)
    elif event.type == "response.output_item.done" and event.item.type == "mcp_call":
        item = event.item
        # Line and line end in one piece: another tool's question may be asked at the same time.
        print(f"[{item.server_label}.{item.name}({item.arguments}) → {item.error or item.output}]\n", end="")


def approve(request: ApprovalRequest) -> bool:
    """Let tools that only read run; ask about all others."""
    if request.tool.annotations.get("readOnlyHint") is True:
        return True
    try:
        return input(f"run {request.server_label}.{request.name}({request.arguments})? [y/N] ").strip().lower() == "y"
    except (EOFError, KeyboardInterrupt):
        return False


def server_of(text: str) -> tuple[str, Any]:
    """Read NAME=URL or NAME=COMMAND."""
    name, _, where = text.partition("=")
    if not where:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=URL or NAME=COMMAND")
    if "://" in where:
        return name, where
    command, *args = shlex.split(where)
    return name, {"command": command, "args": args}


def main(
    arguments: Sequence[str], *, chain: Chain = presets.responses, servers: Mapping[str, Any] | None = None
) -> None:
    """Run the chat.

    Args:
        chain: what calls go through, for programs that bring their own.
        servers: further MCP servers by name.
    """
    parser = argparse.ArgumentParser(description="A chat in the terminal.")
    parser.add_argument("model", nargs="?", default="scripted/echo")
    parser.add_argument("--chat", default="main", help="which chat of the history (main)")
    parser.add_argument("--history", default="", help="a SQLite file; without one the chat ends with the process")
    parser.add_argument("--server", type=server_of, action="append", default=[], help="NAME=URL or NAME=COMMAND")
    parser.add_argument("--weather", action="store_true", help="the small MCP server of these examples")
    parser.add_argument("--prices", help="a JSON file of prices by token")
    options = parser.parse_args(arguments)

    named = {**dict(options.server), **({"weather": WEATHER} if options.weather else {}), **(servers or {})}
    if options.prices:
        chain = chain.with_(cost={"prices": options.prices})
    url = f"sqlite:///{Path(options.history).absolute()}" if options.history else "memory://"
    store = open_store(url)
    try:
        with Client(chain, state_store=store, mcp_servers=named) as client:
            Chat(client, options.model, Place(store, options.chat), tuple(named)).run()
    finally:
        store.close()


if __name__ == "__main__":
    main(sys.argv[1:])
