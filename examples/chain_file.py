"""A chain in a file: what an operator may change without touching code.

Run it from a clone of the repository:

    python examples/chain_file.py                   offline
    python examples/chain_file.py local/smollm2     a small real model on this machine
"""

import sys
import tempfile
from pathlib import Path

from antiphon import Chain, ChainError, Client, Handler, Reply, Request, Stage


class Instruct(Stage):
    text: str = "Answer in one sentence."

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request.with_params(instructions=self.text))


FILE = """
name = "support"
stages = [
    "log",
    "validate",
    { use = "instruct", text = "Be brief." },
    "resolve",
    { use = "retry", attempts = 5 },
    "transform",
    "dispatch",
]

[defaults]
max_output_tokens = 24
"""

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "support.toml")
    path.write_text(FILE)
    chain = Chain.from_file(path, stages=[Instruct])
    print(chain)

    path.write_text(FILE.replace("attempts = 5", "atempts = 5"))
    try:
        Chain.from_file(path, stages=[Instruct])
    except ChainError as error:
        print(error.message.removeprefix(str(path)))

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
with Client(chain.bind(model=model)) as client:
    print(client.responses("Say hello.").output_text)
