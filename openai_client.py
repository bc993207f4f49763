"""A client in the shape of OpenAI's Python package, so that code written for it changes one import.

    from antiphon import OpenAI

    client = OpenAI()
    client.responses.create(model="gpt-5", input="Hi")
    client.responses.create(model="anthropic/claude-sonnet-4-5", input="Hi")

Shape: openai 3.54, `OpenAI`, `AsyncOpenAI` and their `responses`, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar, overload

from .calls import Calls
from .client import Client
from .pipeline.api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, ParsedResponse, Response
from .pipeline.api.wire import Elsewhere
from .pipeline.chain import Chain
from .pipeline.secret import Secret
from .pipeline.streams.event_stream import EventStream
from .stages import presets

T = TypeVar("T")

_RAW = "meta.headers and raw of a response, and raw of an event, have it"


class _Settings:
    """What both clients take, and what stays the same in both."""

    _client: Client
    _calls: Calls

    def __init__(
        self,
        *,
        api_key: str | Secret | Callable[[], Any] | None = None,
        organization: str | None = None,
        project: str | None = None,
        base_url: str | None = None,
        timeout: Any = None,
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        http_client: object = None,
        chain: Chain = presets.responses,
    ) -> None:
        headers = {"OpenAI-Organization": organization, "OpenAI-Project": project, **(default_headers or {})}
        own = {
            "api_key": api_key,
            "api_base": str(base_url) if base_url is not None else None,
            "num_retries": max_retries,
            "timeout": timeout,
            "extra_headers": {name: value for name, value in headers.items() if value is not None} or None,
            "extra_query": dict(default_query) if default_query else None,
        }
        bound = chain.bind(**{name: value for name, value in own.items() if value is not None})
        self._client = self._calls = Client(bound, transport=http_client)

    def __getattr__(self, name: str) -> NoReturn:
        known = "responses, with_options, close"
        raise AttributeError(f"{type(self).__name__} has no {name!r} here; it has: {known}")

    def with_options(self, **options: Any) -> Self:
        """Return a client with other settings for its calls, on the same connections, e.g. `timeout`, `max_retries`."""
        if "max_retries" in options:
            options["num_retries"] = options.pop("max_retries")
        if "base_url" in options:
            options["api_base"] = options.pop("base_url")
        copy = object.__new__(type(self))
        copy._client = self._client
        copy._calls = Calls(self._calls.chain.bind(**options))
        return copy

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.chain.name})"


class OpenAI(_Settings):
    """`openai.OpenAI`, as far as the Responses API goes. Close it, or use it as a context manager.

    A model without a provider's prefix goes to the provider that it is known of, "gpt-5" to OpenAI; any other model is
    named with its provider. Errors have OpenAI's class names in this package (`antiphon.RateLimitError`).

    Args:
        api_key, organization, project, base_url, timeout, max_retries, default_headers, default_query: as there. Given
            here they hold for every call, whatever its model; without `api_key` each provider's own variable counts.
        http_client: an `httpx.Client` or httpx2's, not closed here.
        chain: what the calls go through.
    """

    @property
    def responses(self) -> Responses:
        """The calls of the Responses API."""
        return Responses(self._calls)

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


class AsyncOpenAI(_Settings):
    """`openai.AsyncOpenAI`, as far as the Responses API goes. As `OpenAI`, with an `httpx.AsyncClient`."""

    @property
    def responses(self) -> AsyncResponses:
        """The calls of the Responses API."""
        return AsyncResponses(self._calls)

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()


class Responses:
    """`client.responses`. Keywords are those of `antiphon.responses` and its siblings."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.input_items = _InputItems(calls)
        self.input_tokens = _InputTokens(calls)

    with_raw_response = Elsewhere(_RAW)
    with_streaming_response = Elsewhere(_RAW)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.chain.name})"

    @overload
    def create(self, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    def create(self, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
    @overload
    def create(self, *, stream: bool | None, **keywords: Any) -> Response | EventStream: ...
    def create(self, **keywords: Any) -> Response | EventStream:
        """Ask a model; a Response, or with `stream=True` an EventStream."""
        reply: Response | EventStream = self._calls.responses(**_given(keywords))
        return reply

    @overload
    def parse(self, *, text_format: type[T], **keywords: Any) -> ParsedResponse[T]: ...
    @overload
    def parse(self, **keywords: Any) -> Response: ...
    def parse(self, **keywords: Any) -> Response:
        """Ask for an answer of the type `text_format`; it is `response.output_parsed`."""
        response: Response = self._calls.responses(**_given(keywords))
        return response

    def stream(self, *, response_id: str | None = None, **keywords: Any) -> ResponseStream:
        """Return a context manager around a stream: of a new answer, or of the background response `response_id`."""
        given = _given(keywords)
        return ResponseStream(
            lambda: (
                self._calls.responses(**given, stream=True)
                if response_id is None
                else self._calls.get_responses(response_id, **given, stream=True)
            )
        )

    @overload
    def retrieve(self, response_id: str, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    def retrieve(self, response_id: str, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
    @overload
    def retrieve(self, response_id: str, *, stream: bool | None, **keywords: Any) -> Response | EventStream: ...
    def retrieve(self, response_id: str, **keywords: Any) -> Response | EventStream:
        """Retrieve a stored response, or with `stream=True` its events."""
        reply: Response | EventStream = self._calls.get_responses(response_id, **_given(keywords))
        return reply

    def delete(self, response_id: str, **keywords: Any) -> DeletedResponse:
        """Delete a stored response."""
        return self._calls.delete_responses(response_id, **_given(keywords))

    def cancel(self, response_id: str, **keywords: Any) -> Response:
        """Cancel a background response."""
        return self._calls.cancel_responses(response_id, **_given(keywords))

    def compact(self, **keywords: Any) -> CompactedResponse:
        """Compact a conversation."""
        return self._calls.compact_responses(**_given(keywords))


class AsyncResponses:
    """`client.responses` of the async client. As `Responses`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.input_items = _AsyncInputItems(calls)
        self.input_tokens = _AsyncInputTokens(calls)

    with_raw_response = Elsewhere(_RAW)
    with_streaming_response = Elsewhere(_RAW)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._calls.chain.name})"

    @overload
    async def create(self, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    async def create(self, *, stream: Literal[False] | None = None, **keywords: Any) -> Response: ...
    @overload
    async def create(self, *, stream: bool | None, **keywords: Any) -> Response | EventStream: ...
    async def create(self, **keywords: Any) -> Response | EventStream:
        """Ask a model; a Response, or with `stream=True` an EventStream."""
        reply: Response | EventStream = await self._calls.aresponses(**_given(keywords))
        return reply

    @overload
    async def parse(self, *, text_format: type[T], **keywords: Any) -> ParsedResponse[T]: ...
    @overload
    async def parse(self, **keywords: Any) -> Response: ...
    async def parse(self, **keywords: Any) -> Response:
        """Ask for an answer of the type `text_format`; it is `response.output_parsed`."""
        response: Response = await self._calls.aresponses(**_given(keywords))
        return response

    def stream(self, *, response_id: str | None = None, **keywords: Any) -> AsyncResponseStream:
        """Return an async context manager around a stream: of a new answer, or of the background response named."""
        given = _given(keywords)
        return AsyncResponseStream(
            lambda: (
                self._calls.aresponses(**given, stream=True)
                if response_id is None
                else self._calls.aget_responses(response_id, **given, stream=True)
            )
        )

    @overload
    async def retrieve(self, response_id: str, *, stream: Literal[True], **keywords: Any) -> EventStream: ...
    @overload
    async def retrieve(
        self, response_id: str, *, stream: Literal[False] | None = None, **keywords: Any
    ) -> Response: ...
    @overload
    async def retrieve(self, response_id: str, *, stream: bool | None, **keywords: Any) -> Response | EventStream: ...
    async def retrieve(self, response_id: str, **keywords: Any) -> Response | EventStream:
        """Retrieve a stored response, or with `stream=True` its events."""
        reply: Response | EventStream = await self._calls.aget_responses(response_id, **_given(keywords))
        return reply

    async def delete(self, response_id: str, **keywords: Any) -> DeletedResponse:
        """Delete a stored response."""
        return await self._calls.adelete_responses(response_id, **_given(keywords))

    async def cancel(self, response_id: str, **keywords: Any) -> Response:
        """Cancel a background response."""
        return await self._calls.acancel_responses(response_id, **_given(keywords))

    async def compact(self, **keywords: Any) -> CompactedResponse:
        """Compact a conversation."""
        return await self._calls.acompact_responses(**_given(keywords))


class _InputItems:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, response_id: str, **keywords: Any) -> ItemPage:
        """List a response's input items; iterating the page goes on through all pages."""
        return self._calls.list_input_items(response_id, **_given(keywords))


class _AsyncInputItems:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, response_id: str, **keywords: Any) -> _Pages:
        """List a response's input items: await it for the first page, or iterate it with `async for`."""
        return _Pages(lambda: self._calls.alist_input_items(response_id, **_given(keywords)))


class _Pages:
    """What the official client returns here: to be awaited, or iterated at once."""

    def __init__(self, first: Callable[[], Any]) -> None:
        self._first = first

    def __await__(self) -> Any:
        return self._first().__await__()

    async def __aiter__(self) -> Any:
        async for item in await self._first():
            yield item


class _InputTokens:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def count(self, **keywords: Any) -> InputTokens:
        """Count the tokens of an input."""
        return self._calls.count_input_tokens(**_given(keywords))


class _AsyncInputTokens:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def count(self, **keywords: Any) -> InputTokens:
        """Count the tokens of an input."""
        return await self._calls.acount_input_tokens(**_given(keywords))


class ResponseStream:
    """What `responses.stream(...)` returns: entered, it makes the call; iterated, it gives the events."""

    def __init__(self, start: Callable[[], EventStream]) -> None:
        self._start = start
        self._stream: EventStream | None = None

    def __enter__(self) -> Self:
        self._stream = self._start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> EventStream:
        return iter(self._opened())

    def get_final_response(self) -> Response:
        """Read to the end and return the final response."""
        return self._opened().until_done()

    def until_done(self) -> Self:
        """Read to the end."""
        self._opened().until_done()
        return self

    def close(self) -> None:
        """Let go of the stream. Idempotent."""
        if self._stream is not None:
            self._stream.close()

    def _opened(self) -> EventStream:
        return _opened(self._stream, "with client.responses.stream(...) as stream:")


class AsyncResponseStream:
    """What `responses.stream(...)` of the async client returns. As `ResponseStream`."""

    def __init__(self, start: Callable[[], Any]) -> None:
        self._start = start
        self._stream: EventStream | None = None

    async def __aenter__(self) -> Self:
        self._stream = await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> EventStream:
        return aiter(self._opened())

    async def get_final_response(self) -> Response:
        """Read to the end and return the final response."""
        return await self._opened().auntil_done()

    async def until_done(self) -> Self:
        """Read to the end."""
        await self._opened().auntil_done()
        return self

    async def close(self) -> None:
        """Let go of the stream. Idempotent."""
        if self._stream is not None:
            await self._stream.aclose()

    def _opened(self) -> EventStream:
        return _opened(self._stream, "async with client.responses.stream(...) as stream:")


def _opened(stream: EventStream | None, how: str) -> EventStream:
    if stream is None:
        raise RuntimeError(f"the stream is not open; write `{how}`")
    return stream


def _given(keywords: dict[str, Any]) -> dict[str, Any]:
    """Return what was given: the official client's marks for "not given" are left out."""
    return {name: value for name, value in keywords.items() if type(value).__name__ not in ("Omit", "NotGiven")}
