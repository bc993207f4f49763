"""A real server that keeps nothing, and refuses the parameters: its conversations go on all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import Mode

from antiphon import BadRequestError, Client, UnsupportedParameter, check_grammar, presets
from antiphon.pipeline.api.response import Response
from antiphon.providers.local_model import LocalModels

pytestmark = pytest.mark.local_model


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    models = LocalModels()
    try:
        yield models.url_for("smollm2")
    finally:
        models.close()


@pytest.mark.parametrize("dialect", ["responses", "chat"])
def test_turns_are_chained_at_a_server_that_cannot(mode: Mode, streamed: bool, dialect: str, address: str) -> None:
    async def body() -> None:
        client = Client()
        call = {"model": "local/smollm2", "api_base": address, "temperature": 0, "max_output_tokens": 8}
        counted, previous = [], None
        for text in ("My name is Ada.", "And I like tea.", "What is my name?"):
            response: Response = await mode.response(
                client.chain, text, streamed=streamed, dialect=dialect, previous_response_id=previous, **call
            )
            assert response.usage is not None
            counted.append(response.usage.input_tokens)
            assert response.previous_response_id == previous
            previous = response.id

        # The prompt grows by what was said before, as one that was sent whole would.
        assert counted[0] < counted[1] < counted[2]
        assert previous is not None
        page = await mode.either(
            lambda: client.list_input_items(previous, order="asc"),
            lambda: client.alist_input_items(previous, order="asc"),
        )
        whole = [item.to_dict() for item in page.data]
        assert len(whole) == 5
        again = await mode.call(client.chain, whole, dialect=dialect, store=False, **call)
        assert again.usage.input_tokens == counted[2]
        await mode.close(client)

    mode.run(body)


def test_the_server_itself_refuses(address: str) -> None:
    with Client(presets.responses.without("remember")) as client:
        call = {"model": "local/smollm2", "api_base": address, "max_output_tokens": 2}
        with pytest.raises(UnsupportedParameter):
            client.responses("Hi", previous_response_id="resp_1", **call)  # type: ignore[call-overload]
        with pytest.raises(BadRequestError):
            client.responses("Hi", extra_body={"previous_response_id": "resp_1"}, **call)  # type: ignore[call-overload]


def test_it_works_in_the_background(mode: Mode, address: str) -> None:
    async def body() -> None:
        client = Client()
        call = {"model": "local/smollm2", "api_base": address, "temperature": 0, "max_output_tokens": 16}
        begun = await mode.call(client.chain, "Count to five.", background=True, **call)
        events = await mode.events(
            await mode.either(
                lambda: client.get_responses(begun.id, stream=True),
                lambda: client.aget_responses(begun.id, stream=True),
            )
        )

        assert begun.status == "queued"
        assert check_grammar(events) == []
        ended = await mode.either(lambda: client.get_responses(begun.id), lambda: client.aget_responses(begun.id))
        assert ended.status in ("completed", "incomplete")
        assert ended.output_text
        await mode.close(client)

    mode.run(body)
