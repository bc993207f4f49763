"""Code written for OpenAI's package, with one import changed; and then another model.

Run it from a clone of the repository:

    python examples/openai_shape.py                   offline
    python examples/openai_shape.py local/smollm2     a small real model on this machine
"""

import asyncio
import sys

from antiphon import AsyncOpenAI, OpenAI, OpenAIError  # was: from openai import AsyncOpenAI, OpenAI, OpenAIError

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

client = OpenAI(max_retries=3, timeout=300)
first = client.responses.create(model=model, input="Say hello.", max_output_tokens=16)
print(first.output_text)

with client.responses.stream(model=model, input="One two.", max_output_tokens=16) as stream:
    for event in stream:
        if event.type == "response.output_text.delta":
            print(event.delta, end="|")
    print(stream.get_final_response().status)

# Two turns, whether or not the host keeps anything.
second = client.responses.create(model=model, input="And again.", previous_response_id=first.id, max_output_tokens=16)
print([item.type for item in client.responses.input_items.list(second.id, order="asc")])

try:
    client.responses.create(model="no-such-provider/model", input="Hi")
except OpenAIError as error:
    print(f"{type(error).__name__}: {error}"[:60])
client.close()


async def main() -> None:
    async with AsyncOpenAI(timeout=300) as client:
        print((await client.responses.create(model=model, input="Say hello.", max_output_tokens=16)).output_text)


asyncio.run(main())
