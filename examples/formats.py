"""One call in the formats of five hosts: what each would be sent, and what of the call it does not take.

Run it from a clone of the repository:

    python examples/formats.py                   offline
    python examples/formats.py local/smollm2     the same question to a small real model on this machine
"""

import json
import os
import sys

import antiphon
from antiphon import presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
os.environ.setdefault("AWS_REGION", "us-east-1")

call = {"instructions": "Be brief.", "reasoning": {"effort": "low"}, "max_output_tokens": 4000, "user": "ada"}

# Nothing is sent: `explain` shows the request that each host would get. The keys are not looked at.
for host in (
    "openai/gpt-5",
    "anthropic/claude-sonnet-4-6",
    "gemini/gemini-3-flash-preview",
    "bedrock/us.amazon.nova-2-lite-v1:0",
    "cohere/command-a-reasoning-08-2025",
):
    explanation = presets.responses.explain("Is 1001 a prime?", model=host, api_key="...", **call)
    assert explanation.request is not None
    print(f"{explanation.dialect}: POST {explanation.request.url}")
    print(f"  {json.dumps(explanation.request.body)}")
    for dropped in explanation.dropped:
        print(f"  not sent: {dropped.name} - {dropped.reason}")

# Whatever the format, what comes back is a response of the one API.
print(antiphon.responses("Is 1001 a prime?", model).output_text)
