"""What a command sets in its process is undone."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet_logger() -> Iterator[None]:
    """Take back what `-vv` does to the logger, whose lines would go to the stderr of a run that is over."""
    logger = logging.getLogger("antiphon")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])  # also forgets what loggers remember of the level
