"""For tests of code that uses this library: answers from a script, through the real chain, without a network."""

from __future__ import annotations

from typing import Any

from ..client import Client
from ..pipeline.chain import Chain
from ..pipeline.wire import loads
from ..providers.scripted import Answer, ScriptedHost
from ..stages import presets


class ScriptedClient(Client):
    """A client whose every request is answered from a script. Make it with `scripted`."""

    def __init__(self, host: ScriptedHost, chain: Chain, **settings: Any) -> None:
        # A key, so that no test depends on the environment's; the format, since scripts are in the API's terms.
        given = {"api_key": "scripted", "dialect": "responses"}
        bound = {name: value for name, value in given.items() if name in chain.options}
        super().__init__(chain.bind(**bound), transport=host, **settings)
        self.host = host

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The JSON bodies of the requests that were sent, in order."""
        return [loads(request.body or b"{}") for request in self.host.requests]


def scripted(*answers: Answer, chain: Chain = presets.responses, **settings: Any) -> ScriptedClient:
    """Return a client that answers from a script, in turn; the last answer repeats.

        >>> from antiphon.testing import scripted
        >>> with scripted("Hello!", {"status": 429, "body": {"error": {"message": "slow down"}}}) as client:
        ...     client.responses("Hi", "openai/gpt-5").output_text, client.requests[0]["input"]
        ('Hello!', 'Hi')

    Everything but the network is real: validation, retries, encoding, the event stream, hooks. Whatever the model, the
    Responses API is spoken, so that scripts and `requests` do not depend on a host's format.

    Args:
        answers: text; an item (`function_call("f", {})`) or a list of them; fields of a response
            (`{"output": [...], "status": "incomplete"}`); an HTTP answer (`{"status": 500, "body": ...}`); a Response;
            an exception to raise; or a function of the request's body that returns one of these.
        chain: what the calls go through.
        settings: of `antiphon.Client`.
    """
    return ScriptedClient(ScriptedHost(answers), chain, **settings)
