"""What a docstring says of a function, and of each of its parameters.

Its first paragraphs are the function's; parameters have an "Args:" section (Google's style) or ":param name:" lines.
"""

from __future__ import annotations

import re

_SECTION = re.compile(r"^(args|arguments|parameters|params|returns?|raises|yields?|examples?|notes?)\s*:\s*$", re.I)
_FIELD = re.compile(r"^:param(?:\s+[^:]+?)??\s+(\w+)\s*:\s*(.*)$")
_ENTRY = re.compile(r"^(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Split a docstring into what it says of the function, and of its parameters."""
    told: list[str] = []
    words: dict[str, list[str]] = {}
    section, indent, current = "", 0, None
    for line in text.splitlines():
        stripped = line.strip()
        if (head := _SECTION.match(line)) is not None:
            section, indent, current = head[1].lower(), 0, None
        elif stripped.startswith(":"):
            section, current = "fields", None
            if (field := _FIELD.match(stripped)) is not None:
                current = words.setdefault(field[1], [field[2]])
        elif section == "":
            told.append(line)
        elif section == "fields":
            if current is not None and stripped:
                current.append(stripped)
        elif section[:3] in ("arg", "par") and stripped:
            depth = len(line) - len(line.lstrip())
            indent = indent or depth
            entry = _ENTRY.match(stripped) if depth <= indent else None
            if entry is not None:
                current = words.setdefault(entry[1], [entry[2]])
            elif current is not None:
                current.append(stripped)
    return "\n".join(told).strip(), {name: " ".join(" ".join(said).split()) for name, said in words.items()}
