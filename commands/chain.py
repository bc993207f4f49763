"""Look at chains: what is in one, what is wrong with a file, and the JSON Schema of such files."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pipeline.chain import Chain
from ..pipeline.chain_files.chain_problems import problems_in
from ..pipeline.chain_files.stage_names import StageNames
from ..pipeline.pictures.outline import outline
from ..pipeline.secret import mask
from . import terminal
from .arguments import add_imports_argument, chain_named
from .shell_hints import complain_of

EXAMPLES = """\
  antiphon chain show responses
  antiphon chain show support.toml --options
  antiphon chain show responses --form toml
  antiphon chain check support.toml
  antiphon chain schema
"""

FORMS = ("tree", "toml", "json", "mermaid")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="show|check|schema", dest="action")
    show = actions.add_parser("show", help="show a chain", allow_abbrev=False)
    show.add_argument(
        "chain",
        nargs="?",
        default="responses",
        metavar="FILE",
        help="a chain file, or the name of a stock chain (default: responses)",
    )
    show.add_argument("--form", choices=FORMS, default="tree", help="as a tree, a chain file, or a mermaid picture")
    show.add_argument("--options", action="store_true", help="list the call options that its stages read")
    check = actions.add_parser("check", help="say all that is wrong with chain files; status 1", allow_abbrev=False)
    check.add_argument("files", nargs="+", type=Path, metavar="FILE")
    schema = actions.add_parser("schema", help="write the JSON Schema of chain files, for editors", allow_abbrev=False)
    for action in (show, check):
        add_imports_argument(action)
    for action in (show, check, schema):  # behind the action too; the parser around it sets the default
        action.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    if options.action == "schema":
        terminal.print_json(Chain.json_schema())
        return 0
    if options.action == "check":
        return _check(options.files, StageNames(allow_imports=options.allow_import))
    chain = chain_named(options.chain, options.allow_import)
    print(picture(chain, options.form))
    if options.options:
        print()
        explained = chain.explain()
        terminal.print_table(("option", "meaning"), sorted(explained.options.items()))
    return 0


def picture(chain: Chain, form: str) -> str:
    """Return a chain in one of the `FORMS`.

    Raises:
        NotSerializable: it has no form in a file.
    """
    if form == "toml":
        return chain.to_toml().rstrip("\n")
    if form == "json":
        return chain.to_json()
    if form == "mermaid":
        return chain.to_mermaid().rstrip("\n")
    lines = list(outline(chain).lines())
    lines += [mask(f"{name} = {value!r}") for name, value in chain.defaults.items()]
    return "\n".join(lines)


def _check(files: list[Path], names: StageNames) -> int:
    wrong = 0
    for file in files:
        problems = problems_in(file, names)
        wrong += len(problems)
        for problem in problems:
            if str(file) not in problem.message:
                problem.message = f"{file}: {problem.message}"
            complain_of(problem, for_call=False)
        if not problems:
            print(f"{file}: good")
    return 1 if wrong else 0
