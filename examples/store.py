"""State that outlives the process: a stage that counts the calls of each tenant in a store.

Run it from a clone of the repository:

    python examples/store.py                   offline
    python examples/store.py local/smollm2     a small real model on this machine
"""

import sys
import tempfile

import antiphon
from antiphon import Handler, Reply, Request, Scope, Stage, Store

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


class Counter:
    """One tenant's count, added to by any number of threads, processes and machines."""

    def __init__(self, store: Store, tenant: str | None) -> None:
        self.store = store
        self.key = antiphon.key_of(tenant, "count", "calls")

    def add_one(self) -> int:
        while True:
            [entry] = self.store.read([self.key])
            count = int(entry.value) + 1 if entry else 1
            try:
                self.store.write(self.key, b"%d" % count, expect=entry.version if entry else 0)
                return count
            except antiphon.StoreConflict:  # somebody else was faster
                continue


class CountCalls(Stage):
    """Count the calls of the client's tenant."""

    url: str  # of the store, e.g. redis://localhost:6379/0

    def setup(self, scope: Scope) -> Counter:
        store = antiphon.open_store(self.url)
        scope.on_close(store.close)
        return Counter(store, scope.tenant)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        counter = request.context.state_of(self, Counter)
        count = await request.context.runtime.call(
            counter.add_one
        )  # a store blocks: directly here, in async in a thread
        print(f"call {count} of {counter.key}")
        return await call_next(request)


folder = tempfile.mkdtemp()
chain = CountCalls(f"sqlite:///{folder}/calls.db") | antiphon.presets.responses
for tenant in ("acme", "other", "acme"):
    with antiphon.Client(chain, tenant=tenant) as client:
        print(client.responses("Say hello.", model=model, max_output_tokens=16).output_text)
