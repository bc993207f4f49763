"""The errors: `antiphon.pipeline.errors` by its public name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .pipeline import errors

if TYPE_CHECKING:
    from .pipeline.errors import *  # noqa: F403

sys.modules[__name__] = errors  # one module with two names, so that nothing can differ
