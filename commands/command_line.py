"""Which command is meant, and how its end becomes an exit status and a line on stderr.

The commands are a table of names and modules. Only the module that is asked for is loaded, so that each command starts
as fast as what it needs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol, cast

from . import terminal

COMMANDS: Final = {
    "run": "ask a model once",
    "chat": "talk with a model",
    "chain": "look at chains and chain files",
    "providers": "list the providers",
    "tools": "list the tools of an MCP server, and call one",
    "probe": "ask a host what it honours",
    "serve": "serve a chain over HTTP, for any OpenAI client",
    "replay": "look at recorded exchanges, or serve them",
    "trace": "show a file that antiphon.Trace wrote",
}
"""Name, which is also that of the module, and what it is for."""

DONE, FAILED, MISUSED, STOPPED, UNREAD = 0, 1, 2, 130, 141

_HELP = """usage: antiphon COMMAND [ARGUMENTS]

Composable chains for the OpenAI Responses API over every provider.

commands:
{commands}

antiphon COMMAND --help   what a command takes, with examples
antiphon --version        the version

Try it without a key:  antiphon run "Hello there." -m scripted/echo

exit status:
  0    done
  1    the call failed, or what was to be checked is wrong
  2    the command line or the call is wrong; nothing was sent
  130  stopped by Ctrl-C
  141  nobody reads the output any more"""


class Command(Protocol):
    """A module of this package that is a command."""

    __doc__: str | None
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int:
        """Do it; return the exit status. Errors are raised."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the process's exit status.

    Raises:
        SystemExit: by `--help`, and by a command line that cannot be read (status 2).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal.prepare()
    debug = False
    try:
        command, status = _command(words)
        if command is None:
            return status
        options = _parsed(parser_of(words[0], command), words[1:])
        debug = options.debug
        status = command.run(options)
        terminal.flush()
        return status
    except KeyboardInterrupt:
        return _stopped()
    except BrokenPipeError:
        terminal.forget_output()
        return UNREAD
    except Exception as error:
        status = _failed(error, debug)
        terminal.forget_output()
        return status


def _command(words: list[str]) -> tuple[Command | None, int]:
    """Return the command that is asked for; or None, when it is done already, and the exit status."""
    name = words[0] if words else "--help"
    if name in COMMANDS:
        return command_named(name), DONE
    if name in ("-h", "--help", "help"):
        rows = "\n".join(f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items())
        print(_HELP.format(commands=rows))
    elif name in ("-V", "--version"):
        from ..pipeline.version import __version__

        print(f"antiphon {__version__}")
    else:
        from ..pipeline.errors import did_you_mean
        from ..pipeline.secret import mask

        kind = "option" if name.startswith("-") else "command"
        terminal.complain(f'there is no {kind} "{mask(name)}"{did_you_mean(name, COMMANDS)}', "antiphon --help")
        return None, MISUSED
    terminal.flush()
    return None, DONE


def command_named(name: str) -> Command:
    """Return one of the `COMMANDS`."""
    return cast(Command, importlib.import_module(f".{name}", __package__))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in the form of all other errors, without anything in it that looks like a key."""

    def error(self, message: str) -> NoReturn:
        from ..pipeline.secret import mask

        terminal.complain(mask(message), f"{self.prog} --help")
        raise SystemExit(MISUSED)


def parser_of(name: str, command: Command) -> argparse.ArgumentParser:
    """Return what reads the arguments of a command."""
    parser = Parser(
        prog=f"antiphon {name}",
        description=command.__doc__,
        epilog=f"examples:\n{command.EXAMPLES.rstrip()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(words)
    finally:
        terminal.flush()  # --help leaves from here


def _stopped() -> int:
    if terminal.is_terminal(sys.stderr):
        terminal.say("")  # behind the ^C that the terminal shows
    terminal.forget_output()
    return STOPPED


def _failed(error: Exception, debug: bool) -> int:
    """Tell of an error, and return the exit status that it means."""
    from ..pipeline.errors import AntiphonError, CallError
    from ..pipeline.secret import mask
    from .shell_hints import complain_of

    if debug:
        import traceback

        terminal.say(mask("".join(traceback.format_exception(error))).rstrip("\n"))
    elif isinstance(error, AntiphonError):
        complain_of(error)
    elif isinstance(error, OSError):
        terminal.complain(mask(str(error)))
    else:
        terminal.complain(mask(f"{type(error).__name__}: {error}"), "--debug shows where")
    return MISUSED if isinstance(error, CallError) else FAILED
