"""A batch over processes: the chain is sent as its spec, its results come back in order.

Run it from a clone of the repository:

    python examples/processes.py                       offline
    python examples/processes.py openai/gpt-5-mini     with OPENAI_API_KEY set
"""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import antiphon
from antiphon import presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


@antiphon.before
def sign(request: antiphon.Request) -> antiphon.Request:
    """Say which process the call is made by. The workers find this function by its module and name."""
    return request.with_params(instructions=f"process {os.getpid()}")


def main() -> None:
    chain = (sign | presets.responses).bind(model=model)
    inputs = [f"What is {number} + {number}?" for number in range(1, 13)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        made_by = set()
        for row in chain.map(inputs, executor=executor, concurrency=6, chunk_size=2):
            if row.response is None:
                print(row.index, row.error)
                continue
            made_by.add(row.response.instructions)
            print(row.index, row.response.output_text)
        print("here:", f"process {os.getpid()}" in made_by)

        try:
            (antiphon.Guard(on_input=lambda text: None) | chain).batch(inputs, executor=executor)
        except antiphon.NotSerializable as error:
            print(error.message.split(" is <")[0])


if __name__ == "__main__":
    main()
