"""An image in the input: one part of the API, and what each host's format makes of it.

Run it from a clone of the repository:

    python examples/images.py                   offline
    python examples/images.py openai/gpt-5      a model that can see, with its key set
"""

import base64
import json
import struct
import sys
import zlib

import antiphon
from antiphon import presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# A red square of 8 by 8 pixels, as a PNG file; a real one would come from a file or an address.
rows = (b"\0" + b"\xff\0\0" * 8) * 8
header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
picture = {"type": "input_image", "image_url": "data:image/png;base64," + base64.b64encode(png).decode()}
question = [{"role": "user", "content": [{"type": "input_text", "text": "Which colour is this?"}, picture]}]

for host in ("openai/gpt-5", "anthropic/claude-sonnet-4-6", "gemini/gemini-3-flash-preview"):
    explanation = presets.responses.explain(question, model=host, api_key="...")
    if explanation.request is not None:
        text = json.dumps(explanation.request.body)
        print(f"{host}: {text[: text.index('iVBOR')]}…")

# What a model cannot take is said before anything is sent, or reported: never dropped without a word.
response = antiphon.responses(question, model, max_output_tokens=200)
print(response.output_text, response.meta.dropped)
