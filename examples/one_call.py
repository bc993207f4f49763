"""One call: text in, a response out.

Run it from a clone of the repository:

    python examples/one_call.py                   offline: a scripted host that says the input again
    python examples/one_call.py local/smollm2     a small real model on this machine
    python examples/one_call.py openai/gpt-5      OpenAI, with OPENAI_API_KEY set
"""

import sys

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

response = antiphon.responses("Name three colours.", model=model, max_output_tokens=200)
print(response.output_text)

# Every reply knows how it came about.
meta = response.meta
print(f"{response.status}: {meta.provider}, {meta.model}, {len(meta.attempts)} attempt, {meta.duration_s:.3f} s")
