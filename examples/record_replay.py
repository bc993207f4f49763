"""Record what hosts answer, and answer from the file: tests without a network, and bug reports that run.

Run it from a clone of the repository:

    python examples/record_replay.py                   offline
    python examples/record_replay.py local/smollm2     a small real model on this machine
"""

import json
import sys
import tempfile
from pathlib import Path

from antiphon import CassetteMiss, Record, Replay, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "exchanges.jsonl")
    recording = presets.responses.before("dispatch", Record(str(path)))
    recorded = recording.invoke("Say hello.", model=model, max_output_tokens=16).output_text
    for line in path.read_text("utf-8").splitlines():
        print("recorded:", ", ".join(sorted(json.loads(line))))

    # The bytes of the wire again, in their chunks. Keys and cookies are not in the file.
    replaying = presets.responses.before("dispatch", Replay(str(path)))
    print("the same:", replaying.invoke("Say hello.", model=model, max_output_tokens=16).output_text == recorded)
    try:
        replaying.invoke("Say goodbye.", model=model)
    except CassetteMiss as error:
        print("CassetteMiss:", error.message.partition(" for ")[2])
