"""Many customers in one process: each with a key and limits of its own, and none sees what another has.

Run it from a clone of the repository:

    python examples/tenants.py                   offline
    python examples/tenants.py local/smollm2     a small real model on this machine
"""

import sys
import tempfile

import antiphon
from antiphon import Client, ConcurrencyLimit, FromEnv, Secret, Timeouts, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def client_of(tenant: str, key: Secret | FromEnv, store: str) -> Client:
    """Return the client of one customer; keep it, since it owns connections."""
    chain = presets.responses.with_(resolve={"keys": {"openai": key}}).before("retry", ConcurrencyLimit(4))
    return Client(chain, tenant=tenant, state_store=store, timeouts=Timeouts(total=60))


with tempfile.TemporaryDirectory() as folder:
    store = f"sqlite:///{folder}/responses.db"  # one store for all: keys in it carry the tenant
    with client_of("acme", Secret("sk-acme"), store) as acme, client_of("zeta", FromEnv("ZETA_KEY"), store) as zeta:
        print(acme.chain.stages[4])  # keys are never shown
        kept = acme.responses("A secret of Acme.", model, max_output_tokens=16).id
        print("acme finds it:", acme.get_responses(kept).id == kept)
        try:
            zeta.get_responses(kept)
        except antiphon.NotFoundError as error:
            print("zeta:", type(error).__name__)
        try:
            zeta.responses("Go on.", model, previous_response_id=kept)
        except antiphon.NotFoundError as error:
            print("zeta:", type(error).__name__)
        try:
            zeta.responses("Hi", "openai/gpt-5")
        except antiphon.AntiphonError as error:
            print("zeta's key:", error.message)
