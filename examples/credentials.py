"""Keys that change: a function is asked at every attempt, and once more when the host refuses what it gave.

Run it from a clone of the repository:

    python examples/credentials.py                   offline
    python examples/credentials.py local/smollm2     the last call by a small real model on this machine
"""

import sys

import antiphon
from antiphon import presets
from antiphon.testing import scripted

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
tokens = iter(["yesterday's", "today's"])
given: list[str] = []


def token() -> str:
    """Return a token; a real one would come from a vault, or from a cloud's own package."""
    given.append(next(tokens))
    return given[-1]


# The host refuses the first token, and the function is asked for another one. No retry is spent on it.
expired = {"status": 401, "body": {"error": {"message": "the token has expired", "code": "token_expired"}}}
with scripted(expired, "Welcome back.") as client:
    response = client.responses("Hi", "openai/gpt-5", api_key=token, num_retries=0)
    print(response.output_text, "after", [attempt.status for attempt in response.meta.attempts], "with", given)

# A cloud's credentials sign each request as it is sent. Nothing shows them, and a dry run does not even ask for them.
who = antiphon.AwsCredentials("AKIAEXAMPLE", antiphon.Secret("kept here"))
explained = presets.responses.explain(
    "Hi", model="bedrock/amazon.nova-lite-v1:0", aws_region_name="eu-central-1", api_key=who
)
print(who)
if explained.request is not None:
    print(explained.request.url, explained.request.headers["authorization"])

# Keys by provider: each goes to its own host only.
chain = presets.responses.with_(resolve={"keys": {"azure": token, "groq": antiphon.FromEnv("MY_GROQ_KEY")}})
print(chain.invoke("Say hello.", model=model, max_output_tokens=16).output_text)
