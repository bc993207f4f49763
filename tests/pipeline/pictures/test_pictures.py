"""What people see of chains, answers and errors: trees, mermaid, HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from antiphon import Defaults, Fallback, Handler, Reply, Request, Route, Stage, presets
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import AntiphonError, APIConnectionError, RateLimitError
from antiphon.pipeline.function_stages import before, stage
from antiphon.pipeline.pictures.html import Html, tag
from antiphon.pipeline.secret import Secret
from antiphon.testing import function_call, message, scripted

KEY = "sk-canary0123456789abcdef"
SCRIPT = "<script>alert('\"x\"')</script> & more"


class Choose(Stage):
    """Holds chains of its own."""

    cheap: Chain
    others: tuple[Chain, ...] = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request)


@before
def brief(request: Request) -> Request:
    return request.with_params(instructions="Be brief.")


@stage
async def plain(request: Request, call_next: Handler) -> Reply:
    return await call_next(request)


ROUTES: dict[str, Any] = {"smart": ("openai/gpt-5", {"model": "azure/gpt-5", "weight": 2})}
CHAIN = Chain(
    [
        Chain([brief, plain], name="checks"),
        Route(routes=ROUTES),
        Fallback(("anthropic/claude-opus-4-8",)),
        Choose(Chain([Defaults({"temperature": 0})], name="cheap path"), others=(Chain([plain], name="b"),)),
        *presets.responses,
    ],
    name="mine",
)


def test_the_tree_shows_positions_nesting_ways_on_settings_and_who_answers() -> None:
    tree = str(CHAIN.explain())

    assert tree.splitlines()[:17] == [
        "chain mine",
        "├─  0  checks",
        "│      ├─ 0  before(brief)",
        "│      └─ 1  plain",
        "├─  1  Route(routes={'smart': ('openai/gpt-5', {'model': 'azure/gpt-5', …)",
        '│      ╌╌ model "smart" → openai/gpt-5',
        '│      ╌╌ model "smart" → azure/gpt-5 (weight)',
        "├─  2  Fallback(targets=('anthropic/claude-opus-4-8',))   inside: once for each target",
        "│      ╌╌ when it fails → anthropic/claude-opus-4-8",
        "├─  3  Choose()",
        "│      ╌╌ cheap → cheap path",
        "│         └─ 0  Defaults(params={'temperature': 0})",
        "│      ╌╌ others[0] → b",
        "│         └─ 0  plain",
        "├─  4  Log()",
        "├─  5  Validate()",
        "├─  6  ParseOutput()",
    ]
    assert re.search(r"├─ 11  Retry\(\) +inside: once for each attempt\n", tree)
    assert re.search(r"└─ 14  Dispatch\(\) +answers$", tree)


def test_a_setting_with_its_default_is_not_shown_even_if_that_is_made_anew() -> None:
    assert [repr(item) for item in presets.responses if item.name == "resolve"] == ["Resolve()"]


def test_a_dry_run_tells_what_each_stage_did() -> None:
    chain = presets.responses.before("retry", Defaults({"max_output_tokens": 9}), brief)
    explanation = chain.explain("Hi", model="openai/gpt-5", api_key=KEY, temperature=0, extra_query={"key": KEY})

    said = {step.stage: step.says for step in explanation.steps if step.says}
    assert said == {
        "resolve": ("asks openai for gpt-5 in the format responses",),
        "defaults": ("sets max_output_tokens = 9",),
        "brief": ("sets instructions = 'Be brief.'",),
        "transform": (
            "takes temperature away",
            "makes the request: POST https://api.openai.com/v1/responses?key=***",
            "drops temperature: openai/gpt-5 does not take it",
        ),
    }
    assert "steps    resolve    asks openai for gpt-5 in the format responses\n         defaults   sets max" in str(
        explanation
    )
    assert KEY not in str(explanation) + repr(explanation) + explanation._repr_html_()


def test_a_stage_that_answers_in_place_of_the_rest_says_so() -> None:
    @stage
    async def cached(request: Request, call_next: Handler) -> Reply:
        return await call_next(request.replace(operation="get")) if request.streamed else answered

    answered = scripted("Kept.").responses("Hi", "openai/m")
    explanation = presets.responses.before("resolve", cached).explain("Hi", model="openai/m")

    assert [step.says for step in explanation.steps if step.stage == "cached"] == [("answers itself",)]
    assert explanation.steps[-1].stage == "cached"
    assert explanation.request is None


# --- mermaid --------------------------------------------------------------------------------------------------------

# The part of mermaid's flowchart grammar that is used, as its page "Flowcharts" shows it (read 2026-11).
TEXT = r'"(?:[^"#`%<>&\\;]|#\d+;|<br/>)*"'
FORMS = [
    r"flowchart TB",
    rf"subgraph (?P<id>\w+)\[{TEXT}\]",
    r"direction TB",
    r"end",
    rf"(?P<node>\w+)(?:\[{TEXT}\]|\(\[{TEXT}\]\))",
    rf"(?P<a>\w+) (?:-->|-- {TEXT} -->|-\. {TEXT} \.->) (?P<b>\w+)",
]


def test_mermaid_is_within_the_documented_grammar() -> None:
    hard = Chain(
        [CHAIN, Defaults({"user": f'end %%{{init: 1}}%% #35; `x` "y" ; {KEY} é\n\\ {SCRIPT}'})], name='"end" #1;'
    )
    text = hard.to_mermaid()

    made: set[str] = set()
    joined: set[str] = set()
    depth = 0
    for line in text.splitlines():
        found = next((match for form in FORMS if (match := re.fullmatch(form, line.strip()))), None)
        assert found is not None, line
        names = found.groupdict()
        made |= {name for key in ("id", "node") if (name := names.get(key))}
        joined |= {name for key in ("a", "b") if (name := names.get(key))}
        depth += {"subgraph": 1, "end": -1}.get(line.split()[0], 0)
    assert depth == 0
    assert joined <= made
    assert len(made) == len(re.findall(r"\b(?:chain|stage|way)\d+(?:\[|\(\[)", text))
    assert KEY not in text


def test_mermaid_joins_stages_in_order_and_draws_ways_on_apart() -> None:
    text = Chain([Choose(Chain([plain], name="side")), brief, *presets.responses.stages[-4:]], name="c").to_mermaid()

    assert text.splitlines() == [
        "flowchart TB",
        '    subgraph chain1["c"]',
        "        direction TB",
        '        stage2["Choose"]',
        '        subgraph chain3["side"]',
        "            direction TB",
        '            stage4["plain"]',
        "        end",
        '        stage5["before<br/>brief"]',
        '        stage6["Retry"]',
        '        stage7["Cost"]',
        '        stage8["Transform"]',
        '        stage9(["Dispatch"])',
        "    end",
        '    stage2 -. "cheap" .-> chain3',
        "    stage2 --> stage5",
        "    stage5 --> stage6",
        '    stage6 -- "each attempt" --> stage7',
        "    stage7 --> stage8",
        "    stage8 --> stage9",
    ]


# --- HTML -----------------------------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Reads a page: its text, its tags, and that they close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {key for key, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1] != "style":
            self.text += data


def read(thing: Any) -> Reader:
    page = thing._repr_html_()
    found = Reader(page)
    # Nothing is fetched, and nothing runs.
    assert found.tags.isdisjoint({"script", "img", "link", "iframe"})
    assert found.attributes <= {"class", "start"}
    assert not re.search(r"https?://|url\(|@import", page.partition("</style>")[0])
    return found


def test_a_chain_is_a_page() -> None:
    text = read(CHAIN.named(SCRIPT)).text

    assert text.startswith(f"{SCRIPT} 15 stageschecksbefore(brief)plainRoute(")
    assert 'model "smart" → azure/gpt-5 (weight)' in text
    assert text.endswith("Dispatch() answers")


def test_a_response_is_a_page_with_its_text_calls_reasoning_and_numbers() -> None:
    slow = {"status": 429, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": "busy"}}}
    call = {"type": "mcp_call", "id": "m", "server_label": "docs", "name": "find", "arguments": "{}", "output": "found"}
    output = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "I think."}]},
        {"type": "reasoning", "id": "s", "summary": [], "encrypted_content": "sealed"},
        message(SCRIPT),
        {"type": "message", "id": "n", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        function_call("weather", {"city": "Oslo"}),
        call,
        {**call, "output": None, "error": {"type": "http_error", "code": 500, "message": "down"}},
        {"type": "new_kind", "id": "x", "half": "\ud800"},
    ]
    usage = {
        "input_tokens": 1200,
        "output_tokens": 9,
        "total_tokens": 1209,
        "cost": 0.25,
        "input_tokens_details": {"cached_tokens": 100},
        "output_tokens_details": {"reasoning_tokens": 5},
    }
    client = scripted(slow, {"output": output, "usage": usage, "status": "incomplete"})
    response = client.responses("Hi", "openai/gpt-5", temperature=0)
    text = read(response.replace(incomplete_details={"reason": "max_output_tokens"})).text

    assert text.startswith("openai/gpt-5 incomplete ")
    for part in [
        "reasoningI think.",
        "reasoning, sealed by its host",
        SCRIPT,
        "refuses: No.",
        'calls weather({"city":"Oslo"})',
        "called at docs find({})resultfound",
        '"message": "down"',
        "new_kind{",
        "cut bymax_output_tokens",
        "input1,200 tokens, 100 of them cached",
        "output9 tokens, 5 of them reasoning",
        "cost$0.250000 (host)",
        "attemptsRateLimitError (429), incomplete (200)",
        "dropped temperatureopenai/gpt-5 does not take it",
    ]:
        assert part in text


def test_a_response_of_no_call_and_a_long_one_are_pages_too() -> None:
    from hand_made import answer

    text = read(answer("long " * 10_000)).text

    assert text.startswith("m completed ")
    assert "… (30,000 more characters)" in text


def test_an_error_is_a_page_with_the_next_move_and_no_secret() -> None:
    body = {"error": {"message": f"{SCRIPT} {KEY}", "code": "slow"}}
    with pytest.raises(RateLimitError) as caught:
        scripted({"status": 429, "body": body}).responses("Hi", "openai/m", num_retries=0)
    caught.value.add_note("asked before: groq/m")
    caught.value.__cause__ = ValueError(KEY)
    text = read(caught.value).text

    assert text.startswith(f"RateLimitError{SCRIPT} ***next: ")
    for part in ["provideropenai", "status429", "codeslow", "caused byValueError: ***", "andasked before: groq/m"]:
        assert part in text
    assert KEY not in text


def test_an_error_shows_what_there_was_of_the_answer() -> None:
    from hand_made import answer

    assert read(APIConnectionError("cut", response=answer("So far"))).text.endswith("the answer so farSo far")
    assert read(AntiphonError("only this")).text == "AntiphonErroronly thisseedocs/errors.md#antiphonerror"


def test_a_dry_run_is_a_page() -> None:
    text = read(presets.responses.explain("Hi", model="openai/gpt-5", api_key=Secret(KEY), temperature=0)).text

    assert "resolveasks openai for gpt-5 in the format responses" in text
    assert "the requestPOST https://api.openai.com/v1/responses\n" in text
    assert "authorization: ***" in text
    assert text.endswith("dropped temperatureopenai/gpt-5 does not take it")


def test_html_is_escaped_once_and_where_it_is_put_together() -> None:
    inner = tag("b", "1 < 2", None, Html("<i>x</i>"), class_='"q"', open=True, hidden=False)

    assert tag("p", inner) == '<p><b class="&quot;q&quot;" open>1 &lt; 2<i>x</i></b></p>'
    assert inner + "<" == inner + Html("&lt;")
