"""What tools of many servers are called in front of one model."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from ...pipeline.tool_function import NAME

_LONGEST: Final = 64


def public_names(tools: Sequence[tuple[str, str]], taken: Iterable[str]) -> list[str]:
    """Return a name for each (server label, tool name), all different from one another and from those taken.

    A tool keeps its own name where that is unique and allowed, for servers' texts mention tools by it. Else it gets its
    server's label in front; what is too long, or still not unique, ends in a hash of both. The same tools get the same
    names in every call, so a conversation can go on and a prompt cache holds. Nobody reads a name back: that is what
    the list's order is for.
    """
    taken = set(taken)
    times = Counter(name for _, name in tools)
    wished = [
        name if times[name] == 1 and name not in taken and NAME.fullmatch(name) else _joined(label, name)
        for label, name in tools
    ]
    clashes = Counter(wished)
    names: list[str] = []
    for (label, name), wish in zip(tools, wished, strict=True):
        made = wish if clashes[wish] == 1 and wish not in taken else _hashed(label, name)
        names.append(made)
    return names


def _joined(label: str, name: str) -> str:
    made = re.sub(r"[^A-Za-z0-9_-]+", "_", f"{label}__{name}")
    return made if len(made) <= _LONGEST else _hashed(label, name)


def _hashed(label: str, name: str) -> str:
    mark = hashlib.sha256(f"{label}\0{name}".encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', f'{label}__{name}')[: _LONGEST - 9]}_{mark}"
