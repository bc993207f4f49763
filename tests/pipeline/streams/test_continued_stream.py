"""A stream that goes on with another one where it breaks."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode
from hand_made import Source, answer, one_by_one

from antiphon import Chain, Client, Handler, Reply, Request
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import AntiphonError, APIConnectionError
from antiphon.pipeline.function_stages import FunctionStage, stage
from antiphon.pipeline.streams.assembler import Assembler
from antiphon.pipeline.streams.continued_stream import MARK, ContinuedStream
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.pipeline.streams.replay import replay
from antiphon.testing import message


def everything() -> list[ev.Event]:
    """Return a stream with an item of every kind that can be open, two of them side by side."""
    assembler = Assembler({"id": "resp_0", "created_at": 1, "model": "m"})
    assembler.start()
    reasoning = assembler.reasoning({"id": "rs_1"})
    reasoning.summary("Why ")
    reasoning.summary("so.")
    reasoning.close_part()
    reasoning.summary("And more.")
    reasoning.close(status="completed")
    raw = assembler.reasoning({"id": "rs_2"})
    raw.text("Hm.")
    raw.close(status="completed")
    said = assembler.message({"id": "msg_1"})
    said.text("One ")
    said.annotation({"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 3})
    said.text("two")
    said.refusal("No.")
    said.close(status="completed")
    one = assembler.function_call({"id": "fc_1", "call_id": "call_1", "name": "f"})
    other = assembler.custom_tool_call({"id": "ct_1", "call_id": "call_2", "name": "g"})
    one.write('{"a"')
    other.write("inp")
    one.write(":1}")
    one.close(status="completed")
    other.close(status="completed")
    search = assembler.hosted({"id": "ws_1", "type": "web_search_call"})
    search.tell(ev.WebSearchCallSearching)
    search.close(status="completed")
    assembler.end(usage={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2})
    return assembler.take()


def reported(event: ev.Event) -> APIConnectionError | None:
    return APIConnectionError("failed") if isinstance(event, ev.ResponseFailed) else None


def continued(first: Source, *others: Any) -> FunctionStage:
    """Return a terminal stage whose stream goes on with each of the others in turn."""
    left = list(others)

    @stage(terminal=True)
    async def host(request: Request, call_next: Handler) -> Reply:
        async def go_on(error: AntiphonError) -> tuple[EventStream, dict[str, Any]]:
            if not left:
                raise error
            stream = EventStream(left.pop(0), request.context, error_of=reported)
            return stream, {"failed": "a", "next": "b", "error": type(error).__name__}

        source = ContinuedStream(EventStream(first, request.context, error_of=reported), go_on)
        return EventStream(source, request.context, error_of=source.error_of)

    return host


async def opened(mode: Mode, *sources: Any) -> EventStream:
    stream: EventStream = await mode.call(Client(Chain([continued(*sources)])).chain, "Hi", stream=True)
    return stream


BROKEN = APIConnectionError("cut")
TYPES = ["reasoning", "reasoning", "message", "function_call", "custom_tool_call", "web_search_call", "message"]
SECOND = answer(
    "Whole.", id="resp_2", output=[message("Whole.", "msg_1")], usage={"input_tokens": 3, "output_tokens": 4}
)


def test_wherever_it_breaks_what_had_come_stays_and_is_grammatical() -> None:
    """Cut before every event, so that everything is open once."""
    events = everything()
    mode = Mode("sync")

    async def broken(at: int, batches: list[list[ev.Event]]) -> None:
        stream = await opened(mode, Source(*batches, APIConnectionError("cut")), Source(*one_by_one(replay(SECOND))))
        got: list[Any] = await mode.events(stream)
        final = stream.response
        assert final is not None
        assert check_grammar(got) == []
        (mark,) = [event for event in got if event.type == MARK]
        output: list[Any] = [*final.output]
        before, after = output[: mark.to_dict()["output_index"]], output[mark.to_dict()["output_index"] :]
        assert [item.to_dict()["content"][0]["text"] for item in after] == ["Whole."]
        came: list[Any] = list(events[:at])
        opened_items = [event.item.id for event in came if event.type == "response.output_item.added"]
        closed = [event.item.id for event in came if event.type == "response.output_item.done"]
        assert [item.id for item in before] == opened_items
        assert all(item.status == "incomplete" for item in before if item.id not in closed)
        assert final.id == "resp_0"

    async def body() -> None:
        for at in range(2, len(events) - 1):
            await broken(at, one_by_one(events[:at]))
            await broken(at, [events[:at]])

    mode.run(body)


def test_annotations_of_an_open_text_stay(mode: Mode) -> None:
    events = everything()
    at = max(at for at, event in enumerate(events) if isinstance(event, ev.OutputTextAnnotationAdded)) + 1

    async def body() -> Any:
        stream = await opened(mode, Source(events[:at], BROKEN), Source(replay(SECOND)))
        return await mode.until_done(stream)

    (part,) = mode.run(body).output[2].content
    assert (part.text, [annotation.url for annotation in part.annotations]) == ("One ", ["u"])


def test_without_a_break_every_event_is_as_it_came(mode: Mode) -> None:
    events = everything()

    async def body() -> Any:
        return await mode.events(await opened(mode, Source(events)))

    assert [event.raw for event in mode.run(body)] == [event.raw for event in everything()]


def test_two_breaks_and_the_usage_of_all(mode: Mode) -> None:
    failed = Assembler({"id": "resp_1", "created_at": 1, "model": "m"})
    failed.start()
    failed.message({"id": "msg_1"}).text("Once")
    failed.end(status="failed", output=[], usage={"input_tokens": 10, "output_tokens": 20})

    async def body() -> Any:
        stream = await opened(mode, Source(failed.events), Source(everything()[:5], BROKEN), Source(replay(SECOND)))
        events = await mode.events(stream)
        return check_grammar(events), [event.type for event in events if event.type == MARK], stream.response

    wrong, marks, response = mode.run(body)

    assert (wrong, len(marks)) == ([], 2)
    assert response.usage.to_dict() == {"input_tokens": 13, "output_tokens": 24}
    assert response.output[0].text == "Once"
    assert response.output[-1].id == "msg_1_2"


def test_when_nothing_is_left_the_error_has_all_that_came(mode: Mode) -> None:
    async def body() -> Any:
        first, second = everything()[:-2], replay(SECOND)[:6]
        stream = await opened(mode, Source(first, BROKEN), Source(second, APIConnectionError("cut again")))
        with pytest.raises(APIConnectionError, match="cut again") as caught:
            await mode.events(stream)
        return caught.value.response

    response = mode.run(body)

    assert response.id == "resp_0"
    assert [item.type for item in response.output] == TYPES


def test_what_is_read_is_closed_with_it(mode: Mode) -> None:
    first, second = Source(everything()[:6], BROKEN), Source(*one_by_one(replay(SECOND)))

    async def body() -> None:
        stream = await opened(mode, first, second)
        for _ in range(14):
            await mode.next(stream)
        await mode.close(stream)

    mode.run(body)

    assert (first.closed, second.closed) == (1, 1)
