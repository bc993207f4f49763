"""A batch with a checkpoint that may be killed: says each row when it has it, and notes each call in a file.

python killed_run.py CHECKPOINT CALLS ROWS CONCURRENCY MODE
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import anyio

from antiphon.pipeline.batches.row import Row
from antiphon.testing import scripted

checkpoint, calls, count, concurrency, mode = sys.argv[1:]
log = os.open(calls, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def said(sent: dict[str, str]) -> str:
    os.write(log, f"{sent['input']}\n".encode())
    return f"answer to {sent['input']}"


def rows() -> Iterator[str]:
    return (f"row {index}" for index in range(int(count)))


def show(row: Row) -> None:
    assert row.response is not None, row
    assert row.response.output_text == f"answer to row {row.index}"
    os.write(1, f"{row.index} {'kept' if row.is_kept else 'asked'}\n".encode())


settings = {"model": "openai/m", "checkpoint": checkpoint, "concurrency": int(concurrency)}
client = scripted(said)
if mode == "sync":
    for row in client.map(rows(), **settings):  # type: ignore[arg-type]
        show(row)
else:

    async def main() -> None:
        async for row in client.amap(rows(), **settings):
            show(row)

    anyio.run(main, backend=mode)
