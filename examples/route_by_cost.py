"""Routing by cost: short questions to the cheap model, long ones to the other, and what it has cost.

Run it from a clone of the repository:

    python examples/route_by_cost.py                   offline
    python examples/route_by_cost.py local/smollm2     a small real model on this machine is the cheap one
"""

import sys

from antiphon import CallEnded, Observe, Request, Route, presets

# Offline both answer from here. US dollars a token, in the form of LiteLLM's price list.
cheap = {"model": sys.argv[1]} if len(sys.argv) > 1 else {"model": "openai/gpt-5-nano", "mock_response": "Hello."}
dear = {"model": "openai/gpt-5", "mock_response": "It is about repetition."}
PRICES = {
    cheap["model"]: {"input_cost_per_token": 5e-8, "output_cost_per_token": 4e-7},
    dear["model"]: {"input_cost_per_token": 1.25e-6, "output_cost_per_token": 1e-5},
}


def by_length(request: Request, models: list[str]) -> str:
    """Choose a model: the first one for what is short."""
    return models[0] if len(str(request.param("input"))) < 200 else models[1]


def bill(end: CallEnded) -> None:
    print(f"{end.meta.provider}/{end.meta.model}: ${end.meta.cost:.7f}, by {end.meta.cost_source}")


chain = presets.responses.with_(cost={"prices": PRICES}).before(0, Observe(on_call_end=bill))
chain = chain.before("response_ids", Route({"any": (cheap, dear)}, choose=by_length))
for question in ("Say hello.", "Sum this up: " + "and so on, " * 40):
    print(chain.invoke(question, model="any", max_output_tokens=24).output_text)
