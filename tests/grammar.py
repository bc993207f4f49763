"""The grammar of a stream: what every consumer of events may rely on, whatever the host sent."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.pipeline import events as ev
from antiphon.pipeline.events import Event


def check_grammar(events: Sequence[Event], *, exact: bool = True) -> None:
    """Assert the order of the events, their numbers and indexes, and that deltas add up to what is said to be done.

    Source: OpenAI API reference, Responses › Streaming, read 2026-11.

    Args:
        exact: every item is closed, and the final response holds the items as they were closed. OpenAI's own streams
            leave MCP listings open and encrypt reasoning anew in the final response (recorded 2026).
    """
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert isinstance(events[0], ev.ResponseCreated)
    assert [event.__class__ in ev.TERMINAL for event in events] == [False] * (len(events) - 1) + [True]

    open_items: dict[int, str] = {}
    done: dict[int, object] = {}
    deltas: dict[tuple[str, int, int], str] = {}
    finished: set[tuple[str, int, int]] = set()
    for event in events:
        if isinstance(event, ev.OutputItemAdded):
            assert event.output_index == len(open_items) + len(done)
            assert event.item is not None
            open_items[event.output_index] = event.item.to_dict().get("id", "")
        elif isinstance(event, ev.OutputItemDone):
            assert event.item is not None
            assert open_items.pop(event.output_index) == event.item.to_dict().get("id", "")
            done[event.output_index] = event.item.to_dict()
        elif isinstance(event, ev.ItemEvent):
            assert open_items[event.output_index] == event.item_id
        if isinstance(event, ev.OutputTextDelta | ev.RefusalDelta | ev.FunctionCallArgumentsDelta):
            key = (event.type.removesuffix(".delta"), event.output_index, getattr(event, "content_index", 0))
            assert key not in finished
            assert min(key[1:]) >= 0
            deltas[key] = deltas.get(key, "") + event.delta
        if isinstance(event, ev.OutputTextDone | ev.RefusalDone | ev.FunctionCallArgumentsDone):
            key = (event.type.removesuffix(".done"), event.output_index, getattr(event, "content_index", 0))
            whole = next(getattr(event, name) for name in ("text", "refusal", "arguments") if hasattr(event, name))
            assert deltas.get(key, "") == whole
            finished.add(key)

    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    assert set(deltas) <= finished
    if not exact:
        return
    assert not open_items
    assert [done[index] for index in sorted(done)] == [item.to_dict() for item in last.response.output]
