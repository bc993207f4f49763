"""Typed answers: ask for JSON of a given shape, and hand out what it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, NoReturn

import msgspec

from ..pipeline.answer_tool import AnswerEvents, AnswerTool
from ..pipeline.api import items
from ..pipeline.api.params import CreateParams, GetParams
from ..pipeline.api.parts import Refusal
from ..pipeline.api.response import Response
from ..pipeline.errors import CallError, InvalidParameter, OutputIncomplete, OutputInvalid, OutputRefused
from ..pipeline.json_schema import OutputType, output_type
from ..pipeline.open_calls import open_calls
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Option, Stage
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.wording import quoted
from ..providers import catalog

Mode = Literal["native", "tool", "prompt"]


class ParseOutput(Stage, frozen=True):
    """Ask for an answer of the shape that the call option `text_format` gives, and set `response.output_parsed`.

    `text_format` is a msgspec Struct, dataclass, TypedDict or pydantic model class, or a JSON schema. Without it this
    stage does nothing. How the model is asked is `output_mode`: "native" by the API's `text.format`, "tool" by a
    function that it must call, "prompt" by words in the instructions; "auto" chooses. An explicit `text.format` of the
    call wins over all of them, and the answer is still read as `text_format`. A response that is fetched is read in the
    same way; `output_mode` then says how it was asked for.

    Stages before this one see the typed answer, and its failures as errors; stages after it see ordinary calls. A
    stream is read as it comes, and its last event carries the typed answer; an error is raised after that event.

    `output_parsed` stays None while the response waits for something: the answers to function calls, an approval, or
    its end in the background.

    Raises:
        InvalidParameter: `text_format` is no type or schema of a JSON object.
        OutputIncomplete, OutputRefused, OutputInvalid: an answer came, and not the one that was asked for.
    """

    options = (
        Option("text_format", (object,), "the answer's type: a class or a JSON schema; see `output_parsed`"),
        Option("output_mode", (str,), 'how to ask for it: "auto", "native", "tool" or "prompt"'),
    )
    sets = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if "text_format" not in request.options:
            return await call_next(request)
        wanted = output_type(request.options["text_format"])
        asked, tool = _asked(request, wanted)
        if asked is None:
            return await call_next(request)
        reply = await call_next(asked)
        if request.context.dry:
            return reply
        if isinstance(reply, EventStream):
            if tool is not None:
                reply = reply.translated(AnswerEvents(tool).translate)
            return reply.conclude(lambda response: _parsed(response, wanted, request))
        if isinstance(reply, Response):
            return _parsed(reply if tool is None else tool.read(reply), wanted, request)
        return reply


# --- asking ---------------------------------------------------------------------------------------------------------


def _asked(request: Request, wanted: OutputType) -> tuple[Request | None, AnswerTool | None]:
    """Return the request that asks for the answer; None when it has none, or its `text.format` asks for another."""
    mode, params = _mode(request), request.params
    if isinstance(params, GetParams):
        return request, AnswerTool.beside(None, wanted) if mode == "tool" else None
    if not isinstance(params, CreateParams):
        request.context.drop("text_format", "only a response that is created or fetched is parsed")
        return None, None
    text = params.text or {}
    given = text.get("format")
    if given is not None:
        if isinstance(given, dict) and given.get("type") == "text":
            request.context.drop("text_format", "the call's own text.format asks for plain text")
            return None, None
        return request, None
    match mode:
        case "native":
            return request.with_params(text={**text, "format": wanted.format}), None
        case "tool":
            tool = AnswerTool.beside(params.tools, wanted)
            return request.with_params(**tool.params(params)), tool
        case "prompt":
            words = _WORDS.format(schema=msgspec.json.encode(wanted.schema).decode())
            own = f"{params.instructions}\n\n" if params.instructions else ""
            return request.with_params(instructions=own + words), None


def _mode(request: Request) -> Mode:
    mode = request.options.get("output_mode", "auto")
    if mode == "auto":
        return _best_mode(request)
    if mode not in ("native", "tool", "prompt"):
        raise InvalidParameter(
            f'output_mode is {quoted(mode)}; "auto", "native", "tool" or "prompt" is expected', param="output_mode"
        )
    chosen: Mode = mode
    return chosen


def _best_mode(request: Request) -> Mode:
    """Choose the mode for "auto": what the provider's row says."""
    options = request.options
    has_base = "api_base" in options or "base_url" in options
    try:
        row, _ = catalog.split_model(request.model, options.get("custom_llm_provider"), has_base)
    except CallError:
        return "native"  # Resolve will say what is wrong with the model
    return row.output_mode


_WORDS: Final = (
    "Answer with one JSON object and nothing else: no words around it, no code fence. "
    "It must fit this JSON schema:\n{schema}"
)


# --- reading --------------------------------------------------------------------------------------------------------


_AFTER_A_CUT: Final = {
    "max_output_tokens": "raise max_output_tokens",
    "content_filter": "change the input, or ask another model",
}


def _parsed(response: Response, wanted: OutputType, request: Request) -> Response:
    """Return the response with its `output_parsed`.

    Raises:
        OutputError: it is not what was asked for.
    """
    messages = [
        item
        for item in response.output
        if isinstance(item, items.Message) and item.role == "assistant" and item.phase != "commentary"
    ]
    for refusal in _refusals(messages):
        raise OutputRefused(
            "the model refused to answer",
            refusal=refusal,
            hint="change the input, or ask another model",
            response=response,
            **_facts(request),
        )
    if response.status == "incomplete":
        reason = response.incomplete_details.reason if response.incomplete_details else None
        raise OutputIncomplete(
            f"the answer was cut: {reason or 'the host does not say why'}",
            reason=reason,
            hint=_AFTER_A_CUT.get(reason or ""),
            response=response,
            **_facts(request),
        )
    if response.status not in (None, "completed") or open_calls(response.output):
        return response
    return response.with_parsed(_decode([item.text for item in messages], wanted, response, request))


def _refusals(messages: list[items.Message]) -> Iterator[str]:
    for message in messages:
        if not isinstance(message.content, str):
            yield from (part.refusal for part in message.content if isinstance(part, Refusal))


def _decode(texts: list[str], wanted: OutputType, response: Response, request: Request) -> Any:
    """Return the first message that is the answer: what comes before it may be a word on the way there."""
    said = [text for text in texts if text.strip()]
    if not said:
        _refuse("", "the answer has no text", wanted, response, request)
    wrong: ValueError | RecursionError | None = None
    for text in said:
        for candidate in _candidates(text):
            try:
                return wanted.decode(candidate)
            except (ValueError, RecursionError) as error:
                # The first candidate is the text as it is; what is wrong with a later one is nearer to the answer.
                wrong = error
    _refuse(said[-1], _told(wrong), wanted, response, request, wrong)


def _told(error: Any) -> str:
    """Return what a check says; of pydantic's a line for each fault, without its values and links."""
    if not hasattr(error, "errors"):
        return str(error)
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'the answer'}: {fault['msg']}" for fault in found)


def _candidates(text: str) -> Iterator[str]:
    """Yield the text, and what of it may be the JSON when there is more around it."""
    yield text
    if (fence := text.find("```")) >= 0 and (start := text.find("\n", fence)) >= 0:
        end = text.find("```", start)
        yield text[start : end if end >= 0 else None]
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last and text.strip() != (inner := text[first : last + 1]):
        yield inner


def _refuse(
    text: str,
    validation: str,
    wanted: OutputType,
    response: Response,
    request: Request,
    cause: BaseException | None = None,
) -> NoReturn:
    raise OutputInvalid(
        f"the answer does not fit {wanted.name}",
        text=text,
        validation=validation,
        hint="error.response has the answer; a Reask stage outside ParseOutput asks again",
        response=response,
        **_facts(request),
    ) from cause


def _facts(request: Request) -> dict[str, Any]:
    context = request.context
    target = context.target
    return {
        "provider": target.provider if target else None,
        "model": target.model if target else None,
        "request_id": context.request_id,
    }
