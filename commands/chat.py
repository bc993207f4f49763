"""Talk with a model: every turn goes on from the one before."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from ..call_keywords import StoredKeywords
from ..client import Client
from ..mcp.registry import McpServers
from ..pipeline.api import items
from ..pipeline.api.response import Response
from ..pipeline.errors import AntiphonError, InvalidParameter, did_you_mean
from ..pipeline.stores.store import Store, key_of, open_store
from . import terminal
from .answer import Call, converse, show_notes, show_stream
from .arguments import add_call_arguments, chain_of, client_of, keywords_of
from .facts import summary
from .shell_hints import complain_of
from .tool_servers import listed_tools, read_servers

EXAMPLES = """\
  antiphon chat -m openai/gpt-5
  antiphon chat -m openai/gpt-5 --store sqlite:///chats.db
  antiphon chat -m openai/gpt-5 --store sqlite:///chats.db --resume
  antiphon chat -m openai/gpt-5 --tool "python weather.py" --ask
"""

HELP: Final = """\
/help         this
/tools        the tools that the model may call
/new          begin a new conversation
/model NAME   go on with another model
/save FILE    write what was said, as text; as JSON where FILE ends in .json
/quit         end (Ctrl-D too)
A line that ends in \\ goes on in the next one. //text sends /text. Ctrl-C stops an answer."""

_LAST = key_of(None, "command line", "chat")
_KEPT_S = 30 * 86400.0  # as long as responses are, unless told otherwise


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resume",
        nargs="?",
        const="last",
        metavar="ID",
        help="go on with the last conversation of --store, or from a response",
    )
    add_call_arguments(parser)


def run(options: argparse.Namespace) -> int:
    url = options.store or os.environ.get("ANTIPHON_STORE", "").strip()
    if options.resume == "last" and not url:
        raise InvalidParameter(
            "--resume needs to know where the last conversation is kept", hint="give --store sqlite:///chats.db"
        )
    chain, servers = chain_of(options), read_servers(options.tool)
    call = keywords_of(options, chain, servers)
    with (
        contextlib.closing(open_store(url or "memory://")) as store,
        contextlib.closing(McpServers(servers)) as registry,
        client_of(options, chain, registry, store) as client,
    ):
        chat = Chat(client, call, store, registry)
        if options.resume:
            chat.resume(options.resume)
        return chat.talk()


class _Last(msgspec.Struct):
    """What is kept of a conversation, to find it again: its last response."""

    id: str


class Chat:
    """One conversation, and what may be typed in it.

    Args:
        call: keywords of every turn, without its input.
    """

    def __init__(self, client: Client, call: Call, store: Store, servers: McpServers) -> None:
        self.client = client
        self.call = call
        self.store = store
        self.servers = servers
        self.previous: str | None = None
        self.said: list[tuple[str, str]] = []  # (role, text)
        self.is_watched = terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stdout)

    def talk(self) -> int:
        """Take turns until the input ends; return the exit status."""
        if self.is_watched:
            _edit_lines()
            terminal.note(f"{self.call['model']}; /help says what else may be typed")
        while (line := self._next_line()) is not None:
            if not line.strip():
                continue
            try:
                if line.startswith("/") and not line.startswith("//"):
                    if self._command(*line[1:].strip().partition(" ")[::2]):
                        break
                else:
                    self._turn(line.removeprefix("/") if line.startswith("//") else line)
            except AntiphonError as error:
                if not self.is_watched:
                    raise
                complain_of(error)
            except KeyboardInterrupt:
                if not self.is_watched:
                    raise
                terminal.note("stopped; what is stopped is not part of the conversation")
        return 0

    def resume(self, which: str) -> None:
        """Go on from a response, or from the last one of the store, and show what was said before.

        Raises:
            InvalidParameter: the store has no conversation.
            NotFoundError: the response is not kept any more.
        """
        if which == "last":
            (entry,) = self.store.read([_LAST])
            if entry is None:
                raise InvalidParameter("this store has no conversation to resume", hint="leave --resume out")
            which = msgspec.json.decode(entry.value, type=_Last).id
        keywords: Call = {name: self.call[name] for name in StoredKeywords.__annotations__ if name in self.call}
        response = self.client.get_responses(which, stream=False, **keywords)
        page = self.client.list_input_items(which, order="asc", **keywords)
        self.said = [*_said_in(page), *_said_in(response.output)]
        self.previous = which
        for role, text in self.said:
            terminal.note(f"{role}: {text}")

    # --- a turn ----------------------------------------------------------------------------------------------------

    def _turn(self, text: str) -> None:
        call = {**self.call, "input": text, "previous_response_id": self.previous}
        response = converse(self.client, call, self._answer)
        self.said += [("user", text), ("assistant", response.output_text)]
        self.previous = response.id
        self.store.write(_LAST, msgspec.json.encode(_Last(response.id)), ttl_s=_KEPT_S)
        show_notes(response)
        terminal.note(f"[{summary(response)}]")

    def _answer(self, call: Call) -> Response:
        return show_stream(self.client.responses(**call, stream=True), tools=True)

    # --- what is typed ---------------------------------------------------------------------------------------------

    def _next_line(self) -> str | None:
        """Return the next line, joined with those that it goes on in; None at the end of the input."""
        lines: list[str] = []
        while True:
            try:
                line = self._read("… " if lines else "> ")
            except EOFError:
                if self.is_watched:
                    print()
                return "\n".join(lines) if lines else None
            except KeyboardInterrupt:
                if not self.is_watched:
                    raise
                print()
                terminal.note("Ctrl-D or /quit ends the chat")
                lines = []
                continue
            except UnicodeDecodeError as error:
                raise InvalidParameter(f"the input is no text in {error.encoding}") from None
            if not line.endswith("\\"):
                return "\n".join([*lines, line])
            lines.append(line[:-1])

    def _read(self, prompt: str) -> str:
        if self.is_watched:
            return input(prompt)
        line = sys.stdin.readline() if sys.stdin is not None else ""
        if not line:
            raise EOFError
        return line.removesuffix("\n")

    def _command(self, name: str, argument: str) -> bool:
        """Do what a line with a slash says; return whether the chat is over."""
        commands: dict[str, Callable[[str], object]] = {
            "help": lambda _: terminal.note(HELP),
            "tools": lambda _: self._show_tools(),
            "new": lambda _: self._begin(),
            "model": self._take_model,
            "save": self._save,
        }
        if name in ("quit", "exit"):
            return True
        if name in commands:
            commands[name](argument.strip())
        else:
            terminal.complain(f"there is no /{name}{did_you_mean(name, [*commands, 'quit'])}", "/help")
        return False

    def _begin(self) -> None:
        self.previous, self.said = None, []
        terminal.note("a new conversation")

    def _take_model(self, name: str) -> None:
        if name:
            self.call = {**self.call, "model": name}
        terminal.note(f"model: {self.call['model']}")

    def _show_tools(self) -> None:
        if not self.servers.servers:
            terminal.note("none; --tool gives the model the tools of an MCP server")
        for name, tool in listed_tools(self.servers, self.client.engine):
            terminal.note(f"{name}: {tool.name}  {' '.join(tool.description.split())}")

    def _save(self, name: str) -> None:
        if not name:
            terminal.complain("/save without a file", "/save talk.md")
            return
        path = Path(name).expanduser()
        if path.suffix == ".json":
            messages = [{"role": role, "content": text} for role, text in self.said]
            data = msgspec.json.format(msgspec.json.encode(messages), indent=2)
        else:
            data = "\n".join(f"{role}: {text}\n" for role, text in self.said).encode("utf-8", "backslashreplace")
        try:
            path.write_bytes(data)
        except OSError as error:
            terminal.complain(f"{path} cannot be written: {error.strerror}")
        else:
            terminal.note(f"{path}: {len(self.said)} messages")


def _said_in(given: Any) -> Iterator[tuple[str, str]]:
    for item in given:
        if isinstance(item, items.Message) and item.text:
            yield item.role, item.text


def _edit_lines() -> None:
    """Let `input` edit lines and go back in what was typed, where there is a readline. Nothing is kept of it."""
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")
