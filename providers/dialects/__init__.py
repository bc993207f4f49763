"""Dialects: the API formats that hosts speak, as codecs without I/O."""

from __future__ import annotations

from typing import Final

from ...pipeline.request import Dialect
from .responses import ResponsesDialect

DIALECTS: Final[dict[str, Dialect]] = {"responses": ResponsesDialect()}
