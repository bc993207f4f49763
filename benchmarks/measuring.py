"""What the benchmarks share: the machine in a line, memory in use, and tables."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Sequence


def machine() -> str:
    """Return one line about this machine, its load included."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, load {load:.1f}"
    )


def rss_kib() -> int:
    """Return the resident memory of this process, KiB; its peak where the system does not tell the present one."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; numbers stand on the right."""
    shown = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[at]) for line in [list(columns), *shown]) for at in range(len(columns))]
    is_text = [any(not _is_number(line[at]) for line in shown) for at in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(cells, widths, is_text, strict=True)
        ]
        return f"| {' | '.join(padded)} |"

    rule = [f"{'-' * (width - 1)}{'-' if text else ':'}" for width, text in zip(widths, is_text, strict=True)]
    return "\n".join([line(columns), line(rule), *map(line, shown)])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    size = abs(value)
    return f"{value:,.0f}" if size >= 1000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}"


def _is_number(cell: str) -> bool:
    return cell == "" or cell.lstrip("+-≤ ")[:1].isdigit()
