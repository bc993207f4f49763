"""A small server over standard input and output, without any package: `python -P -S plain_server.py [ERA] [HABIT…]`.

ERA is "legacy", "modern", "silent" (a legacy one that does not answer what it does not know) or "touchy" (one that
ends then). Habits: "noise" prints
what is no message, "chatty" floods the standard error, "stubborn" ignores the end of its input and SIGTERM, "child"
leaves a child behind, "changing" tells that its tools have changed after each call.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

ERA = sys.argv[1] if len(sys.argv) > 1 else "legacy"
HABITS = sys.argv[2:]
lock = threading.Lock()
cancelled: list[Any] = []
calls = 0


def send(message: Any) -> None:
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def text(request_id: Any, words: str) -> None:
    send({"id": request_id, "result": {"content": [{"type": "text", "text": words}]}})


TOOLS = ["add", "big", "slow", "die", "env", "ask", "count", "cancelled", "pid", "hang"]


def call(request_id: Any, params: dict[str, Any]) -> None:
    global calls
    calls += 1
    given = params.get("arguments", {})
    match params["name"]:
        case "add":
            text(request_id, str(given["a"] + given["b"]))
        case "big":
            text(request_id, "x" * given["size"])
        case "slow":
            threading.Timer(given["seconds"], text, (request_id, "done")).start()
        case "die":
            print("I am dying", os.environ.get("KEY", ""), file=sys.stderr, flush=True)
            os._exit(3)
        case "env":
            text(request_id, json.dumps(dict(os.environ)))
        case "ask":
            send({"id": "ask-1", "method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": {}}})
            waiting["ask-1"] = request_id
        case "count":
            token = params["_meta"]["progressToken"]
            send({"method": "notifications/message", "params": {"level": "info", "data": "counting"}})
            for number in (1, 2):
                progress = {"progressToken": token, "progress": number, "total": 2, "message": f"at {number}"}
                send({"method": "notifications/progress", "params": progress})
            text(request_id, "counted")
        case "cancelled":
            text(request_id, json.dumps(cancelled))
        case "pid":
            text(request_id, str(os.getpid()))
        case _:
            pass
    if "changing" in HABITS:
        send({"method": "notifications/tools/list_changed"})


waiting: dict[Any, Any] = {}


def take(message: dict[str, Any]) -> None:
    method, request_id, params = message.get("method"), message.get("id"), message.get("params", {})
    if "noise" in HABITS:
        print("Listening …", "{not json", sep="\n", flush=True)
    if "chatty" in HABITS:
        sys.stderr.write("x" * 200_000 + "\n")
        sys.stderr.flush()
    if method is None:
        text(waiting.pop(request_id), json.dumps(message.get("result") or message.get("error")))
    elif method == "initialize" and ERA != "modern":
        version = params["protocolVersion"]
        capabilities = {"tools": {"listChanged": True}}
        info = {"name": "plain", "version": "1"}
        result = {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info}
        send({"id": request_id, "result": result})
    elif method == "server/discover" and ERA == "modern":
        send({"id": request_id, "result": {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}})
    elif method == "tools/list":
        mark = f"-{calls}" if "changing" in HABITS else ""
        send({"id": request_id, "result": {"tools": [{"name": name + mark, "inputSchema": {}} for name in TOOLS]}})
    elif method == "tools/call":
        call(request_id, params)
    elif method == "notifications/cancelled":
        cancelled.append(params["requestId"])
    elif ERA == "touchy" and request_id is not None:
        os._exit(1)
    elif request_id is not None and ERA != "silent":
        send({"id": request_id, "error": {"code": -32601, "message": f"no {method}"}})


if "stubborn" in HABITS:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" in HABITS:
    child = subprocess.Popen(["sleep", "60"])
    print(f"child {child.pid}", file=sys.stderr, flush=True)
for line in sys.stdin:
    take(json.loads(line))
if "stubborn" in HABITS:
    time.sleep(60)
os._exit(0)
