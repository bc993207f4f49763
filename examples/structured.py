"""Structured output: ask for a type, get an instance of it; watch it grow; ask again when it does not fit.

Run it from a clone of the repository:

    python examples/structured.py                   offline
    python examples/structured.py local/smollm2     the last call by a small real model on this machine
"""

import sys

import msgspec

import antiphon
from antiphon import presets
from antiphon.testing import scripted

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


class Step(msgspec.Struct):
    text: str
    minutes: int


class Recipe(msgspec.Struct):
    title: str
    steps: list[Step]


TEA = '{"title": "Tea", "steps": [{"text": "boil water", "minutes": 3}, {"text": "wait", "minutes": 4}]}'
WRONG = '{"title": "Tea", "steps": "boil water, wait"}'

# These hosts answer from a script. What comes back is checked, and has the type that was asked for.
with scripted(TEA) as client:
    recipe = client.responses("How is tea made?", "openai/gpt-5", text_format=Recipe).output_parsed
    assert recipe is not None  # it is while the answer waits for something, such as the result of a function
    print(recipe.title, "takes", sum(step.minutes for step in recipe.steps), "minutes")

    with client.responses("How is tea made?", "openai/gpt-5", text_format=Recipe, stream=True) as stream:
        for growing in stream.partials():
            print("  so far:", growing)

# An answer that does not fit is an error that has the answer.
with scripted(WRONG) as client:
    try:
        client.responses("How is tea made?", "openai/gpt-5", text_format=Recipe)
    except antiphon.OutputInvalid as error:
        print(f"{type(error).__name__}: {error.validation}")

# With Reask in the chain the model is told, and asked again.
with scripted(WRONG, TEA, chain=presets.responses.before("parse_output", antiphon.Reask())) as client:
    response = client.responses("How is tea made?", "openai/gpt-5", text_format=Recipe)
    print("second answer:", response.output_parsed and response.output_parsed.steps[0])

# "prompt" asks by words alone, so it works with any model; whether the answer fits is the model's affair.
try:
    question = '{"title": "Echo", "steps": []}'
    print(
        antiphon.responses(
            question, model, text_format=Recipe, output_mode="prompt", max_output_tokens=64
        ).output_parsed
    )
except antiphon.OutputError as error:
    print(f"{type(error).__name__}: {error.message}")
