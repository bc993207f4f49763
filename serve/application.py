"""The ASGI app: from a request to a call of the chain, and from its reply to an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

from ..client import Client
from ..mcp.registry import McpServers
from ..mcp.server import McpServer
from ..pipeline.api.wire import encode
from ..pipeline.caller import Caller
from ..pipeline.chain import Chain
from ..pipeline.errors import SetupError
from ..stages import presets
from .call import Call, CallSettings
from .callers import Authorize, Callers, Keys
from .exchange import Exchange, Gone, Receive, Scope, Send
from .parameters import Parameters, Unknown
from .refusal import Refused, told
from .route import Route, route_of


def app(
    served: Client | Chain = presets.responses,
    *,
    keys: Keys | None = None,
    authorize: Authorize | None = None,
    models: Iterable[str] = (),
    options: Iterable[str] = (),
    unknown: Unknown = "error",
    max_body_bytes: int = 32 * 1024 * 1024,
    keepalive_s: float | None = 15.0,
    open_to_network: bool = False,
    closes: bool = False,
) -> Application:
    """Return an ASGI app that serves the Responses API of a chain.

        >>> import antiphon
        >>> antiphon.serve.app(antiphon.presets.responses, keys="a-long-random-text")
        Application(chain='responses', callers='keys')

    Without `keys` and `authorize` it answers requests of its own machine only.

    Args:
        served: a client; or a chain, for which the app makes a client that it closes at the server's shutdown.
        keys: the key that callers send as `authorization: Bearer …`; or `{"acme": key, "zeta": [old, new]}`, where each
            name is a tenant, and no tenant sees another one's responses. Text, `Secret` or `FromEnv`.
        authorize: instead of keys: takes the request's headers, names in lower case, and returns the tenant, or None
            for somebody unknown. Plain or async; a plain one must not wait for anything.
        models: the models that callers may ask for, as the chain knows them; listed by `GET /v1/models`. Any, when
            there are none.
        options: call options of the chain that callers may give in the body, e.g. `("timeout",)`.
        unknown: what becomes of a field that this library does not know: an "error", or it goes to the host as it is
            by "extra_body".
        max_body_bytes: the longest body of a request.
        keepalive_s: a stream that is silent for so many seconds gets a comment, which keeps proxies from closing it;
            None for none.
        open_to_network: without keys, answer other machines too: everybody who reaches the server uses your keys.
        closes: close the given client at the server's shutdown as well.

    Raises:
        SetupError: something of this cannot be meant; or there are several tenants, and the chain's response ids are
            not signed (`ANTIPHON_ID_KEY`), so that one could read what is another's at a host.
        MissingKey: a variable that a `FromEnv` names is not set.
        ChainError: the chain cannot run.
    """
    if not isinstance(served, Client | Chain):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SetupError(
            f"serve.app got a {type(served).__name__}; a client or a chain is expected",
            hint="serve.app(antiphon.presets.responses)",
        )
    if max_body_bytes < 1 or (keepalive_s is not None and not keepalive_s > 0):
        raise SetupError(f"max_body_bytes is {max_body_bytes} and keepalive_s {keepalive_s}; both have to be over 0")
    chain = served.chain if isinstance(served, Client) else served.check()
    callers = Callers(keys, authorize, open_to_network=open_to_network)
    callers.check(chain)
    parameters = Parameters(chain, options, unknown, models, are_many=callers.are_many)
    settings = CallSettings(keepalive_s=keepalive_s, callers_key="api_key" in parameters.options)
    return Application(served, callers, parameters, settings, max_body_bytes=max_body_bytes, closes=closes)


class Application:
    """An ASGI 3 app that serves one chain. Made by `app`."""

    def __init__(
        self,
        served: Client | Chain,
        callers: Callers,
        parameters: Parameters,
        settings: CallSettings,
        *,
        max_body_bytes: int,
        closes: bool,
    ) -> None:
        self._served = served
        self._callers = callers
        self._parameters = parameters
        self._settings = settings
        self._max_body_bytes = max_body_bytes
        self._closes = closes
        self._made: Client | None = None  # for a chain that brings none

    def __repr__(self) -> str:
        return f"Application(chain={self._served_chain().name!r}, callers={self._callers.kind!r})"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as an ASGI server asks for it."""
        match scope["type"]:
            case "http":
                with contextlib.suppress(Gone):
                    await self._serve(scope, receive, send)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1000})  # before it is accepted: a 403
            case kind:
                raise SetupError(f'the ASGI server opened a "{kind}", which is not served')

    async def aclose(self) -> None:
        """Close the client that the app has made; for servers without lifespan. Idempotent."""
        made, self._made = self._made, None
        if made is not None:
            await made.aclose()

    # --- requests --------------------------------------------------------------------------------------------------

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        chain = self._chain()
        exchange = Exchange(scope, receive, send, next(chain.engine.call_ids))
        try:
            route = route_of(exchange.method, exchange.path)
            if route.call == "health":
                await exchange.answer(200, b'{"status":"ok"}')
                return
            tenant = await self._callers.tenant_of(exchange)
            if route.call in ("models", "model"):
                await exchange.answer(200, self._models(route))
                return
            body = await self._body(exchange)
            keywords = self._parameters.of(route, exchange.query, body)
        except Gone:
            raise
        except Exception as error:
            refusal = told(error, exchange.id, callers_key=self._settings.callers_key)
            await exchange.answer(refusal.status, refusal.body(), refusal.headers)
            return
        caller = Caller(call_id=exchange.id, tenant=tenant, trace=_trace_of(exchange))
        await Call(chain, exchange, route.operation, keywords, caller, self._settings).run()

    async def _body(self, exchange: Exchange) -> bytes:
        """Return the request's JSON, b"" for none.

        Raises:
            Refused: a body of another type, or too long.
            Gone: the client has left.
        """
        if exchange.method != "POST":
            return b""
        body = await exchange.body(self._max_body_bytes)
        kind = str(exchange.headers.get("content-type", "")).partition(";")[0].strip().lower()
        coding = str(exchange.headers.get("content-encoding", "identity")).lower()
        if body and (kind != "application/json" or coding != "identity"):
            # A page in a browser can send other types to any address without asking.
            raise Refused(415, "the body has to be application/json, as it is", code="unsupported_media_type")
        return body

    def _models(self, route: Route) -> bytes:
        """Return the list of models, or one of them, as the API has it."""
        known = self._parameters.models
        if route.call == "models":
            return encode({"object": "list", "data": [_model(name) for name in known]})
        if route.name not in known:
            raise Refused(404, f'there is no model "{route.name[:100]}" here', code="model_not_found", param="model")
        return encode(_model(route.name))

    # --- the client ------------------------------------------------------------------------------------------------

    def _served_chain(self) -> Chain:
        return self._served.chain if isinstance(self._served, Client) else self._served

    def _chain(self) -> Chain:
        """Return the chain, bound to the client that runs it."""
        if isinstance(self._served, Client) or self._served.own_engine is not None:
            return self._served_chain()
        if self._made is None:
            self._made = client_for_callers(self._served)
        return self._made.chain

    async def _live(self, receive: Receive, send: Send) -> None:
        """Follow the server's life: its shutdown closes what the app has opened."""
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._chain()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.aclose()
                if self._closes and isinstance(self._served, Client):
                    await self._served.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return


def client_for_callers(chain: Chain, servers: Mapping[str, McpServer] = {}, store: str | None = None) -> Client:
    """Return a client for the calls of strangers: what they name as a server of tools cannot lead to this machine."""
    tools = McpServers(servers, allow_loopback=False)
    client = Client(chain, mcp_servers=tools, state_store=store)
    client.engine.shared("mcp_servers", lambda: tools)  # so that it is closed with the client
    return client


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}


def _trace_of(exchange: Exchange) -> dict[str, str]:
    """Return the headers that name the caller's trace. Source: W3C Trace Context, from memory."""
    return {name: exchange.headers[name] for name in ("traceparent", "tracestate") if name in exchange.headers}
