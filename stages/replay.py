"""Answer from what was recorded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..pipeline.cassette import Base, Cassette, ReplayTransport
from ..pipeline.errors import SetupError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..providers import catalog
from ..providers.addresses import lasting_base


class Replay(Stage, frozen=True):
    """Answer from a file that a `Record` stage wrote, without a network.

    Place it right before Dispatch, which reads the recorded bytes as it reads a host's. Each exchange answers once, the
    first one left whose method, URL and JSON body are the same; a model that is started on this machine is known by its
    name, since it listens at another port every time.

    Args:
        path: the file; read when a client first runs the chain.
        ignore: fields of the body that may differ, e.g. ("metadata",).

    Raises:
        CassetteMiss: nothing was recorded for a request.
        SetupError: the file cannot be read.
    """

    path: str
    ignore: Sequence[str] = ()

    needs = ("target", "wire")
    sets = ()

    def setup(self, scope: Scope) -> object:
        return Cassette(self.path, tuple(self.ignore))

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        target = request.target
        if target is None:
            raise SetupError(
                "Replay got a request without a target", hint="place it after Resolve and Transform, before Dispatch"
            )
        base = Base(target.base_url, lasting_base(catalog.find(target.provider), target))
        transport = ReplayTransport(request.context.state_of(self, Cassette), base)
        return await call_next(request.replace(target=msgspec.structs.replace(target, transport=transport)))
