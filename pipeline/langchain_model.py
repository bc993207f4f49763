"""A chain as a chat model of LangChain. Loaded only by `Chain.as_runnable`, since it needs langchain-core.

A chat model and not a bare Runnable: so callbacks, tags and metadata of a call's config, token counting, caches, event
streams and structured output are LangChain's own, and nothing of them is made a second time here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import PrivateAttr

from .chain import Chain
from .errors import InvalidParameter, UnsupportedParameter
from .langchain_messages import Chunks, answer_message, api_tool, api_tool_choice, input_items


class ChainModel(BaseChatModel):
    """A chain as a chat model. Make it with `Chain.as_runnable`.

    Keywords of `invoke` and of `bind` are those of the chain's calls. Besides messages and text, the input may be a
    dict with `input` or `messages` and such keywords.
    """

    _chain: Chain = PrivateAttr()

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self._chain = chain

    def __repr__(self) -> str:
        return f"ChainModel({self._chain!r})"

    __str__ = __repr__

    @property
    def _llm_type(self) -> str:
        return "antiphon"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        # What LangChain's caches know an answer by, and what its tracers show: no key is among it.
        shown = {name: repr(value) for name, value in self._chain.defaults.items() if name not in self._chain.options}
        return {"chain": repr(self._chain), **shown}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        model = kwargs.get("model") or self._chain.defaults.get("model")
        return {"ls_provider": "antiphon", "ls_model_type": "chat", **({"ls_model_name": str(model)} if model else {})}

    # --- input that is a dict --------------------------------------------------------------------------------------

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        given, more = _split(input)
        return super().invoke(given, config, **{**more, **kwargs})

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        given, more = _split(input)
        return await super().ainvoke(given, config, **{**more, **kwargs})

    def stream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[AIMessageChunk]:
        given, more = _split(input)
        return super().stream(given, config, **{**more, **kwargs})

    def astream(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[AIMessageChunk]:
        given, more = _split(input)
        return super().astream(given, config, **{**more, **kwargs})

    # --- what LangChain asks of a model ----------------------------------------------------------------------------

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return _result(answer_message(self._chain.invoke(input_items(messages), **_keywords(stop, kwargs))))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        return _result(answer_message(await self._chain.ainvoke(input_items(messages), **_keywords(stop, kwargs))))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        chunks = Chunks()
        with self._chain.stream(input_items(messages), **_keywords(stop, kwargs)) as stream:
            for event in stream:
                if (chunk := chunks.of(event)) is not None:
                    yield ChatGenerationChunk(message=chunk)
            if (response := stream.response) is not None:
                yield ChatGenerationChunk(message=chunks.last(response))

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = Chunks()
        async with await self._chain.astream(input_items(messages), **_keywords(stop, kwargs)) as stream:
            async for event in stream:
                if (chunk := chunks.of(event)) is not None:
                    yield ChatGenerationChunk(message=chunk)
            if (response := stream.response) is not None:
                yield ChatGenerationChunk(message=chunks.last(response))

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return the model with these tools: functions, classes, LangChain tools, or dicts of the API.

        Args:
            tools: what the model may call.
            tool_choice: "auto", "none", "any" or "required", or the name of the tool that must be called.
            strict: whether arguments must keep to the schema.
            kwargs: further keywords of the chain's calls.
        """
        made = [api_tool(tool, lambda one: convert_to_openai_tool(one, strict=strict)) for tool in tools]
        choice = api_tool_choice(tool_choice)
        return self.bind(tools=made, **({} if choice is None else {"tool_choice": choice}), **kwargs)


def _split(given: Any) -> tuple[Any, dict[str, Any]]:
    """Return the messages of an input and, where it is a dict, the keywords beside them."""
    if not isinstance(given, Mapping):
        return given, {}
    names = [name for name in ("input", "messages") if name in given]
    if len(names) != 1:
        raise InvalidParameter(
            f"the input is a dict with {', '.join(map(repr, given)) or 'nothing'}",
            param="input",
            hint='it needs "input" or "messages", and may have keywords of the call beside it',
        )
    return given[names[0]], {name: value for name, value in given.items() if name != names[0]}


def _keywords(stop: list[str] | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    if stop:
        raise UnsupportedParameter(
            "the Responses API has no stop words", param="stop", hint="leave stop out, or cut the text yourself"
        )
    return {name: value for name, value in kwargs.items() if name != "stream"}  # LangChain's wish to stream


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])
