"""A stage with state: across calls in what `setup` returns, within a call in the context, at the end by `finally_`.

Run it from a clone of the repository:

    python examples/stage_state.py                   offline
    python examples/stage_state.py local/smollm2     a small real model on this machine
"""

import sys
import threading

import antiphon
from antiphon import Handler, Outcome, Reply, Request, Scope, Stage, finally_, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


class Ledger:
    """What a stage keeps between calls; made once per client and place in the chain, so never shared by accident."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.words = 0
        self.calls = 0


class WordLimit(Stage):
    """Refuse calls once this many words were answered."""

    limit: int = 10

    def setup(self, scope: Scope) -> Ledger:
        ledger = Ledger()
        scope.on_close(lambda: print(f"closing: {ledger.calls} calls"))
        return ledger

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        ledger = request.context.state_of(self, Ledger)
        with ledger.lock:
            ledger.calls += 1
            if ledger.words >= self.limit:
                raise antiphon.CallError(f"{ledger.words} words were answered, and {self.limit} are allowed")

        def ended(outcome: Outcome) -> None:  # once, for plain calls and streams, whatever happens
            with ledger.lock:
                ledger.words += len(outcome.response.output_text.split()) if outcome.response else 0

        reply = await call_next(request)
        finally_(reply, ended)
        return reply


with antiphon.Client(presets.responses.before("retry", WordLimit(limit=5))) as client:
    for _ in range(3):
        try:
            with client.responses("Say: one two three.", model, stream=True, max_output_tokens=24) as stream:
                print("".join(stream.text))
        except antiphon.CallError as error:
            print(f"refused: {error.message}")
