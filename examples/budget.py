"""What calls may use: so many tokens for each user and hour, and for each call with its tools.

Run it from a clone of the repository:

    python examples/budget.py                   offline
    python examples/budget.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import Budget, BudgetExceeded, Client, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

chain = presets.responses.before(
    "retry",
    Budget(tokens=5, per="metadata.user_id", window_s=3600, label="users"),
    Budget(tokens=10_000, per="call", label="calls"),
)

with Client(chain) as client:
    for user in ("ada", "ada", "ben", "ada"):
        try:
            response = client.responses("Say hello to me.", model, metadata={"user_id": user}, max_output_tokens=16)
            print(f"{user}: {response.output_text}")
        except BudgetExceeded as error:
            print(f"{user}: {error.used:g} of {error.limit:g} {error.unit} used, back in an hour at most")
