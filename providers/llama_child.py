"""The child process of `local_model.py`: one llama.cpp server that lives as long as its stdin stays open.

It is run as a file and imports nothing of ours, so it starts fast and does not depend on how this package was found.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Serve until the parent closes our stdin or dies.

    Reads one JSON object from `argv[1]`: `{"path", "alias", "context_tokens", "slots", "template"}` (the template is
    the path of a Jinja file, or null). Writes one line, `ready http://127.0.0.1:PORT`, to stdout once the model
    answers. All other output goes to stderr, since the parent reads stdout only up to that line and a full pipe would
    stop the server.
    """
    settings = json.loads(sys.argv[1])
    stdout = os.dup(1)
    os.dup2(2, 1)
    llama = importlib.import_module("xllamacpp")

    params = llama.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = settings["context_tokens"]
    params.n_parallel = settings["slots"]
    # More threads spin at each barrier: on two shared cores 60 tokens took 100 s with two, 2 s with one (seen 2026-11).
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cache_ram_mib = 0
    params.ui = False
    if settings["template"] is not None:
        with open(settings["template"], encoding="utf-8") as file:
            params.chat_template = file.read()
    server = llama.Server(params)

    os.write(stdout, f"ready {server.listening_address}\n".encode())
    os.close(stdout)
    # The server logs every request. The parent reads the log only for a failed start, so it ends here.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.stdin.buffer.read()
    # Not a normal exit: with an answer in flight the server's destructor waits for it (32 s seen) or crashes.
    os._exit(0)


if __name__ == "__main__":
    main()
