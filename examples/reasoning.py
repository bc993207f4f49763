"""Reasoning: how hard to think, the summary as it comes, and thoughts that go back with the next turn.

Run it from a clone of the repository:

    python examples/reasoning.py                                 offline, from a script
    python examples/reasoning.py openai/gpt-5                    a model that reasons, with its key set
"""

import sys
from typing import Any

import antiphon
from antiphon.testing import message, scripted

model = sys.argv[1] if len(sys.argv) > 1 else None

THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "1001 = 7 × 143."}],
    "encrypted_content": "sealed by the host",
}
USAGE = {"input_tokens": 9, "output_tokens": 40, "output_tokens_details": {"reasoning_tokens": 32}}
ANSWER = {"output": [THOUGHT, message("No.")], "usage": USAGE}

client: antiphon.Client = antiphon.Client() if model else scripted(ANSWER, "Because 7 divides it.")
call: dict[str, Any] = {"reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 2000, "store": False}
with client:
    question: list[Any] = [{"role": "user", "content": "Is 1001 a prime?"}]
    with client.responses(question, model or "openai/gpt-5", stream=True, **call) as stream:
        for event in stream:
            if event.type == "response.reasoning_summary_text.delta":
                print("thinks:", event.delta)
            elif event.type == "response.output_text.delta":
                print("says:  ", event.delta)
    first = stream.until_done()
    details = first.usage.output_tokens_details if first.usage else None
    print("tokens of thought:", details.reasoning_tokens if details else "not told")

    # With store=False nobody keeps the conversation, so it goes back whole: the thoughts too, sealed as they came.
    conversation = [*question, *first.output, {"role": "user", "content": "Why?"}]
    print(client.responses(conversation, model or "openai/gpt-5", **call).output_text)
    print("sent:", [item.get("type", "message") if isinstance(item, dict) else item.type for item in conversation])
