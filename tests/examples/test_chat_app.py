"""The chat of the examples, on a terminal of its own, as a user has it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from example_runs import EXAMPLES
from hand_made import sse, text_events
from loopback import Connection, serving
from many_formats import ManyFormats, sent_to

from antiphon.testing import function_call

APP = EXAMPLES / "chat_app.py"

# The app as a library: with another chain, and a server of this process whose tool does not only read.
PROGRAM = """
import signal, sys
sys.path.insert(0, {folder!r})
signal.signal(signal.SIGINT, signal.default_int_handler)  # an ignored SIGINT is inherited
import chat_app
from antiphon import presets

class Files:
    def list_tools(self):
        return [{{"name": "delete", "inputSchema": {{"type": "object"}}}}]

    def call_tool(self, name, arguments):
        return "deleted " + arguments["path"]

chain = presets.responses.bind(
    api_base={url!r}, api_key="none", num_retries=0, input_cost_per_token=1e-3, output_cost_per_token=2e-3
)
chat_app.main(["groq/m", "--weather", "--history", {history!r}], chain=chain, servers={{"files": Files()}})
"""


class Terminal:
    """A program on a pseudo-terminal, and what it has shown."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-P", *command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def see(self, pattern: str, limit_s: float = 60) -> str:
        """Read until the pattern has come; return what was shown up to its end, and go on behind it."""
        ends_at = time.monotonic() + limit_s
        while not (found := re.search(pattern, self.shown, re.MULTILINE)):
            assert select.select([self._ours], [], [], max(0.0, ends_at - time.monotonic()))[0], self.shown
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # Linux: the program has ended
                piece = b""
            assert piece, f"ended before {pattern!r} was seen:\n{self.shown}"
            self.shown += piece.decode().replace("\r\n", "\n")
        seen, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


def half_an_answer(connection: Connection) -> None:
    connection.begin_stream()
    connection.send_chunk(sse(text_events("And they", end=False)))
    connection.wait_for_close()


def test_a_chat_with_tools_history_cost_and_ctrl_c(tmp_path: Path) -> None:
    host = ManyFormats(
        [function_call("get_weather", {"city": "Rome"}, "1"), function_call("delete", {"path": "notes"}, "2")],
        "Sunny, and gone.",
        half_an_answer,
        ("401 Unauthorized", {"error": {"message": "the key has expired"}}),
        "Never mind.",
    )
    with serving(host.serve) as server:
        program = PROGRAM.format(folder=str(EXAMPLES), url=f"{server.url}/v1", history=str(tmp_path / "chat.db"))
        terminal = Terminal("-c", program)
        try:
            terminal.see(r"^> ")
            terminal.type("Is it sunny? And delete my notes.\n")
            # The tool that needs no approval may end before the question is asked, or after it.
            seen = terminal.see(r"^run files\.delete\({'path': 'notes'}\)\? \[y/N\] ")
            terminal.type("y\n")
            seen += terminal.see(r"in all \$\d\.\d+\]\n> ")
            assert '[weather.get_weather({"city":"Rome"}) → It is sunny in Rome, and 21 degrees.]' in seen
            assert '[files.delete({"path":"notes"}) → deleted notes]' in seen
            assert "Sunny, and gone.\n[6 in, 8 out; $0.022000, in all $0.022000]" in seen

            terminal.type("And then?\n")
            terminal.see("And they")
            os.killpg(terminal.process.pid, signal.SIGINT)
            terminal.see(r" \[stopped\]\n> ")
            terminal.type("Go on.\n")
            terminal.see(r"^\[AuthenticationError\] the key has expired(.|\n)*^> ")
            terminal.type("\x04")
            terminal.process.wait(30)
        finally:
            terminal.close()

        again = Terminal("-c", program)
        try:
            again.see(r"^> ")
            again.type("/history\n")
            seen = again.see(r"^assistant: Sunny, and gone\.\n> ")
            assert "user: Is it sunny? And delete my notes.\n" in seen
            again.type("Well.\n")
            again.see(r"^Never mind\.\n\[3 in, 4 out")
            again.type("/quit\n")
            again.process.wait(30)
        finally:
            again.close()

        # The turn that was stopped, and the one that failed, are no part of the chat.
        words = str(sent_to(server)[-1].body["input"])
        assert [text in words for text in ("my notes", "Sunny", "Well.", "And then?", "And they", "Go on.")] == [
            *(True, True, True),
            *(False, False, False),
        ]


@pytest.mark.local_model
def test_a_chat_with_the_local_model(tmp_path: Path) -> None:
    command = (str(APP), "local/smollm2", "--weather", "--history", str(tmp_path / "chat.db"))
    for question in ("What is the weather in Paris?", "Thank you."):
        terminal = Terminal(*command)
        try:
            terminal.see(r"^> ")
            terminal.type(question + "\n")
            terminal.see(r"^\[\d+ in, \d+ out; cost not known\]\n> ", limit_s=300)
            terminal.type("/history\n")
            terminal.see(r"^user: What is the weather in Paris\?(.|\n)*^> ")
            terminal.type("\x04")
            assert terminal.process.wait(60) == 0
        finally:
            terminal.close()
