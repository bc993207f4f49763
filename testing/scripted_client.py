"""For tests of code that uses this library: answers from a script, through the real chain, without a network."""

from __future__ import annotations

from typing import Any

from ..client import Client
from ..pipeline.api.wire import loads
from ..pipeline.chain import Chain
from ..pipeline.errors import NetworkForbidden
from ..pipeline.http import Exchange, HttpRequest, Transport
from ..pipeline.network.address import parse_url
from ..pipeline.network.offline import is_here
from ..pipeline.network.transport import SlotTransport
from ..pipeline.runtimes.driver import drive
from ..pipeline.timeouts import Pace
from ..providers.scripted import Answer, ScriptedHost
from ..stages import presets


class ScriptedClient(Client):
    """A client whose every request is answered from a script. Make it with `scripted`."""

    def __init__(self, host: ScriptedHost, chain: Chain, **settings: Any) -> None:
        # A key, so that no test depends on the environment's; the format, since scripts are in the API's terms.
        given = {"api_key": "scripted", "dialect": "responses"}
        bound = {name: value for name, value in given.items() if name in chain.options}
        self._network = _Network(host)
        super().__init__(chain.bind(**bound), transport=self._network, **settings)
        self.host = host

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON bodies of the requests that were sent, in order."""
        return [loads(request.body or b"{}") for request in self.host.requests]

    def close(self) -> None:
        super().close()
        self._network.close()

    async def aclose(self) -> None:
        await super().aclose()
        await self._network.aclose()


class _Network:
    """What a scripted client finds in the place of the network, in each mode. It owns the connections to servers."""

    def __init__(self, host: ScriptedHost) -> None:
        self._host = host
        self._made: dict[bool, _Transport] = {}

    def of_mode(self, is_async: bool) -> Transport:
        return self._made.setdefault(is_async, _Transport(self._host, SlotTransport(is_async=is_async, proxy=None)))

    def close(self) -> None:
        if False in self._made:
            drive(self._made[False].close())

    async def aclose(self) -> None:
        if True in self._made:
            await self._made[True].close()
        self.close()


class _Transport:
    """Answers for the models' hosts, and asks servers of tools where they are on this machine."""

    def __init__(self, host: ScriptedHost, real: SlotTransport) -> None:
        self._host = host
        self._real = real

    async def open(self, request: HttpRequest, pace: Pace) -> Exchange:
        if not request.to_tools:
            return await self._host.open(request, pace)
        address = parse_url(request.url)
        if not is_here(address.host):
            raise NetworkForbidden(
                f"a request to the MCP server at {address.where} was about to leave this machine in a scripted call",
                hint="in its place give the test a server on 127.0.0.1, or an object of this process",
            )
        return await self._real.open(request, pace)

    async def close(self) -> None:
        await self._real.close()


def scripted(*answers: Answer, chain: Chain = presets.responses, **settings: Any) -> ScriptedClient:
    """Return a client that answers from a script, in turn; the last answer repeats.

        >>> from antiphon.testing import scripted
        >>> with scripted("Hello!", {"status": 429, "body": {"error": {"message": "slow down"}}}) as client:
        ...     client.responses("Hi", "openai/gpt-5").output_text, client.requests[0]["input"]
        ('Hello!', 'Hi')

    Everything but the network is real: validation, retries, encoding, the event stream, hooks. Whatever the model, the
    Responses API is spoken, so that scripts and `requests` do not depend on a host's format. MCP servers on this
    machine are really asked; a request to one elsewhere raises NetworkForbidden, and is not sent.

    Args:
        answers: text; an item (`function_call("f", {})`) or a list of them; fields of a response
            (`{"output": [...], "status": "incomplete"}`); an HTTP answer (`{"status": 500, "body": ...}`); a Response;
            an exception to raise; or a function of the request's body that returns one of these.
        chain: what the calls go through.
        settings: of `antiphon.Client`.
    """
    return ScriptedClient(ScriptedHost(answers), chain, **settings)
