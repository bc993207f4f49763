"""Killed writers and racing processes, by the command that users can run against their own servers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from store_servers import PostgresServer, RedisServer

COMMAND = Path(__file__).parents[3] / "benchmarks" / "store_reliability.py"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the command forks, and this system has no fork")
def test_what_was_acknowledged_outlives_its_writer(redis_server: RedisServer, postgres_server: PostgresServer) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            COMMAND,
            "--rounds=2",
            "--writes=80",
            "--speed=0",
            redis_server.url,
            postgres_server.url,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    kinds = ("sqlite", "redis", "postgresql")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row[3:5] for row in rows if row[0] in kinds and len(row) == 6] == [["0", "0"]] * 3  # lost, half
    assert [row[3:] for row in rows if row[0] in kinds and row[1:3] == ["4", "80"]] == [["80", "240"]] * 3
