"""Where a prompt is marked for the host's cache, and the key that calls share; shown without sending anything.

Run it from a clone of the repository:

    python examples/prompt_cache.py                   offline
    python examples/prompt_cache.py local/smollm2     then asks a small real model, which has no such cache
"""

import sys

from antiphon import PromptCache, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

chain = presets.responses.after("transform", PromptCache())
manual = "Answer as our manual says. " * 300
talk = [
    {"role": "user", "content": "How do I begin?"},
    {"role": "assistant", "content": "By the switch."},
    {"role": "user", "content": "And then?"},
]

for target in ("anthropic/claude-sonnet-4-5", "openai/gpt-5"):
    explanation = chain.explain(talk, model=target, api_key="none", instructions=manual, max_output_tokens=100)
    assert explanation.request is not None
    body = explanation.request.body
    marked = [name for name in ("system", "messages") if "cache_control" in str(body.get(name))]
    print(target, "marks in", marked, "key", body.get("prompt_cache_key"))

print(chain.invoke("Say hello.", model=model, max_output_tokens=16).output_text)
