"""Running examples as users do, and what the newer ones print.

`COOKBOOK` has, for each, what it prints offline and with the real local model, as regular expressions in this order;
None in the second place: the small model cannot do it (it has no eyes).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*command: str, limit_s: float = 60) -> str:
    """Run Python, without any key and away from the checkout; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-P", *command],
        cwd=EXAMPLES.anchor,
        env={name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout


def assert_in_order(printed: str, patterns: list[str]) -> None:
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(printed, at)
        assert found, f"no {pattern!r} in\n{printed[at:]}\nafter\n{printed[:at]}"
        at = found.end()


_SAME_CALLS = r"outcome=\"completed\"} 3\nantiphon_calls_total.*outcome=\"abandoned\"} 1\n"
_TWO_AT_ONCE = [r"^InvalidParameter\nat once, in threads: 2\n6 answers\nat once, in tasks: 2$"]
_CACHED = [
    r"^  cache\.miss\n  cache\.stored\n  cache\.hit\nthe same: True$",
    r"^asked: 0 \('answered from the cache',\)\n  cache\.hit\nstreamed: True\n  cache\.stored$",
]
_SILENT = [
    r"^a plain call: limit total, 0\.3 s, attempts 1$",
    r"^a stream, tried twice: limit first_event, 0\.05 s, attempts 2$",
    r"^a limit of this call: limit total, 0\.02 s, attempts 1\n\s*\S",
]
_REPEATED = [
    r"^passing failures:\n  again after OverloadedError\n  again after RateLimitError\n  At last\.$",
    r"^  says 400, 1 attempt$",
    r"^  says 503, 1 attempt\n\s*\S",
]
_TENANTS = [
    r"^Resolve\(keys={'openai': Secret\(\*\*\*\)}\)\nacme finds it: True\nzeta: NotFoundError\nzeta: NotFoundError$",
    r"^zeta's key: the environment variable ZETA_KEY is not set$",
]
_STOPPED = [
    r"^a stream that is left:\n",
    r"^  the call has ended: abandoned\na task that is cancelled:\n  the call has ended: cancelled$",
    r"^a block that runs out of time:\n  the call has ended: cancelled\n  TimeoutError$",
]
_GUARDED = [r"\w+", r"^input stopped: a card number, …1111$"]
_RECORDED = [
    r"^recorded: answer_headers, body, chunks, headers, method, status, url\nthe same: True$",
    r"^CassetteMiss: POST .* has been answered$",
]
_BACKGROUND = [
    r"^begun: queued$",
    r"^followed: True completed\ncancelled: completed\ndeleted: True\nNotFoundError\nsettled: completed$",
]

_GIVEN = [
    r"^openai/gpt-5 {} {.*'max_output_tokens': 24.*}$",
    r"^openai/gpt-5 {'store': True} {.*'store': True.*}$",
    r"^xai/grok-4 {} {'model': 'grok-4', 'max_output_tokens': 24}$",
]
_NAMED = [
    r"^smart is gpt-5 at openai\nmodel \"anthropic/claude-opus-4-5\" is none of those .*\n"
    r"  hint: known: fast, smart\n  see: docs/errors\.md#invalidmodel$"
]
_MARKED = [
    r"^anthropic/claude-sonnet-4-5 marks in \['system', 'messages'\] key None$",
    r"^openai/gpt-5 marks in \[\] key antiphon-[0-9a-f]{32}$",
]

COOKBOOK: dict[str, tuple[list[str], list[str] | None]] = {
    "images": (
        [
            r"^openai/gpt-5: .*\"type\": \"input_image\", \"image_url\": \"data:image/png;base64,…$",
            r"^anthropic/claude-sonnet-4-6: .*\"media_type\": \"image/png\", \"data\": \"…$",
            r"^gemini/gemini-3-flash-preview: .*\"inlineData\": .*\"data\": \"…$",
            r"^Which colour is this\? \(\)$",
        ],
        None,
    ),
    "reasoning": (
        [
            r"^thinks: 1001 = 7 × 143\.\nsays:   No\.\ntokens of thought: 32\nBecause 7 divides it\.$",
            r"^sent: \['message', 'reasoning', 'message', 'message'\]$",
        ],
        None,  # a model on one thread thinks for long
    ),
    "parallel": ([r"^Say one\.\nSay two\.", *_TWO_AT_ONCE], _TWO_AT_ONCE),
    "metrics": (
        [_SAME_CALLS, r"direction=\"output\"} 6\n{'ann': True, 'bob': True}$"],
        [_SAME_CALLS, r"^{'ann': True, 'bob': True}$"],
    ),
    "guard": ([*_GUARDED, r"^output stopped: a promise$"], _GUARDED),
    "cache": (_CACHED, _CACHED),
    "route_by_cost": (
        [
            r"^openai/gpt-5-nano: \$0\.0000005, by rows\nHello\.$",
            r"^openai/gpt-5: \$0\.0001938, by rows\nIt is about repetition\.$",
        ],
        [r"^local/smollm2: \$0\.\d+, by rows\n", r"^openai/gpt-5: \$0\.0001938, by rows$"],
    ),
    "record_replay": (_RECORDED, _RECORDED),
    "background": (_BACKGROUND, _BACKGROUND),
    "conversation": (
        [
            r"^user: My name is Ada\.\nassistant: My name is Ada\.\nuser: I like cats\.\nassistant: I like cats\.$",
            r"^user: What was my name\?\nbranch after 6 items$",
        ],
        [r"^user: My name is Ada\.\nassistant: \s*\S", r"^branch after 6 items$"],
    ),
    "custom_provider": (
        [
            r"^host got: /v1/responses Bearer from-the-environment {'model': 'large', 'input': 'Hi'}$",
            r"^You said 'Hi'\. \['truncation'\]\nSay hello\.$",
        ],
        [r"^You said 'Hi'\. \['truncation'\]\n\s*\S"],
    ),
    "stage_state": (
        [
            r"^Say: one two three\.\nSay: one two three\.\nrefused: 8 words were answered, and 5 are allowed$",
            r"^closing: 3 calls$",
        ],
        [r"\w+", r"^closing: 3 calls$"],
    ),
    "mcp_servers": (
        [
            r"^pipes offers get_weather\nweb offers get_weather$",
            r"^(pipes|web): {\"city\":\"\w+\"} → It is sunny in (Rome|Oslo), and 21 degrees\.$",
            r"^(pipes|web): {\"city\":\"\w+\"} → It is sunny in (Rome|Oslo), and 21 degrees\.\nSunny in both\.$",
        ],
        [r"^pipes offers get_weather\nweb offers get_weather$"],
    ),
    "serve_a_chain": (
        [
            r"^200 completed call_\ntext/event-stream; charset=utf-8 from response\.created to response\.completed$",
            r"^found again: True\n404 the model .*\n400 there is no parameter .*\n401 a key is missing",
        ],
        [r"^200 (completed|incomplete) call_\ntext/event-stream", r"^found again: True\n404 .*\n400 .*\n401 "],
    ),
    "sse_relay": (
        [r"^text/event-stream 13 events, from response\.created to response\.completed$"],
        [r"^text/event-stream \d+ events, from response\.created to response\.(completed|incomplete)$"],
    ),
    "cancellation": (_STOPPED, _STOPPED),
    "timeouts": (_SILENT, _SILENT),
    "retries": (_REPEATED, _REPEATED),
    "tenants": (_TENANTS, _TENANTS),
    "openai_shape": (
        [
            r"^Say hello\.\nOne\| two\.\|completed\n\['message', 'message', 'message'\]$",
            r"^UnknownProvider: there is no provider \"no-such-provider\"\n.*\nSay hello\.$",
        ],
        [r"\|(completed|incomplete)\n\['message', 'message', 'message'\]$", r"^UnknownProvider: "],
    ),
    "litellm_drop_in": (
        [
            r"^Say hello\.\nOne\| two\.\|\ncompleted\nRateLimitError slow down$",
            r"^antiphon\.success_callback cannot be set: .*\ntracked: responses completed$",
        ],
        [r"^RateLimitError slow down$", r"^tracked: responses (completed|incomplete)$"],
    ),
    "budget": (
        [
            r"^ada: Say hello to me\.\nada: 8 of 5 tokens used, back in an hour at most$",
            r"^ben: Say hello to me\.\nada: 8 of 5 tokens used",
        ],
        [r"^ada: \s*\S", r"^ada: \d+ of 5 tokens used", r"^ben: \s*\S", r"^ada: \d+ of 5 tokens used"],
    ),
    "redact": (
        [
            r"^the host reads: Repeat: \[CUSTOMER_\w{8}\], \[EMAIL_\w{8}\], \[CARD_\w{8}\]\.$",
            r"^the answer:     ?Repeat: C-1234, ada@example\.org, 4111 1111 1111 1111\.$",
            r"^\('redacted: 1 customer, 1 email, 1 card',\)$",
        ],
        [r"^the host reads: Repeat: \[CUSTOMER_", r"^the answer: ", r"^\('redacted: "],
    ),
    "long_conversation": (
        [
            r"^Name a bird\. Name a bird\.\nName a fish, ",
            r"^  input\[0:2\]: the oldest turns, about \d+ tokens, are left out: the input is over 60$",
            r"^And a colour\? And a colour\?\n  input\[0:6\]: ",
        ],
        [r"^Name a bird\. \s*\S", r"^  input\[0:2\]: the oldest turns"],
    ),
    "defaults": ([*_GIVEN, r"^Say hello\.$"], [*_GIVEN, r"\w+"]),
    "rename": ([r"^Say hello\.$", *_NAMED], [r"\w+", *_NAMED]),
    "prompt_cache": ([*_MARKED, r"^Say hello\.$"], [*_MARKED, r"\w+"]),
}
