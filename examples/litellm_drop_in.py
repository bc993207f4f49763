"""Code written for LiteLLM's Responses functions, with one import changed; its callbacks as they were.

Run it from a clone of the repository:

    python examples/litellm_drop_in.py                   offline
    python examples/litellm_drop_in.py local/smollm2     a small real model on this machine
"""

import sys
from typing import Any

import antiphon as litellm  # was: import litellm

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

response = litellm.responses(model=model, input="Say hello.", max_output_tokens=16, drop_params=True)
print(response.output_text)
for event in litellm.responses(model=model, input="One two.", stream=True, max_output_tokens=16):
    if event.type == "response.output_text.delta":
        print(event.delta, end="|")
print()
print(litellm.get_responses(response_id=response.id).status)

try:
    litellm.responses(model=model, input="Hi", mock_response=litellm.RateLimitError("slow down"), num_retries=0)
except litellm.RateLimitError as error:
    print(type(error).__name__, error.message)


def track(kwargs: dict[str, Any], completion_response: Any, start_time: Any, end_time: Any) -> None:
    print("tracked:", kwargs["call_type"], completion_response["status"])


# What LiteLLM keeps in its module belongs to a chain here. Setting it there says so.
try:
    litellm.success_callback = [track]  # pyright: ignore[reportAttributeAccessIssue]
except AttributeError as error:
    print(str(error).splitlines()[0])
chain = litellm.presets.responses.before(0, litellm.LiteLLMCallbacks(success=(track,)))
with litellm.Client(chain) as client:
    client.responses(model=model, input="Say hello.", max_output_tokens=16)
