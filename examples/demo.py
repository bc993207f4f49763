"""The whole way of one call: a real language model on this machine, streamed through the stock chain.

    python examples/demo.py                     no key, no network
    python examples/demo.py "Name three colours."

Then the same model gets the tool of an MCP server, which runs as a process of its own. Where the local model is not
installed, the same calls go to a scripted host, so that the chain is still seen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import antiphon
from antiphon.testing import function_call, scripted

PROMPT = "Explain in two sentences why the sea is salty."
INSIDE = {
    "log": "one line a call, once logging is enabled",
    "validate": "checks the call",
    "response_ids": "makes ids that say who answered",
    "parse_output": "reads a typed answer, where one is asked for",
    "remember": "keeps responses, where the host keeps none",
    "tools": "runs what the model calls, where it has tools of ours",
    "resolve": "finds provider, address, key and dialect",
    "retry": "repeats what fails in passing; waits for the first text",
    "transform": "writes the request in the provider's format",
    "dispatch": "sends it; waits for the head of the answer",
}


WEATHER = {"command": sys.executable, "args": [str(Path(__file__).parent / "servers" / "bare.py")]}
TOOL = {"type": "mcp", "server_label": "weather", "server_url": "antiphon/weather", "require_approval": "never"}


def main(prompt: str) -> None:
    try:
        show("local/smollm2", prompt)
    except antiphon.MissingExtra as missing:
        print(f"\nThe local model is not installed:\n  {missing}\n")
        print("So this is the same chain with a scripted host: no model, it says the prompt again.\n")
        show("scripted/echo", prompt)
        calls = {"output": [function_call("get_weather", {"city": "Paris"})]}
        with scripted(calls, "Sunny, it says.", mcp_servers={"weather": WEATHER}) as client:
            show_tool(client, "openai/a-script")
    else:
        with antiphon.Client(mcp_servers={"weather": WEATHER}) as client:
            show_tool(client, "local/smollm2")


def show(model: str, prompt: str) -> None:
    print(f"{model} < {prompt}", flush=True)
    with antiphon.responses(
        prompt, model=model, stream=True, trace=True, temperature=0, max_output_tokens=64
    ) as stream:
        print(f"{model} > ", end="")
        for text in stream.text:
            print(text, end="", flush=True)
    print("\n")
    print_stages(stream.meta)
    print_answer(stream)


def print_stages(meta: antiphon.Meta) -> None:
    row = "  {:<12} {:>9} {:>9}  {}".format
    print("The chain it went through, outermost stage first; times in ms")
    print(row("stage", "own work", "waiting", ""))
    for stage in meta.stages:
        note = INSIDE.get(stage.name, "")
        if stage.name == "resolve" and meta.provider == "local":
            note += "; started the model"
        print(row(stage.name, ms(stage.own_s), ms(stage.waited_s) if stage.waited_s else "", note))
    own, waited = (sum(getattr(stage, name) for stage in meta.stages) for name in ("own_s", "waited_s"))
    print(row("together", ms(own), ms(waited), "until the first text"))


def print_answer(stream: antiphon.EventStream) -> None:
    attempt = stream.meta.attempts[-1]
    first_s, whole_s = attempt.first_event_s or 0.0, attempt.duration_s or 0.0
    print("\nThe model's own time, from being asked")
    print(f"  first event   {ms(first_s):>9} ms")
    print(f"  whole answer  {ms(whole_s):>9} ms")
    response = stream.response
    if response is not None and response.usage is not None:
        usage = response.usage
        print(f"  tokens        {usage.input_tokens:>9} in, {usage.output_tokens} out; {response.status}")


def show_tool(client: antiphon.Client, model: str) -> None:
    prompt = "What is the weather in Paris?"
    print(f"\n{model} < {prompt}   (with the tool of an MCP server)", flush=True)
    with client.responses(
        prompt, model=model, tools=[TOOL], stream=True, temperature=0, max_output_tokens=64
    ) as stream:
        for event in stream:
            if event.type == "response.output_item.done":
                print_item(event.item)
    response = stream.response
    if response is not None and not any(item.type == "mcp_call" for item in response.output):
        print("  The model did not call the tool this time; small ones do not always.")
    print(f"  Asked {len(stream.meta.attempts)} times, and one answer for the reader.")


def print_item(item: Any) -> None:
    if item.type == "mcp_list_tools":
        print(f"  {item.server_label} offers:  {', '.join(tool.name for tool in item.tools)}")
    elif item.type == "mcp_call":
        print(f"  the model calls: {item.name}({item.arguments})")
        print(f"  the tool says:   {item.output if item.error is None else item.error}")
    elif item.type == "message":
        print(f"  the model says:  {' '.join(item.text.split())}")


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


if __name__ == "__main__":
    try:
        main(" ".join(sys.argv[1:]) or PROMPT)
    except KeyboardInterrupt:
        print("\nstopped")
        sys.exit(130)
