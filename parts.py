"""What stands in the content of an item: `antiphon.pipeline.api.parts` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .pipeline.api import parts

if TYPE_CHECKING:
    from .pipeline.api.parts import *  # noqa: F403

sys.modules[__name__] = parts  # one module with two names, so that nothing can differ
