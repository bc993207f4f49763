"""Who may import whom: one walk over the package's source, which prints each offending line.

commands → entry points → stages → providers, mcp → pipeline → msgspec, structlog, stdlib

Beside that `__main__`, which is an entry point, starts the commands.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ENTRY_POINTS = (
    *("__init__", "__main__", "call_keywords", "calls", "client", "keywords", "litellm_names", "openai_client"),
    *("prebuilt", "pytest_plugin"),
    *("errors", "events", "items", "parts", "presets"),  # modules of other layers, by their public names
)

# A layer may import from these layers; "" is the root, the entry points.
LAYERS = {
    "commands": {"commands", "", "serve", "testing", "stages", "providers", "mcp", "pipeline"},
    "": {"", "serve", "testing", "stages", "providers", "mcp", "pipeline"},
    "serve": {"", "serve", "stages", "providers", "mcp", "pipeline"},
    "testing": {"", "testing", "stages", "providers", "mcp", "pipeline"},
    "stages": {"stages", "providers", "mcp", "pipeline"},
    "providers": {"providers", "pipeline"},
    "mcp": {"mcp", "pipeline"},
    "pipeline": {"pipeline"},
}

# These stage modules join the others.
JOINING_STAGES = ("stages/__init__.py", "stages/presets.py", "stages/purpose_presets.py")

IO_MODULES = (
    *(f"pipeline/runtimes/{name}.py" for name in ("sync_runtime", "async_runtime", "driver", "tasks", "event_loop")),
    *(f"pipeline/network/{name}.py" for name in ("transport", "link", "blocking_link", "loop_link")),
    *(f"pipeline/network/{name}.py" for name in ("asyncio_stream", "anyio_stream", "tls", "httpx_client")),
)

# Which files may name a package from outside. One that is not listed here may be named nowhere.
OUTSIDE = {
    "msgspec": ("*",),
    "structlog": ("pipeline/logging_output.py",),
    "genai_prices": ("providers/prices.py",),
    "opentelemetry": ("stages/opentelemetry.py",),
    "tenacity": ("stages/retry.py",),
    "httpx": IO_MODULES,
    "httpx2": IO_MODULES,
    "httpcore": IO_MODULES,
    "anyio": (*IO_MODULES, "testing/stage_check.py", "testing/stage_trial.py"),
    "trio": IO_MODULES,
    "asyncio": IO_MODULES,
    "redis": ("pipeline/stores/redis.py",),
    "psycopg": ("pipeline/stores/postgres.py", "pipeline/stores/postgres_pool.py"),
    "xllamacpp": ("providers/llama_child.py",),
    "botocore": ("providers/aws_login.py",),
    "pytest": ("pytest_plugin.py",),
    "langchain_core": ("pipeline/langchain_*.py",),
    "pydantic": ("pipeline/langchain_model.py",),
    "google": ("providers/google_account.py",),
    "uvicorn": ("commands/serve.py",),
    "rich": ("commands/terminal.py", "pipeline/batches/progress.py"),
}


def package_files(root: Path) -> list[Path]:
    """Return the source files of the package, as the folders named in `pyproject.toml` hold them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = [
        name.removeprefix("antiphon").strip(".").replace(".", "/")
        for name in settings["tool"]["setuptools"]["packages"]
    ]
    return sorted(path for folder in folders for path in (root / folder).glob("*.py"))


def imported_names(tree: ast.Module, parent: list[str]) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, absolute dotted name, only for type checking) for each import, those in functions included.

    Args:
        parent: the importing module's package, e.g. `["antiphon", "stages"]`.
    """
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        names: list[str] = []
        match node:
            case ast.Import():
                names = [alias.name for alias in node.names]
            case ast.ImportFrom(module=module, level=level):
                base = parent[: len(parent) - level + 1] if level else []
                base = base + (module.split(".") if module else [])
                # `from .. import x` may name a module, so each name counts.
                names = [".".join([*base, alias.name]) for alias in node.names]
            case ast.Call(func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module")):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    dots = len(first.value) - len(first.value.lstrip("."))
                    base = parent[: len(parent) - dots + 1] if dots else []
                    names = [".".join([*base, first.value.lstrip(".")])]
            case _:
                pass
        for name in names:
            yield getattr(node, "lineno", 0), name, id(node) in for_types


def complaint(root: Path, file: str, name: str, only_types: bool) -> str | None:
    """Say why `file` may not import `name`, or return None when it may."""
    first, *rest = name.split(".")
    layer = file.rpartition("/")[0].partition("/")[0]
    if first != "antiphon":
        if first in OUTSIDE:
            return (
                None
                if any(fnmatch(file, place) for place in OUTSIDE[first])
                else f"only {', '.join(OUTSIDE[first])} may"
            )
        return None if first in sys.stdlib_module_names else "a package that is not in this test's table"
    target = rest[0] if rest and rest[0] in LAYERS else ""
    if file == "__main__.py" and target == "commands":
        return None
    if target not in LAYERS[layer]:
        return f"{layer or 'an entry point'} stands below {target or 'the entry points'}"
    if layer == target == "stages" and file not in JOINING_STAGES and not only_types:
        module = root / "stages" / f"{rest[1]}.py" if len(rest) > 1 else root / "stages" / "__init__.py"
        own = file.removeprefix("stages/").removesuffix(".py")
        if len(rest) < 2 or (module.exists() and rest[1] != own):
            return "a stage does not import another stage"
    return None


def offences(root: Path) -> list[str]:
    found: list[str] = []
    for path in package_files(root):
        file = path.relative_to(root).as_posix()
        source = path.read_text()
        parent = ["antiphon", *file.split("/")[:-1]]
        for line, name, only_types in imported_names(ast.parse(source), parent):
            if reason := complaint(root, file, name, only_types):
                found.append(f"{file}:{line}: {source.splitlines()[line - 1].strip()}    [{name}: {reason}]")
    return found


def test_imports_point_one_way() -> None:
    found = offences(ROOT)

    assert not found, "\n" + "\n".join(found)


def test_the_root_holds_entry_points_only() -> None:
    strangers = sorted(path.name for path in ROOT.glob("*.py") if path.stem not in ENTRY_POINTS)

    assert not strangers


@pytest.mark.parametrize(
    ("file", "line", "is_offence"),
    [
        ("pipeline/chain.py", "from ..stages import retry", True),
        ("pipeline/chain.py", "def f():\n    from ..providers.catalog import rows", True),
        ("pipeline/chain.py", "from .. import client", True),
        ("pipeline/chain.py", "import anyio", True),
        ("pipeline/chain.py", "import importlib\nimportlib.import_module('httpx')", True),
        ("pipeline/chain.py", "import importlib\nimportlib.import_module('..stages', __package__)", True),
        ("pipeline/chain.py", "import asyncio.events", True),
        ("pipeline/chain.py", "import numpy", True),
        ("pipeline/chain.py", "from .errors import ChainError\nimport msgspec, json", False),
        ("pipeline/network/link.py", "import httpcore", False),
        ("pipeline/network/pool.py", "import httpcore", True),
        ("providers/catalog.py", "from ..mcp import session", True),
        ("mcp/session.py", "import antiphon.providers", True),
        ("mcp/session.py", "from ..pipeline.errors import AntiphonError", False),
        ("pipeline/logging_output.py", "import structlog", False),
        ("stages/tools.py", "import structlog", True),
        ("stages/tools.py", "from .retry import Retry", True),
        ("stages/tools.py", "from . import retry", True),
        ("stages/tools.py", "from antiphon.stages.retry import Retry", True),
        ("stages/tools.py", "if TYPE_CHECKING:\n    from .retry import Retry", False),
        ("stages/tools.py", "if TYPE_CHECKING:\n    import httpx", True),
        ("stages/presets.py", "from .retry import Retry", False),
        ("stages/retry.py", "import tenacity", False),
        ("client.py", "from .stages import presets\nfrom . import keywords", False),
        ("client.py", "import httpx", True),
        ("client.py", "from .commands import chat", True),
        ("__main__.py", "from .commands.command_line import main", False),
        ("commands/chat.py", "from ..client import Client\nfrom . import terminal", False),
        ("commands/chat.py", "import rich", True),
    ],
)
def test_the_rules_catch_what_they_are_for(tmp_path: Path, file: str, line: str, is_offence: bool) -> None:
    for name in (file, "stages/retry.py", "client.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / file).write_text(line)

    assert bool(offences(tmp_path)) is is_offence
