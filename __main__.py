"""The command line: `antiphon run "Hello" -m openai/gpt-5`, and what `antiphon --help` lists."""

from __future__ import annotations

import sys

from .commands.command_line import main as main

if __name__ == "__main__":
    sys.exit(main())
