"""Parameters that calls have unless they give their own, for some models only.

Run it from a clone of the repository:

    python examples/defaults.py                   offline
    python examples/defaults.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import Defaults, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

# The patterns are those of file names. Both stages stand outside the stock chain, and so see what the caller asked for.
chain = presets.responses.before(
    0,
    Defaults({"max_output_tokens": 24}),
    Defaults({"store": False, "metadata": {"team": "search"}}, models=["openai/*", "azure/gpt-5*"]),
)

# Nothing is sent: `explain` shows the request that each host would get.
for asked, own in (("openai/gpt-5", {}), ("openai/gpt-5", {"store": True}), ("xai/grok-4", {})):
    explanation = chain.explain("Hi", model=asked, api_key="none", **own)
    assert explanation.request is not None
    print(asked, own, {name: value for name, value in explanation.request.body.items() if name != "input"})

print(chain.invoke("Say hello.", model=model).output_text)
