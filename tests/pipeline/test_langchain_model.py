"""A chain as a chat model of LangChain, composed with LangChain's own parts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Mode

from antiphon import Chain, presets
from antiphon.pipeline.errors import InvalidParameter, MissingExtra, RateLimitError, UnsupportedParameter
from antiphon.testing import ScriptedClient, function_call, http_error, message, scripted

# langchain-core is in the development environment only, and loads for a second.
pytestmark = pytest.mark.slow

MODEL = "openai/gpt-5"
USAGE = {
    "input_tokens": 10,
    "output_tokens": 5,
    "total_tokens": 15,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens_details": {"reasoning_tokens": 3},
}
THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "First."}, {"type": "summary_text", "text": "Then."}],
    "encrypted_content": "sealed",
}
CALLING = {
    "output": [
        THOUGHT,
        message("Let me see."),
        function_call("weather", {"city": "Oslo"}, call_id="c1"),
        {**function_call("weather", {}, call_id="c2"), "arguments": "no JSON"},
    ],
    "usage": USAGE,
}


@pytest.fixture(params=["sync", "asyncio"])
def mode(request: pytest.FixtureRequest) -> Mode:  # LangChain knows no trio
    return Mode(request.param)


async def ask(mode: Mode, runnable: Any, given: Any, *, streamed: bool = False, config: Any = None, **more: Any) -> Any:
    """Return what a runnable gives, chunks added up."""
    if not streamed:
        if mode.is_async:
            return await runnable.ainvoke(given, config, **more)
        return runnable.invoke(given, config, **more)
    found: Any = None
    if mode.is_async:
        async for chunk in runnable.astream(given, config, **more):
            found = chunk if found is None else found + chunk
        return found
    for chunk in runnable.stream(given, config, **more):
        found = chunk if found is None else found + chunk
    return found


def weather(city: str) -> str:
    """Say what the weather is like in a city."""
    return f"Sunny in {city}."


def test_an_answer_is_a_message_plain_and_streamed(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        model = scripted(CALLING).chain.as_runnable(model=MODEL)
        said = await ask(mode, model, "Rain?", streamed=streamed)

        assert said.content == "Let me see."
        assert said.id == said.response_metadata["id"]
        assert said.tool_calls == [{"name": "weather", "args": {"city": "Oslo"}, "id": "c1", "type": "tool_call"}]
        assert [(call["id"], call["args"]) for call in said.invalid_tool_calls] == [("c2", "no JSON")]
        assert said.usage_metadata == {
            "input_tokens": 10,
            "output_tokens": 5,
            "total_tokens": 15,
            "input_token_details": {"cache_read": 4, "cache_creation": 2},
            "output_token_details": {"reasoning": 3},
        }
        assert said.additional_kwargs["reasoning_content"] == "First.\n\nThen."
        assert [block["type"] for block in said.content_blocks][:2] == ["reasoning", "text"]
        facts = {"model_name": "gpt-5", "status": "completed", "provider": "openai", "attempts": 1}
        assert facts.items() <= said.response_metadata.items()

    mode.run(body)


def test_it_composes_with_a_prompt_and_a_parser(mode: Mode, streamed: bool) -> None:
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    async def body() -> None:
        client = scripted("Salt.")
        prompt = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("human", "{question}")])
        chain: Any = prompt | client.chain.as_runnable(model=MODEL, temperature=None) | StrOutputParser()

        assert await ask(mode, chain, {"how": "brief", "question": "Why?"}, streamed=streamed) == "Salt."
        assert client.requests[0]["input"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Why?"},
        ]

    mode.run(body)


def test_a_round_with_a_tool_goes_back_as_it_came(mode: Mode, streamed: bool) -> None:
    from langchain_core.messages import HumanMessage, ToolMessage

    async def body() -> None:
        client = scripted({"output": [THOUGHT, function_call("weather", {"city": "Oslo"}, call_id="c1")]}, "Sunny.")
        model = client.chain.as_runnable(model=MODEL).bind_tools([weather], tool_choice="any")
        said = await ask(mode, model, "Rain?", streamed=streamed)
        result = ToolMessage(weather(**said.tool_calls[0]["args"]), tool_call_id=said.tool_calls[0]["id"])
        last = await ask(mode, model, [HumanMessage("Rain?"), said, result], streamed=streamed)

        assert last.content == "Sunny."
        first, second = client.requests
        assert first["tool_choice"] == "required"
        assert (first["tools"][0]["type"], first["tools"][0]["name"]) == ("function", "weather")
        assert second["input"][1] == THOUGHT
        assert second["input"][2]["type"] == "function_call"
        assert second["input"][3] == {"type": "function_call_output", "call_id": "c1", "output": "Sunny in Oslo."}

    mode.run(body)


def test_callbacks_tags_and_metadata_of_the_config_are_langchains_own(mode: Mode, streamed: bool) -> None:
    from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler

    seen: list[Any] = []

    class Note(BaseCallbackHandler):
        def on_chat_model_start(self, serialized: Any, messages: Any, **more: Any) -> None:
            seen.append(("start", more["tags"], more["metadata"]["user"], more["metadata"]["ls_model_name"]))

        def on_llm_new_token(self, token: Any, **more: Any) -> None:
            seen.append(token)

        def on_llm_end(self, response: Any, **more: Any) -> None:
            seen.append("end")

        def on_llm_error(self, error: BaseException, **more: Any) -> None:
            seen.append(type(error).__name__)

    async def body() -> None:
        usage = UsageMetadataCallbackHandler()
        config = {"callbacks": [Note(), usage], "tags": ["t"], "metadata": {"user": "u"}}
        client = scripted("Hello there.", http_error(429))
        model = client.chain.as_runnable(model=MODEL, num_retries=0)
        await ask(mode, model, "Hi", streamed=streamed, config=config)

        assert seen[0] == ("start", ["t"], "u", MODEL)
        assert [token for token in seen[1:-1] if token] == (["Hello", " there."] if streamed else [])
        assert seen[-1] == "end"
        assert usage.usage_metadata["gpt-5"]["output_tokens"] == 2
        seen.clear()
        with pytest.raises(RateLimitError):
            await ask(mode, model, "Hi", streamed=streamed, config=config)
        assert seen[-1] == "RateLimitError"
        assert "metadata" not in client.requests[0]  # LangChain's is not the API's

    mode.run(body)


def test_another_model_is_asked_when_one_fails(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        first = scripted(http_error(500)).chain.as_runnable(model=MODEL, num_retries=0)
        second = scripted("From the second.").chain.as_runnable(model=MODEL)

        said = await ask(mode, first.with_fallbacks([second]), "Hi", streamed=streamed)

        assert said.content == "From the second."

    mode.run(body)


def test_a_batch_is_side_by_side_and_in_order(mode: Mode) -> None:
    async def body() -> None:
        model = scripted(lambda request: str(request["input"][0]["content"])).chain.as_runnable(model=MODEL)
        inputs: list[Any] = [str(number) for number in range(10)]

        found = await model.abatch(inputs) if mode.is_async else model.batch(inputs)

        assert [one.content for one in found] == inputs

    mode.run(body)


def test_an_input_may_be_text_messages_or_a_dict_with_keywords(mode: Mode, streamed: bool) -> None:
    from langchain_core.messages import ChatMessage, SystemMessage

    async def body() -> None:
        client = scripted("ok")
        model = client.chain.as_runnable(model=MODEL)
        await ask(mode, model, {"input": "Hi", "max_output_tokens": 9}, streamed=streamed)
        await ask(mode, model, {"messages": [("human", "Hi")]}, streamed=streamed, max_output_tokens=8)
        developer = SystemMessage("Rules.", additional_kwargs={"__openai_role__": "developer"})
        await ask(mode, model, [developer, ChatMessage(role="user", content="Hi")], streamed=streamed)

        assert [(sent["input"][-1], sent.get("max_output_tokens")) for sent in client.requests] == [
            ({"role": "user", "content": "Hi"}, 9),
            ({"role": "user", "content": "Hi"}, 8),
            ({"role": "user", "content": "Hi"}, None),
        ]
        assert client.requests[2]["input"][0] == {"role": "developer", "content": "Rules."}
        for wrong in ({}, {"input": "a", "messages": []}):
            with pytest.raises(InvalidParameter, match="the input is a dict with"):
                await ask(mode, model, wrong, streamed=streamed)

    mode.run(body)


PARTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": ({"type": "text", "text": "a"}, {"type": "input_text", "text": "a"}),
    "the API's own": ({"type": "input_text", "text": "a"}, {"type": "input_text", "text": "a"}),
    "image_url": (
        {"type": "image_url", "image_url": {"url": "https://e.x/i.png", "detail": "low"}},
        {"type": "input_image", "image_url": "https://e.x/i.png", "detail": "low"},
    ),
    "image": ({"type": "image", "url": "https://e.x/i.png"}, {"type": "input_image", "image_url": "https://e.x/i.png"}),
    "image data": (
        {"type": "image", "base64": "QQ==", "mime_type": "image/png"},
        {"type": "input_image", "image_url": "data:image/png;base64,QQ=="},
    ),
    "image by id": (
        {"type": "image", "source_type": "id", "id": "file_1"},
        {"type": "input_image", "file_id": "file_1"},
    ),
    "file": ({"type": "file", "url": "https://e.x/f.pdf"}, {"type": "input_file", "file_url": "https://e.x/f.pdf"}),
    "file data": (
        {"type": "file", "source_type": "base64", "data": "QQ==", "mime_type": "application/pdf", "filename": "f.pdf"},
        {"type": "input_file", "filename": "f.pdf", "file_data": "data:application/pdf;base64,QQ=="},
    ),
    "file by id": ({"type": "file", "file_id": "file_1"}, {"type": "input_file", "file_id": "file_1"}),
    "file of the chat format": (
        {"type": "file", "file": {"filename": "f.pdf", "file_data": "data:application/pdf;base64,QQ=="}},
        {"type": "input_file", "filename": "f.pdf", "file_data": "data:application/pdf;base64,QQ=="},
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_content_blocks_become_parts(name: str) -> None:
    from langchain_core.messages import HumanMessage

    given, sent = PARTS[name]
    client = scripted("ok")
    client.chain.as_runnable(model=MODEL).invoke([HumanMessage([given])])

    assert client.requests[0]["input"][0]["content"] == [sent]


def test_what_has_no_place_in_the_api_is_refused_before_anything_is_sent() -> None:
    from langchain_core.messages import FunctionMessage, HumanMessage

    client = scripted("never")
    model = client.chain.as_runnable(model=MODEL)

    with pytest.raises(InvalidParameter, match='content block of type "audio"'):
        model.invoke([HumanMessage([{"type": "audio", "base64": "QQ==", "mime_type": "audio/wav"}])])
    with pytest.raises(InvalidParameter, match="nothing for a FunctionMessage"):
        model.invoke([FunctionMessage(content="x", name="f")])
    with pytest.raises(UnsupportedParameter, match="no stop words"):
        model.invoke("Hi", stop=["x"])
    assert client.requests == []


def test_answers_of_others_go_back_as_text_and_calls() -> None:
    from langchain_core.messages import AIMessage

    client = scripted("ok")
    call = {"name": "f", "args": {"a": 1}, "id": "c1"}
    broken = {"name": "f", "args": "{", "id": "c2", "error": None, "type": "invalid_tool_call"}
    theirs = AIMessage([{"type": "text", "text": "Well."}], tool_calls=[call], invalid_tool_calls=[broken])
    client.chain.as_runnable(model=MODEL).invoke([theirs, ("human", "Go on.")])

    assert client.requests[0]["input"] == [
        {"role": "assistant", "content": "Well."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{"},
        {"role": "user", "content": "Go on."},
    ]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        (True, "required"),
        (False, None),
        ("weather", {"type": "function", "name": "weather"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "name": "weather"}),
        ({"type": "web_search"}, {"type": "web_search"}),
    ],
)
def test_tools_and_their_choice_are_put_into_the_apis_form(choice: Any, sent: Any) -> None:
    client = scripted("ok")
    tools: list[Any] = [weather, {"type": "web_search"}]
    client.chain.as_runnable(model=MODEL).bind_tools(tools, tool_choice=choice, strict=True).invoke("Hi")

    request = client.requests[0]
    assert request.get("tool_choice") == sent
    assert request["tools"][0]["strict"] is True
    assert request["tools"][1] == {"type": "web_search"}


def test_structured_output_is_langchains() -> None:
    from pydantic import BaseModel

    class Weather(BaseModel):
        """The weather."""

        city: str

    client = scripted({"output": [function_call("Weather", {"city": "Oslo"})]})
    found = client.chain.as_runnable(model=MODEL).with_structured_output(Weather).invoke("Hi")

    assert found == Weather(city="Oslo")


def test_a_typed_answer_and_a_refusal_are_beside_the_message() -> None:
    refusal = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    client = scripted('{"city": "Oslo"}', {"output": [refusal]})
    model = client.chain.as_runnable(model=MODEL)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}

    assert model.invoke("Hi", text_format=schema).additional_kwargs["parsed"] == {"city": "Oslo"}
    assert model.invoke("Hi").additional_kwargs["refusal"] == "No."


def test_a_reader_who_leaves_early_closes_the_stream() -> None:
    ended: list[str] = []
    client = scripted("One two three.", hooks=[lambda signal: ended.append(signal.name)])
    stream = client.chain.as_runnable(model=MODEL).stream("Hi")
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]

    assert ended[-1] == "call.end"


def test_an_async_reader_who_leaves_early_closes_the_stream() -> None:
    ended: list[str] = []

    async def body() -> None:
        client: ScriptedClient = scripted("One two three.", hooks=[lambda signal: ended.append(signal.name)])
        stream: AsyncIterator[Any] = client.chain.as_runnable(model=MODEL).astream("Hi")
        await anext(stream)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    Mode("asyncio").run(body)

    assert ended[-1] == "call.end"


def test_no_key_is_in_what_tracers_and_caches_see() -> None:
    model = presets.responses.as_runnable(model=MODEL, api_key="sk-canary0123456789abcdef")

    assert "canary" not in repr(model) + str(model) + repr(model._identifying_params) + repr(model._serialized)


def test_langchain_core_is_named_when_it_is_missing() -> None:
    program = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "import antiphon\n"
        "try:\n    antiphon.presets.responses.as_runnable()\n"
        "except antiphon.MissingExtra as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout.startswith("as_runnable needs langchain-core, which cannot be imported: ")
    assert 'hint: pip install "langchain-core>=1"' in done.stdout
    assert MissingExtra.__name__ in Chain.as_runnable.__doc__  # type: ignore[operator]


def test_the_page_runs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "langchain.md").read_text("utf-8")
    blocks = re.findall(r"^```python no-run\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}

    for block in blocks:
        exec(block, names)

    assert len(blocks) >= 4
