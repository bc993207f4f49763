"""From hooks to numbers: calls, tokens and times as text that Prometheus reads, and a sum of your own.

Run it from a clone of the repository:

    python examples/metrics.py                   offline
    python examples/metrics.py local/smollm2     a small real model on this machine
"""

import sys
from collections import Counter
from collections.abc import Callable

import antiphon
from antiphon import CallEnded, Signal

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
metrics = antiphon.Metrics()
tokens: Counter[str] = Counter()


def count_for(user: str) -> Callable[[Signal], None]:
    """Return a hook that adds up what this user has used."""

    def count(signal: Signal) -> None:
        if isinstance(signal, CallEnded) and signal.usage:
            tokens[user] += signal.usage.total_tokens

    return count


with antiphon.Client(hooks=[metrics]) as client:  # a hook of all calls, and one of each call
    for user in ("ann", "bob", "ann"):
        client.responses("Say hello.", model, hooks=[count_for(user)], max_output_tokens=16)
    with client.responses("Say hello.", model, stream=True, max_output_tokens=16) as stream:
        next(stream)  # and leave: that is an end, too

for line in metrics.text().splitlines():  # what GET /metrics would return
    if line.startswith(("antiphon_calls_total", "antiphon_tokens_total")):
        print(line)
print({user: count > 0 for user, count in tokens.items()})
