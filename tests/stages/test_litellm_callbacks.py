"""Callbacks written for LiteLLM, as their users wrote them."""

from __future__ import annotations

import datetime
from typing import Any

import anyio
import pytest
from conftest import Mode

from antiphon import presets
from antiphon.pipeline.errors import BadRequestError, StageError
from antiphon.stages.litellm_callbacks import LiteLLMCallbacks
from antiphon.testing import ScriptedClient, scripted

BAD = {"status": 400, "body": {"error": {"message": "no"}}}


class Logger:
    """What a `CustomLogger` of a user looks like."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.kwargs: dict[str, Any] = {}
        self.response: Any = None

    def log_pre_api_call(self, model: str, messages: Any, kwargs: dict[str, Any]) -> None:
        self.calls.append(f"pre {model} {messages}")

    def log_post_api_call(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        self.calls.append("post")

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("success", kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("failure", kwargs, response_obj, start_time, end_time)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        await anyio.sleep(0.001)
        self._note("async success", kwargs, response_obj, start_time, end_time)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._note("async failure", kwargs, response_obj, start_time, end_time)

    def _note(self, what: str, kwargs: dict[str, Any], response: Any, start: Any, end: Any) -> None:
        assert isinstance(start, datetime.datetime)
        assert start <= end
        self.calls.append(what)
        self.kwargs, self.response = kwargs, response


def client_with(*answers: Any, **settings: Any) -> ScriptedClient:
    return scripted(*answers, chain=presets.responses.before(0, LiteLLMCallbacks(**settings)))


async def flushed(mode: Mode, client: ScriptedClient) -> None:
    await mode.either(client.flush, client.aflush)
    assert client.hook_errors == 0


def test_a_custom_logger_hears_of_success_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        logger = Logger()
        client = client_with({"output": [], "usage": USAGE}, callbacks=(logger,))
        await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed, user="ann", temperature=0)
        await flushed(mode, client)

        success = "async success" if mode.is_async else "success"
        assert sorted(logger.calls) == sorted(["pre m Hi", "post", success])
        assert logger.kwargs["model"] == "m"
        assert logger.kwargs["custom_llm_provider"] == "openai"
        assert logger.kwargs["call_type"] == ("aresponses" if mode.is_async else "responses")
        assert logger.kwargs["optional_params"]["temperature"] == 0
        assert logger.kwargs["response_cost"] == 0.25
        payload = logger.kwargs["standard_logging_object"]
        assert (payload["status"], payload["total_tokens"], payload["end_user"]) == ("success", 11, "ann")
        assert payload["response_cost"] == 0.25
        assert logger.response["usage"]["total_tokens"] == 11
        assert logger.response.usage.total_tokens == 11
        assert logger.response.get("nothing") is None
        assert logger.response.model_dump()["status"] == "completed"
        await mode.close(client)

    mode.run(body)


def double(x: int) -> int:
    """Return twice a number."""
    return 2 * x


def test_a_call_with_python_functions_as_tools_is_heard_of(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        logger = Logger()
        client = client_with("Hello.", callbacks=(logger,))
        await mode.response(client.chain, "Hi", model="openai/m", streamed=streamed, tools=[double])
        await flushed(mode, client)

        assert logger.calls.count("async success" if mode.is_async else "success") == 1
        assert logger.kwargs["optional_params"]["tools"] == [{"type": "function", "name": "double"}]
        await mode.close(client)

    mode.run(body)


USAGE = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11, "cost": 0.25}


def test_a_custom_logger_hears_of_failure_once(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        logger = Logger()
        client = client_with(BAD, callbacks=(logger,))
        with pytest.raises(BadRequestError) as caught:
            await mode.response(client.chain, model="openai/m", streamed=streamed)
        await flushed(mode, client)

        assert [call for call in logger.calls if "failure" in call] == ["async failure" if mode.is_async else "failure"]
        assert not any("success" in call for call in logger.calls)
        assert logger.kwargs["exception"] is caught.value
        information = logger.kwargs["standard_logging_object"]["error_information"]
        assert (information["error_class"], information["error_code"]) == ("BadRequestError", "400")
        await mode.close(client)

    mode.run(body)


def test_a_stream_left_early_is_told_once(mode: Mode) -> None:
    async def body() -> None:
        logger = Logger()
        client = client_with("Hello there.", callbacks=(logger,))
        stream = await mode.call(client.chain, model="openai/m", stream=True)
        await mode.next(stream)
        await mode.close(stream)
        await flushed(mode, client)

        assert [call for call in logger.calls if "success" in call or "failure" in call] == [
            "async success" if mode.is_async else "success"
        ]
        await mode.close(client)

    mode.run(body)


def test_plain_and_async_functions_work(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []

        def good(kwargs: Any, completion_response: Any, start_time: Any, end_time: Any) -> None:
            seen.append(f"good {completion_response.output_text}")

        async def agood(kwargs: Any, completion_response: Any, start_time: Any, end_time: Any) -> None:
            await anyio.sleep(0.001)
            seen.append("agood")

        def bad(kwargs: Any, completion_response: Any, start_time: Any, end_time: Any) -> None:
            seen.append(f"bad {completion_response}")

        client = client_with("Hello.", BAD, success=(good, agood), failure=(bad,))
        await mode.call(client.chain, model="openai/m")
        with pytest.raises(BadRequestError):
            await mode.call(client.chain, model="openai/m")
        await flushed(mode, client)

        assert sorted(seen) == ["agood", "bad None", "good Hello."]
        await mode.close(client)

    mode.run(body)


def test_an_object_with_only_one_kind_of_method_serves_both_kinds_of_calls(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []

        class Old:
            def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
                seen.append("sync")

        class New:
            async def async_log_success_event(self, kwargs: Any, response: Any, start_time: Any, end_time: Any) -> None:
                seen.append("async")

        client = client_with("Hello.", callbacks=(Old(), New()))
        await mode.call(client.chain, model="openai/m")
        await flushed(mode, client)

        assert sorted(seen) == ["async", "sync"]
        await mode.close(client)

    mode.run(body)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"callbacks": ("langfuse",)}, '"langfuse" is a name that only LiteLLM knows'),
        ({"callbacks": (object(),)}, "object has none of log_pre_api_call"),
        ({"success": (7,)}, "int is no function"),
    ],
)
def test_what_is_no_callback_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(StageError, match=said):
        client_with("Hello.", **settings).chain.invoke("Hi", model="openai/m")
