"""The calls of the API on one chain, sync and async; the client and the one-call functions are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Unpack, cast, overload

from .call_keywords import GetKeywords, ListKeywords, ResponsesKeywords, StoredKeywords
from .keywords import translate
from .pipeline.api.params import Operation
from .pipeline.api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, ParsedResponse, Response
from .pipeline.batches.row import RowCalls
from .pipeline.batches.verbs import Batches
from .pipeline.chain import Chain
from .pipeline.errors import InvalidParameter
from .pipeline.reply import Reply
from .pipeline.streams.event_stream import EventStream
from .pipeline.wording import quoted

T = TypeVar("T")


class Calls(Batches):
    """Every call of the API, each through the same chain.

    Args:
        chain: what the calls go through; what is bound to it counts as default.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.chain!r})"

    @overload
    def responses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        text_format: type[Any] | dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> EventStream: ...
    @overload
    def responses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: type[T],
        **keywords: Unpack[ResponsesKeywords],
    ) -> ParsedResponse[T]: ...
    @overload
    def responses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> Response: ...
    @overload
    def responses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: bool | None,
        text_format: type[Any] | dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> Response | EventStream: ...
    def responses(
        self, input: Any = None, model: str | None = None, *, stream: bool | None = None, **keywords: Any
    ) -> Reply:
        """Ask a model for a response.

            >>> import antiphon
            >>> with antiphon.responses("One two.", model="scripted/echo", stream=True) as stream:
            ...     print("|".join(stream.text))
            One| two.

        Args:
            input: text, or the API's list of input items, e.g. [{"role": "user", "content": "Hi"}]; objects of a
                former `response.output` may stand in the list.
            model: "provider/model", e.g. "openai/gpt-5", "local/smollm2", "scripted/echo".
            stream: True for an `EventStream` to iterate; read it to its end, or close it.
            keywords: API parameters and options by name, see `ResponsesKeywords`, and `text_format`; newer API
                parameters go into `extra_body`.

        Raises:
            CallError: the call is wrong (also a TypeError or ValueError where that fits); nothing was sent.
            APIError: the host was asked, and no good answer came of it.
        """
        return self._run("create", {"input": input, "model": model, "stream": stream, **keywords})

    @overload
    async def aresponses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[True],
        text_format: type[Any] | dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> EventStream: ...
    @overload
    async def aresponses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: type[T],
        **keywords: Unpack[ResponsesKeywords],
    ) -> ParsedResponse[T]: ...
    @overload
    async def aresponses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: Literal[False] | None = None,
        text_format: dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> Response: ...
    @overload
    async def aresponses(
        self,
        input: Any = None,
        model: str | None = None,
        *,
        stream: bool | None,
        text_format: type[Any] | dict[str, Any] | None = None,
        **keywords: Unpack[ResponsesKeywords],
    ) -> Response | EventStream: ...
    async def aresponses(
        self, input: Any = None, model: str | None = None, *, stream: bool | None = None, **keywords: Any
    ) -> Reply:
        """Ask a model for a response (async). As `responses`."""
        return await self._arun("create", {"input": input, "model": model, "stream": stream, **keywords})

    @overload
    def get_responses(
        self, response_id: str, *, stream: Literal[True], **keywords: Unpack[GetKeywords]
    ) -> EventStream: ...
    @overload
    def get_responses(
        self, response_id: str, *, stream: Literal[False] | None = None, **keywords: Unpack[GetKeywords]
    ) -> Response: ...
    @overload
    def get_responses(
        self, response_id: str, *, stream: bool | None, **keywords: Unpack[GetKeywords]
    ) -> Response | EventStream: ...
    def get_responses(self, response_id: str, *, stream: bool | None = None, **keywords: Any) -> Reply:
        """Retrieve a stored response, in whatever state it is.

        Args:
            response_id: as a reply of this library had it; or a host's own, with `custom_llm_provider`.
            stream: True streams a background response, from its beginning or after `starting_after`.
            keywords: see `GetKeywords`.

        Raises:
            NotFoundError: the host does not keep it (any more).
            InvalidParameter: nothing says which provider keeps it.
        """
        return self._run("get", {"response_id": response_id, "stream": stream, **keywords})

    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[True], **keywords: Unpack[GetKeywords]
    ) -> EventStream: ...
    @overload
    async def aget_responses(
        self, response_id: str, *, stream: Literal[False] | None = None, **keywords: Unpack[GetKeywords]
    ) -> Response: ...
    @overload
    async def aget_responses(
        self, response_id: str, *, stream: bool | None, **keywords: Unpack[GetKeywords]
    ) -> Response | EventStream: ...
    async def aget_responses(self, response_id: str, *, stream: bool | None = None, **keywords: Any) -> Reply:
        """Retrieve a stored response (async). As `get_responses`."""
        return await self._arun("get", {"response_id": response_id, "stream": stream, **keywords})

    def delete_responses(self, response_id: str, **keywords: Unpack[StoredKeywords]) -> DeletedResponse:
        """Delete a stored response. Raises as `get_responses`."""
        return cast(DeletedResponse, self._run("delete", {"response_id": response_id, **keywords}))

    async def adelete_responses(self, response_id: str, **keywords: Unpack[StoredKeywords]) -> DeletedResponse:
        """Delete a stored response (async). Raises as `get_responses`."""
        return cast(DeletedResponse, await self._arun("delete", {"response_id": response_id, **keywords}))

    def cancel_responses(self, response_id: str, **keywords: Unpack[StoredKeywords]) -> Response:
        """Cancel a background response; return it as it is then. Raises as `get_responses`."""
        return cast(Response, self._run("cancel", {"response_id": response_id, **keywords}))

    async def acancel_responses(self, response_id: str, **keywords: Unpack[StoredKeywords]) -> Response:
        """Cancel a background response (async). As `cancel_responses`."""
        return cast(Response, await self._arun("cancel", {"response_id": response_id, **keywords}))

    def list_input_items(self, response_id: str, **keywords: Unpack[ListKeywords]) -> ItemPage:
        """List the input items of a stored response; iterating the page goes on through all further pages.

        Args:
            response_id: as `get_responses`.
            keywords: `after` and `before` (item ids that bound the page), `limit` (items a page, 1 to 100; hosts take
                20), `order` ("asc" or "desc" by age; hosts take "desc"), `include`, and those of `StoredKeywords`.
        """
        page = cast(ItemPage, self._run("list_input_items", {"response_id": response_id, **keywords}))
        return page.with_more(
            lambda after: self.list_input_items(response_id, **cast(ListKeywords, {**keywords, "after": after})),
            sync=True,
        )

    async def alist_input_items(self, response_id: str, **keywords: Unpack[ListKeywords]) -> ItemPage:
        """List the input items of a stored response (async); iterate with `async for`. As `list_input_items`."""
        page = cast(ItemPage, await self._arun("list_input_items", {"response_id": response_id, **keywords}))
        return page.with_more(
            lambda after: self.alist_input_items(response_id, **cast(ListKeywords, {**keywords, "after": after})),
            sync=False,
        )

    def compact_responses(self, input: Any = None, model: str | None = None, **keywords: Any) -> CompactedResponse:
        """Compact a conversation; the `output` of what returns is the input to go on with.

        Args:
            input: the conversation so far; may be left out with `previous_response_id`.
            model: "provider/model".
            keywords: `instructions`, `previous_response_id`, prompt cache settings, and those of `StoredKeywords`.
        """
        return cast(CompactedResponse, self._run("compact", {"input": input, "model": model, **keywords}))

    async def acompact_responses(
        self, input: Any = None, model: str | None = None, **keywords: Any
    ) -> CompactedResponse:
        """Compact a conversation (async). As `compact_responses`."""
        return cast(CompactedResponse, await self._arun("compact", {"input": input, "model": model, **keywords}))

    def count_input_tokens(self, input: Any = None, model: str | None = None, **keywords: Any) -> InputTokens:
        """Count the tokens of an input, tools and instructions included, without asking the model.

        Args:
            input: as for `responses`.
            model: "provider/model".
            keywords: `instructions`, `tools`, `text`, `reasoning` and so on, and those of `StoredKeywords`.
        """
        return cast(InputTokens, self._run("count_input_tokens", {"input": input, "model": model, **keywords}))

    async def acount_input_tokens(self, input: Any = None, model: str | None = None, **keywords: Any) -> InputTokens:
        """Count the tokens of an input (async). As `count_input_tokens`."""
        return cast(InputTokens, await self._arun("count_input_tokens", {"input": input, "model": model, **keywords}))

    def poll_responses(self, response_id: str, *, interval_s: float = 2.0, **keywords: Unpack[GetKeywords]) -> Response:
        """Retrieve a background response again and again until it has ended, and return it then.

        Args:
            response_id: as `get_responses`.
            interval_s: seconds between two looks.
            keywords: see `GetKeywords`; `timeout` bounds each look, not the whole.
        """
        _check_polling(interval_s, keywords)
        calls = self._unstreamed()
        while not _has_ended(response := calls.get_responses(response_id, **keywords)):
            self.chain.engine.sleep(interval_s)
        return response

    async def apoll_responses(
        self, response_id: str, *, interval_s: float = 2.0, **keywords: Unpack[GetKeywords]
    ) -> Response:
        """Retrieve a background response until it has ended (async). As `poll_responses`."""
        _check_polling(interval_s, keywords)
        calls = self._unstreamed()
        while not _has_ended(response := await calls.aget_responses(response_id, **keywords)):
            await self.chain.engine.asleep(interval_s)
        return response

    def _row_calls(self, common: dict[str, Any]) -> tuple[Chain, RowCalls]:
        return self.chain, RowCalls(common, translate)

    def _unstreamed(self) -> Calls:
        """Return the same calls without a `stream` that may be bound to the chain."""
        return Calls(self.chain.bind(stream=None))

    def _run(self, operation: Operation, keywords: dict[str, Any]) -> Reply:
        known, dropped = translate(keywords)
        return self.chain.run(operation, known, dropped)

    async def _arun(self, operation: Operation, keywords: dict[str, Any]) -> Reply:
        known, dropped = translate(keywords)
        return await self.chain.arun(operation, known, dropped)


def _has_ended(response: Response) -> bool:
    """Tell whether polling is over; a host that gives no status would never say so."""
    return response.is_terminal or response.status is None


def _check_polling(interval_s: float, keywords: Mapping[str, object]) -> None:
    if not interval_s >= 0:
        raise InvalidParameter(
            f"interval_s is {quoted(interval_s)}; seconds from 0 up are expected", param="interval_s"
        )
    if keywords.get("stream"):
        raise InvalidParameter(
            "polling is not streamed", param="stream", hint="use get_responses(id, stream=True), which needs no polling"
        )
