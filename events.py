"""The events of streams: `antiphon.pipeline.api.events` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .pipeline.api import events

if TYPE_CHECKING:
    from .pipeline.api.events import *  # noqa: F403

sys.modules[__name__] = events  # one module with two names, so that nothing can differ
