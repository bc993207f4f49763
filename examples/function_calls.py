"""A function that the model may call: ask, run what it calls, hand the result back, in any API format.

Run it from a clone of the repository:

    python examples/function_calls.py                   offline, from a script
    python examples/function_calls.py local/smollm2     a small real model on this machine, in both of its API formats
"""

import json
import sys
from typing import Any

import antiphon
from antiphon import presets
from antiphon.testing import function_call, scripted

model = sys.argv[1] if len(sys.argv) > 1 else None

TOOLS = [
    {
        "type": "function",
        "name": "get_weather",
        "description": "Say what the weather is like in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def get_weather(city: str) -> str:
    return f"It is sunny in {city}."


def converse(client: antiphon.Client, name: str, **options: Any) -> list[Any]:
    """Talk until the model calls nothing any more; return the whole conversation."""
    items: list[Any] = [{"role": "user", "content": "What is the weather in Rome?"}]
    for turn in range(2):
        tools = TOOLS if turn == 0 else None
        response = client.responses(items, name, tools=tools, temperature=0, max_output_tokens=64, **options)
        items += response.output  # the model's own items, unchanged: messages, reasoning, calls
        calls = [item for item in response.output if item.type == "function_call"]
        for call in calls:
            result = get_weather(**json.loads(call.arguments))
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        if not calls:
            print(response.meta.dialect, "-", response.output_text)
            break
    return items


if model is None:
    calling = function_call("get_weather", {"city": "Rome"})
    with scripted(calling, "It is sunny there.") as scripted_client:
        conversation = converse(scripted_client, "openai/gpt-5")
else:
    with antiphon.Client() as client:
        for dialect in ("responses", "chat"):
            conversation = converse(client, model, dialect=dialect)

# The same conversation, as a host of chat completions would get it.
explanation = presets.responses.explain(conversation, model="cerebras/gpt-oss-120b", api_key="...")
for message in explanation.request.body["messages"] if explanation.request else ():
    print(message["role"], "|", (message.get("content") or str(message["tool_calls"][0]["function"])).strip())
