"""A batch that goes on where it broke off: the first run is stopped half-way, the second asks for what is missing.

Run it from a clone of the repository:

    python examples/checkpoint.py                   offline
    python examples/checkpoint.py local/smollm2     a small real model on this machine
"""

import sys
import tempfile

from antiphon import presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
chain = presets.responses.bind(model=model, max_output_tokens=8)
questions = [f"Name bird number {number}." for number in range(1, 9)]
file = f"{tempfile.mkdtemp()}/birds.sqlite"

with chain.map(questions, checkpoint=file, concurrency=2) as rows:
    for row in rows:
        print("asked:", row.request)
        if row.index == 3:
            break  # or Ctrl-C, or a machine that is switched off

for row in chain.map(questions, checkpoint=file, concurrency=2):
    print("kept: " if row.is_kept else "asked:", row.request, row.response is not None)
