"""A picture of a chain: a mermaid flowchart, to be put into a Markdown page, and what each stage would do to a call.

Run it from a clone of the repository:

    python examples/picture.py > chain.md                   offline
    python examples/picture.py local/smollm2 > chain.md     for a small real model on this machine
"""

import sys

from antiphon import Chain, Defaults, Fallback, Request, Retry, before, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


@before
def brief(request: Request) -> Request:
    return request.with_params(instructions="Be brief.")


rules = Chain([brief, Defaults({"max_output_tokens": 200})], name="house rules")
chain = (
    presets.responses.without("log")
    .before("resolve", rules, Fallback(("scripted/echo",)))
    .replace("retry", Retry(attempts=5))
    .named("support")
)

print(f"```mermaid\n{chain.to_mermaid()}```\n")

# A dry run: nothing is sent.
for step in chain.explain("Why is the sea salty?", model=model).steps:
    for line in step.says:
        print(f"{step.stage}: {line}")
