"""A chain as a mermaid flowchart, which many Markdown viewers draw.

Only what mermaid's page "Flowcharts" documents (read 2026-11): nodes and subgraphs with quoted text, arrows with quoted
text, entity codes such as `#35;` for what has a meaning of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from .outline import Outline

# What stands for itself in quoted text. The rest, a backtick, a percent sign or a bracket of HTML among it, means
# something to mermaid or to the page around it.
_PLAIN = frozenset(" .,=()[]'/_-")


def mermaid(chain: Outline) -> str:
    """Return the flowchart, one node a stage, with a line break at its end."""
    drawing = _Drawing()
    return "\n".join(["flowchart TB", *drawing.box(chain, 1), *drawing.arrows]) + "\n"


class _Drawing:
    """Numbers the nodes, and keeps the arrows for the end: an arrow would pull a node out of its box."""

    def __init__(self) -> None:
        self.arrows: list[str] = []
        self._count = 0
        self._last = ""  # the node from which the next stage is reached
        self._label = ""  # of the arrow there

    def box(self, chain: Outline, depth: int, name: str | None = None) -> Iterator[str]:
        """Yield the lines of a chain's nodes; those of nested chains in boxes of their own."""
        margin = "    " * depth
        yield f'{margin}subgraph {name or self._id("chain")}["{_text(chain.name)}"]'
        yield f"{margin}    direction TB"
        for item in chain.stages:
            if item.is_chain:
                yield from self.box(item, depth + 1)
                continue
            node = self._id("stage")
            before, after = ('(["', '"])') if item.answers else ('["', '"]')
            settings = f"<br/>{_text(item.settings)}" if item.settings else ""
            yield f"{margin}    {node}{before}{_text(item.kind)}{settings}{after}"
            self._arrive(node)
            yield from self._ways(item, node, depth + 1)
            self._last, self._label = node, f"each {item.again}" if item.again else ""
        yield f"{margin}end"

    def _ways(self, item: Outline, node: str, depth: int) -> Iterator[str]:
        for way in item.ways:
            self._last = ""  # nothing but this way leads there
            if isinstance(way.to, str):
                to = self._id("way")
                yield f'{"    " * depth}{to}(["{_text(way.to)}"])'
            else:
                to = self._id("chain")
                yield from self.box(way.to, depth, to)
            self.arrows.append(f'    {node} -. "{_text(way.when)}" .-> {to}')

    def _arrive(self, node: str) -> None:
        if self._last:
            label = f'-- "{_text(self._label)}" -->' if self._label else "-->"
            self.arrows.append(f"    {self._last} {label} {node}")

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


def _text(text: str) -> str:
    return "".join(char if char.isalnum() or char in _PLAIN else f"#{ord(char)};" for char in " ".join(text.split()))
