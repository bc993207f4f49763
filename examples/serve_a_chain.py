"""A chain as an HTTP endpoint: the Responses API, for any OpenAI client in any language.

Run it from a clone of the repository; it makes its own requests, without a socket:

    python examples/serve_a_chain.py                   offline
    python examples/serve_a_chain.py local/smollm2     a small real model on this machine

As a server:  cd examples && uvicorn serve_a_chain:app   (or `antiphon serve`, which takes a chain file)
"""

import asyncio
import sys

import httpx

import antiphon
from antiphon import Defaults, Rename, presets

model = sys.argv[1] if len(sys.argv) > 1 and "/" in sys.argv[1] else "scripted/echo"

# Callers know one name, and no more tokens than this.
chain = presets.responses.before("resolve", Rename({"helper": model})).before(
    "validate", Defaults({"model": "helper", "max_output_tokens": 32})
)
app = antiphon.serve.app(chain, keys="a long random text", models=["helper"])


async def main() -> None:
    host = httpx.ASGITransport(app=app)
    headers = {"authorization": "Bearer a long random text"}
    async with httpx.AsyncClient(transport=host, base_url="http://localhost/v1", headers=headers) as client:
        plain = await client.post("/responses", json={"input": "Say hello."})
        print(plain.status_code, plain.json()["status"], plain.headers["x-request-id"][:5])
        streamed = await client.post("/responses", json={"input": "Count from one to five.", "stream": True})
        kinds = [line[7:] for line in streamed.text.splitlines() if line.startswith("event: ")]
        print(streamed.headers["content-type"], "from", kinds[0], "to", kinds[-1])
        found = await client.get(f"/responses/{plain.json()['id']}")
        print("found again:", found.json()["id"] == plain.json()["id"])
        for call, given in (({"model": "openai/gpt-5"}, headers), ({"temprature": 1}, headers), ({}, {})):
            client.headers.pop("authorization", None)
            refused = await client.post("/responses", json={"input": "Hi", **call}, headers=given)
            print(refused.status_code, refused.json()["error"]["message"])
    await app.aclose()


if __name__ == "__main__":
    asyncio.run(main())
