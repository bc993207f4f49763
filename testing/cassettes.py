"""Clients for tests whose answers are recorded once and replayed ever after."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

from ..client import Client
from ..pipeline.cassette import Cassette
from ..pipeline.chain import Chain
from ..pipeline.errors import InvalidParameter, SetupError
from ..pipeline.stage import Scope
from ..pipeline.wording import quoted
from ..stages import presets
from ..stages.record import Record
from ..stages.replay import Replay

RecordMode: TypeAlias = Literal["none", "missing", "all"]
MODES: tuple[RecordMode, ...] = ("none", "missing", "all")


class UnusedRecordings(UserWarning):
    """A test has ended that did not ask for all that was recorded for it."""


class CassetteClients:
    """Makes clients that answer from the cassettes of one test, or record them.

    Args:
        path: the file without its ending, e.g. "tests/cassettes/test_chat/test_hello". The first client of the test has
            "….jsonl", the second "….2.jsonl", and so on.
        record: "none" only replays; "missing" records what has no file yet; "all" records everything anew. Recording
            asks the real hosts, with the keys of the environment.

    Raises:
        InvalidParameter: another word for `record`.
    """

    def __init__(self, path: Path, record: RecordMode = "none") -> None:
        if record not in MODES:
            raise InvalidParameter(f"record is {quoted(record)}; one of {', '.join(MODES)} is expected", param="record")
        self._path = path
        self._record = record
        self._made: list[Client] = []
        self._replayed: list[Cassette] = []

    def __call__(self, chain: Chain = presets.responses, *, ignore: tuple[str, ...] = (), **settings: Any) -> Client:
        """Return a client on this chain, whose exchanges with hosts are recorded or replayed.

        Args:
            chain: what the calls go through; the recording stands just outside its terminal stage.
            ignore: fields of the request's body that may differ from the recording.
            settings: of `antiphon.Client`.

        Raises:
            SetupError: there is no recording, and none may be made.
        """
        number = len(self._made) + 1
        path = self._path.with_name(f"{self._path.name}{f'.{number}' if number > 1 else ''}.jsonl")
        if self._record == "all" or (self._record == "missing" and not path.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            client = Client(_outside_terminal(chain, Record(str(path))), **settings)
        elif not path.exists():
            raise SetupError(
                f"there is no recording {path}",
                hint="record it: pytest --antiphon-record=missing (asks the real hosts)",
            )
        else:
            cassette = Cassette(path, ignore)
            self._replayed.append(cassette)
            chain = _outside_terminal(chain, _ReplayOf(str(path), ignore=ignore, cassette=cassette))
            # Resolve wants a key, though none is sent.
            client = Client(chain.bind(api_key="recorded") if "api_key" in chain.options else chain, **settings)
        self._made.append(client)
        return client

    def close(self) -> None:
        """Close the clients."""
        for client in self._made:
            client.close()

    def unused(self) -> list[str]:
        """Return a line for each cassette of which something has not been asked for."""
        return [
            f"{cassette.path}: {cassette.left} recorded exchanges were not asked for"
            for cassette in self._replayed
            if cassette.left
        ]


class _ReplayOf(Replay, frozen=True):
    """A Replay whose cassette others can look at."""

    cassette: Any = None

    def setup(self, scope: Scope) -> object:
        return self.cassette


def _outside_terminal(chain: Chain, stage: Record | Replay) -> Chain:
    """Return the chain with a stage just outside its terminal stage, which may stand in a nested chain."""
    at = len(chain.stages) - 1
    last = chain.stages[at]
    return chain.replace(at, _outside_terminal(last, stage)) if isinstance(last, Chain) else chain.before(at, stage)
