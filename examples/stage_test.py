"""A test of a stage of your own: that it does its work, and that it keeps the contract in every mode.

Run it from a clone of the repository, by pytest or as it is:

    pytest examples/stage_test.py
    python examples/stage_test.py                   offline
    python examples/stage_test.py local/smollm2     with a small real model on this machine
"""

import sys

from antiphon import Handler, Reply, Request, Response, Stage, presets, stage
from antiphon.testing import check_stage, message, scripted


class Polite(Stage):
    """Ask for a tone."""

    tone: str = "polite"

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request.with_params(instructions=f"Answer in a {self.tone} tone."))


@stage
async def loud(request: Request, call_next: Handler) -> Reply:
    """The usual mistake: a stream passes as it is."""
    reply = await call_next(request)
    return reply.replace(output=[message(reply.output_text.upper())]) if isinstance(reply, Response) else reply


def test_the_tone_is_asked_for() -> None:
    with scripted("Good day.", chain=presets.responses.before("retry", Polite("solemn"))) as client:
        client.responses("Hi", "openai/gpt-5")

    assert client.requests[0]["instructions"] == "Answer in a solemn tone."


def test_the_stage_keeps_the_contract() -> None:
    assert check_stage(Polite()) == []


def main(model: str = "scripted/echo") -> None:
    test_the_tone_is_asked_for()
    test_the_stage_keeps_the_contract()
    print("the stage keeps the contract")
    for problem in check_stage(loud, modes=("sync",)):
        print(f"a stage that forgets streams: {problem.message}")
    print(presets.responses.before("retry", loud).invoke("Say hello.", model=model, max_output_tokens=24).output_text)


if __name__ == "__main__":
    main(*sys.argv[1:])
