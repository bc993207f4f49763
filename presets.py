"""The stock chains: `antiphon.stages.presets` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .stages import presets

if TYPE_CHECKING:
    from .stages.presets import *  # noqa: F403

sys.modules[__name__] = presets  # one module with two names, so that nothing can differ
