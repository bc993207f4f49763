"""The events of streams: `antiphon.pipeline.events` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .pipeline import events

if TYPE_CHECKING:
    from .pipeline.events import *  # noqa: F403

sys.modules[__name__] = events  # one module with two names, so that nothing can differ
