"""What stores keep when writers are killed, race, or find the disk full; and how long an operation takes.

    python benchmarks/store_reliability.py
    python benchmarks/store_reliability.py --rounds 20 --writes 1000 redis://localhost/9 postgresql://localhost/scratch

Without URLs it takes a SQLite file in a temporary folder. What it writes it deletes. It exits with 1 when an
acknowledged write is lost, a half one is seen, or two processes both win.

- kill: a process writes values of up to 20 KB, each with a log entry, and says so after each; it gets SIGKILL at a
  random point. Every acknowledged value and log entry must be there whole, and nothing half.
- settle: processes write the same keys, each expecting that nothing is there. Each key must have one winner, every
  other one a StoreConflict.
- full: SQLite on a file system of 8 MB. A typed error must come, what was written before be readable, and when
  something else makes room the store must take writes again. Linux, as root.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from measuring import machine, table

from antiphon import StoreConflict, StoreFull, key_of, open_store

RUN = f"bench{os.getpid()}-{time.time_ns()}"
PROCESSES = 4


def value(number: int) -> bytes:
    """Return a value that shows when a part of it is missing or another's."""
    seed = hashlib.sha256(b"%d" % number).digest()
    return seed * (1 + number * 37 % 640)


def in_child(work: Callable[[], None]) -> int:
    """Run work in a forked process, return its id."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def kill_a_writer(url: str, writes: int, name: str, dice: random.Random) -> tuple[int, int, int]:
    """Return how many writes were acknowledged before the kill, how many of them are lost, and how many values half."""
    keys, log_key = [key_of(RUN, name, str(number)) for number in range(writes)], key_of(RUN, name, "log")
    acknowledged, told = os.pipe()

    def write() -> None:
        os.close(acknowledged)
        store = open_store(url, timeout_s=30)
        for number, key in enumerate(keys):
            store.write(key, value(number), expect=0)
            os.write(told, b"v")
            store.append(log_key, [value(number)], start=number)
            os.write(told, b"l")

    child = in_child(write)
    os.close(told)
    marks, enough = b"", dice.randrange(2 * writes)
    while len(marks) < enough and (more := os.read(acknowledged, 4096)):
        marks += more
    time.sleep(dice.random() * 0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(acknowledged, 4096):
        marks += more
    os.close(acknowledged)

    store = open_store(url, timeout_s=30)
    entries, log = store.read(keys), store.log(log_key, limit=writes + 1)
    lost = sum(entry is None for entry in entries[: marks.count(b"v")]) + max(0, marks.count(b"l") - len(log))
    half = sum(entry is not None and entry.value != value(number) for number, entry in enumerate(entries))
    half += sum(found != value(number) for number, found in enumerate(log))
    store.write(keys[0], b"the store takes writes")
    store.delete([*keys, log_key])
    store.close()
    return len(marks), lost, half


def settle(url: str, count: int) -> tuple[int, int]:
    """Return how many writes won and how many met a conflict, of all processes together."""
    keys = [key_of(RUN, "settle", str(number)) for number in range(count)]
    results, told = os.pipe()
    gate, opens = os.pipe()

    def write() -> None:
        store = open_store(url, timeout_s=30)
        store.read(keys[:1])
        os.close(opens)
        os.read(gate, 1)  # ends when the parent closes the other side
        for key in keys:
            try:
                store.write(key, b"%d" % os.getpid(), expect=0)
                os.write(told, b"w")
            except StoreConflict:
                os.write(told, b"c")

    children = [in_child(write) for _ in range(PROCESSES)]
    os.close(told)
    time.sleep(0.2)
    os.close(opens)
    marks = b""
    while more := os.read(results, 65536):
        marks += more
    for child in children:
        os.waitpid(child, 0)
    for end in (results, gate):
        os.close(end)
    store = open_store(url, timeout_s=30)
    store.delete(keys)
    store.close()
    return marks.count(b"w"), marks.count(b"c")


def fill(folder: str) -> None:
    """Fill a small file system, and use the store again; raise AssertionError when it does not hold."""
    ballast = Path(folder) / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    store = open_store(f"sqlite:///{folder}/state.db")
    written = 0
    try:
        while written < 10_000:
            store.write(f"/v/{written}", value(written))
            written += 1
    except StoreFull:
        pass
    entries = store.read([f"/v/{number}" for number in range(written)])
    assert written
    assert [entry and entry.value for entry in entries] == [value(number) for number in range(written)]
    ballast.unlink()
    store.write("/v/again", value(1))
    for number in range(written):
        assert store.delete([f"/v/{number}"])
    store.close()
    print(written)


def fill_small_disk() -> str:
    if not sys.platform.startswith("linux") or os.geteuid():
        return "left out: needs Linux and root"
    with tempfile.TemporaryDirectory() as folder:
        script = 'mount -t tmpfs -o size=8m none "$1" && exec "$2" -P "$3" --fill "$1"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "-", folder, sys.executable, __file__],
            capture_output=True,
            text=True,
            check=False,
        )
    if "unshare" in done.stderr or "mount" in done.stderr:
        return f"left out: {done.stderr.strip()}"
    return (
        f"held, after {done.stdout.strip()} values"
        if not done.returncode
        else f"FAILED: {done.stderr.splitlines()[-1:]}"
    )


def speeds(url: str, number: int) -> list[float]:
    """Return microseconds of a write, a read, an append and a read of a log, 1 KB each, the median of five turns."""
    store, key, data = open_store(url, timeout_s=30), key_of(RUN, "speed", "1"), b"x" * 1000
    works: list[Callable[[], object]] = [
        lambda: store.write(key, data),
        lambda: store.read([key]),
        lambda: store.append(key, [data]),
        lambda: store.log(key, 0, 1),
    ]
    number *= 20 if url.startswith("memory:") else 1
    found = [sorted(timeit.repeat(work, number=number, repeat=5))[2] / number * 1e6 for work in works]
    store.delete([key])
    store.close()
    return found


def kind(url: str) -> str:
    return url.partition("://")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("urls", nargs="*", help="stores to test beside a new SQLite file")
    parser.add_argument("--rounds", type=int, default=10, help="writers to kill, of each store")
    parser.add_argument("--writes", type=int, default=1000, help="writes of each writer, when nobody kills it")
    parser.add_argument("--speed", type=int, default=50, help="operations of which the time is taken, 0 for none")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--fill", metavar="FOLDER", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.fill:
        fill(given.fill)
        return 0
    seed = random.randrange(10**6) if given.seed is None else given.seed
    dice = random.Random(seed)
    folder = tempfile.mkdtemp()
    urls = [f"sqlite:///{folder}/state.db", *given.urls]
    print(f"{machine()}; seed {seed}\n")
    is_bad = False
    try:
        rows: list[list[object]] = []
        for url in urls:
            began = time.monotonic()
            kills = [kill_a_writer(url, given.writes, str(turn), dice) for turn in range(given.rounds)]
            sums = [sum(column) for column in zip(*kills, strict=True)]
            is_bad |= bool(sums[1] or sums[2])
            rows.append([kind(url), given.rounds, *sums, f"{time.monotonic() - began:.1f}"])
        print(table(["kill", "writers", "acknowledged", "lost", "half", "s"], rows), end="\n\n")

        rows = []
        for url in urls:
            won, conflicts = settle(url, keys := min(200, given.writes))
            is_bad |= (won, conflicts) != (keys, keys * (PROCESSES - 1))
            rows.append([kind(url), PROCESSES, keys, won, conflicts])
        print(table(["settle", "processes", "keys", "won", "conflicts"], rows), end="\n\n")

        full = fill_small_disk()
        is_bad |= full.startswith("FAILED")
        print(table(["full", "8 MB"], [["sqlite", full]]), end="\n\n")

        if given.speed:
            rows = [
                [kind(url), *(round(figure, 1) for figure in speeds(url, given.speed))] for url in ["memory://", *urls]
            ]
            print(table(["µs, 1 KB", "write", "read", "append", "log"], rows))
    finally:
        shutil.rmtree(folder)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
