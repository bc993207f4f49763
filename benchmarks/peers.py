"""The peers: the same call through each library. None of them is imported before it is asked for.

A peer has `call` and `acall` (one plain response) and `stream` and `astream` (all events of one stream). `PEERS` call
a host of the Responses API. `CHAT_PEERS` call one that serves chat completions only: the Responses API over it where
the library bridges the two, its chunks as they are where the line says so.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

INPUT = "Tell me a short story about a lazy dog and seven wizards."
MESSAGES = [{"role": "user", "content": INPUT}]
WITH_USAGE: dict[str, Any] = {"stream_options": {"include_usage": True}}
KEY = "sk-mock-000000000000000000000000"


class Peer:
    """One library against the host at `url` (without a path)."""

    imports: tuple[str, ...] = ()
    """Statements whose cost the import scenario shows, each in a fresh process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base = f"{url}/v1"

    def open(self) -> None:
        """Make what sync calls share; raises ImportError where the library is not installed."""
        raise NotImplementedError

    async def aopen(self) -> None:
        """Make what async calls share."""
        self.open()

    def call(self, model: str) -> object:
        raise NotImplementedError

    async def acall(self, model: str) -> object:
        raise NotImplementedError

    def stream(self, model: str) -> Iterator[object]:
        raise NotImplementedError

    def astream(self, model: str) -> AsyncIterator[object]:
        raise NotImplementedError


class Httpx(Peer):
    """Raw httpx + msgspec, written by hand: the base of all ratios."""

    imports: tuple[str, ...] = ("import httpx", "import httpx, msgspec")
    module = "httpx"
    path = "responses"

    def open(self) -> None:
        self._prepare()
        self.client = self.library.Client(timeout=60, limits=self.limits)

    async def aopen(self) -> None:
        self._prepare()
        self.aclient = self.library.AsyncClient(timeout=60, limits=self.limits)

    def _prepare(self) -> None:
        import importlib

        import floor

        self.encode = floor.encode
        self.decode: Callable[[bytes], object] = floor.decode_response
        self.decode_event: Callable[[bytes], object] = floor.decode_event
        self.splitter = floor.Splitter
        self.library: Any = importlib.import_module(self.module)
        self.limits = self.library.Limits(max_connections=1000, max_keepalive_connections=1000)
        self.address = self.library.URL(f"{self.base}/{self.path}")
        self.headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}

    def _body(self, model: str, **more: object) -> bytes:
        return self.encode({"model": model, "input": INPUT, **more})

    def call(self, model: str) -> object:
        answer = self.client.post(self.address, content=self._body(model), headers=self.headers)
        return self.decode(answer.content)

    async def acall(self, model: str) -> object:
        answer = await self.aclient.post(self.address, content=self._body(model), headers=self.headers)
        return self.decode(answer.content)

    def stream(self, model: str) -> Iterator[object]:
        splitter, decode = self.splitter(), self.decode_event
        body = self._body(model, stream=True)
        with self.client.stream("POST", self.address, content=body, headers=self.headers) as answer:
            for data in answer.iter_raw():
                for event in splitter.feed(data):
                    yield decode(event)

    async def astream(self, model: str) -> AsyncIterator[object]:
        splitter, decode = self.splitter(), self.decode_event
        body = self._body(model, stream=True)
        async with self.aclient.stream("POST", self.address, content=body, headers=self.headers) as answer:
            async for data in answer.aiter_raw():
                for event in splitter.feed(data):
                    yield decode(event)


class HttpxChat(Httpx):
    """The chunks of chat completions as they are, decoded by hand."""

    path = "chat/completions"

    def _prepare(self) -> None:
        import floor

        super()._prepare()
        self.decode, self.decode_event = floor.decode_completion, floor.decode_chunk

    def _body(self, model: str, **more: object) -> bytes:
        return self.encode({"model": model, "messages": MESSAGES, **(WITH_USAGE if more else {}), **more})


class Httpx2(Httpx):
    """The same over httpx2, on which openai >= 3 stands."""

    imports = ("import httpx2",)
    module = "httpx2"


class Httpx2Chat(HttpxChat):
    """The same over httpx2."""

    module = "httpx2"


class Antiphon(Peer):
    """The one-call functions: the stock chain."""

    imports = (
        "import antiphon",
        "import antiphon; antiphon.responses",
        "import antiphon; antiphon.responses('Hi', model='scripted/echo')",
    )

    def open(self) -> None:
        import antiphon

        self.library = antiphon

    def _arguments(self, model: str) -> dict[str, Any]:
        return {"input": INPUT, "model": f"openai/{model}", "api_base": self.base, "api_key": KEY}

    def call(self, model: str) -> object:
        return self.library.responses(**self._arguments(model))

    async def acall(self, model: str) -> object:
        return await self.library.aresponses(**self._arguments(model))

    def stream(self, model: str) -> Iterator[object]:
        return self.library.responses(stream=True, **self._arguments(model))

    async def astream(self, model: str) -> AsyncIterator[object]:
        async for event in await self.library.aresponses(stream=True, **self._arguments(model)):
            yield event


class AntiphonChat(Antiphon):
    """The same over chat completions."""

    def _arguments(self, model: str) -> dict[str, Any]:
        return {**super()._arguments(model), "model": f"openai_compatible/{model}", "dialect": "chat"}


class OpenAI(Peer):
    """The official SDK, its clients kept."""

    imports = ("import openai",)

    def open(self) -> None:
        import openai

        self.client: Any = openai.OpenAI(base_url=self.base, api_key=KEY)

    async def aopen(self) -> None:
        import openai

        self.aclient: Any = openai.AsyncOpenAI(base_url=self.base, api_key=KEY)

    def call(self, model: str) -> object:
        return self.client.responses.create(model=model, input=INPUT)

    async def acall(self, model: str) -> object:
        return await self.aclient.responses.create(model=model, input=INPUT)

    def stream(self, model: str) -> Iterator[object]:
        yield from self.client.responses.create(model=model, input=INPUT, stream=True)

    async def astream(self, model: str) -> AsyncIterator[object]:
        async for event in await self.aclient.responses.create(model=model, input=INPUT, stream=True):
            yield event


class OpenAIChat(OpenAI):
    """Its chat client: what reading the chunks costs with typed objects. It has no bridge."""

    def call(self, model: str) -> object:
        return self.client.chat.completions.create(model=model, messages=MESSAGES)

    async def acall(self, model: str) -> object:
        return await self.aclient.chat.completions.create(model=model, messages=MESSAGES)

    def stream(self, model: str) -> Iterator[object]:
        yield from self.client.chat.completions.create(model=model, messages=MESSAGES, stream=True, **WITH_USAGE)

    async def astream(self, model: str) -> AsyncIterator[object]:
        create = self.aclient.chat.completions.create
        async for chunk in await create(model=model, messages=MESSAGES, stream=True, **WITH_USAGE):
            yield chunk


class LiteLLM(Peer):
    """`litellm.responses` and `aresponses` on its native path."""

    imports = ("import litellm",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._registered: set[str] = set()

    def open(self) -> None:
        import litellm

        litellm.suppress_debug_info = True
        self.library: Any = litellm

    def _arguments(self, model: str) -> dict[str, Any]:
        # For OpenAI models that its price map does not have, it makes one plain call and invents the stream.
        if model not in self._registered:
            self._registered.add(model)
            row = {"litellm_provider": "openai", "mode": "responses", "supports_native_streaming": True}
            row |= {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
            self.library.register_model({model: row, f"openai/{model}": row})
        return {"model": f"openai/{model}", "input": INPUT, "api_base": self.base, "api_key": KEY}

    def call(self, model: str) -> object:
        return self.library.responses(**self._arguments(model))

    async def acall(self, model: str) -> object:
        return await self.library.aresponses(**self._arguments(model))

    def stream(self, model: str) -> Iterator[object]:
        yield from self.library.responses(stream=True, **self._arguments(model))

    async def astream(self, model: str) -> AsyncIterator[object]:
        async for event in await self.library.aresponses(stream=True, **self._arguments(model)):
            yield event


class LiteLLMChat(LiteLLM):
    """`litellm.responses` and `aresponses` over one of its providers that have chat completions only."""

    def _arguments(self, model: str) -> dict[str, Any]:
        return {"model": f"deepseek/{model}", "input": INPUT, "api_base": self.base, "api_key": KEY}


class AnyLLM(Peer):
    """any-llm with its client kept; its one-call functions make a client for each call."""

    imports = ("import any_llm",)

    def open(self) -> None:
        from any_llm import AnyLLM as Library

        self.client: Any = Library.create("openai", api_key=KEY, api_base=self.base)

    async def aopen(self) -> None:
        from any_llm import AnyLLM as Library  # another one: its sync calls run on an event loop of their own

        self.aclient: Any = Library.create("openai", api_key=KEY, api_base=self.base)

    def call(self, model: str) -> object:
        return self.client.responses(model=model, input_data=INPUT)

    async def acall(self, model: str) -> object:
        return await self.aclient.aresponses(model=model, input_data=INPUT)

    def stream(self, model: str) -> Iterator[object]:
        yield from self.client.responses(model=model, input_data=INPUT, stream=True)

    async def astream(self, model: str) -> AsyncIterator[object]:
        async for event in await self.aclient.aresponses(model=model, input_data=INPUT, stream=True):
            yield event


BASE = "httpx"
PEERS: dict[str, type[Peer]] = {
    BASE: Httpx,
    "httpx2": Httpx2,
    "antiphon": Antiphon,
    "openai": OpenAI,
    "litellm": LiteLLM,
    "any-llm": AnyLLM,
}
CHAT_PEERS: dict[str, type[Peer]] = {
    BASE: HttpxChat,
    "httpx2": Httpx2Chat,
    "antiphon": AntiphonChat,
    "openai": OpenAIChat,
    "litellm": LiteLLMChat,
}
"""any-llm has no bridge."""
APIS = {"responses": PEERS, "chat": CHAT_PEERS}

# Set before any peer is imported: no key is looked for, and no price list is downloaded.
ENVIRONMENT = {"OPENAI_API_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
os.environ.update(ENVIRONMENT)
