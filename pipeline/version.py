"""The version of this package, for its users and for the hosts and servers that it introduces itself to."""

from __future__ import annotations

__version__ = "0.1.0"
