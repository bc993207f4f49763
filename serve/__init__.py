"""Serve a chain over HTTP: an ASGI app that is the Responses API of that chain, for any OpenAI client.

    app = antiphon.serve.app(antiphon.presets.responses, keys=FromEnv("SERVER_KEY"))

Any ASGI server runs it: `uvicorn my_module:app`, or `antiphon serve`. See docs/serve.md.
"""

from .application import Application as Application
from .application import app as app

__all__ = ["Application", "app"]
