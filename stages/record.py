"""Write down what goes over the wire."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..pipeline.cassette import Base, CassetteFile, RecordingTransport
from ..pipeline.errors import SetupError
from ..pipeline.file_folder import check_folder
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..providers import catalog
from ..providers.addresses import lasting_base


class Record(Stage, frozen=True):
    """Write every exchange with a host to a file, from which a `Replay` stage answers.

    Place it right before Dispatch; then it sees every attempt. Keys, cookies and all that looks like a key are masked.
    The bodies are there in full, since they are what is replayed: treat the file as you treat your data.

    Args:
        path: the file, one JSON line an exchange; made anew by the first exchange of a client.

    Raises:
        InvalidParameter: at the first call, when the file's folder is not there.
    """

    path: str

    needs = ("target", "wire")
    sets = ()

    def setup(self, scope: Scope) -> object:
        check_folder(Path(self.path), f"cassette {self.path}", "path")
        return scope.shared(f"cassette:{self.path}", lambda: CassetteFile(self.path))

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        target, context = request.target, request.context
        if target is None:
            raise SetupError(
                "Record got a request without a target",
                hint="place it after Resolve and Transform, before Dispatch",
            )
        file = context.state_of(self, CassetteFile)
        base = Base(target.base_url, lasting_base(catalog.find(target.provider), target))
        transport = RecordingTransport(target.transport or context.runtime, context.runtime, file, base)
        return await call_next(request.replace(target=msgspec.structs.replace(target, transport=transport)))
