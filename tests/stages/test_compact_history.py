"""Long conversations that are kept under a number of tokens."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon import Chain, Client, CompactHistory, StageError, presets
from antiphon.pipeline.api.items import Message
from antiphon.pipeline.errors import APIResponseError
from antiphon.providers.scripted import ScriptedHost, function_call
from antiphon.testing import check_stage, scripted


def chain_with(*, max_tokens: int = 100, **settings: Any) -> Chain:
    # By items, so that the tests can be counted by hand: text counts nothing, an item 10.
    return presets.responses.before(
        "retry", CompactHistory(max_tokens, estimate=lambda value: 10 if isinstance(value, dict) else 0, **settings)
    )


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def pair(call_id: str) -> list[dict[str, Any]]:
    call = {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}
    return [call, {"type": "function_call_output", "call_id": call_id, "output": "found"}]


SYSTEM = {"role": "developer", "content": "Be brief."}
LONG = [
    SYSTEM,
    *[user("1"), *pair("a"), said("one")],
    *[user("2"), said("two"), {"role": "system", "content": "Be polite."}],
    *[user("3"), user("3b"), said("three")],
    user("4"),
]


def names(items: list[dict[str, Any]]) -> list[str]:
    return [item.get("content") or item.get("call_id") for item in items]  # type: ignore[misc]


def test_the_oldest_turns_are_left_out_and_it_is_said(mode: Mode, streamed: bool) -> None:
    client = scripted("Four.", chain=chain_with(max_tokens=70))

    async def body() -> Any:
        return await mode.response(client.chain, LONG, model="openai/m", instructions="x", streamed=streamed)

    response = mode.run(body)

    assert names(client.requests[0]["input"]) == ["Be brief.", "Be polite.", "3", "3b", "three", "4"]
    assert client.requests[0]["instructions"] == "x"
    (dropped,) = response.meta.dropped
    assert dropped.name == "input[1:8]"
    assert dropped.reason == "the oldest turns, about 60 tokens, are left out: the input is over 70"


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"max_tokens": 120}, 12),
        ({"max_tokens": 119}, 8),
        ({"max_tokens": 119, "target_tokens": 60}, 6),
        ({"max_tokens": 1}, 3),
        ({"max_tokens": 1, "keep_turns": 3}, 8),
        ({"max_tokens": 1, "keep_turns": 9}, 12),
    ],
)
def test_how_much_stays(settings: dict[str, Any], left: int) -> None:
    client = scripted("Four.", chain=chain_with(**settings))

    response = client.responses(LONG, "openai/m")

    assert len(client.requests[0]["input"]) == left
    assert response.meta is not None
    assert (response.meta.notes != ()) is (settings["max_tokens"] == 1 and left == 12)


def test_a_late_result_keeps_its_call(mode: Mode) -> None:
    call, result = pair("late")
    given = [user("1"), said("one"), user("2"), call, user("3"), result, said("three"), user("4"), user("5")]
    client = scripted("Five.", chain=chain_with(max_tokens=60))

    async def body() -> None:
        await mode.call(client.chain, given, model="openai/m")

    mode.run(body)

    assert names(client.requests[0]["input"]) == ["4", "5"]  # a cut before "3" would part them


def test_short_input_text_and_other_calls_pass_as_they_are(mode: Mode) -> None:
    client = scripted("Hello.", chain=presets.responses.before("retry", CompactHistory(5)))

    async def body() -> Any:
        text = await mode.call(client.chain, "word " * 100, model="openai/m")
        last = await mode.call(client.chain, [user("word " * 100)], model="openai/m")
        await mode.either(
            lambda: client.get_responses("resp_5", custom_llm_provider="openai"),
            lambda: client.aget_responses("resp_5", custom_llm_provider="openai"),
        )
        return text, last

    text, last = mode.run(body)

    assert (text.meta.notes, text.meta.dropped) == ((), ())
    assert last.meta.notes == ("the input is over 5 tokens, and its last turns cannot be shortened",)


def test_the_model_sums_up_and_is_not_asked_again_for_the_same(mode: Mode, streamed: bool) -> None:
    client = scripted(
        *["They said one and two.", "Four.", "Five.", "Up to four.", "Six."],
        chain=chain_with(max_tokens=70, by="summary"),
    )
    conversation: list[Any] = list(LONG)

    async def ask(text: str) -> Any:
        conversation.append(user(text)) if text != "4" else None
        response = await mode.response(client.chain, list(conversation), model="openai/m", streamed=streamed)
        conversation.append(said(response.output_text))
        return response

    async def body() -> list[Any]:
        return [await ask(text) for text in ("4", "5", "6")]

    replies = mode.run(body)
    asked, four, five, again, six = client.requests

    assert [reply.output_text for reply in replies] == ["Four.", "Five.", "Six."]
    assert names(asked["input"][:-1]) == ["1", "a", "a", "one", "2", "two", "3", "3b", "three"]
    assert four["input"][0] == SYSTEM
    assert "They said one and two." in four["input"][2]["content"][0]["text"]
    assert names(four["input"][3:]) == ["4"]
    assert names(five["input"][3:]) == ["4", "Four.", "5"]
    assert five["input"][:3] == four["input"][:3]
    assert "They said one and two." in again["input"][0]["content"][0]["text"]  # a summary of the summary
    assert names(six["input"][3:]) == ["6"]
    assert replies[0].meta.dropped[0].reason.endswith("stand in a summary: the input is over 70")
    assert asked.get("stream") is None


def test_the_host_compacts_where_it_can(mode: Mode, streamed: bool) -> None:
    compacted = {
        "id": "cmp_1",
        "object": "response.compaction",
        "output": [{"type": "compaction", "id": "c", "encrypted_content": "x"}],
    }
    host = ScriptedHost([{"body": compacted}, "Four.", "Summary.", "Four again."])
    chain = Client(chain_with(max_tokens=70, by="host"), transport=host).chain.bind(api_key="k")

    async def body() -> list[Any]:
        found = []
        for model in ("openai/m", "groq/m"):
            found.append(await mode.response(chain, LONG, model=model, dialect="responses", streamed=streamed))
        return found

    openai, groq = mode.run(body)

    assert [request.url.rpartition("/")[2] for request in host.requests] == ["compact", *["responses"] * 3]
    assert b'{"type":"compaction"' in (host.requests[1].body or b"")
    assert openai.meta.notes == ()
    assert groq.meta.notes == ("the host cannot compact; the model was asked for a summary",)


def test_tool_rounds_are_shortened_too(mode: Mode, streamed: bool) -> None:
    def f() -> str:
        """Do it."""
        return "done"

    client = scripted({"output": [function_call("f", {}, "c1")]}, "Done.", chain=chain_with(max_tokens=50))

    async def body() -> Any:
        given = [user("1"), said("one"), user("2"), said("two"), user("3")]
        return await mode.response(client.chain, given, model="openai/m", tools=[f], streamed=streamed)

    response = mode.run(body)

    assert [len(request["input"]) for request in client.requests] == [5, 5]  # of 5 and 7
    assert response.output_text == "Done."


def test_a_summary_that_is_none_is_an_error(mode: Mode) -> None:
    client = scripted("", chain=chain_with(by="summary"))

    async def body() -> None:
        with pytest.raises(APIResponseError, match="the model wrote no summary"):
            await mode.call(client.chain, LONG, model="openai/m")

    mode.run(body)


def test_nobody_is_asked_to_sum_up_nothing(mode: Mode) -> None:
    client = scripted("Hello.", chain=chain_with(max_tokens=15, by="summary"))

    async def body() -> Any:
        return await mode.call(client.chain, [SYSTEM, user("1")], model="openai/m")

    assert mode.run(body).meta.notes == ("the input is over 15 tokens, and its last turns cannot be shortened",)
    assert len(client.requests) == 1


def test_the_dry_run_asks_nobody() -> None:
    client = scripted("Never.", chain=chain_with(by="summary"))

    client.chain.explain(LONG, model="openai/m")

    assert client.requests == []


def test_items_may_be_objects_of_a_response() -> None:
    client = scripted("Two.", chain=presets.responses.before("retry", CompactHistory(30)))
    long = Message.new(role="user", content="word " * 100)

    client.responses([long, said("one"), user("2")], "openai/m")

    assert names(client.requests[0]["input"]) == ["2"]


def test_a_target_over_the_limit_is_refused() -> None:
    with pytest.raises(StageError, match="target_tokens=6 is over max_tokens=5"):
        Client(presets.responses.before("retry", CompactHistory(5, target_tokens=6))).responses("Hi", "scripted/echo")


def test_it_keeps_the_contract_of_stages() -> None:
    talk = [user("word " * 30), said("Yes."), user("Hi")]

    assert check_stage(CompactHistory(20), input=talk) == []
    assert check_stage(CompactHistory(20, by="summary"), input=talk) == []
