"""What stands in `response.output` and in an `input`: `antiphon.pipeline.api.items` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .pipeline.api import items

if TYPE_CHECKING:
    from .pipeline.api.items import *  # noqa: F403

sys.modules[__name__] = items  # one module with two names, so that nothing can differ
