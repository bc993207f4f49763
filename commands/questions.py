"""The questions of `antiphon probe`: each asks a host for one thing, and looks at what came of it.

A verdict is "yes" only where the answer shows it, "no" where it was refused, left out or ignored, and "unclear" where
the answer does not tell. That a model does not obey is unclear: it is no proof that its host did not pass the words on.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..client import Client
from ..pipeline.api import events as ev
from ..pipeline.api import items
from ..pipeline.api.parts import OutputText
from ..pipeline.api.response import Response
from ..pipeline.errors import OutputError, OutputIncomplete
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.streams.grammar import check_grammar
from ..providers.response_ids import is_kept
from .terminal import counted, cut

Verdict: TypeAlias = Literal["yes", "no", "unclear"]


class Finding(msgspec.Struct, frozen=True):
    """What a question found out.

    Args:
        seen: how it was seen, in a sentence.
    """

    feature: str
    verdict: Verdict
    seen: str


class Asker:
    """Makes the calls to one model, and counts what they use.

    Args:
        max_tokens: longest answer of each call.
        timeout_s: for each call.
    """

    first: Response

    def __init__(self, client: Client, model: str, max_tokens: int, timeout_s: float) -> None:
        self._client = client
        self._usual: dict[str, Any] = {"model": model, "max_output_tokens": max_tokens, "timeout": timeout_s}
        if "num_retries" in client.chain.options:
            self._usual["num_retries"] = 0  # what is asked is what it costs
        self._responses: list[Response] = []

    def ask_first(self) -> None:
        """Ask for a word, which several questions look at."""
        self.first = self.ask("Answer with one word: what colour is grass?")

    def ask(self, input: Any, **keywords: Any) -> Response:
        """Make a call, and count it."""
        response: Response = self._client.responses(input, **{**self._usual, **keywords})
        self._responses.append(response)
        return response

    def stream(self, input: Any, **keywords: Any) -> tuple[EventStream, list[Any]]:
        """Make a streamed call; return the stream, read to its end, and its events."""
        with self._client.responses(input, stream=True, **{**self._usual, **keywords}) as stream:
            events: list[Any] = list(stream)
        if stream.response is not None:
            self._responses.append(stream.response)
        return stream, events

    def spent(self) -> dict[str, Any]:
        """Return who was asked, and calls, tokens and cost so far; a number that is not known of every call is None."""
        usages = [response.usage for response in self._responses]
        costs = [response.meta.cost for response in self._responses]
        meta = self.first.meta
        return {
            "provider": meta.provider,
            "dialect": meta.dialect,
            "calls": len(self._responses),
            "input_tokens": _sum([None if usage is None else usage.input_tokens for usage in usages]),
            "output_tokens": _sum([None if usage is None else usage.output_tokens for usage in usages]),
            "cost": _sum(costs),
        }

    def summary(self) -> str:
        """Return the same as a sentence."""
        spent = self.spent()
        tokens = f"{_known(spent['input_tokens'])} → {_known(spent['output_tokens'])} tokens"
        cost = f"${spent['cost']:.6f}" if spent["cost"] is not None else "cost not known"
        calls = counted(spent["calls"], "call")
        return f"{spent['provider']}, dialect {spent['dialect']}: {calls} answered, {tokens}, {cost}"


def _sum(numbers: list[Any]) -> Any:
    return None if None in numbers else sum(numbers)


def _known(number: int | None) -> str:
    return "?" if number is None else str(number)


Answer: TypeAlias = tuple[Verdict, str]


def _left_out(response: Response, name: str) -> str | None:
    """Say why a parameter did not reach the host, where it did not."""
    return next((f"not sent: {one.reason}" for one in response.meta.dropped if one.name.split(".")[0] == name), None)


def _quoted(response: Response) -> str:
    text = cut(response.output_text, 60)
    said = f'"{text}"' if text else "no text"
    return f"{said}, {response.status}"


# --- the questions --------------------------------------------------------------------------------------------------


def _text(asker: Asker) -> Answer:
    response = asker.first
    return ("yes" if response.output_text.strip() else "unclear"), f"{_quoted(response)}, by {response.model}"


def _usage(asker: Asker) -> Answer:
    usage = asker.first.usage
    if usage is None or not usage.total_tokens:
        return "no", "the response has no usage"
    return "yes", f"{usage.input_tokens} input, {usage.output_tokens} output tokens"


def _streaming(asker: Asker) -> Answer:
    stream, events = asker.stream("Count from one to five.")
    deltas = sum(isinstance(event, ev.OutputTextDelta) for event in events)
    faults = check_grammar([event.original for event in events])
    usage = stream.response.usage if stream.response is not None else None
    grammar = f"{len(faults)} faults of grammar mended, the first: {faults[0].message}" if faults else "in good order"
    seen = f"{len(events)} events, {deltas} pieces of text, {grammar}, {'with' if usage else 'without'} usage"
    return ("yes" if deltas > 1 else "unclear" if deltas else "no"), seen


def _instructions(asker: Asker) -> Answer:
    response = asker.ask(
        "What is the capital of France?", instructions="Answer every question with the word BANANA only."
    )
    return (
        "yes" if "banana" in response.output_text.lower() else "unclear"
    ), f"asked for BANANA, got {_quoted(response)}"


def _max_output_tokens(asker: Asker) -> Answer:
    response = asker.ask("Count from 1 to 500, separated by commas.", max_output_tokens=16)
    details, usage = response.incomplete_details, response.usage
    is_cut = response.status == "incomplete" and details is not None and details.reason == "max_output_tokens"
    used = f", {usage.output_tokens} output tokens" if usage is not None else ""
    said = f"asked for 16: {response.status}{f' ({details.reason})' if details is not None else ''}{used}"
    if reason := _left_out(response, "max_output_tokens"):
        return "no", reason
    # Some hosts keep the bound, and call what they have cut "completed".
    if is_cut or (usage is not None and usage.output_tokens == 16):
        return "yes", said
    return ("no" if usage is not None and usage.output_tokens > 24 else "unclear"), said


_TOOL: Final = {
    "type": "function",
    "name": "get_weather",
    "description": "Say what the weather is like in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def _tools(asker: Asker) -> Answer:
    response = asker.ask("What is the weather in Paris?", tools=[_TOOL], tool_choice="required")
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    if not calls:
        if reason := _left_out(response, "tools") or _left_out(response, "tool_choice"):
            return "no", reason
        return "unclear", f"a call was required, got {_quoted(response)}"
    call = calls[0]
    try:
        is_json = isinstance(msgspec.json.decode(call.arguments), dict)
    except msgspec.DecodeError:
        is_json = False
    return ("yes" if is_json and call.name == "get_weather" else "no"), f"it calls {call.name}({call.arguments})"


def _tool_results(asker: Asker) -> Answer:
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "It is hailing, at 17 degrees."}
    said = [{"role": "user", "content": "What is the weather in Paris?"}, call, result]
    response = asker.ask(said, tools=[_TOOL])
    text = response.output_text.lower()
    return (
        "yes" if "hail" in text or re.search(r"\b17\b", text) else "unclear"
    ), f"told of hail at 17 degrees, got {_quoted(response)}"


_SCHEMA: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def _json_schema(asker: Asker) -> Answer:
    try:
        response = asker.ask("Name a city of Italy, and how many people live there.", text_format=_SCHEMA)
    except OutputIncomplete as error:
        return "unclear", f"cut before its end: {error.reason}"
    except OutputError as error:
        return "no", f"{type(error).__name__}: {cut(error.message, 200)}"
    found: Any = response.output_parsed
    good = isinstance(found, dict) and isinstance(found.get("city"), str) and isinstance(found.get("people"), int)
    if good and len(found) == 2:
        return "yes", f"{_quoted(response)}, as {response.meta.dialect or 'asked'} carries it"
    return "no", f"a JSON object, and another than the schema's: {_quoted(response)}"


def _previous_response_id(asker: Asker) -> Answer:
    first = asker.ask("The secret word is WALNUT. Say OK.")
    second = asker.ask("Which word is the secret word?", previous_response_id=first.id)
    keeper = "kept by this library" if is_kept(first.id) else "kept by the host"
    before, after = (one.usage.input_tokens if one.usage is not None else 0 for one in (first, second))
    # The second question is the shorter one, so more input is the first one sent again.
    is_given = "walnut" in second.output_text.lower() or after > before > 0
    seen = f"{keeper}; {before} input tokens, then {after}; asked for WALNUT, got {_quoted(second)}"
    return ("yes" if is_given else "unclear"), seen


def _seed(asker: Asker) -> Answer:
    said = [
        asker.ask(
            "Write ten random words.", temperature=1.0, max_output_tokens=32, extra_body={"seed": seed}
        ).output_text
        for seed in (7, 7, 8)
    ]
    same, other = said[0] == said[1], said[0] == said[2]
    if same and not other:
        return "yes", "the same seed gave the same text, another seed another one"
    if same:
        return "unclear", "the same text with every seed"
    return "no", "the same seed gave different texts"


def _temperature(asker: Asker) -> Answer:
    said = [asker.ask("Write five random words.", temperature=0.0, max_output_tokens=32) for _ in range(2)]
    if reason := _left_out(said[0], "temperature"):
        return "no", reason
    same = said[0].output_text == said[1].output_text
    return ("yes" if same else "unclear"), f"twice at 0: {'the same text' if same else 'different texts'}"


def _reasoning(asker: Asker) -> Answer:
    response = asker.ask("What is 17 times 23?", reasoning={"effort": "low"})
    thoughts = sum(isinstance(item, items.Reasoning) for item in response.output)
    tokens = response.usage.output_tokens_details.reasoning_tokens if response.usage is not None else 0
    if thoughts or tokens:
        return "yes", f"{thoughts} items and {tokens} tokens of reasoning"
    return "no", _left_out(response, "reasoning") or "taken, and no reasoning came"


def _logprobs(asker: Asker) -> Answer:
    response = asker.ask("Say yes.", top_logprobs=2, include=["message.output_text.logprobs"])
    parts = [
        part
        for item in response.output
        if isinstance(item, items.Message) and not isinstance(item.content, str)
        for part in item.content
        if isinstance(part, OutputText)
    ]
    count = sum(len(part.logprobs or ()) for part in parts)
    if count:
        return "yes", f"of {count} tokens"
    return "no", _left_out(response, "top_logprobs") or _left_out(response, "include") or "taken, and none came"


def _images(asker: Asker) -> Answer:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{_red_square()}", "detail": "low"}
    question = {"type": "input_text", "text": "Which colour has this square? Answer with one word."}
    response = asker.ask([{"role": "user", "content": [image, question]}])
    if reason := _left_out(response, "input_image") or _left_out(response, "input"):
        return "no", reason
    return ("yes" if "red" in response.output_text.lower() else "unclear"), f"a red square, got {_quoted(response)}"


def _red_square(size: int = 32) -> str:
    """Return a PNG in base64: one colour, eight bits a channel, no filters (W3C, PNG, Third Edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff\0\0" * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


QUESTIONS: Final[dict[str, Callable[[Asker], Answer]]] = {
    "text": _text,
    "usage": _usage,
    "streaming": _streaming,
    "instructions": _instructions,
    "max_output_tokens": _max_output_tokens,
    "tools": _tools,
    "tool_results": _tool_results,
    "json_schema": _json_schema,
    "previous_response_id": _previous_response_id,
    "temperature": _temperature,
    "seed": _seed,
    "reasoning": _reasoning,
    "logprobs": _logprobs,
    "images": _images,
}
