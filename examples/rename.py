"""Names of your own for models: programs say "fast", and one list says what that is.

Run it from a clone of the repository:

    python examples/rename.py                   offline
    python examples/rename.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import InvalidModel, Rename, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

# `strict`: callers choose of these names, and of nothing else.
names = Rename({"fast": model, "smart": "openai/gpt-5"}, strict=True)
chain = presets.responses.before(0, names).bind(max_output_tokens=24)

print(chain.invoke("Say hello.", model="fast").output_text)

for name in ("smart", "anthropic/claude-opus-4-5"):
    try:
        explanation = chain.explain("Hi", model=name, api_key="none")  # nothing is sent
        print(f"{name} is {explanation.model} at {explanation.provider}")
    except InvalidModel as error:
        print(error)
